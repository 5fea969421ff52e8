"""The two networks of "Human Pose Estimation from a Single Image" (Wang, Hao), on a tiny MPII."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
import yaml
from torch.optim.lr_scheduler import ReduceLROnPlateau

import lightning_pose as lp
from lightning_pose.backbones import DeconvolutionBackbone, FullyConvolutionalBackbone
from lightning_pose.cli import main
from lightning_pose.commands.configs import SHIPPED_CONFIGS, read_config
from tests.data.mpii import write_mpii

CONFIGS = {
    "papers/resnet_deconv.yaml": DeconvolutionBackbone,
    "papers/resnet_fcn.yaml": FullyConvolutionalBackbone,
}

TINY = [
    "--data.root=mpii",
    "--data.batch_size=4",
    "--data.num_workers=0",
    "--data.input_spec.size=[64,64]",
    "--model.backbone.encoder=test_resnet",
    "--model.backbone.pretrained=null",
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
    "--trainer.enable_progress_bar=false",
    "--trainer.log_every_n_steps=1",
]


@pytest.mark.parametrize("name", list(CONFIGS))
def test_the_config_trains_and_its_checkpoint_loads(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_mpii(tmp_path / "mpii")
    assert main(["fit", "--config", name, *TINY]) == 0
    (run,) = (tmp_path / "checkpoints" / Path(name).stem).iterdir()
    predictor = lp.load(run / "best.ckpt")
    assert isinstance(predictor.model.network.backbone, CONFIGS[name])
    (person,) = predictor(sorted((tmp_path / "mpii" / "images").iterdir())[0])
    assert person.keypoints.shape == (16, 2)
    assert main(["validate", "--ckpt_path", str(run / "best.ckpt"), "--flip", "true"]) == 0
    # Joints without annotation are trained, and the crop is not shifted or mirrored.
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["heads"]["heatmap"]["init_args"]["unlabelled"] == "zero"
    data = config["data"]["init_args"]
    assert [data[key] for key in ("rotation", "scale", "shift", "flip")] == [30, [0.75, 1.25], 0, 0]


def rates(name: str, accuracies: Iterable[float]) -> list[float]:
    """The learning rate after each validation with the optimiser and the schedule of a config."""
    model = read_config(SHIPPED_CONFIGS / name)["model"]
    assert model["optimizer"]["class_path"] == "torch.optim.RMSprop"
    assert model["lr_scheduler"]["class_path"].endswith("ReduceLROnPlateau")
    weights = [torch.nn.Parameter(torch.zeros(1))]
    optimizer = torch.optim.RMSprop(weights, **model["optimizer"]["init_args"])
    schedule = ReduceLROnPlateau(optimizer, **model["lr_scheduler"]["init_args"])
    found = []
    for accuracy in accuracies:
        schedule.step(accuracy)
        found.append(optimizer.param_groups[0]["lr"])
    return found


@pytest.mark.parametrize("name", list(CONFIGS))
def test_the_learning_rate_drops_once_on_a_plateau(name: str) -> None:
    found = rates(name, [0.5] * 100)
    assert sorted(set(found), reverse=True) == pytest.approx([2.5e-4, 5e-5])
    assert found == sorted(found, reverse=True)
    assert set(rates(name, [number / 100 for number in range(100)])) == {2.5e-4}
