"""A person in an image, and what a model predicts for them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from lightning_pose.errors import DataError
from lightning_pose.geometry import image_box
from lightning_pose.input_spec import BoxAround
from lightning_pose.skeletons import Skeleton
from lightning_pose.visualization import draw_mask, draw_skeleton

__all__ = ["Person", "PersonPrediction", "check_boxes"]

_CERTAIN = 0.2
"""Joints with a lower score are drawn as uncertain."""

SHORTEST = 2
"""Pixels of the shortest side of a box; a shorter one is in fractions of the image."""


@dataclass
class Person:
    """A person to run the model on.

    Attributes:
        image: The RGB image that the person is in.
        box: (x0, y0, x1, y1) tight around the person in source pixels; None if the whole image
            shows the person.
        image_id: The image's name.
        around: What the box is tight around: the silhouette, as a detector gives it, or the joints,
            as in training.
    """

    image: UInt8[np.ndarray, "H0 W0 3"]
    box: Float32[np.ndarray, " 4"] | None = None
    image_id: str = ""
    around: BoxAround = "silhouette"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.image.shape[0], self.image.shape[1]


@dataclass
class PersonPrediction:
    """The prediction for one person; a field that no head fills is None.

    Attributes:
        person: The input person.
        skeleton: The joints of the keypoints.
        keypoints: (x, y) per joint in source pixels.
        scores: The confidence of each joint, 0 to 1.
        mask: The probability that each pixel of the source image is the person, 0 outside the crop
            that the model has seen.
        labels: Image-level labels by name: the probability of each class by its name, the most
            probable first, or a number.
    """

    person: Person
    skeleton: Skeleton
    keypoints: Float32[np.ndarray, "K 2"] | None = None
    scores: Float32[np.ndarray, " K"] | None = None
    mask: Float32[np.ndarray, "H0 W0"] | None = None
    labels: dict[str, dict[str, float] | float] = field(default_factory=dict)

    @property
    def box(self) -> Float32[np.ndarray, " 4"]:
        """The person's box, or that of the whole image, xyxy in source pixels."""
        return self.person.box if self.person.box is not None else image_box(self.person.size)

    @property
    def score(self) -> float | None:
        """The mean score of the joints, None without joints."""
        return None if self.scores is None else float(self.scores.mean())

    def to_dict(self) -> dict[str, Any]:
        """Everything but the mask as plain data, as written to `predictions.json`.

        Returns:
            "image", its "size" as [height, width], "box" in source pixels, the "score" of the
            person, "keypoints" as [x, y, score], an empty list if no head predicts them, and
            "labels".
        """
        rows = []
        if self.keypoints is not None and self.scores is not None:
            for (x, y), score in zip(self.keypoints.tolist(), self.scores.tolist(), strict=True):
                rows.append([round(x, 2), round(y, 2), round(score, 3)])
        return {
            "image": self.person.image_id,
            "size": list(self.person.size),
            "box": [round(value, 2) for value in self.box.tolist()],
            "score": None if self.score is None else round(self.score, 3),
            "keypoints": rows,
            "labels": {
                name: round(label, 3)
                if isinstance(label, float)
                else {kind: round(probability, 3) for kind, probability in label.items()}
                for name, label in self.labels.items()
            },
        }

    def draw(self, image: UInt8[np.ndarray, "H0 W0 3"]) -> UInt8[np.ndarray, "H0 W0 3"]:
        """Draw the mask and the joints on an image of the size of the person's.

        Args:
            image: The RGB image, which is not modified.

        Returns:
            A copy with the prediction; joints with a score below 0.2 are drawn as uncertain.
        """
        if self.mask is not None:
            image = draw_mask(image, self.mask > 0.5)
        if self.keypoints is not None and self.scores is not None:
            every = np.ones(len(self.keypoints), dtype=np.bool_)
            certain = self.scores >= _CERTAIN
            image = draw_skeleton(image, self.keypoints, every, self.skeleton, certain)
        return image

    def plot(self) -> Image.Image:
        """The person's image with the prediction drawn on it, see `draw`.

        Returns:
            A PIL image, which a notebook shows and `.save(path)` writes.
        """
        return Image.fromarray(self.draw(self.person.image))


def check_boxes(
    rows: Any, name: str, image: Float32[np.ndarray, " 4"]
) -> Float32[np.ndarray, "N 4"]:
    """Refuse boxes that are not around people in an image.

    Args:
        rows: What the user gave.
        name: The image's name.
        image: The box xyxy of the whole image in source pixels.

    Returns:
        The boxes xyxy in source pixels.

    Raises:
        DataError: They are not boxes, are too small, or lie outside the image.
    """
    try:
        found = np.asarray(rows, dtype=np.float32)
        found = found.reshape(-1, 4) if found.shape == (0,) else found  # Nobody.
    except (TypeError, ValueError):
        found = np.empty(0, dtype=np.float32)  # Ragged, or no numbers.
    # No image is a million pixels wide, and larger numbers would break the arithmetic.
    right = found.ndim == 2 and found.shape[1] == 4 and (np.abs(found) < 1e6).all()
    if not (right and (found[:, :2] < found[:, 2:]).all()):
        raise DataError(
            f"Expected boxes of shape (N, 4) with x0 < x1 and y0 < y1 for image {name}, found "
            f"{rows}; give them as x0, y0, x1, y1 in pixels."
        )
    if (found[:, 2:] - found[:, :2] < SHORTEST).any():
        raise DataError(
            f"Expected boxes of {SHORTEST} pixels or more along each side for image {name}, found "
            f"{found.tolist()}; give pixels, not fractions of the image."
        )
    if not ((found[:, :2] < image[2:]) & (found[:, 2:] > image[:2])).all():
        raise DataError(
            f"Expected boxes that overlap image {name}, of {image[2] + 0.5:g} x "
            f"{image[3] + 0.5:g} pixels, found {found.tolist()}; correct them."
        )
    return found
