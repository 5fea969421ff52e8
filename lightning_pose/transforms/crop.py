"""The crop: resize and geometric augmentation of one person with one affine matrix and one warp."""

import math
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Float64

from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.checks import check_annotation, check_pixels
from lightning_pose.errors import ConfigError
from lightning_pose.geometry import image_box, transform_points
from lightning_pose.input_spec import InputSpec
from lightning_pose.sample import Annotation, CroppedSample
from lightning_pose.skeletons import Skeleton
from lightning_pose.transforms.warp import warp_image, warp_mask

__all__ = ["PersonCrop"]

# Degrees between the rotations whose crops are put together to find what all of them show. What a
# corner shows in between is less than the two pixels that are added.
_TURN = 4.0


class _Draw(NamedTuple):
    """One draw of the augmentation, each from -1 to 1 where it is a number."""

    turn: float
    zoom: float
    mirror: bool
    shift: tuple[float, float]
    edges: tuple[float, ...]


class PersonCrop:
    """Crops one person to the network's input.

    `InputSpec` defines what the crop shows and how large it is. Random rotation, scale, flip, shift
    and noise of the box are added to it; by default nothing is random, as evaluation requires.
    Beyond the image, the crop is black and, if the person has a mask, background. Joints outside
    the crop become unlabelled in the result; the annotation itself does not change.

    Args:
        input_spec: How an image becomes the network's input.
        skeleton: The joints, for swapping left and right; needed only for flips.
        rotation: Largest rotation in degrees; it is uniform in [-rotation, rotation].
        scale: How much larger the person appears than usual. One number is the largest change:
            factors are log-uniform in [1 / (1 + scale), 1 + scale], so that growing and shrinking
            by the same factor are equally likely. A pair [low, high] is the range itself, which
            need not be symmetric: factors are uniform in it, as in papers that give a range such as
            0.75 to 1.25.
        flip: Probability of a flip.
        shift: Largest shift, as a fraction of the input's width and height; both are uniform in
            [-shift, shift].
        box_jitter: Largest shift of each edge of the box, as a fraction of the box's width or
            height, uniform in [-box_jitter, box_jitter], to simulate the boxes of a detector;
            no effect if the whole image is shown.

    Raises:
        ConfigError: A setting is out of range.

    Example:
        >>> from lightning_pose.datasets import SyntheticDataset
        >>> crop = PersonCrop(InputSpec(size=(64, 48)))
        >>> sample = crop(SyntheticDataset("val", length=3), 2, np.random.default_rng(0))
        >>> sample.image.shape, sample.keypoints.shape, sample.annotation.person_id
        ((64, 48, 3), (14, 2), 1000000002)
    """

    def __init__(
        self,
        input_spec: InputSpec,
        skeleton: Skeleton | None = None,
        rotation: float = 0.0,
        scale: float | tuple[float, float] = 0.0,
        flip: float = 0.0,
        shift: float = 0.0,
        box_jitter: float = 0.0,
    ) -> None:
        for name, value, high in (
            ("rotation", rotation, 180),
            ("flip", flip, 1),
            ("shift", shift, 0.5),
            ("box_jitter", box_jitter, 0.4),
        ):
            if not (0 <= value <= high and np.isfinite(value)):
                raise ConfigError(
                    f"Expected {name} from 0 to {high}, found {value}; correct the crop."
                )
        _check_scale(scale)
        if flip > 0 and skeleton is None:
            raise ConfigError(
                f"Expected a skeleton for flips, found none with flip={flip}; give the crop one."
            )
        self.input_spec = input_spec
        self.skeleton = skeleton
        self.rotation = rotation
        self.scale = scale
        self.flip = flip
        self.shift = shift
        self.box_jitter = box_jitter

    def __call__(self, dataset: PoseDataset, index: int, rng: np.random.Generator) -> CroppedSample:
        """Read and crop one person.

        Args:
            dataset: The people.
            index: Which of them.
            rng: The source of randomness; the same numbers are drawn from it whatever the settings.

        Returns:
            The crop.

        Raises:
            DataError: A file cannot be read, or what the dataset gives cannot be used.
        """
        # In one call, because a call takes longer than the numbers.
        turn, zoom, toss, *others = rng.random(9).tolist()
        turn, zoom, right, down, *edges = (2 * value - 1 for value in (turn, zoom, *others))
        mirror = toss < self.flip
        annotation = dataset.annotation(index)
        check_annotation(annotation, dataset)
        draw = _Draw(turn, zoom, mirror, (right, down), tuple(edges))
        matrix, size, shown = self._matrix(dataset, index, annotation, draw)
        pixels = dataset.read(index, shrink=max(1, int(1 / _zoom(matrix))))
        check_pixels(pixels, annotation)
        if pixels.image_frame is None:
            image_size = (pixels.image.shape[0], pixels.image.shape[1])
        else:
            image_size = shown or dataset.image_size(index)
        keypoints = transform_points(matrix, annotation.keypoints)
        visibility = annotation.visibility
        if mirror:
            assert self.skeleton is not None, "checked above"
            order = self.skeleton.flip_order
            keypoints, visibility = keypoints[order], visibility[order]
        x0, y0, x1, y1 = image_box(size)
        x, y = keypoints.T
        inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
        visibility = np.where(inside, visibility, 0).astype(np.uint8)
        return CroppedSample(
            image=warp_image(
                pixels.image, matrix, size, self.input_spec.interpolation, pixels.image_frame
            ),
            keypoints=np.where(visibility[:, None] > 0, keypoints, np.float32(0)),
            visibility=visibility,
            mask=warp_mask(pixels.mask, matrix, size, pixels.mask_frame),
            crop=matrix,
            image_size=image_size,
            annotation=annotation,
        )

    def reach(self, dataset: PoseDataset, index: int) -> tuple[Float64[np.ndarray, " 4"], float]:
        """What of an image the random crops of one person can show, and how finely.

        Args:
            dataset: The people.
            index: Which of them.

        Returns:
            A box xyxy in source pixels around all that any crop shows, and how many pixels a crop
            has at most for each source pixel along a side.

        Raises:
            DataError: What the dataset gives cannot be used.
        """
        annotation = dataset.annotation(index)
        check_annotation(annotation, dataset)
        turns = (
            np.linspace(-1, 1, 2 * math.ceil(self.rotation / _TURN) + 1) if self.rotation else (0,)
        )
        corners = []
        for turn in turns:
            # Moving every edge outwards shows most of any box with the same middle.
            draw = _Draw(float(turn), -1.0, False, (0.0, 0.0), (1.0, 1.0, 1.0, 1.0))
            matrix, size, _ = self._matrix(dataset, index, annotation, draw)
            x0, y0, x1, y1 = image_box(size)
            # What a shift brings in; and two pixels, because a pixel of the crop is interpolated.
            right, down = self.shift * size[1] + 2, self.shift * size[0] + 2
            shown = [(x0 - right, y0 - down), (x1 + right, y0 - down)]
            shown += [(x0 - right, y1 + down), (x1 + right, y1 + down)]
            inverse = cv2.invertAffineTransform(matrix.astype(np.float64))
            corners.append(np.array(shown) @ inverse[:, :2].T + inverse[:, 2])
        points = np.concatenate(corners)
        # The middle moves as well, if opposite edges move to the same side; of a narrow box in a
        # wide crop, or of one that fills the crop, this shows more than a larger box does.
        jitter = 0.0 if self.input_spec.subject == "image" else self.box_jitter
        moved = jitter * (annotation.box[2:] - annotation.box[:2]).astype(np.float64)
        shown_box = np.concatenate((points.min(axis=0) - moved, points.max(axis=0) + moved))
        draw = _Draw(0.0, 1.0, False, (0.0, 0.0), (-1.0, -1.0, -1.0, -1.0))
        finest, _, _ = self._matrix(dataset, index, annotation, draw)
        return shown_box, _zoom(finest)

    def _matrix(
        self, dataset: PoseDataset, index: int, annotation: Annotation, draw: _Draw
    ) -> tuple[Float32[np.ndarray, "2 3"], tuple[int, int], tuple[int, int] | None]:
        """From source pixels to input pixels; the input's size; the image's, where it is shown."""
        box = annotation.crop_box
        whole = self.input_spec.subject == "image" or box is None
        jitter = 0.0 if whole else self.box_jitter
        # Only where it is needed, because it may have to open the file.
        shown = dataset.image_size(index) if whole else None
        left, above, right, below = (jitter * edge for edge in draw.edges)
        matrix, size = self.input_spec.crop(
            box,
            shown,
            rotation=self.rotation * draw.turn,
            scale=self._factor(draw.zoom),
            flip=draw.mirror,
            shift=(self.shift * draw.shift[0], self.shift * draw.shift[1]),
            around=dataset.box_around(index),
            edges=(left, above, right, below),
        )
        return matrix, size, shown

    def _factor(self, chance: float) -> float:
        """How much larger the person appears, from a number that is uniform in [-1, 1]."""
        if isinstance(self.scale, tuple):
            low, high = self.scale
            return low + (high - low) * (chance + 1) / 2
        factor: float = (1 + self.scale) ** chance
        return factor


def _zoom(matrix: Float32[np.ndarray, "2 3"]) -> float:
    """Pixels of the crop per source pixel, along the axis of the crop that has more."""
    return float(np.linalg.norm(matrix[:, :2], axis=1).max())


def _check_scale(scale: float | tuple[float, float]) -> None:
    if isinstance(scale, tuple):
        valid = len(scale) == 2 and 0 < scale[0] <= scale[1] < np.inf
    else:
        valid = 0 <= scale < np.inf
    if not valid:
        raise ConfigError(
            "Expected scale as a number of 0 or more, or as [low, high] with 0 < low <= high, "
            f"found {list(scale) if isinstance(scale, tuple) else scale}; correct the crop."
        )
