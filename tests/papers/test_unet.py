"""The systems of "Human Pose Estimation and Joint Detection": U-Nets for mask and joints."""

import csv
import shlex
from pathlib import Path

import pytest
import yaml
from PIL import Image

import lightning_pose as lp
from benchmarks.study_runs import Run
from lightning_pose.cli import main
from lightning_pose.commands.configs import SHIPPED_CONFIGS
from lightning_pose.skeletons import BODY25
from tests.data.folder import write_folder
from tests.data.lspet import write_lspet

HEADS = {
    "unet_mask": ["mask"],
    "harmonic_unet_mask": ["mask"],
    "unet_mask_heatmap": ["mask", "heatmap"],
    "unet_mask_softmax": ["mask", "joints"],
    "unet_mask_softmax_regression": ["mask", "joints"],
    "unet_triple": ["mask", "heatmap", "joints"],
}
"""The heads of each config."""

SHORT = [
    "--model.backbone.width=4",
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=2",
    "--trainer.enable_progress_bar=false",
    "--trainer.log_every_n_steps=1",
    "--data.num_workers=0",
    "--data.input_spec.short_side=32",
]
"""Arguments that make training short."""

every_config = pytest.mark.parametrize("name", list(HEADS))


def train(name: str, *words: str) -> Path:
    """Train a config for two steps, and return the run's folder."""
    assert main(["fit", "--config", f"papers/{name}.yaml", *words, *SHORT]) == 0
    (run,) = Path("checkpoints").glob("*/*")
    return run


def losses(run: Path) -> dict[str, float]:
    """The validation losses of a run."""
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/loss"]]
    return {
        k: float(v) for k, v in rows[-1].items() if v and k.startswith(("val/loss", "val/main"))
    }


@every_config
def test_it_trains_on_a_folder_and_loads(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "folder", count=10, sizes=[(60, 50), (50, 90)])
    run = train(name, "--data.root=folder")
    found = losses(run)
    assert set(found) == {"val/loss", "val/main", *(f"val/loss/{head}" for head in HEADS[name])}
    # All weights are 1, and the lowest loss is kept.
    assert found["val/loss"] == pytest.approx(
        sum(found[f"val/loss/{head}"] for head in HEADS[name])
    )
    assert found["val/main"] == -found["val/loss"]
    kept = Run(run)
    for key, value in kept.result["metrics"].items():
        head, measure = key.split("/")
        column = f"val/loss/{head}" if measure == "loss" else f"val/{key}"
        assert kept.best(column) == pytest.approx(value), key
    predictor = lp.load(run / "best.ckpt")
    assert list(predictor.model.heads) == HEADS[name]
    assert predictor.model.skeleton == BODY25
    (person,) = predictor(Image.new("RGB", (50, 70), "gray"))
    assert person.mask.shape == (70, 50)
    assert (person.keypoints is None) == ("joints" not in HEADS[name])
    with Image.open(next((run / "pictures").iterdir())) as sheet:
        assert sheet.width > 100 * (1 + len(HEADS[name]))


def documented(name: str) -> list[list[str]]:
    """The commands in the head comment of a config."""
    lines = (SHIPPED_CONFIGS / "papers" / f"{name}.yaml").read_text().splitlines()
    head = [line[1:] for line in lines if line.startswith("#   ")]
    text = "\n".join(head).replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.split()[0] == "lightning"]


@pytest.mark.parametrize("name", ["harmonic_unet_mask", "unet_triple"])
def test_it_trains_on_leeds_sports_pose_extended(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lspet(tmp_path / "lspet", count=20, sizes=[(60, 50), (50, 90)])
    _, (program, *words) = documented(name)
    words[words.index("FOLDER")] = "lspet"
    few = ["--data.train=[1,16]", "--data.val=[17,20]", "--data.batch_size=4"]
    assert program == "lightning"
    assert main([*words, *few, *SHORT]) == 0
    (run,) = Path("checkpoints").glob("*/*")
    model = lp.load(run / "best.ckpt").model
    assert model.skeleton.num_joints == 14
    assert model.input_spec.short_side == 32
    assert model.input_spec.subject == "image"
    assert not model.untrained
    data = yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]
    assert data["splits"] is None
    assert [data[key] for key in ("rotation", "scale", "flip", "shift")] == [0, 0, 0, 0]


@every_config
def test_the_documented_commands_are_its_own(name: str) -> None:
    first = documented("unet_mask")
    assert len(first) == 2
    own = [[word.replace("unet_mask.", f"{name}.") for word in words] for words in first]
    assert documented(name) == own
    # The options of an overlay, such as its number of epochs, would take the place of the paper's.
    assert all(words.count("--config") == 1 for words in own)


@every_config
def test_it_is_the_protocol_of_the_paper(name: str) -> None:
    config = yaml.safe_load((SHIPPED_CONFIGS / "papers" / f"{name}.yaml").read_text())
    first = yaml.safe_load((SHIPPED_CONFIGS / "papers" / "unet_mask.yaml").read_text())
    assert list(config["model"]["heads"]) == HEADS[name]
    # They differ in the network alone.
    assert config["data"] == first["data"]
    assert config["trainer"] == first["trainer"]
    assert config["model"]["optimizer"] == first["model"]["optimizer"]
    assert config["model"]["main_metric"] == "loss"
