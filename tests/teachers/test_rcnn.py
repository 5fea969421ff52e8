"""The models have random weights here, changed so that they take every proposal for a person."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import detection
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from lightning_pose.errors import CheckpointError, ConfigError
from lightning_pose.teachers import KeypointRCNNTeacher, MaskRCNNTeacher, rcnn
from tests.site import Site

TEACHERS = {"keypoint": KeypointRCNNTeacher, "mask": MaskRCNNTeacher}
PUBLISHED_BACKBONE = rcnn._backbone


def model_of(kind: str) -> detection.MaskRCNN | detection.KeypointRCNN:
    if kind == "mask":
        return detection.MaskRCNN(rcnn._backbone(), num_classes=91)
    return detection.KeypointRCNN(rcnn._backbone(), num_classes=2, num_keypoints=17)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights for each model, with a smaller backbone, which the teachers then have too.

    These weights take every proposal for a person.
    """
    folder, files = tmp_path_factory.mktemp("weights"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            rcnn, "_backbone", lambda: resnet_fpn_backbone(backbone_name="resnet18", weights=None)
        )
        for kind in TEACHERS:
            torch.manual_seed(0)
            state = model_of(kind).state_dict()
            state["roi_heads.box_predictor.cls_score.bias"][1] = 20.0
            files[kind] = folder / f"{kind}.pth"
            torch.save(state, files[kind])
        yield files


def teacher_of(kind: str, path: Path, **options):
    """A teacher that is quick on small images."""
    teacher = TEACHERS[kind](path, **options)
    teacher.model.transform.min_size = (96,)
    teacher.model.rpn._post_nms_top_n["testing"] = 20
    teacher.model.roi_heads.detections_per_img = 5
    return teacher


