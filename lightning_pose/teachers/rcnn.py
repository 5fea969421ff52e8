"""Torchvision's Mask R-CNN and Keypoint R-CNN as teachers (He et al., ICCV 2017)."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import torch
import torchvision
from jaxtyping import Float32, UInt8
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from lightning_pose.errors import CheckpointError, ConfigError
from lightning_pose.skeletons import COCO17
from lightning_pose.teachers.base import Masks, Poses

__all__ = ["KeypointRCNNTeacher", "MaskRCNNTeacher"]

_MASK_WEIGHTS = detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1
_KEYPOINT_WEIGHTS = detection.KeypointRCNN_ResNet50_FPN_Weights.COCO_V1
_PERSON = 1  # the class of people in both

# The models reduce larger images to this themselves, but would then draw every mask at full size.
_LONGEST_SIDE = 1333


class KeypointRCNNTeacher:
    """The 17 joints of COCO, from torchvision's `keypointrcnn_resnet50_fpn`.

    It does not tell occluded joints from visible ones.

    Args:
        weights: A file with the weights of that model; None for the published ones, which are
            downloaded once.
        person_score: People with a lower score are left out.
        joint_score: Joints with a lower score are unlabelled. The score is the largest logit of
            the joint's map, not a probability.
        device: Where the model runs.

    Raises:
        ConfigError: The weights cannot be downloaded, or there is no such file.
        CheckpointError: The file has other weights.
    """

    skeleton = COCO17

    def __init__(
        self,
        weights: Path | None = None,
        person_score: float = 0.9,
        joint_score: float = 2.0,
        device: str = "cpu",
    ) -> None:
        self.joint_score = joint_score
        model = detection.KeypointRCNN(
            _backbone(),
            num_classes=2,
            num_keypoints=COCO17.num_joints,
            box_score_thresh=person_score,
        )
        source = _load(model, _KEYPOINT_WEIGHTS, weights, "--keypointrcnn")
        self.about: dict[str, Any] = {
            "name": "torchvision keypointrcnn_resnet50_fpn",
            **source,
            "person_score": person_score,
            "joint_score": joint_score,
        }
        self.device = device
        self.model = model.eval().to(device)

    def __call__(self, image: UInt8[np.ndarray, "H W 3"], name: str) -> Poses:
        """Find the people in an image.

        Args:
            image: The RGB image.
            name: Its name, which does not matter here.

        Returns:
            The people, from the highest score to the lowest.
        """
        found = _detect(self.model, image, self.device)
        # The model counts from the outer edge of the first pixel.
        points = found["keypoints"][:, :, :2] * found["ratio"] - np.float32(0.5)
        return Poses(
            keypoints=points,
            labelled=found["keypoints_scores"] >= self.joint_score,
            joint_scores=found["keypoints_scores"],
            boxes=_boxes(found),
            scores=found["scores"],
        )


class MaskRCNNTeacher:
    """The masks of people, from torchvision's `maskrcnn_resnet50_fpn`.

    Args:
        weights: A file with the weights of that model; None for the published ones, which are
            downloaded once.
        person_score: People with a lower score are left out.
        mask_score: Pixels with a lower probability are background.
        device: Where the model runs.

    Raises:
        ConfigError: The weights cannot be downloaded, or there is no such file.
        CheckpointError: The file has other weights.
    """

    def __init__(
        self,
        weights: Path | None = None,
        person_score: float = 0.9,
        mask_score: float = 0.5,
        device: str = "cpu",
    ) -> None:
        self.mask_score = mask_score
        model = detection.MaskRCNN(_backbone(), num_classes=91, box_score_thresh=person_score)
        source = _load(model, _MASK_WEIGHTS, weights, "--maskrcnn")
        self.about: dict[str, Any] = {
            "name": "torchvision maskrcnn_resnet50_fpn",
            **source,
            "person_score": person_score,
            "mask_score": mask_score,
        }
        self.device = device
        self.model = model.eval().to(device)

    def __call__(self, image: UInt8[np.ndarray, "H W 3"]) -> Masks:
        """Find the people in an image.

        Args:
            image: The RGB image.

        Returns:
            The people, from the highest score to the lowest.
        """
        found = _detect(self.model, image, self.device)
        height, width = image.shape[:2]
        masks = np.zeros((len(found["scores"]), height, width), dtype=np.bool_)
        for mask, probability in zip(masks, found["masks"], strict=True):
            whole = cv2.resize(probability[0], (width, height), interpolation=cv2.INTER_LINEAR)
            mask[:] = whole >= self.mask_score
        return Masks(masks=masks, boxes=_boxes(found), scores=found["scores"])


def _backbone() -> nn.Module:
    """The backbone of both models, without weights."""
    backbone: nn.Module = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, trainable_layers=0
    )
    for module in backbone.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.0  # As the published weights were trained, see `overwrite_eps` there.
    return backbone


def _load(model: nn.Module, published: Any, path: Path | None, option: str) -> dict[str, str]:
    """Load weights from a file; returns what identifies them."""
    file = _published_file(published.url, option) if path is None else path
    if not file.is_file():
        raise ConfigError(
            f"Expected the weights of {published} at {file}, found no such file; correct {option}."
        )
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    # Python's documentation does not limit what unpickling damaged bytes may raise.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"Expected weights of {published} in {file}, found that they cannot be loaded "
            f"({reason}); download them from {published.url}."
        ) from error
    return {"weights": file.name, "sha256": digest, "torchvision": torchvision.__version__}


def _published_file(url: str, option: str) -> Path:
    """The published weights in torch's cache, downloaded if they are not there yet."""
    name = Path(urlsplit(url).path).name
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    if not path.is_file():
        # The name ends with the first digits of the checksum.
        prefix = path.stem.rsplit("-", 1)[1]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix)
        # No connection, a full disk, or another checksum.
        except (OSError, RuntimeError) as error:
            raise ConfigError(
                f"Expected to download {url} to {path.parent}, found: "
                f"{' '.join(str(error).split())}; get the file in another way and give it with "
                f"{option}."
            ) from error
    return path


def _detect(
    model: nn.Module, image: UInt8[np.ndarray, "H W 3"], device: str
) -> Mapping[str, np.ndarray]:
    """The people in an image, and how many of its pixels one of the model's frame spans."""
    height, width = image.shape[:2]
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    pixels = torch.tensor(small).permute(2, 0, 1).to(device)
    with torch.inference_mode():
        found: dict[str, Tensor] = model([pixels.float() / 255])[0]
    people = found["labels"] == _PERSON
    arrays = {key: value[people].cpu().numpy() for key, value in found.items()}
    arrays["ratio"] = np.array([width / size[0], height / size[1]], dtype=np.float32)
    return arrays


def _boxes(found: Mapping[str, np.ndarray]) -> Float32[np.ndarray, "P 4"]:
    """The boxes, from outer edges that count from 0 to pixels whose centre is an integer."""
    boxes: np.ndarray = found["boxes"] * np.tile(found["ratio"], 2) - np.float32(0.5)
    return boxes
