"""The error of an all-zero map is the validation loss of a head that predicts zeros."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks import empty_map
from benchmarks.claims import EMPTY_MAP, MEAN_MAP
from benchmarks.empty_map import empty_errors
from lightning_pose.batch import Batch
from lightning_pose.datamodules import LSPExtendedDataModule
from lightning_pose.features import FeatureSpec, MapSpec
from lightning_pose.heads import SharedHeatmapHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.losses.terms import LossTerms
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.data.lspet import write_lspet


def batches(data: LSPExtendedDataModule) -> list[Batch]:
    return list(data.val_dataloader())


def loss_of(value: float, head: SharedHeatmapHead, data: LSPExtendedDataModule) -> float:
    terms = []
    for batch in data.val_dataloader():
        output = torch.full((len(batch), 1, 24, 32), value)
        terms.append(head.loss(output, head.encode(batch, output)))
    return (
        LossTerms(*(torch.stack(column).sum(dim=0) for column in zip(*terms, strict=True)))
        .mean()
        .item()
    )


def test_it_is_the_validation_loss_of_a_constant_map(tmp_path: Path) -> None:
    write_lspet(tmp_path / "lspet", count=9)
    spec = InputSpec((48, 64))
    data = LSPExtendedDataModule(
        tmp_path / "lspet", (1, 4), (5, 9), input_spec=spec, batch_size=2, num_workers=0
    )
    head = SharedHeatmapHead(sigma=2.0, scale=10.0, unlabelled="zero")
    grid = MapSpec(channels=3, stride=2, height=24, width=32)
    head.build(FeatureSpec(grid, grid), Task(LSP14, spec))
    zero, constant, mean = empty_errors(head, data)
    assert zero == pytest.approx(loss_of(0.0, head, data))
    # The least of a parabola through three constant maps.
    low, high = loss_of(-1.0, head, data), loss_of(1.0, head, data)
    best = (low - high) / (low + high - 2 * zero) / 2
    assert constant == pytest.approx(loss_of(best, head, data), rel=1e-4)
    # No other map, such as the mean one a little brighter or with a brighter pixel, is better.
    targets = [head.encode(batch, torch.zeros(len(batch), 1, 24, 32)) for batch in batches(data)]
    values = torch.cat([target.value for target in targets])
    picture = values.mean(dim=0)
    assert mean == pytest.approx(float((values - picture).square().mean()), rel=1e-4)
    assert 0 < mean < constant < zero


@pytest.mark.drill
def test_the_page_uses_the_error_on_its_validation_people(
    real_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--study", "studies/reproduction.yaml", "--arm", "unet_mask_heatmap_scale_1"]
    words += ["--data", "LSPExtendedDataModule", "--data.root", str(real_data / "lspet")]
    monkeypatch.setattr(sys, "argv", ["empty_map.py", *words, "--data.splits", "null"])
    empty_map.main()
    zero, _, mean = (line.split() for line in capsys.readouterr().out.splitlines())
    assert float(zero[-1]) == pytest.approx(EMPTY_MAP, rel=1e-4)
    assert float(mean[-1]) == pytest.approx(MEAN_MAP, abs=1e-4)
