"""What fit, validate and test share, through the real `lightning fit`: words, configs, seeds."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from lightning_pose.cli import main
from lightning_pose.commands.fit import FitCLI
from tests.commands.project import refused, rows


def test_another_seed_gives_other_losses_and_reaches_the_data(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []
    monkeypatch.setattr(FitCLI, "after_fit", lambda cli: ran.append(cli))
    words = ["--config", "tiny.yaml", "--run", "seeded", "--seed_everything", "7"]
    assert main(["fit", *words, "--trainer.max_epochs", "1"]) == 0
    run = here.parent / "seeded"
    first, other = (
        next(row["train/loss"] for row in rows(path / "metrics.csv") if row["train/loss"])
        for path in (here, run)
    )
    assert first != other
    assert ran[0].datamodule.seed == 7
    assert yaml.safe_load((run / "config.yaml").read_text())["seed_everything"] == 7


def test_a_later_config_and_the_command_line_come_on_top(here: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "short.yaml"
    overlay.write_text(
        "trainer: {max_epochs: 1}\nmodel: {main_head: mask}\ndata: {init_args: {batch_size: 8}}\n"
    )
    # Wherever they stand on the command line.
    override = ["--model.weighting.weights.mask", "0.25", "--data.batch_size=2"]
    words = [*override, "-c", "tiny.yaml", f"--config={overlay}", "--run", "overlaid"]
    assert main(["fit", *words]) == 0
    run = here.parent.parent / "tiny-short" / "overlaid"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == 1
    assert config["data"]["init_args"]["batch_size"] == 2
    assert config["model"]["weighting"]["init_args"]["weights"] == {
        "coordinates": 0.5,
        "mask": 0.25,
    }
    validation = next(row for row in rows(run / "metrics.csv") if row["val/main"])
    assert validation["val/main"] == validation["val/mask/Dice"]


BAD_WORDS = [
    (["--config", "tyni.yaml"], "tiny"),
    (["--config"], "config"),
    (["--modle.main_head", "mask"], "modle"),
    (["--model.main_haed", "mask"], "main_haed"),
    (["--model.weighting.weights.nose", "1"], "'nose'"),
    (["--data.root", "nowhere"], "nowhere"),
    (["--run", "first"], "choose another --run"),
    (["--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt"),
    (["--data.batch_size", "many"], "batch_size"),
    (["--model.heads.mask", "MaksHead"], "MaksHead"),
    (["--model.main_head", "nose"], "main_head"),
    (["--data.flip", "2"], "flip"),
    (["--data.input_spec.size", "[-5,64]"], "input_spec.size"),
    (["--data.input_spec.fit", "squeeze"], "squeeze"),
    (["--trainer.accelerator", "gpu"], "gpu"),
    (["--trainer.accelerator", "abacus"], "abacus"),
    (["--trainer.default_root_dir", "tiny.yaml"], "tiny.yaml"),
    (["--trainer.devices", "0"], "devices"),
    (["--trainer.strategy", "fsdp"], "each process has all weights, found fsdp; use ddp"),
    (["--trainer.callbacks+", "BatchSizeFinder"], "found the callback BatchSizeFinder"),
    (["--trainer.sync_batchnorm", "true"], "sync_batchnorm only on GPUs"),
    (["--seed_everything", "-1"], "found -1"),
    (["--data.rotatoin", "3"], "rotatoin"),
    (["--model.heads.hetmap.sigma", "3"], "one of the heads coordinates, heatmap, joints, mask"),
    (["--model.heads.extra.sigma=3"], "a class with --model.heads.extra."),
    (["--trainer.devices", "99"], "found 99; use 1"),
    (["--threads", "0"], "threads"),
    (["--trainer.callbacks+", "EarlyStopping"], "arguments are required: monitor; see `light"),
    (["--model.optimizer.lr", "-1"], "rate: -1"),
    (["--data.num_workers", "-1"], "found -1"),
    (["--run", "../gone"], "name of one folder"),
    (["--config", "latin.yaml"], "text in UTF-8"),
    (["--config", "wrong.yaml"], "main_haed"),
    (["--config", "list.yaml"], "found a list"),
    (["--model.mean", "[0.5]"], "mean"),
    (["--model.std", "[1,0,1]"], "std"),
    (["--trainer.precision", "bf16-true"], "bf16-tr"),
    (
        ["--trainer.callbacks", "os.system"],
        "trainer.callbacks\": Problem with given class_path 'os.system'",
    ),
]


@pytest.mark.parametrize(("words", "message"), BAD_WORDS)
@pytest.mark.usefixtures("here")
def test_bad_words_get_one_sentence(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("latin.yaml").write_bytes("# größer\n".encode("latin-1"))
    Path("wrong.yaml").write_text("model: {main_haed: mask}\n")
    Path("list.yaml").write_text("- 1\n")
    assert message in refused(capsys, "fit", "--config", "tiny.yaml", "--run", "gone", *words)
    assert not Path("checkpoints/tiny/gone").exists(), "a run that never began leaves no folder"


def test_a_truncated_image_is_named(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("lspet", tmp_path / "lspet")
    image = tmp_path / "lspet" / "images" / "im00003.jpg"
    image.write_bytes(image.read_bytes()[:300])
    for workers in ("0", "1"):
        words = ["--config", "tiny.yaml", "--data.root", str(tmp_path / "lspet")]
        sentence = refused(capsys, "fit", *words, "--data.num_workers", workers)
        assert sentence.startswith("lightning fit: Expected ")
        assert "im00003.jpg" in sentence


def test_an_abbreviated_option_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config", "tiny.yaml", "--trainer.max_epoch", "3"]
    assert "--trainer.max_epoch" in refused(capsys, "fit", *words)


@pytest.mark.parametrize(
    "name",
    [
        "accumulate_grad_batches",
        "check_val_every_n_epoch",
        "limit_train_batches",
        "val_check_interval",
    ],
)
def test_what_is_divided_by_or_trains_nothing_is_not_0(
    here: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    words = ["--config", "tiny.yaml", f"--trainer.{name}", "0"]
    assert f"trainer.{name} above 0, found 0" in refused(capsys, "fit", *words)


def test_a_new_head_may_be_given_on_the_command_line(here: Path) -> None:
    short = ["--trainer.fast_dev_run", "true", "--run"]
    words = ["--model.heads.extra", "HeatmapHead", "--model.heads.extra.sigma", "3"]
    assert main(["fit", "--config", "tiny.yaml", *words, *short, "extra"]) == 0
    value = '{"heatmap": {"class_path": "HeatmapHead"}, "coordinates": "RegressionHead"}'
    words = ["--model.heads", value, "--model.heads.heatmap.sigma", "3"]
    assert main(["fit", "--config", "tiny.yaml", *words, *short, "more"]) == 0


def test_threads_are_set(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    last = str(here / "last.ckpt")
    assert main(["validate", "--ckpt_path", last, "--threads", "1"]) == 0
    assert chosen == [1]
