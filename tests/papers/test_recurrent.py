"""The recurrent systems and the cascade: their configs train, with the layers of their papers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import lightning_pose
from lightning_pose import backbones, heads
from lightning_pose.cli import main
from lightning_pose.commands.configs import SHIPPED_CONFIGS
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14, MPII16
from tests.data.lspet import write_lspet
from tests.data.mpii import write_mpii

SKELETONS = {"vgg16_lstm": MPII16, "vgg16_attention_lstm": MPII16, "convpose_cascade": LSP14}

SHORT = [
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.log_every_n_steps=1",
    "--data.batch_size=4",
    "--data.num_workers=0",
    "--data.input_spec.size=[64,64]",
    "--model.backbone.stages=[[4],[4],[8],[8],[8]]",
]
"""Arguments that make network and training small."""

NARROW = {
    "vgg16_lstm": ["--model.heads.coordinates.fully_connected=[16,16]"],
    "vgg16_attention_lstm": ["--model.heads.coordinates.attention=8"],
    "convpose_cascade": ["--model.heads.coordinates.head.hidden=[16]"],
}


def read(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((SHIPPED_CONFIGS / f"papers/{name}.yaml").read_text())
    return config


def make(part: dict[str, Any]) -> Any:
    """A part of a config, with the parts inside it."""
    arguments = {
        key: make(value) if isinstance(value, dict) and "class_path" in value else value
        for key, value in part["init_args"].items()
    }
    room = heads if hasattr(heads, part["class_path"]) else backbones
    return getattr(room, part["class_path"])(**arguments)


def full_size(name: str) -> PoseModule:
    """The model of a config as it is."""
    config = read(name)
    spec = InputSpec(size=tuple(config["data"]["init_args"]["input_spec"]["size"]))
    model = config["model"]
    head = make(model["heads"]["coordinates"])
    return PoseModule(make(model["backbone"]), {"coordinates": head}, SKELETONS[name], spec)


@pytest.mark.parametrize("name", list(SKELETONS))
def test_a_config_trains_and_its_checkpoint_loads(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_mpii(tmp_path / "data" / "mpii")
    write_lspet(tmp_path / "data" / "lspet", count=20)
    assert main(["fit", "--config", f"papers/{name}.yaml", *SHORT, *NARROW[name]]) == 0
    (run,) = (tmp_path / "checkpoints" / name).iterdir()
    columns = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"val/coordinates/RMSE", "val/coordinates/PCKh", "train/loss", "lr"} <= set(columns)
    sheets = list((run / "pictures").glob("*_attention_coordinates.png"))
    assert len(sheets) == ("attention" in name)
    predictor = lightning_pose.load(run / "best.ckpt")
    (person,) = predictor(np.full((90, 70, 3), 128, np.uint8))
    assert person.keypoints.shape == (SKELETONS[name].num_joints, 2)
    assert np.isfinite(person.keypoints).all()


def weights(name: str) -> dict[str, int]:
    """The weights of each layer of a full-size network, without biases and batch norm."""
    with torch.device("meta"):
        network = full_size(name).network
    kinds = (nn.Conv2d, nn.Linear, nn.RNNBase, nn.RNNCellBase)
    return {
        path: sum(value.numel() for key, value in layer.named_parameters() if "weight" in key)
        for path, layer in network.named_modules()
        if isinstance(layer, kinds)
    }


def test_the_lstms_read_the_features_of_the_regressor() -> None:
    found = weights("vgg16_lstm")
    connected = [n for path, n in found.items() if path.startswith("heads.coordinates.vector")]
    assert connected == [102_760_448, 16_777_216]
    assert found["heads.coordinates.lstm"] == 4 * 128 * (4096 + 128) + 4 * 128 * (128 + 128)
    assert found["heads.coordinates.start"] == 4096 * 4 * 128
    assert found["heads.coordinates.point"] == 128 * 2
    convolutions = [n for path, n in found.items() if path.startswith("backbone")]
    assert sum(convolutions) == 14_710_464
    assert sum(found.values()) - sum(convolutions) == sum(connected) + 2_293_760 + 2_097_152 + 256


def test_attention_reads_14_x_14_annotations_without_fully_connected_layers() -> None:
    found = weights("vgg16_attention_lstm")
    assert found["heads.coordinates.key"] == 512 * 256
    assert found["heads.coordinates.cells.0"] == 4 * 128 * (512 + 128)
    assert found["heads.coordinates.cells.1"] == 4 * 128 * (128 + 128)
    with torch.device("meta"):
        network = full_size("vgg16_attention_lstm").network
        dense = network.backbone.measure((224, 224)).dense
    assert (dense.height, dense.width, dense.channels) == (14, 14, 512)
    assert not [path for path in found if "vector" in path]


def test_the_three_systems_of_the_paper_see_the_same_people_in_the_same_way() -> None:
    lstm, attention = read("vgg16_lstm"), read("vgg16_attention_lstm")
    plain = read("vgg16_regression")
    for other in (attention, plain):
        assert other["data"] == lstm["data"]
        assert other["trainer"] == lstm["trainer"]
        for key in ("backbone", "optimizer", "lr_scheduler", "lr_interval"):
            assert other["model"][key] == lstm["model"][key], key


def test_the_learning_rate_halves_every_1000_steps() -> None:
    model = read("vgg16_lstm")["model"]
    settings = model["lr_scheduler"]["init_args"]
    optimizer = torch.optim.Adam(
        [torch.zeros(1, requires_grad=True)], **model["optimizer"]["init_args"]
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, **settings)
    rates = []
    for _ in range(2001):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert model["lr_interval"] == "step"
    assert rates[999] == 1e-3
    assert rates[1000] == rates[1999] == 5e-4
    assert rates[2000] == 2.5e-4
