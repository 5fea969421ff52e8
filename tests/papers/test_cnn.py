"""The convolutional regressors: their configs train, and have the layers of their papers."""

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import nn

import lightning_pose
from lightning_pose.backbones import VGG
from lightning_pose.cli import main
from lightning_pose.commands.configs import SHIPPED_CONFIGS
from lightning_pose.commands.data_module import data_module
from lightning_pose.heads import FullyConnectedHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14, MPII16
from lightning_pose.task import Task
from tests.data.lsp import write_lsp
from tests.data.lspet import write_lspet
from tests.data.mpii import write_mpii

SKELETONS = {
    "papers/cnn11.yaml": LSP14,
    "papers/cnn11_no_bn.yaml": LSP14,
    "papers/vgg16_regression.yaml": MPII16,
    "papers/convpose.yaml": LSP14,
}

SHORT = [
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.log_every_n_steps=1",
    "--data.batch_size=4",
    "--data.num_workers=0",
]
"""Arguments that make training short."""


def read(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((SHIPPED_CONFIGS / name).read_text())
    return config


def write_data(name: str) -> list[str]:
    """Write a few people of a config's dataset into ./data; return the arguments they need."""
    root = Path("data")
    if name.startswith("papers/cnn11"):
        write_lspet(root / "lspet", count=10)
        write_lsp(root / "lsp", count=8)
        half = "[0.5, 0.5, 0.0]"
        return [f"--data.sets.{n}.init_args.splits={half}" for n in ("lspet", "lsp")]
    if name == "papers/convpose.yaml":
        write_lspet(root / "lspet", count=20)
        return []
    write_mpii(root / "mpii")
    return []


def narrow(name: str) -> list[str]:
    """Arguments that make the network of a config small, with as many layers as before."""
    model = read(name)["model"]
    stages = model["backbone"]["init_args"].get("stages", VGG().stages)
    hidden = model["heads"]["coordinates"]["init_args"]["hidden"]
    return [
        f"--model.backbone.stages={[[4 for _ in stage] for stage in stages]}",
        f"--model.heads.coordinates.hidden={[8 for _ in hidden]}",
    ]


def layers(name: str) -> tuple[VGG, FullyConnectedHead]:
    """The layers of a config at full size, without memory for their weights."""
    config, skeleton = read(name), SKELETONS[name]
    spec = InputSpec(size=tuple(config["data"]["init_args"]["input_spec"]["size"]))
    with torch.device("meta"):
        vgg = VGG(**config["model"]["backbone"]["init_args"])
        head = FullyConnectedHead(**config["model"]["heads"]["coordinates"]["init_args"])
        head.build(vgg.measure(spec.nominal_size), Task(skeleton, spec))
    return vgg, head


def weights(*parts: nn.Module) -> list[int]:
    """The number of weights in each layer, without biases and batch norm."""
    found = [m for part in parts for m in part.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    return [layer.weight.numel() for layer in found]


@pytest.mark.parametrize("name", list(SKELETONS))
def test_a_config_trains_and_its_checkpoint_loads(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*write_data(name), *narrow(name), *SHORT]
    assert main(["fit", "--config", name, *words]) == 0
    (run,) = (tmp_path / "checkpoints" / Path(name).stem).iterdir()
    assert len((run / "metrics.csv").read_text().splitlines()) >= 4
    pictures = list((run / "pictures").glob("saliency/*.png"))
    assert len(pictures) == (1 if "cnn11" in name else 0)
    predictor = lightning_pose.load(run / "best.ckpt")
    image = next((tmp_path / "data").rglob("*.jpg"))
    (person,) = predictor(image)
    assert person.keypoints.shape == (SKELETONS[name].num_joints, 2)
    assert np.isfinite(person.keypoints).all()


def test_cnn11_counts_eleven_layers() -> None:
    vgg, head = layers("papers/cnn11.yaml")
    kernels = [m.kernel_size for m in vgg.modules() if isinstance(m, nn.Conv2d)]
    poolings = len(vgg.layers)
    connected = [m.out_features for m in head.modules() if isinstance(m, nn.Linear)]
    assert kernels == 3 * [(3, 3)]
    assert connected == [500, 500, 500, 500, 28]
    assert len(kernels) + poolings + len(connected) == 11
    assert weights(vgg) == [27 * 32, 9 * 32 * 64, 9 * 64 * 128]
    assert weights(head)[0] == 128 * 12 * 12 * 500


def test_the_two_cnn11_differ_in_batch_norm_only() -> None:
    with_norm, without = read("papers/cnn11.yaml"), read("papers/cnn11_no_bn.yaml")
    for part in (with_norm["model"]["backbone"], with_norm["model"]["heads"]["coordinates"]):
        assert part["init_args"]["norm"] == "before"
        part["init_args"]["norm"] = None
    assert with_norm == without
    batch_norms = [
        sum(
            isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d) for part in parts for m in part.modules()
        )
        for parts in (layers("papers/cnn11.yaml"), layers("papers/cnn11_no_bn.yaml"))
    ]
    assert batch_norms == [7, 0]


def test_cnn11_sees_pixels_from_0_to_255_stretched_to_the_whole_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = write_data("papers/cnn11.yaml")
    data = data_module([SHIPPED_CONFIGS / "papers/cnn11.yaml"], [*words, "--data.num_workers=0"])
    data.setup("fit")
    (batch,) = list(data.val_dataloader())
    assert batch.image.shape[1:] == (3, 96, 96)
    of_set, _, name = batch.image_id[0].partition("/")
    image = cv2.imread(str(tmp_path / "data" / of_set / "images" / name))[..., ::-1]
    expected = cv2.resize(image, (96, 96), interpolation=cv2.INTER_LINEAR)
    difference = batch.image[0].permute(1, 2, 0).numpy().astype(int) - expected
    assert np.abs(difference).mean() < 2
    model = read("papers/cnn11.yaml")["model"]
    normalised = (batch.image[0] / 255 - model["mean"][0]) / model["std"][0]
    torch.testing.assert_close(normalised, batch.image[0].float(), atol=1e-3, rtol=0)


def test_the_training_people_can_be_validated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "papers/cnn11.yaml"
    write_data(name)
    # As in the head of the config.
    moved = [f"--data.sets.{n}.init_args.splits=[0, 0.9, 0.1]" for n in ("lspet", "lsp")]
    trained, validated = (
        data_module([SHIPPED_CONFIGS / name], words).make_dataset(split).person_ids.tolist()
        for words, split in (([], "train"), (moved, "val"))
    )
    assert trained == validated
    assert len(trained) == 9 + 7
    assert main(["fit", "--config", name, "--run", "short", *narrow(name), *SHORT]) == 0
    run = tmp_path / "checkpoints/cnn11/short"
    assert main(["validate", "--ckpt_path", str(run / "last.ckpt"), *moved]) == 0
    (results,) = run.glob("validate_*.json")
    assert math.isfinite(json.loads(results.read_text())["results"]["val/loss"])


def test_cnn11_takes_one_set_alone_with_the_same_input_and_augmentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_data("papers/cnn11.yaml")
    words = ["--data=LSPExtendedDataModule", "--data.root=data/lspet"]
    config = SHIPPED_CONFIGS / "papers/cnn11.yaml"
    one = data_module([config], [*words, "--data.splits=[0.9, 0.1, 0.0]"])
    both = data_module([config], [])
    assert type(one).__name__ == "LSPExtendedDataModule"
    assert len(one.make_dataset("train")) == 9
    for name in ("input_spec", "batch_size", "rotation", "scale", "flip", "shift"):
        assert getattr(one, name) == getattr(both, name)
    assert (one.rotation, one.scale, one.flip, one.shift) == (0, 0, 0.5, 0)


def test_vgg16_has_the_weights_of_the_papers_table() -> None:
    counted = weights(*layers("papers/vgg16_regression.yaml"))
    assert counted == [
        1_728, 36_864,
        73_728, 147_456,
        294_912, 589_824, 589_824,
        1_179_648, 2_359_296, 2_359_296,
        2_359_296, 2_359_296, 2_359_296,
        102_760_448, 16_777_216, 131_072,
    ]  # fmt: skip
    assert sum(counted) == 134_379_200


def test_vgg16_halves_the_rate_every_1000_iterations() -> None:
    model = read("papers/vgg16_regression.yaml")["model"]
    assert model["lr_interval"] == "step"
    optimizer = torch.optim.Adam([torch.zeros(1)], **model["optimizer"]["init_args"])
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, **model["lr_scheduler"]["init_args"])
    rates = []
    for _ in range(2001):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert [rates[n] for n in (0, 999, 1000, 1999, 2000)] == pytest.approx(
        [1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4]
    )


