"""The real `lightning validate` and `test`, in process, on the finished run of the project."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from lightning_pose.cli import main
from lightning_pose.commands import evaluate
from lightning_pose.commands.evaluate import EvaluateCLI, _plain
from lightning_pose.skeletons import LSP14
from tests.commands.project import best, contents, figures, refused
from tests.data.lspet import write_lspet
from tests.test_checkpoint import hostile_checkpoints


def scores(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, float]:
    """The metrics that a command prints."""
    capsys.readouterr()
    assert main(words) == 0
    found = figures(capsys.readouterr().out)
    assert found
    return found


def test_validate_prints_the_figures_of_the_best_validation(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(here.parent)
    assert main(["validate", "--ckpt_path", str(here / "best.ckpt")]) == 0
    printed = capsys.readouterr().out
    found = figures(printed)
    wanted = {
        key: float(value)
        for key, value in best(here).items()
        if key.startswith("val/") and value and "/per_joint" not in key
    }
    assert found == pytest.approx(wanted, abs=1e-4)
    after = contents(here.parent)
    assert {path: after[path] for path in before} == before
    (path,) = set(after) - set(before)
    assert f"Results, also per joint: {path}\n" in printed
    written = json.loads(path.read_text())
    assert (written["command"], written["checkpoint"]) == ("validate", "best.ckpt")
    assert written["data"]["init_args"]["val"] == [9, 12]
    assert written["flip"] is False
    known = {key: value for key, value in written["results"].items() if value is not None}
    assert known == pytest.approx(found, abs=1e-4)
    joints = written["per_joint"]["heatmap/PCK"]
    assert list(joints) == list(LSP14.names)
    mean = np.mean([value for value in joints.values() if value is not None])
    assert mean == pytest.approx(known["val/heatmap/PCK"])


def test_results_are_never_overwritten_and_need_no_folder_to_write_to(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate.time, "strftime", lambda _: "now")
    for name in ("test_now.json", "test_now_2.json"):
        assert main(["test", "--ckpt_path", str(here / "best.ckpt")]) == 0
        assert (here / name).is_file()
    capsys.readouterr()

    def read_only(*_: object) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(evaluate, "_write_new", read_only)
    assert main(["test", "--ckpt_path", str(here / "best.ckpt")]) == 0
    assert f"Results were not written to {here}: Permission" in capsys.readouterr().out


def test_test_scores_the_test_split(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ckpt = ["--ckpt_path", str(here / "best.ckpt")]
    found = scores(capsys, "test", *ckpt)
    assert "test/heatmap/PCKh" in found
    other = scores(capsys, "test", *ckpt, "--data.test", "[13,14]")
    assert found["test/heatmap/RMSE"] != other["test/heatmap/RMSE"]


def test_the_command_line_comes_on_top_of_the_checkpoint(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    usual = EvaluateCLI.after_instantiate_classes
    monkeypatch.setattr(
        EvaluateCLI, "after_instantiate_classes", lambda cli: [usual(cli), made.append(cli)]
    )
    ckpt = ["--ckpt_path", str(here / "best.ckpt")]
    plain = scores(capsys, "validate", *ckpt)
    same = scores(capsys, "validate", *ckpt, "--data.batch_size", "3")
    assert same == pytest.approx(plain, rel=1e-3)
    argmax = scores(capsys, "validate", *ckpt, "--model.heads.heatmap.decoding", "argmax")
    assert argmax["val/heatmap/RMSE"] != plain["val/heatmap/RMSE"]
    assert argmax["val/joints/RMSE"] == plain["val/joints/RMSE"]
    assert [cli.datamodule.batch_size for cli in made] == [4, 3, 4]
    assert [cli.model.heads["heatmap"].decoding for cli in made] == ["dark", "dark", "argmax"]


@pytest.mark.parametrize("command", ["validate", "test"])
def test_flip_switches_the_flip_test(
    command: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ckpt = ["--ckpt_path", str(here / "best.ckpt")]
    stage = {"validate": "val", "test": "test"}[command]
    plain, off, on = (
        scores(capsys, command, *ckpt, *words)
        for words in ([], ["--flip", "false"], ["--flip", "true"])
    )
    assert plain == off
    for head in ("joints", "heatmap", "coordinates"):
        assert plain[f"{stage}/{head}/RMSE"] != on[f"{stage}/{head}/RMSE"]


def test_the_trainer_of_the_run_is_not_used(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(here / "best.ckpt", tmp_path)
    config = yaml.safe_load((here / "config.yaml").read_text())
    config["trainer"] |= {"limit_val_batches": 0, "accelerator": "abacus"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    words = ["validate", "--ckpt_path", str(tmp_path / "best.ckpt")]
    assert scores(capsys, *words)
    assert "abacus" in refused(capsys, *words, "--trainer.accelerator", "abacus")


def test_other_data_come_by_a_config(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lspet(tmp_path / "other", count=6)
    data = {
        "class_path": "LSPExtendedDataModule",
        # The size in this config would not fit the model, and is overridden by the model's own.
        "init_args": {
            "root": str(tmp_path / "other"),
            "val": [1, 6],
            "input_spec": {"size": [64, 64]},
            "num_workers": 0,
        },
    }
    (tmp_path / "other.yaml").write_text(json.dumps({"data": data}))
    alone = tmp_path / "alone.ckpt"
    shutil.copy(here / "best.ckpt", alone)
    words = ["validate", "--ckpt_path", str(alone)]
    assert "Expected config.yaml next to" in refused(capsys, *words)
    found = scores(capsys, *words, "--config", str(tmp_path / "other.yaml"))
    assert found["val/heatmap/RMSE"] != float(best(here)["val/heatmap/RMSE"])


def test_a_whole_config_gives_its_data_and_its_trainer(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["validate", "--ckpt_path", str(here / "best.ckpt")]
    plain = scores(capsys, *words)
    # Its model is different, but the model from the checkpoint is scored.
    text = Path("tiny.yaml").read_text().replace("width: 4", "width: 8")
    (tmp_path / "whole.yaml").write_text(text)
    assert scores(capsys, *words, "--config", str(tmp_path / "whole.yaml")) == plain
    assert scores(capsys, *words, "--config", str(here / "config.yaml")) == plain
    # A config without data keeps the data of the run.
    (tmp_path / "trainer.yaml").write_text("trainer: {accelerator: abacus}\n")
    assert "abacus" in refused(capsys, *words, "--config", str(tmp_path / "trainer.yaml"))
    (tmp_path / "wrong.yaml").write_text("trainre: {accelerator: cpu}\n")
    assert "trainre" in refused(capsys, *words, "--config", str(tmp_path / "wrong.yaml"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Expected --ckpt_path for `lightning validate`, found none"),
        (["--ckpt_path", "nowhere.ckpt"], "found nothing at nowhere.ckpt"),
        (["--ckpt_path", "BEST", "--run", "mine"], "--run"),
        (["--ckpt_path", "BEST", "--config", "tyni.yaml"], "tiny.yaml"),
        (["--ckpt_path", "BEST", "--data.root", "nowhere"], "nowhere"),
        (["--ckpt_path", "BEST", "--model.heads.heatmap.decoding", "soft"], "decoding"),
        (["--ckpt_path", "BEST", "--data.input_spec.size", "[64,64]"], "same input_spec"),
        (["--ckpt_path", "BEST", "--allow", "my-heads"], "found 'my-heads'"),
        (
            ["--ckpt_path", "BEST", "--model.backbone.init_args.width", "8"],
            "backbone.init_args.width (8 here, 4 in the checkpoint)",
        ),
    ],
)
def test_bad_words_get_one_sentence(
    words: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(here / "best.ckpt") if word == "BEST" else word for word in words]
    assert message in refused(capsys, "validate", *words)


def test_hostile_checkpoints_are_refused(
    here: Path, tmp_path: Path, trap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(here / "config.yaml", tmp_path)
    image = str(next(Path("lspet/images").iterdir()))
    for path in hostile_checkpoints(tmp_path):
        ckpt = ["--ckpt_path", str(path)]
        for words in (
            ["validate", *ckpt],
            ["validate", "--config", "tiny.yaml", *ckpt],
            ["test", *ckpt],
            ["predict", *ckpt, "--images", image, "--output", str(tmp_path / "out")],
        ):
            sentence = refused(capsys, *words)
            assert "only if you trust that code" in sentence or "could run code" in sentence
    assert not trap.exists()


def test_validation_leaves_a_runs_own_checkpointing_alone(here: Path) -> None:
    words = ["--config", "tiny.yaml", "--run", "callback", "--trainer.max_epochs", "1"]
    assert main(["fit", *words, "--trainer.callbacks+=ModelCheckpoint"]) == 0
    assert main(["validate", "--ckpt_path", str(here.parent / "callback" / "best.ckpt")]) == 0


def test_json_has_no_infinity() -> None:
    values = {"a": torch.tensor(torch.inf), "b": torch.tensor(torch.nan), "c": torch.tensor(0.5)}
    assert _plain(values) == {"a": None, "b": None, "c": 0.5}
