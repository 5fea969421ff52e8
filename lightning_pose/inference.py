"""A trained model on plain images: crop and batch people, and map predictions back to the image."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast, get_args

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from PIL import Image

from lightning_pose.datasets.images import read_image, to_rgb
from lightning_pose.errors import ConfigError, DataError, DivergedError
from lightning_pose.geometry import apply_affine, image_box, invert_affine
from lightning_pose.input_spec import BoxAround
from lightning_pose.module import PoseModule
from lightning_pose.person import Person, PersonPrediction, check_boxes
from lightning_pose.prediction import Prediction
from lightning_pose.transforms.warp import warp_image

__all__ = ["Predictor", "load"]

ImageLike = str | Path | Image.Image | np.ndarray
"""A file, a PIL image, or RGB as uint8 (H, W, 3)."""


def load(
    path: str | Path,
    allow: Sequence[str] = (),
    device: str | torch.device = "cpu",
    head: str | None = None,
) -> "Predictor":
    """Rebuild a trained model from its checkpoint alone, to use it on images of any size.

    Args:
        path: The checkpoint's file.
        allow: Your own packages whose classes the checkpoint may name: their code will run.
        device: The device of the model.
        head: The head to prefer for what it predicts, instead of the main head.

    Returns:
        The predictor; its `model` is the `PoseModule`, in evaluation mode.

    Raises:
        CheckpointError: The file is not a checkpoint that can be trusted, or is damaged.
        ConfigError: The model has no such head, or it is not trained.
    """
    return Predictor(PoseModule.load_from_checkpoint(path, device, allow), head)


class Predictor:
    """Finds the joints and the masks of people in images of any size.

    People are cropped as in training; without a box, the whole image shows one person. Keypoints
    come from the model's main head, or else from the first head that predicts them; the mask and
    each image-level label likewise.

    Args:
        model: A trained model.
        head: The head to prefer for what it predicts, instead of the main head.

    Attributes:
        heads: The head that each field of a `PersonPrediction` comes from: "keypoints", "mask", and
            "label/NAME" for an image-level label.

    Raises:
        ConfigError: There is no such head, or it was not trained.

    Example:
        >>> from lightning_pose.backbones import UNet
        >>> from lightning_pose.heads import HeatmapHead
        >>> from lightning_pose.input_spec import InputSpec
        >>> from lightning_pose.skeletons import LSP14
        >>> model = PoseModule(UNet(width=4), {"joints": HeatmapHead()}, LSP14, InputSpec((64, 64)))
        >>> image = np.zeros((120, 90, 3), dtype=np.uint8)
        >>> left, right = Predictor(model)(image, boxes=[[0, 0, 40, 120], [50, 0, 90, 120]])
        >>> left.keypoints.shape, left.plot().size
        ((14, 2), (90, 120))
    """

    def __init__(self, model: PoseModule, head: str | None = None) -> None:
        self.model = model
        trained = {n: one for n, one in model.heads.items() if n not in model.untrained}
        if head is not None and head not in trained:
            raise ConfigError(
                f"Expected one of the trained heads {', '.join(trained)}, found {head!r}; choose "
                "one of these."
            )
        self.heads: dict[str, str] = {}
        for name in (head, model.main_head, *trained):
            if name is not None and name in trained:
                fields = [f for f in trained[name].fills if f in ("keypoints", "mask")]
                if (label := trained[name].label) is not None:
                    fields.append(f"label/{label}")
                for field in fields:
                    self.heads.setdefault(field, name)

    def __call__(
        self,
        images: ImageLike | Sequence[ImageLike],
        boxes: Any = None,
        boxes_around: BoxAround | str = "silhouette",
        batch_size: int = 16,
        flip: bool = False,
    ) -> list[PersonPrediction]:
        """Predict the people in one image or several.

        Args:
            images: A file, a PIL image or RGB as uint8 (H, W, 3); or a list of them. Files and PIL
                images are turned upright by their EXIF orientation.
            boxes: For one image, (N, 4) boxes xyxy in source pixels, tight around its people; for
                several, one such array per image, or None where the whole image is one person.
            boxes_around: What the boxes are tight around: the silhouette, as a detector gives them,
                or the joints, as in training.
            batch_size: Number of people that go through the network at once.
            flip: Average each prediction with that of the mirrored image.

        Returns:
            One prediction per person, in order; `person.image_id` is the file, or the image's place
            in the list.

        Raises:
            ConfigError: A setting does not fit.
            DataError: An image or a box cannot be used.
            DivergedError: A prediction is not finite.
        """
        if not isinstance(images, Sequence) or isinstance(images, str):
            images, boxes = [images], [boxes]
        boxes = [None] * len(images) if boxes is None else boxes
        people = _people(images, boxes, boxes_around)
        return list(self.stream(people, batch_size, flip))

    def stream(
        self, people: Iterable[Person], batch_size: int = 16, flip: bool = False
    ) -> Iterator[PersonPrediction]:
        """Predict people one batch at a time, in order; the iterable may be endless.

        The batch size affects speed and memory, but changes predictions only by rounding.

        Args:
            people: The people.
            batch_size: Number of people that go through the network at once.
            flip: Average each prediction with that of the mirrored image.

        Yields:
            One prediction per person.

        Raises:
            ConfigError: `batch_size` is less than 1, or the flip test does not fit the input's
                width.
            DivergedError: A prediction is not finite.
        """
        if batch_size < 1:
            raise ConfigError(f"Expected a batch size of 1 or more, found {batch_size}; raise it.")
        queue = iter(people)
        while batch := list(islice(queue, batch_size)):
            yield from self._batch(batch, flip)

    def _batch(self, people: Sequence[Person], flip: bool) -> Iterator[PersonPrediction]:
        crops = [_crop(self.model, person) for person in people]
        # Images of one size go through the network together, without padding.
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, crop in enumerate(crops):
            groups.setdefault(crop.image.shape, []).append(place)
        found: dict[int, PersonPrediction] = {}
        for places in groups.values():
            # Channels-first in shape, while memory stays channels-last, as decoded.
            images = torch.from_numpy(np.stack([crops[place].image for place in places]))
            images = images.permute(0, 3, 1, 2).to(self.model.device)
            predictions = self.model.predict(images, flip)
            for row, place in enumerate(places):
                found[place] = self._one(people[place], crops[place].matrix, predictions, row)
        for place in range(len(people)):
            yield found.pop(place)

    def _one(
        self,
        person: Person,
        matrix: Float32[np.ndarray, "2 3"],
        predictions: dict[str, Prediction],
        row: int,
    ) -> PersonPrediction:
        one = PersonPrediction(person, self.model.skeleton)
        if "keypoints" in self.heads:
            joints = predictions[self.heads["keypoints"]]
            back = invert_affine(torch.from_numpy(matrix)[None])
            one.keypoints = apply_affine(back, _row(joints, "keypoints", row)[None])[0].numpy()
            one.scores = _row(joints, "scores", row).numpy()
        if "mask" in self.heads:
            mask = _row(predictions[self.heads["mask"]], "mask", row).numpy()
            one.mask = _uncrop(mask, matrix, person)
        for name, classes in self.model.labels.items():
            if head := self.heads.get(f"label/{name}"):
                one.labels[name] = _label(predictions[head], classes, row)
        return one


def _people(
    images: Sequence[Any], boxes: Sequence[Any], around: BoxAround | str
) -> Iterator[Person]:
    if around not in get_args(BoxAround):
        raise ConfigError(
            f"Expected boxes_around to be one of {list(get_args(BoxAround))}, found {around!r}; "
            "choose one of them."
        )
    if len(boxes) != len(images):
        raise ConfigError(
            f"Expected boxes for each of {len(images)} images, found {len(boxes)}; give one array "
            "of boxes per image, or None."
        )
    for place, (image, rows) in enumerate(zip(images, boxes, strict=True)):
        name = str(image) if isinstance(image, str | Path) else str(place)
        pixels = _pixels(image)
        if rows is None:
            yield Person(pixels, None, name)
            continue
        for box in check_boxes(rows, name, image_box(pixels.shape[:2])):
            yield Person(pixels, box, name, cast("BoxAround", around))


def _pixels(image: Any) -> UInt8[np.ndarray, "H0 W0 3"]:
    if isinstance(image, str | Path):
        return read_image(Path(image))[0]
    if isinstance(image, Image.Image):
        return to_rgb(image)
    if (
        isinstance(image, np.ndarray)
        and (image.dtype, image.shape[2:]) == (np.uint8, (3,))
        and image.size
    ):
        return image
    kind = type(image).__name__
    if isinstance(image, np.ndarray):
        kind = f"an array of {image.dtype} and shape {image.shape}"
    raise DataError(
        f"Expected a file, a PIL image or RGB from 0 to 255 as uint8 (H, W, 3), found {kind}; "
        "convert it, for example by image.clip(0, 255).astype('uint8')."
    )


@dataclass
class _Crop:
    image: UInt8[np.ndarray, "H W 3"]
    matrix: Float32[np.ndarray, "2 3"]


def _row(prediction: Prediction, field: str, row: int) -> torch.Tensor:
    values: torch.Tensor = getattr(prediction, field)[row].float().cpu()
    if not values.isfinite().all():
        raise DivergedError(
            "Expected finite predictions, found NaN or infinity; the training of this checkpoint "
            "diverged, use another."
        )
    return values


def _label(prediction: Prediction, classes: Sequence[str], row: int) -> dict[str, float] | float:
    """The probability of each class, the most probable first, or a number."""
    if not classes:
        return float(_row(prediction, "value", row))
    found = zip(classes, _row(prediction, "probabilities", row).tolist(), strict=True)
    return dict(sorted(found, key=lambda one: -one[1]))


def _crop(model: PoseModule, person: Person) -> _Crop:
    """The network's input for a person."""
    spec = model.input_spec
    matrix, size = spec.crop(person.box, person.size, around=person.around)
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