def test_convpose_has_the_parameters_of_its_paper() -> None:
    parts = layers("papers/convpose.yaml")
    assert sum(p.numel() for part in parts for p in part.parameters()) == 27_583_068
    assert weights(parts[1]) == [25_088 * 512, 512 * 28]


def test_convpose_stops_early_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "papers/convpose.yaml"
    # With a rate of almost 0, no validation is better than the first.
    words = [*write_data(name), *narrow(name), *SHORT, "--model.optimizer.lr=1e-30"]
    words += ["--trainer.max_epochs=9", "--trainer.callbacks+=EarlyStopping"]
    words += ["--trainer.callbacks.monitor=val/loss", "--trainer.callbacks.patience=2"]
    words += ["--trainer.callbacks.min_delta=1"]
    assert main(["fit", "--config", name, *words]) == 0
    (run,) = (tmp_path / "checkpoints/convpose").iterdir()
    epochs = {row.split(",")[0] for row in (run / "metrics.csv").read_text().splitlines()[1:]}
    assert len(epochs) == 3


def test_convpose_starts_from_weights_that_are_frozen_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "papers/convpose.yaml"
    words = [*write_data(name), *narrow(name), *SHORT, "--trainer.max_epochs=2"]
    words += ["--trainer.callbacks+=FreezeBackbone", "--trainer.callbacks.epochs=1"]
    torch.manual_seed(5)
    first = VGG([[4 for _ in stage] for stage in VGG().stages])
    layers = [layer for stage in first.layers for layer in (*stage, nn.Identity())]
    state = nn.ModuleDict({"features": nn.Sequential(*layers)}).state_dict()
    torch.save(state, "weights.pth")
    words += ["--model.backbone.pretrained=weights.pth"]
    for epochs in (1, 2):
        more = [f"--trainer.max_epochs={epochs}", f"--run=epochs_{epochs}"]
        assert main(["fit", "--config", name, *words, *more]) == 0
        last = lightning_pose.load(f"checkpoints/convpose/epochs_{epochs}/last.ckpt")
        found = last.model.network.backbone.state_dict()
        same = [torch.equal(value, found[key]) for key, value in first.state_dict().items()]
        assert all(same) == (epochs == 1)


def test_regularisation_is_a_matter_of_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "papers/cnn11.yaml"
    words = [*write_data(name), *narrow(name), *SHORT]
    words += ["--model.optimizer.weight_decay=1e-4", "--trainer.callbacks+=L1Penalty"]
    words += ["--trainer.callbacks.strength=1e-5", "--model.backbone.dropout=0.3"]
    words += ["--model.heads.coordinates.dropout=0.3", "--model.heads.coordinates.criterion=l1"]
    assert main(["fit", "--config", name, "--run", "here", *words]) == 0
    saved = yaml.safe_load((tmp_path / "checkpoints/cnn11/here/config.yaml").read_text())
    names = [one["class_path"].split(".")[-1] for one in saved["trainer"]["callbacks"]]
    assert names == ["Saliency", "L1Penalty"]
    assert saved["model"]["optimizer"]["init_args"]["weight_decay"] == 1e-4
