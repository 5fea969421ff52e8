"""A trained model on plain images: crop and batch people, and map predictions back to the image."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from lightning_pose.errors import ConfigError, DivergedError
from lightning_pose.geometry import apply_affine, image_box, invert_affine
from lightning_pose.module import PoseModule
from lightning_pose.prediction import Prediction
from lightning_pose.transforms.warp import warp_image

__all__ = ["Person", "PersonPrediction", "load", "predict_people"]


@dataclass
class Person:
    """A person to run the model on.

    Attributes:
        image: The RGB image that the person is in.
        box: (x0, y0, x1, y1) tight around the person in source pixels; None if the whole image
            shows the person.
        image_id: The image's name.
    """

    image: UInt8[np.ndarray, "H0 W0 3"]
    box: Float32[np.ndarray, " 4"] | None = None
    image_id: str = ""


@dataclass
class PersonPrediction:
    """The prediction for one person; a field that no head fills is None.

    Attributes:
        person: The input person.
        keypoints: (x, y) per joint in source pixels.
        scores: The confidence of each joint, 0 to 1.
        mask: The probability that each pixel of the source image is the person, 0 outside the crop
            that the model has seen.
    """

    person: Person
    keypoints: Float32[np.ndarray, "K 2"] | None = None
    scores: Float32[np.ndarray, " K"] | None = None
    mask: Float32[np.ndarray, "H0 W0"] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything but the mask as plain data, as written to `predictions.json`.

        Returns:
            "image", "box" in source pixels, and "keypoints" as [x, y, score], an empty list if no
            head predicts them.
        """
        box = self.person.box
        if box is None:
            box = image_box(self.person.image.shape[:2])
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
        allow: Your own packages whose classes the checkpoint may name: their code will run.
        device: The device of the model.

    Returns:
        The model in evaluation mode.

    Raises:
        CheckpointError: The file is not a checkpoint that can be trusted, or is damaged.
    """
    return PoseModule.load_from_checkpoint(path, map_location=device, allow=allow)


def predict_people(
    model: PoseModule, people: Iterable[Person], batch_size: int = 16, flip: bool = False
) -> Iterator[PersonPrediction]:
    """Predict the joints and masks of people, in order.

    Keypoints come from the model's main head, or else from the first head that predicts them; masks
    likewise. People are cropped as in training; without a box, the whole image is used. The
    iterable is read one batch at a time, so it may be endless. The batch size affects speed and
    memory, but changes predictions only by rounding.

    Args:
        model: A trained model, see `load`.
        people: The people.
        batch_size: Number of people that go through the network at once.
        flip: Average each prediction with that of the mirrored image.

    Yields:
        One prediction per person.

    Raises:
        ConfigError: `batch_size` is less than 1, or the flip test does not fit the input's width.
        DivergedError: A prediction is not finite.

    Example:
        >>> from lightning_pose.backbones import UNet
        >>> from lightning_pose.heads import HeatmapHead
        >>> from lightning_pose.input_spec import InputSpec
        >>> from lightning_pose.skeletons import LSP14
        >>> model = PoseModule(UNet(width=4), {"joints": HeatmapHead()}, LSP14, InputSpec((64, 64)))
        >>> people = [Person(np.zeros((120, 90, 3), dtype=np.uint8))]
        >>> [found.keypoints.shape for found in predict_people(model, people)]
        [(14, 2)]
    """
    if batch_size < 1:
        raise ConfigError(f"Expected a batch size of 1 or more, found {batch_size}; raise it.")
    queue = iter(people)
    while batch := list(islice(queue, batch_size)):
        yield from _predict_batch(model, batch, flip)


@dataclass
class _Crop:
    image: UInt8[np.ndarray, "H W 3"]
    matrix: Float32[np.ndarray, "2 3"]


def _predict_batch(
    model: PoseModule, people: Sequence[Person], flip: bool
) -> Iterator[PersonPrediction]:
    crops = [_crop(model, person) for person in people]
    # Images of one size go through the network together, without padding.
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, crop in enumerate(crops):
        groups.setdefault(crop.image.shape, []).append(place)
    found: dict[int, PersonPrediction] = {}
    for places in groups.values():
        # Channels-first in shape, while memory stays channels-last, as decoded.
        images = torch.from_numpy(np.stack([crops[place].image for place in places]))
        predictions = model.predict(images.permute(0, 3, 1, 2).to(model.device), flip)
        joints, masks = _head(model, predictions, "keypoints"), _head(model, predictions, "mask")
        for row, place in enumerate(places):
            person, crop = people[place], crops[place]
            one = PersonPrediction(person)
            if joints is not None:
                back = invert_affine(torch.from_numpy(crop.matrix)[None])
                found_there = _row(joints, "keypoints", row)[None]
                one.keypoints = apply_affine(back, found_there)[0].numpy()
                one.scores = _row(joints, "scores", row).numpy()
            if masks is not None:
                one.mask = _uncrop(_row(masks, "mask", row).numpy(), crop.matrix, person)
            found[place] = one
    for place in range(len(people)):
        yield found.pop(place)


def _head(model: PoseModule, predictions: dict[str, Prediction], field: str) -> Prediction | None:
    """The prediction that fills a field: the main head's if it does, else the first."""
    names = [model.main_head, *predictions]
    filled = [n for n in names if n in predictions and field in predictions[n].fields()]
    return predictions[filled[0]] if filled else None


def _row(prediction: Prediction, field: str, row: int) -> torch.Tensor:
    values: torch.Tensor = getattr(prediction, field)[row].float().cpu()
    if not values.isfinite().all():
        raise DivergedError(
            "Expected finite predictions, found NaN or infinity; the training of this checkpoint "
            "diverged, use another."
        )
    return values


def _crop(model: PoseModule, person: Person) -> _Crop:
    """The network's input for a person."""
    spec, shape = model.input_spec, (person.image.shape[0], person.image.shape[1])
    matrix, size = spec.crop(person.box, shape)
    return _Crop(warp_image(person.image, matrix, size, spec.interpolation), matrix)


def _uncrop(
    probability: Float[np.ndarray, "H W"], crop: Float32[np.ndarray, "2 3"], person: Person
) -> Float32[np.ndarray, "H0 W0"]:
    """Warp a map of the crop back to the image, with 0 outside the crop."""
    height, width = person.image.shape[:2]
    # OpenCV needs the matrix from pixels of the result to their source, which is the crop itself.
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    # With a border of 0, the outermost half pixel of the crop would fade out.
    mask: Float32[np.ndarray, "H0 W0"] = cv2.warpAffine(
        probability, crop, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    seen = np.ones_like(probability)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return mask * cv2.warpAffine(seen, crop, (width, height), flags=flags)
