"""A trained model on plain pictures: people are cropped, batched, and told in source pixels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from lightning_pose.batch import Sample
from lightning_pose.errors import InputError
from lightning_pose.geometry import apply_affine, invert_affine, picture_box
from lightning_pose.module import PoseModule
from lightning_pose.transforms.crop import PersonCrop

__all__ = ["Person", "PersonPrediction", "load", "predict_people"]


@dataclass
class Person:
    """A person to look at.

    Attributes:
        image: The RGB picture that the person is in.
        box: (x0, y0, x1, y1) tight around the person in source pixels; None where the person is
            what the whole picture shows.
        image_id: The picture's name.
    """

    image: UInt8[np.ndarray, "H0 W0 3"]
    box: Float32[np.ndarray, " 4"] | None = None
    image_id: str = ""


@dataclass
class PersonPrediction:
    """What a model says of a person; where no head answers a question, its fields are None.

    Attributes:
        person: Who was looked at.
        keypoints: (x, y) a joint in source pixels.
        scores: The confidence of each joint, 0 to 1.
        mask: The probability of each pixel of the source picture to be the person, 0 beyond what
            the model has seen.
    """

    person: Person
    keypoints: Float32[np.ndarray, "K 2"] | None = None
    scores: Float32[np.ndarray, " K"] | None = None
    mask: Float32[np.ndarray, "H0 W0"] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything but the mask as plain data, as `predictions.json` has it.

        Returns:
            "image", "box" in source pixels, and "keypoints" as [x, y, score], an empty list where
            no head predicts them.
        """
        box = self.person.box
        if box is None:
            box = picture_box(self.person.image.shape[:2])
        rows = []
        if self.keypoints is not None and self.scores is not None:
            for (x, y), score in zip(self.keypoints.tolist(), self.scores.tolist(), strict=True):
                rows.append([round(x, 3), round(y, 3), round(score, 4)])
        return {"image": self.person.image_id, "box": box.tolist(), "keypoints": rows}


def load(
    path: str | Path, allow: Sequence[str] = (), device: str | torch.device = "cpu"
) -> PoseModule:
    """Rebuild a trained model from its checkpoint alone.

    Args:
        path: The checkpoint's file.
        allow: Packages of your own that the checkpoint may name classes of: their code will run.
        device: Where the model goes.

    Returns:
        The model in evaluation mode.

    Raises:
        InputError: The file is not a checkpoint of ours that can be trusted.
    """
    return PoseModule.load_from_checkpoint(path, map_location=device, allow=allow)


def predict_people(
    model: PoseModule, people: Iterable[Person], batch_size: int = 16
) -> Iterator[PersonPrediction]:
    """Find the joints and masks of people, in their order.

    Keypoints are those of the model's main head, or of its first head that has any; masks
    likewise. A person's box is enlarged as in the model's training, and a whole picture is not.
    People are taken from the iterable a batch at a time, so it may be endless, and the
    batch size changes speed and memory, never an answer by more than rounding.

    Args:
        model: A trained model in evaluation mode, see `load`.
        people: Who to look at.
        batch_size: How many people go through the network at once.

    Yields:
        One prediction a person.

    Raises:
        InputError: `batch_size` is less than 1, or the model's answer is not finite.

    Example:
        >>> from lightning_pose.backbones import UNet
        >>> from lightning_pose.heads import HeatmapHead
        >>> from lightning_pose.skeletons import LSP14
        >>> heads = {"joints": HeatmapHead()}
        >>> model = PoseModule(UNet(width=4), heads, LSP14.to_dict(), input_size=(64, 64)).eval()
        >>> people = [Person(np.zeros((120, 90, 3), dtype=np.uint8))]
        >>> [found.keypoints.shape for found in predict_people(model, people)]
        [(14, 2)]
    """
    if batch_size < 1:
        raise InputError(f"Expected a batch size of 1 or more, found {batch_size}; raise it.")
    queue = iter(people)
    while batch := list(islice(queue, batch_size)):
        yield from _predict_batch(model, batch)


def _predict_batch(model: PoseModule, people: Sequence[Person]) -> Iterator[PersonPrediction]:
    cut = [_crop(person, model.input_size, model.enlarge) for person in people]
    images, crops = [image for image, _ in cut], [matrix for _, matrix in cut]
    crop = torch.from_numpy(np.stack(crops))
    # Channels-first in shape, while memory stays in the order in which it was decoded.
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    predictions = model.predict(batch.to(model.device))
    joints, masks = _head(model, "keypoints"), _head(model, "mask")
    keypoints = scores = probability = None
    if joints is not None:
        found = predictions[joints]
        assert found.keypoints is not None, "the head says that it predicts keypoints"
        assert found.scores is not None, "keypoints have scores"
        keypoints = _finite(apply_affine(invert_affine(crop), found.keypoints.float().cpu()))
        scores = _finite(found.scores.float().cpu())
    if masks is not None:
        mask = predictions[masks].mask
        assert mask is not None, "the head says that it predicts a mask"
        probability = _finite(mask.float().cpu())
    for row, person in enumerate(people):
        yield PersonPrediction(
            person,
            None if keypoints is None else keypoints[row],
            None if scores is None else scores[row],
            None if probability is None else _uncrop(probability[row], crops[row], person),
        )


def _head(model: PoseModule, kind: Literal["keypoints", "mask"]) -> str | None:
    """The head that answers: the main one where it can, else the first that can."""
    names = [model.main_head, *model.heads]
    return next((name for name in names if model.heads[name].predicts == kind), None)


def _crop(
    person: Person, size: tuple[int, int], enlarge: float
) -> tuple[UInt8[np.ndarray, "H W 3"], Float32[np.ndarray, "2 3"]]:
    """The network's input for a person, and the matrix from source pixels to it."""
    shape = person.image.shape[:2]
    whole = person.box is None
    sample = Sample(
        image=person.image,
        keypoints=np.zeros((0, 2), dtype=np.float32),
        visibility=np.zeros(0, dtype=np.uint8),
        mask=np.full(shape, -1, dtype=np.int8),
        box=picture_box(shape) if person.box is None else person.box,
        head_size=0.0,
        torso_size=0.0,
        area=0.0,
        person_id=0,
        image_id=person.image_id,
    )
    # Nothing is left to chance with these settings, so that the generator's seed does not matter.
    example = PersonCrop(size, enlarge=1.0 if whole else enlarge)(sample, np.random.default_rng(0))
    return example.image, example.crop


def _uncrop(
    probability: Float[np.ndarray, "H W"], crop: Float32[np.ndarray, "2 3"], person: Person
) -> Float32[np.ndarray, "H0 W0"]:
    """Bring a map of the crop back to the picture, 0 outside the crop."""
    height, width = person.image.shape[:2]
    # OpenCV asks, for each pixel of the result, where it comes from: that is the crop itself.
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    # With a border of 0 the outermost half pixel of the crop would fade.
    mask: Float32[np.ndarray, "H0 W0"] = cv2.warpAffine(
        probability, crop, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    seen = np.ones_like(probability)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return mask * cv2.warpAffine(seen, crop, (width, height), flags=flags)


def _finite(values: torch.Tensor) -> np.ndarray:
    if not values.isfinite().all():
        raise InputError(
            "Expected finite predictions, found NaN or infinity; the training of this checkpoint "
            "diverged, take another."
        )
    return values.numpy()
