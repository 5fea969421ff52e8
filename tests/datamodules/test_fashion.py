from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lightning_pose.backbones import UNet
from lightning_pose.datamodules import FashionDataModule
from lightning_pose.heads import HeatmapHead, MaskHead, RegressionHead, SoftmaxJointHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from tests.data.folder import write_folder
from tests.datamodules.recording import QUIET

HEADS = {
    "mask": MaskHead,
    "joints": SoftmaxJointHead,
    "heatmap": HeatmapHead,
    "coordinates": RegressionHead,
}


def module(root: Path, batch_size: int, **settings: Any) -> FashionDataModule:
    return FashionDataModule(root, batch_size=batch_size, num_workers=0, **settings)


def model(data: FashionDataModule) -> PoseModule:
    torch.manual_seed(0)
    heads = {name: head() for name, head in HEADS.items()}
    sgd = partial(torch.optim.SGD, lr=1e-3)
    backbone = UNet(width=4)
    return PoseModule(backbone, heads, data.skeleton, data.input_spec, optimizer=sgd)


def figures(model: PoseModule, data: FashionDataModule) -> dict[str, float]:
    (found,) = pl.Trainer(**QUIET).validate(model, data, verbose=False)
    return found


def test_the_defaults_keep_full_bodies_and_the_aspect_ratio() -> None:
    data = FashionDataModule("anywhere")
    assert (data.min_joints, data.splits) == (22, (0.8, 0.1, 0.1))
    spec = data.input_spec
    assert (spec.subject, spec.interpolation, spec.short_side) == ("image", "cubic", 128)
    assert spec.input_size(None, (825, 550)) == (192, 128)
    assert spec.input_size(None, (550, 825)) == (128, 192)


@pytest.mark.parametrize("multiple", [1, 32])
def test_batches_of_unequal_images_train_and_are_scored_as_single_images(
    tmp_path: Path, multiple: int
) -> None:
    root = tmp_path / "folder"
    write_folder(root, count=18, sizes=((90, 60), (60, 70), (80, 50), (50, 110), (97, 61)))
    spec = InputSpec(None, 64, multiple, "image", interpolation="cubic")
    together, alone = (
        module(root, size, input_spec=spec, splits=(0.5, 0.5, 0.0)) for size in (8, 1)
    )
    network = model(together)
    trainer = pl.Trainer(max_epochs=1, **QUIET)
    trainer.fit(network, together)
    assert trainer.callback_metrics["train/loss"].isfinite()
    batches = list(together.val_dataloader())
    assert [len(batch) for batch in batches] == [8, 1]
    assert not all(batch.valid.all() for batch in batches), "some images are padded"
    one, other = figures(network, together), figures(network, alone)
    assert {f"val/loss/{name}" for name in HEADS} < set(one)
    assert {"val/heatmap/PCK", "val/heatmap/RMSE", "val/mask/Dice", "val/loss"} < set(one)
    assert other == pytest.approx(one, rel=1e-4)


def test_real_batches_are_scored_as_single_images(real_data: Path) -> None:
    real = real_data / "fashion"
    if not real.is_dir():
        pytest.skip("LIGHTNING_POSE_DATA has no fashion/")
    data = module(real, 8)
    data.setup("fit")
    data.setup("test")
    assert [len(data.make_dataset(split)) for split in ("train", "val", "test")] == [50, 7, 6]
    assert all(batch.image.shape[1:] == (3, 192, 128) for batch in data.train_dataloader())
    # Without rounding, the heights differ.
    spec = InputSpec(None, 128, 1, "image", interpolation="cubic")
    together, alone = (module(real, size, input_spec=spec) for size in (8, 1))
    together.setup("fit")
    assert any(not batch.valid.all() for batch in together.val_dataloader())
    network = model(together)
    assert figures(network, alone) == pytest.approx(figures(network, together), rel=1e-4)
