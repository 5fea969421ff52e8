"""Sheets show the requested people, the predictions of the heads, and their metrics."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lightning_pose.callbacks import ContactSheet, contact_sheet
from lightning_pose.errors import ConfigError
from lightning_pose.skeletons import LSP14
from tests.callbacks.model import StubModel, answers, loader, make_trainer, validate
from tests.metrics.people import make_people, take


@pytest.fixture
def shown(monkeypatch):
    """The rows of tiles that a sheet is drawn from."""
    rows = []

    def keep(tiles, skeleton):
        assert skeleton == LSP14
        rows.extend(tiles)
        return np.zeros((8, 8, 3), dtype=np.uint8)

    monkeypatch.setattr(contact_sheet, "contact_sheet", keep)
    return rows


def test_a_sheet_shows_the_people_that_it_was_asked_for(tmp_path) -> None:
    sheets = []
    people = make_people(4)
    people.valid[:] = True
    for count in (1, 3):
        batches = [take(people, [0, 1]), take(people, [2, 3])]
        validate(ContactSheet(tmp_path / str(count), count), batches=batches)
        (path,) = (tmp_path / str(count)).iterdir()
        assert path.name == "epoch_000_step_000000.png"
        sheets.append(cv2.imread(str(path)))
    assert sheets[0].shape[1] == sheets[1].shape[1]
    assert sheets[1].shape[0] > 2 * sheets[0].shape[0]


def test_the_truth_and_every_prediction_that_can_be_drawn_are_shown(tmp_path, shown) -> None:
    people = make_people(2)
    validate(ContactSheet(tmp_path), batches=[people])
    assert [tile.caption.split("  ")[0] for tile in shown[1]] == ["truth", "joints", "mask"]
    truth, joints, mask = shown[1]
    found = answers(people, 0)
    np.testing.assert_array_equal(truth.keypoints, people.keypoints[1])
    np.testing.assert_array_equal(truth.drawn, people.visibility[1] > 0)
    np.testing.assert_array_equal(truth.mask, people.mask[1] == 1)
    for tile in shown[1]:
        np.testing.assert_array_equal(tile.image, people.image[1].permute(1, 2, 0))
    np.testing.assert_array_equal(joints.keypoints, found["joints"].keypoints[1])
    assert joints.drawn is None
    np.testing.assert_array_equal(joints.mask, mask.mask)
    whole = F.interpolate(found["joints"].heatmap[[1]], (24, 20), mode="bilinear")
    np.testing.assert_array_equal(joints.heatmap, whole[0, 0])
    np.testing.assert_array_equal(mask.mask, found["mask"].mask[1] > 0.5)
    assert mask.keypoints is mask.heatmap is None


def test_captions_have_the_heads_first_metric_for_this_person(tmp_path, shown) -> None:
    people = make_people(5)
    people.head_size[0], people.mask[0] = 0.0, -1
    validate(ContactSheet(tmp_path), batches=[people])
    model = StubModel()
    values = model.scores.update(answers(people, 0), people)["values"]
    assert values["joints"]["PCKh"].isnan().tolist() == [True, True, False, False, True]
    for person, (truth, joints, mask) in enumerate(shown):
        assert truth.caption == "truth"
        for tile, name, column in (
            (joints, "joints", values["joints"]["PCKh"]),
            (mask, "mask", values["mask"]["Dice"]),
        ):
            value, metric = column[person].item(), {"joints": "PCKh", "mask": "Dice"}[name]
            words = "" if np.isnan(value) else f"  {metric} {value:.2f}"
            assert tile.caption == name + words


def test_padding_is_not_shown(tmp_path, shown) -> None:
    people = make_people(2)
    assert not people.valid[0].all()
    validate(ContactSheet(tmp_path), batches=[people])
    for row, width in zip(shown, (16, 20), strict=True):
        for tile in row:
            assert tile.image.shape == (24, width, 3)
            for pixels in (tile.mask, tile.heatmap):
                assert pixels is None or pixels.shape == (24, width)
    joints = shown[0][1]
    whole = F.interpolate(answers(people, 0)["joints"].heatmap[[0]], (24, 20), mode="bilinear")
    np.testing.assert_array_equal(joints.heatmap, whole[0, 0, :, :16])


def test_every_validation_has_a_sheet_and_the_sanity_check_none(tmp_path) -> None:
    callback = ContactSheet(tmp_path / "pictures", people=1)
    trainer = make_trainer(callback, max_epochs=2, enable_checkpointing=False)
    people = make_people(2)
    trainer.fit(StubModel([0.1, 0.2]), loader(people, people), loader(people))
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["epoch_000_step_000001.png", "epoch_001_step_000003.png"]


def test_half_precision_is_drawn(tmp_path) -> None:
    class Half(StubModel):
        def validation_step(self, batch, batch_idx):
            found = answers(batch, 0)
            found["joints"].keypoints = found["joints"].keypoints.to(torch.bfloat16)
            found["joints"].heatmap = found["joints"].heatmap.to(torch.bfloat16)
            found["mask"].mask = found["mask"].mask.to(torch.bfloat16)
            return self.scores.update(found, batch)

    trainer = make_trainer(ContactSheet(tmp_path), enable_checkpointing=False)
    trainer.validate(Half(), loader(make_people(2)), verbose=False)
    assert len(list(tmp_path.iterdir())) == 1


def test_an_empty_sheet_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="1 or more people"):
        ContactSheet(tmp_path, people=0)