def photograph(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    image.flags.writeable = False  # As Pillow's pixels are.
    return image


@pytest.mark.parametrize("kind", TEACHERS)
def test_the_published_weights_fit(kind, monkeypatch):
    """They have the tensors of torchvision's own model, in which batch norms count nothing."""
    builders = {
        "mask": detection.maskrcnn_resnet50_fpn,
        "keypoint": detection.keypointrcnn_resnet50_fpn,
    }
    monkeypatch.setattr(rcnn, "_backbone", PUBLISHED_BACKBONE)
    with torch.device("meta"):
        theirs = builders[kind](weights=None, weights_backbone=None).state_dict()
        model = model_of(kind)
    shapes = {key: value.shape for key, value in theirs.items()}
    assert {key: value.shape for key, value in model.state_dict().items()} == {
        key: shape for key, shape in shapes.items() if not key.endswith("num_batches_tracked")
    }
    # With the published weights, torchvision sets it so.
    norms = [module for module in model.modules() if isinstance(module, FrozenBatchNorm2d)]
    assert {norm.eps for norm in norms} == {0.0}


def test_the_joints_are_those_of_torchvision_half_a_pixel_earlier(weights):
    teacher = teacher_of("keypoint", weights["keypoint"], joint_score=-100.0)
    image = photograph(64, 96)
    found = teacher(image, "a.jpg")
    with torch.inference_mode():
        (theirs,) = teacher.model([torch.tensor(image).permute(2, 0, 1) / 255])
    assert len(found.scores) == len(theirs["scores"]) > 1
    np.testing.assert_allclose(found.keypoints, theirs["keypoints"][:, :, :2] - 0.5, atol=1e-3)
    np.testing.assert_allclose(found.boxes, theirs["boxes"] - 0.5, atol=1e-3)
    np.testing.assert_allclose(found.joint_scores, theirs["keypoints_scores"], atol=1e-4)
    assert found.labelled.all()
    assert found.boxes.min() >= -0.5
    assert (found.boxes[:, 2:] <= (95.5, 63.5)).all()
    middle = float(np.median(found.joint_scores))
    teacher.joint_score = middle
    np.testing.assert_array_equal(teacher(image, "").labelled, found.joint_scores >= middle)


def test_the_masks_are_those_of_torchvision(weights):
    teacher = teacher_of("mask", weights["mask"], mask_score=0.52)
    image = photograph(64, 96)
    found = teacher(image)
    with torch.inference_mode():
        (theirs,) = teacher.model([torch.tensor(image).permute(2, 0, 1) / 255])
    assert len(found.scores) == len(theirs["scores"]) > 1
    assert found.masks.shape == (len(found.scores), 64, 96)
    assert 0 < found.masks.mean() < 1
    np.testing.assert_array_equal(found.masks, theirs["masks"][:, 0].numpy() >= 0.52)
    np.testing.assert_allclose(found.boxes, theirs["boxes"] - 0.5, atol=1e-3)


@pytest.mark.parametrize("kind", TEACHERS)
def test_a_large_image_is_labelled_in_its_own_pixels(weights, monkeypatch, kind):
    teacher = teacher_of(kind, weights[kind])
    image = photograph(64, 96)
    large = cv2.resize(image, (288, 192), interpolation=cv2.INTER_NEAREST)
    found = teacher(image, "") if kind == "keypoint" else teacher(image)
    monkeypatch.setattr(rcnn, "_LONGEST_SIDE", 96)
    # Averages of 3 x 3 equal pixels are the small image again.
    other = teacher(large, "") if kind == "keypoint" else teacher(large)
    np.testing.assert_allclose(other.scores, found.scores, atol=1e-6)
    np.testing.assert_allclose((other.boxes + 0.5) / 3, found.boxes + 0.5, atol=1e-3)
    if kind == "keypoint":
        np.testing.assert_allclose((other.keypoints + 0.5) / 3, found.keypoints + 0.5, atol=1e-3)
    else:
        assert other.masks.shape[1:] == (192, 288)
        assert (other.masks[:, 1::3, 1::3] == found.masks).mean() > 0.99


@pytest.mark.parametrize("kind", TEACHERS)
def test_nobody_below_the_score_and_of_other_classes_is_found(weights, tmp_path, kind):
    state = torch.load(weights[kind])
    state["roi_heads.box_predictor.cls_score.bias"][1] = -20.0
    if kind == "mask":
        state["roi_heads.box_predictor.cls_score.bias"][17] = 20.0  # cats
    torch.save(state, tmp_path / "w.pth")
    teacher = teacher_of(kind, tmp_path / "w.pth")
    image = photograph(64, 96)
    found = teacher(image, "") if kind == "keypoint" else teacher(image)
    assert len(found.scores) == len(found.boxes) == 0


@pytest.mark.parametrize("kind", TEACHERS)
def test_what_made_the_labels_is_recorded(weights, kind):
    about = TEACHERS[kind](weights[kind], person_score=0.8).about
    assert about["name"].startswith(f"torchvision {kind}rcnn")
    assert about["weights"] == f"{kind}.pth"
    assert about["sha256"] == hashlib.sha256(weights[kind].read_bytes()).hexdigest()
    assert about["person_score"] == 0.8
    assert {"torchvision", f"{'joint' if kind == 'keypoint' else kind}_score"} <= set(about)


def test_a_file_of_other_weights_is_refused(weights, tmp_path):
    path = tmp_path / "w.pth"
    with pytest.raises(ConfigError, match=r"w\.pth, found no such file; correct --maskrcnn"):
        MaskRCNNTeacher(path)
    for content in (b"", b"no weights", weights["keypoint"].read_bytes()):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"Expected weights of MaskRCNN.*download them"):
            MaskRCNNTeacher(path)


def test_a_file_that_would_run_code_is_refused(weights, tmp_path, trap):
    path = tmp_path / "w.pth"
    # Pickled by name, as `import hostile_trap; hostile_trap.Evil` would be.
    path.write_bytes(b"chostile_trap\nEvil\n.")
    with pytest.raises(CheckpointError):
        MaskRCNNTeacher(path)
    assert not trap.exists()


def test_published_weights_are_downloaded_once_and_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    content = b"weights"
    digits = hashlib.sha256(content).hexdigest()[:8]
    with Site() as site:
        site.files = {f"w-{digits}.pth": content, "w-00000000.pth": content}
        for _ in range(2):
            path = rcnn._published_file(site.url(f"w-{digits}.pth"), "--maskrcnn")
            assert path.read_bytes() == content
        assert len(site.asked) == 1
        with pytest.raises(ConfigError, match=r"found: invalid hash.*give it with --maskrcnn"):
            rcnn._published_file(site.url("w-00000000.pth"), "--maskrcnn")
        with pytest.raises(ConfigError, match="found: HTTP Error 404"):
            rcnn._published_file(site.url("w-12345678.pth"), "--maskrcnn")
    assert [path.name for path in (tmp_path / "hub" / "checkpoints").iterdir()] == [path.name]
