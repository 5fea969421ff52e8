"""Sheets show the attention of each step, and the joint that was predicted in it."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lightning_pose.backbones import UNet
from lightning_pose.batch import Batch, collate
from lightning_pose.callbacks import AttentionSheet, attention
from lightning_pose.errors import ConfigError
from lightning_pose.heads import AttentionLSTMHead, RegressionHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.prediction import Prediction
from lightning_pose.skeletons import LSP14
from tests.batches import make_batch, make_sample
from tests.callbacks.model import loader, make_trainer

ORDER = [*reversed(LSP14.names)]


def model() -> PoseModule:
    head = AttentionLSTMHead(hidden=4, attention=4, order=ORDER)
    heads = {"sequence": head, "plain": RegressionHead(hidden=4)}
    return PoseModule(UNet(width=4), heads, LSP14, InputSpec((64, 48)))


def validate(callback: AttentionSheet, *batches: Batch) -> PoseModule:
    module = model()
    trainer = make_trainer(callback, enable_checkpointing=False)
    trainer.validate(module, loader(*batches), verbose=False)
    return module.eval()


def test_a_sheet_has_the_people_that_it_was_asked_for(tmp_path) -> None:
    sheets = []
    for people in (1, 3):
        folder = tmp_path / str(people)
        validate(
            AttentionSheet(folder, people), *[make_batch(2, (64, 48), seed) for seed in (0, 5)]
        )
        (path,) = folder.iterdir()
        assert path.name == "epoch_000_step_000000_attention_sequence.png"
        sheets.append(cv2.imread(str(path)))
    # 15 panels are three rows of up to six.
    assert sheets[1].shape == (3 * (sheets[0].shape[0] - 8) + 8, sheets[0].shape[1], 3)


def test_each_step_has_a_panel_with_its_weights_and_its_joint(tmp_path, monkeypatch) -> None:
    rows = []

    def keep(tiles, skeleton, height):
        rows.extend(tiles)
        return np.zeros((8, 8, 3), dtype=np.uint8)

    monkeypatch.setattr(attention, "contact_sheet", keep)
    small, large = make_sample(0, (48, 32)), make_sample(1, (64, 48))
    batch = collate([large, small])
    module = validate(AttentionSheet(tmp_path), batch)
    assert [len(row) for row in rows] == [6, 6, 3] * 2
    for person, sample in ((0, large), (1, small)):
        whole, *steps = [tile for row in rows[3 * person : 3 * person + 3] for tile in row]
        image = torch.from_numpy(sample.image).permute(2, 0, 1)[None]
        with torch.no_grad():
            output = module(image)["sequence"]
        found = module.heads["sequence"].decode(output, tuple(image.shape[2:]))
        assert whole.caption == "sequence"
        assert whole.heatmap is None
        assert [tile.caption for tile in steps] == [f"{n + 1} {j}" for n, j in enumerate(ORDER)]
        for step, tile in enumerate(steps):
            np.testing.assert_array_equal(tile.image, sample.image)
            assert tile.drawn.tolist() == [name == ORDER[step] for name in LSP14.names]
            np.testing.assert_allclose(tile.keypoints, found.keypoints[0], atol=1e-3)
            weights = found.attention[0, step]
            # The dense map of this U-Net has one cell per pixel.
            np.testing.assert_allclose(tile.heatmap, weights, atol=1e-6)
            assert tile.heatmap.shape == sample.image.shape[:2]


def test_weights_of_coarse_cells_are_drawn_where_the_cells_are() -> None:
    cells = torch.rand(1, 2, 4, 3)
    people = make_batch(1, (64, 48))
    found = Prediction(people.keypoints, torch.ones(1, 14), attention=cells)
    tiles = attention._tiles(found, people, 0, tuple(ORDER[:2]), LSP14)
    wanted = F.interpolate(cells, (64, 48), mode="bilinear")
    for tile, weights in zip(tiles[1:], wanted[0], strict=True):
        np.testing.assert_allclose(tile.heatmap, weights)


def test_a_model_without_attention_has_no_sheet(tmp_path) -> None:
    module = PoseModule(UNet(width=4), {"plain": RegressionHead()}, LSP14, InputSpec((64, 48)))
    trainer = make_trainer(AttentionSheet(tmp_path), enable_checkpointing=False)
    trainer.validate(module, loader(make_batch(2, (64, 48))), verbose=False)
    assert not list(tmp_path.iterdir())


def test_an_empty_sheet_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="1 or more people"):
        AttentionSheet(tmp_path, people=0)
