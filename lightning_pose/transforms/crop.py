"""The crop: rotation, scale, flip and resize of one person in one affine and one warp."""

import cv2
import numpy as np
from jaxtyping import Float32, Int8, UInt8

from lightning_pose.batch import Example, Sample
from lightning_pose.errors import InputError
from lightning_pose.geometry import crop_matrix, picture_box, transform_points
from lightning_pose.skeletons import Skeleton

__all__ = ["PersonCrop"]


class PersonCrop:
    """Cuts one person out of a picture, at the size of the network's input.

    The box is enlarged and widened to the input's shape, as `geometry.crop_matrix` says. Chance
    turns, scales and mirrors it; with the defaults nothing is left to chance, as evaluation wants.
    Beyond the picture the crop is black and, where the person has a mask, background. Joints that
    leave the crop become unlabelled in the example; the sample's own stay as they are.

    Args:
        input_size: Height and width of the crop in pixels.
        skeleton: The joints, for the swap of left and right; needed for flips only.
        enlarge: How much larger than the person's box the crop is.
        rotation: Largest turn in degrees; turns are uniform in [-rotation, rotation].
        scale: Largest change of size; factors are log-uniform in [1 / (1 + scale), 1 + scale].
        flip: Probability of a flip.

    Raises:
        InputError: A setting is out of its range.

    Example:
        >>> crop = PersonCrop(input_size=(64, 48), enlarge=1.0)
        >>> person = Sample(
        ...     image=np.zeros((20, 10, 3), dtype=np.uint8),
        ...     keypoints=np.array([[4.5, 9.5]], dtype=np.float32),
        ...     visibility=np.array([2], dtype=np.uint8),
        ...     mask=np.ones((20, 10), dtype=np.int8),
        ...     box=np.array([0, 0, 9, 19], dtype=np.float32),
        ...     head_size=0.0, torso_size=0.0, area=200.0, person_id=1, image_id="im1.jpg",
        ... )
        >>> crop(person, np.random.default_rng(0)).keypoints
        array([[23.5, 31.5]], dtype=float32)
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        skeleton: Skeleton | None = None,
        enlarge: float = 1.25,
        rotation: float = 0.0,
        scale: float = 0.0,
        flip: float = 0.0,
    ) -> None:
        for name, value, low, high in (
            ("input_size", min(input_size), 1, np.inf),
            ("enlarge", enlarge, 0.1, np.inf),
            ("rotation", rotation, 0, 180),
            ("scale", scale, 0, np.inf),
            ("flip", flip, 0, 1),
        ):
            if not (low <= value <= high and np.isfinite(value)):
                raise InputError(
                    f"Expected {name} from {low} to {high}, found {value}; correct the crop."
                )
        if flip > 0 and skeleton is None:
            raise InputError(
                f"Expected a skeleton for flips, found none with flip={flip}; give the crop one."
            )
        self.input_size = input_size
        self.skeleton = skeleton
        self.enlarge = enlarge
        self.rotation = rotation
        self.scale = scale
        self.flip = flip

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Crop one person.

        Args:
            sample: The person.
            rng: Where chance comes from; it is asked three times whatever the settings.

        Returns:
            The crop, with the sample as its source.
        """
        turn, zoom, mirror = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.random() < self.flip
        matrix = crop_matrix(
            sample.box,
            self.input_size,
            enlarge=self.enlarge,
            rotation=self.rotation * turn,
            scale=(1 + self.scale) ** zoom,
            flip=bool(mirror),
        )
        keypoints, visibility = transform_points(matrix, sample.keypoints), sample.visibility
        if mirror:
            assert self.skeleton is not None
            order = self.skeleton.flip_order
            keypoints, visibility = keypoints[order], visibility[order]
        x0, y0, x1, y1 = picture_box(self.input_size)
        inside = np.all((keypoints >= (x0, y0)) & (keypoints < (x1, y1)), axis=1)
        visibility = np.where(inside, visibility, 0).astype(np.uint8)
        return Example(
            image=_warp_picture(sample.image, matrix, self.input_size),
            keypoints=np.where(visibility[:, None] > 0, keypoints, np.float32(0)),
            visibility=visibility,
            mask=_warp_mask(sample.mask, matrix, self.input_size),
            crop=matrix,
            source=sample,
        )


def _warp_picture(
    image: UInt8[np.ndarray, "H0 W0 3"], matrix: Float32[np.ndarray, "2 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "H W 3"]:
    zoom = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    blocks = int(min(1 / zoom, *image.shape[:2]))
    if blocks >= 2:
        # The warp looks at four pixels for each of its own: where it would skip most of the others,
        # blocks of them are averaged first, so that fine texture does not turn into noise.
        # The last block is filled up with what its edge shows, so that no row or column is lost.
        missing = (-image.shape[0] % blocks, -image.shape[1] % blocks)
        image = cv2.copyMakeBorder(image, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
        small = (image.shape[0] // blocks, image.shape[1] // blocks)
        shrink = crop_matrix(picture_box(image.shape[:2]), small, enlarge=1.0)
        image = cv2.resize(image, small[::-1], interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.vstack((cv2.invertAffineTransform(shrink), (0, 0, 1)))
    return cv2.warpAffine(image, matrix, size[::-1], flags=cv2.INTER_LINEAR)


def _warp_mask(
    mask: Int8[np.ndarray, "H0 W0"], matrix: Float32[np.ndarray, "2 3"], size: tuple[int, int]
) -> Int8[np.ndarray, "H W"]:
    if mask.max() < 0:
        return np.full(size, -1, dtype=np.int8)
    # OpenCV warps bytes, not int8; seen as a byte, -1 is 255 and nearest neighbours keep it so.
    warped = cv2.warpAffine(mask.view(np.uint8), matrix, size[::-1], flags=cv2.INTER_NEAREST)
    return warped.view(np.int8)
