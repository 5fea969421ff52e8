"""The networks of the papers as they are: each config trains through the real command."""

import shutil
from pathlib import Path
from typing import ClassVar

import pytest
import pytorch_lightning as pl
import torch
from typing_extensions import override

import lightning_pose
from lightning_pose.cli import main
from lightning_pose.commands.configs import SHIPPED_CONFIGS
from tests.data.folder import write_folder
from tests.data.lsp import write_lsp
from tests.data.lspet import write_lspet
from tests.data.mpii import write_mpii

NAMES = sorted(path.stem for path in (SHIPPED_CONFIGS / "papers").glob("*.yaml"))

COUNTS = {
    "convpose": 27_583_068,  # As its paper says.
    # 34.0 million for the network of Simple Baselines; both are counted by hand in tests/backbones.
    "resnet_deconv": 33_999_440,
    "resnet_fcn": 24_560_976,
}
"""The parameters of the networks where they are known."""


def weights(model: pl.LightningModule) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.ndim > 1]


class Moved(pl.Callback):
    """Whether each weight is finite and has moved between the start of the fit and its end.

    Biases and norms are left out: a bias that a batch norm follows has no gradient.
    """

    found: ClassVar[list[bool]] = []

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.before = [parameter.detach().clone() for parameter in weights(pl_module)]

    @override
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pairs = zip(self.before, weights(pl_module), strict=True)
        Moved.found[:] = [bool(new.isfinite().all() and (old != new).any()) for old, new in pairs]


@pytest.mark.drill
@pytest.mark.parametrize("name", NAMES)
def test_the_config_trains_all_weights_and_its_checkpoint_loads(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lspet(tmp_path / "data" / "lspet", count=20)
    write_lsp(tmp_path / "data" / "lsp", count=10)
    write_mpii(tmp_path / "data" / "mpii")
    write_folder(tmp_path / "data" / "fashion", count=10)
    # Three people, because a batch norm over two vectors has no gradient.
    words = ["--data.batch_size=3", "--data.num_workers=0", "--trainer.limit_val_batches=1"]
    words += ["--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1"]
    words += [f"--trainer.callbacks+={__name__}.Moved"]
    if "resnet" in name:
        # The last norm of a block starts at 0: its convolutions have a gradient in the second step.
        words += ["--trainer.max_steps=2", "--model.backbone.pretrained=null"]
    else:
        words += ["--trainer.max_steps=1"]
    assert main(["fit", "--config", f"papers/{name}.yaml", *words]) == 0
    assert Moved.found
    assert all(Moved.found)
    (run,) = (tmp_path / "checkpoints" / name).iterdir()
    network = lightning_pose.load(run / "last.ckpt").model.network
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == COUNTS.get(name, count)
    if "unet" in name:
        assert network.backbone.measure((128, 128)).deep.channels == 1024
    shutil.rmtree(run)  # pytest keeps its folders, and those of VGG16 have 3 GB.
