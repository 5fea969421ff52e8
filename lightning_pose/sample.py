"""One person on the way from disk to a batch: annotation, pixels, sample, cropped sample.

Every field is always present, except for those of `Pixels`. Unknown values are encoded as data:
visibility 0 for a joint, -1 for a mask pixel, 0 for a size, NaN or -1 for a label. Points follow
the conventions of `lightning_pose.geometry`.
"""

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32, Int8, Int64, UInt8

__all__ = ["PEOPLE_PER_SET", "Annotation", "Annotations", "CroppedSample", "Pixels", "Sample"]

PEOPLE_PER_SET = 2**40
"""In a mix, a `person_id` is this times the number of the set, plus that of the person within it.

It is above the largest number of any published dataset (COCO's crowds are near 10**12), and leaves
room for 2**23 sets in 64 bits.
"""


@dataclass
class Annotation:
    """The labels of one person, without pixels; every coordinate is in source pixels.

    Attributes:
        keypoints: (x, y) per joint; (0, 0) where the visibility is 0, never NaN.
        visibility: COCO's flags: 0 unlabelled, 1 labelled but occluded, 2 visible.
        box: (x0, y0, x1, y1), which the crop enlarges: tight around the labelled joints, or what
            `PoseDataset.box_around` says; zeros if the person has no box.
        head_size: The length that PCKh divides by, 0 where it is unknown.
        torso_size: The length that PCK divides by, 0 where it is unknown.
        area: Square pixels that the person covers, 0 where it is unknown.
        labels: Image-level labels by name: a class index (int, -1 unknown) or a number (float,
            NaN unknown).
        person_id: A number of 0 or more that identifies this person within its dataset, across
            splits and runs; see `PEOPLE_PER_SET` for a mix of datasets.
        image_id: The image's name, as shown in messages and images.
    """

    keypoints: Float32[np.ndarray, "K 2"]
    visibility: UInt8[np.ndarray, " K"]
    box: Float32[np.ndarray, " 4"]
    head_size: float
    torso_size: float
    area: float
    labels: dict[str, int | float]
    person_id: int
    image_id: str

    @property
    def crop_box(self) -> Float32[np.ndarray, " 4"] | None:
        """The box that a crop shows; None for the whole image, not enlarged.

        That is what a person without a box gets, in training as in inference, and one whose box is
        a single point: a single joint shows nothing of a person.
        """
        return self.box if (self.box[2:] > self.box[:2]).any() else None


@dataclass
class Annotations:
    """A table of annotations, one row per person; see `Annotation` for the columns.

    The columns are numpy arrays, which forked workers share and which may be memory-mapped. A list
    of a million Python objects would be copied page by page as reference counts change.

    Example:
        >>> table = Annotations(
        ...     keypoints=np.zeros((2, 1, 2), np.float32), visibility=np.zeros((2, 1), np.uint8),
        ...     box=np.zeros((2, 4), np.float32), head_size=np.zeros(2), torso_size=np.zeros(2),
        ...     area=np.zeros(2), person_id=np.array([7, 8]), image_id=np.array(["a.jpg", "b.jpg"]),
        ... )
        >>> len(table), table[1].person_id, table[1].image_id
        (2, 8, 'b.jpg')
    """

    keypoints: Float32[np.ndarray, "N K 2"]
    visibility: UInt8[np.ndarray, "N K"]
    box: Float32[np.ndarray, "N 4"]
    head_size: np.ndarray
    torso_size: np.ndarray
    area: np.ndarray
    person_id: Int64[np.ndarray, " N"]
    image_id: np.ndarray
    labels: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        """N, the number of people."""
        return len(self.person_id)

    def __getitem__(self, index: int) -> Annotation:
        """The annotation of one person."""
        name: Any = self.image_id[index]
        return Annotation(
            keypoints=np.asarray(self.keypoints[index]),
            visibility=np.asarray(self.visibility[index]),
            box=np.asarray(self.box[index]),
            head_size=float(self.head_size[index]),
            torso_size=float(self.torso_size[index]),
            area=float(self.area[index]),
            labels={key: column[index].item() for key, column in self.labels.items()},
            person_id=int(self.person_id[index]),
            image_id=name.decode() if isinstance(name, bytes) else str(name),
        )


@dataclass
class Pixels:
    """The image and the mask of one person, perhaps decoded at a reduced scale.

    Attributes:
        image: The RGB image.
        mask: 1 person, 0 background, -1 unknown; None where the whole mask is unknown.
        image_frame: The affine matrix from source pixels to pixels of `image`; None: identity.
        mask_frame: The affine matrix from source pixels to pixels of `mask`; None: identity.
    """

    image: UInt8[np.ndarray, "h w 3"]
    # `read_image` returns an image and its frame: by position, the frame would become the mask.
    _: KW_ONLY
    mask: Int8[np.ndarray, "h2 w2"] | None = None
    image_frame: Float32[np.ndarray, "2 3"] | None = None
    mask_frame: Float32[np.ndarray, "2 3"] | None = None


@dataclass
class Sample(Annotation):
    """One person with the whole image, as returned by `dataset[index]`.

    Attributes:
        image: The RGB image at full size.
        mask: 1 person, 0 background, -1 unknown.
    """

    image: UInt8[np.ndarray, "H0 W0 3"]
    mask: Int8[np.ndarray, "H0 W0"]


@dataclass
class CroppedSample:
    """One person cropped to the network's input: what a transform makes and `collate` stacks.

    Attributes:
        image: The RGB crop.
        keypoints: (x, y) per joint in input pixels; (0, 0) where the visibility is 0.
        visibility: As in `Annotation`, and 0 for a joint outside the crop.
        mask: 1 person, 0 background, -1 unknown; 0 beyond the image if the person has a mask, else
            -1.
        crop: The affine matrix from source pixels to input pixels.
        image_size: Height and width of the source image.
        annotation: The annotation before any transform; metrics use its keypoints.
    """

    image: UInt8[np.ndarray, "H W 3"]
    keypoints: Float32[np.ndarray, "K 2"]
    visibility: UInt8[np.ndarray, " K"]
    mask: Int8[np.ndarray, "H W"]
    crop: Float32[np.ndarray, "2 3"]
    image_size: tuple[int, int]
    annotation: Annotation
