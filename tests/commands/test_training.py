"""The real command, in process, on a tiny Leeds Sports Pose Extended in its real layout."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from pytorch_lightning import Callback, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_pose.cli import main
from lightning_pose.commands.training import PoseCLI
from lightning_pose.datamodules import LSPExtendedDataModule
from lightning_pose.geometry import apply_affine, invert_affine
from lightning_pose.metrics import dice_per_person
from lightning_pose.module import PoseModule
from tests.data.lspet import write_lspet
from tests.test_checkpoint import hostile_checkpoints

CONFIG = """
model:
  backbone: {class_path: UNet, init_args: {width: 4}}
  heads:
    mask: {class_path: MaskHead}
    joints: {class_path: SoftmaxJointHead}
    heatmap: {class_path: HeatmapHead}
    coordinates: {class_path: RegressionHead}
  main_head: heatmap
  weighting: {class_path: FixedWeighting, init_args: {weights: {coordinates: 0.5}}}
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 1.0e-3}}
  lr_scheduler: {class_path: WarmupCosine}
  lr_interval: step
data:
  class_path: LSPExtendedDataModule
  init_args:
    root: lspet
    train: [1, 8]
    val: [9, 12]
    test: [9, 12]
    batch_size: 4
    num_workers: 0
    input_size: [32, 32]
trainer: {max_epochs: 2, accelerator: cpu, enable_progress_bar: false, log_every_n_steps: 1}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, a config, and one finished run."""
    folder = tmp_path_factory.mktemp("project")
    write_lspet(folder / "lspet", count=12)
    (folder / "tiny.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", "--config", "tiny.yaml", "--run", "first"]) == 0
    return folder


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    return project / "checkpoints" / "tiny" / "first"


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one sentence with which a command refuses its words."""
    capsys.readouterr()
    before = contents(Path("checkpoints"))
    assert main(words) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    sentence = [line for line in err.splitlines() if line.startswith("lightning ")]
    assert len(sentence) == 1, err
    after = contents(Path("checkpoints"))
    assert {path: after.get(path) for path in before} == before, "nothing is lost or overwritten"
    return sentence[0]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_run_is_a_folder_with_everything(here: Path) -> None:
    names = {path.name for path in here.iterdir()}
    assert {"config.yaml", "best.ckpt", "last.ckpt", "metrics.csv", "predictions.npz"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    sheets = sorted((here / "pictures").iterdir())
    assert len(sheets) == 2
    shown = EventAccumulator(str(here)).Reload()
    assert [event.step for event in shown.Images("val/predictions")] == [2, 4]
    picture = cv2.imdecode(
        np.frombuffer(shown.Images("val/predictions")[0].encoded_image_string, np.uint8), 1
    )
    assert (picture == cv2.imread(str(sheets[0]))).all()


def test_metrics_csv_has_every_head(here: Path) -> None:
    header = rows(here / "metrics.csv")[0].keys()
    for head in ("joints", "heatmap", "coordinates"):
        assert {f"train/loss/{head}", f"val/loss/{head}"} <= header
        assert {f"val/{head}/{metric}" for metric in ("PCKh", "PCK", "RMSE")} <= header
    assert {"val/mask/Dice", "val/main", "train/loss", "val/loss"} <= header


def test_the_config_is_resolved_and_plain(here: Path) -> None:
    config = yaml.safe_load((here / "config.yaml").read_text())
    assert config["seed_everything"] == 0
    assert config["experiment"] == "tiny"
    assert config["run"] is None
    assert config["model"]["backbone"]["init_args"]["dropout"] == 0.3
    assert yaml.safe_load((here / "hparams.yaml").read_text())["seed_everything"] == 0


def test_predictions_belong_to_the_best_validation(here: Path) -> None:
    saved = np.load(here / "predictions.npz")
    assert saved["person_id"].tolist() == [9, 10, 11, 12]
    assert saved["heatmap/keypoints"].shape == (4, 14, 2)
    assert saved["coordinates/scores"].shape == (4, 14)
    assert saved["mask/dice"].shape == (4,)
    # RMSE is in pixels of the crop.
    error = saved["heatmap/errors"] * saved["crop_scale"][:, None]
    rmse = np.sqrt(np.nanmean(error**2))
    best = max(
        (row for row in rows(here / "metrics.csv") if row["val/main"]),
        key=lambda row: float(row["val/main"]),
    )
    assert rmse == pytest.approx(float(best["val/heatmap/RMSE"]), rel=1e-4)


def test_validate_finds_its_config_and_prints_the_same_figures(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", "--ckpt_path", str(here / "best.ckpt")]) == 0
    printed = capsys.readouterr().out
    best = max(
        (row for row in rows(here / "metrics.csv") if row["val/main"]),
        key=lambda row: float(row["val/main"]),
    )
    for key, value in best.items():
        if key.startswith("val/") and value:
            line = next(line for line in printed.splitlines() if f" {key} " in line)
            assert float(line.split()[-2]) == pytest.approx(float(value), abs=1e-4), key


def test_test_runs_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--ckpt_path", str(here / "best.ckpt")]) == 0
    assert "test/heatmap/PCKh" in capsys.readouterr().out


def test_the_checkpoint_alone_predicts_what_the_run_predicted(here: Path, tmp_path: Path) -> None:
    words = ["--config", "tiny.yaml", "--run", "exact", "--trainer.precision", "32-true"]
    assert main(["fit", *words, "--trainer.max_epochs", "1"]) == 0
    run = here.parent / "exact"
    saved = np.load(run / "predictions.npz")
    data = LSPExtendedDataModule("lspet", val=(9, 12), input_size=(32, 32), num_workers=0)
    (batch,) = data.val_dataloader()
    model = PoseModule.load_from_checkpoint(shutil.copy(run / "best.ckpt", tmp_path))
    predictions = model.predict(batch.image)
    for head in ("joints", "heatmap", "coordinates"):
        found = apply_affine(invert_affine(batch.crop), predictions[head].keypoints)
        np.testing.assert_allclose(found, saved[f"{head}/keypoints"], atol=0.01)
        np.testing.assert_allclose(predictions[head].scores, saved[f"{head}/scores"], atol=1e-4)
    dice = dice_per_person(predictions["mask"].mask, batch.mask)
    np.testing.assert_allclose(dice, saved["mask/dice"], atol=1e-4)


def test_the_command_and_python_write_the_same_spec(here: Path) -> None:
    from lightning_pose import checkpoint
    from lightning_pose.backbones import UNet
    from lightning_pose.heads import HeatmapHead, MaskHead, RegressionHead, SoftmaxJointHead
    from lightning_pose.skeletons import LSP14
    from lightning_pose.weightings import FixedWeighting

    heads = {
        "mask": MaskHead(),
        "joints": SoftmaxJointHead(),
        "heatmap": HeatmapHead(),
        "coordinates": RegressionHead(),
    }
    model = PoseModule(
        UNet(width=4), heads, LSP14.to_dict(), (32, 32), "heatmap",
        FixedWeighting({"coordinates": 0.5}),
    )  # fmt: skip
    assert checkpoint.read(here / "best.ckpt")[checkpoint.SPEC_KEY]["model"] == model.spec()


def test_the_same_seed_gives_the_same_losses_and_another_seed_others(here: Path) -> None:
    for name, seed in (("again", "0"), ("other", "1")):
        words = ["fit", "--config", "tiny.yaml", "--run", name, "--seed_everything", seed]
        assert main(words) == 0
    runs = [rows(here.parent / name / "metrics.csv") for name in ("first", "again", "other")]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_later_config_and_the_command_line_come_on_top(here: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "short.yaml"
    overlay.write_text("trainer: {max_epochs: 1}\nmodel: {main_head: mask}\n")
    words = ["--config", "tiny.yaml", "--config", str(overlay), "--run", "overlaid"]
    override = ["--model.weighting.weights.mask", "0.25", "--data.batch_size", "2"]
    assert main(["fit", *words, *override]) == 0
    run = here.parent / "overlaid"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["trainer"]["max_epochs"] == 1
    assert config["data"]["init_args"]["batch_size"] == 2
    assert config["model"]["weighting"]["init_args"]["weights"] == {
        "coordinates": 0.5,
        "mask": 0.25,
    }
    validation = next(row for row in rows(run / "metrics.csv") if row["val/main"])
    assert validation["val/main"] == validation["val/mask/Dice"]


def test_fit_resumes_into_a_new_folder(here: Path) -> None:
    words = ["--config", "tiny.yaml", "--run", "longer", "--trainer.max_epochs", "3"]
    assert main(["fit", *words, "--ckpt_path", str(here / "last.ckpt")]) == 0
    steps = [int(row["step"]) for row in rows(here.parent / "longer" / "metrics.csv")]
    # last.ckpt is that of the last validation, also where an earlier one was better.
    assert torch.load(here / "last.ckpt", weights_only=True)["global_step"] == 4
    assert torch.load(here / "best.ckpt", weights_only=True)["global_step"] == 2
    assert min(steps) >= 4
    assert max(steps) == 5


def test_hostile_checkpoints_are_refused_by_every_command(
    here: Path,
    tmp_path: Path,
    trap: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(here / "config.yaml", tmp_path)
    picture = str(next(Path("lspet/images").iterdir()))
    for path in hostile_checkpoints(tmp_path):
        ckpt = ["--ckpt_path", str(path)]
        for words in (
            ["validate", *ckpt],
            ["validate", "--config", "tiny.yaml", *ckpt],
            ["fit", "--config", "tiny.yaml", *ckpt],
            ["fit", *ckpt],
            ["test", *ckpt],
            ["predict", *ckpt, "--images", picture, "--output", str(tmp_path / "out")],
        ):
            sentence = refused(capsys, *words)
            assert "only if you trust that code" in sentence or "could run code" in sentence
    assert not trap.exists()


SELDOM = ["--trainer.val_check_interval", "1000"]
MISSPELT = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "val/nose"]

HOSTILE_SPELLINGS = [
    "callbacks: {class_path: hostile_trap.Evil}",
    'callbacks: {"class_path": hostile_trap.Evil}',
    "callbacks: {class_path : hostile_trap.Evil}",
    "callbacks: {class_path: &a hostile_trap.Evil}",
    "callbacks: {class_path: !!str hostile_trap.Evil}",
    "callbacks:\n    class_path: >-\n      hostile_trap.Evil",
    "callbacks: hostile_trap.Evil",
    "callbacks: [hostile_trap.Evil]",
    "callbacks: {hostile_trap.Evil: 1}",
    "callbacks: other.yaml",
    'callbacks: "{class_path: hostile_trap.Evil}"',
    "callbacks: |\n    class_path: hostile_trap.Evil",
    "callbacks: {class_path: lightning_pose.runs.os.system}",
]


@pytest.mark.parametrize("spelling", HOSTILE_SPELLINGS)
def test_a_hostile_config_beside_a_checkpoint_is_refused(
    spelling: str,
    here: Path,
    tmp_path: Path,
    trap: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(here / "best.ckpt", tmp_path)
    (tmp_path / "other.yaml").write_text("class_path: hostile_trap.Evil\n")
    text = (here / "config.yaml").read_text()
    hostile = text.replace("callbacks: null", spelling)
    assert hostile != text
    (tmp_path / "config.yaml").write_text(hostile)
    sentence = refused(capsys, "validate", "--ckpt_path", str(tmp_path / "best.ckpt"))
    assert "only if you trust" in sentence or "found 'posix.system'" in sentence
    assert not trap.exists()


WRITERS = [
    "callbacks: {class_path: SavePredictions, init_args: {path: PLACE/precious.txt}}",
    "callbacks: [{class_path: ContactSheet, init_args: {folder: PLACE/sheets}}]",
    "profiler: {class_path: SimpleProfiler, init_args: {dirpath: PLACE, filename: precious}}",
    "logger: {class_path: CSVLogger, init_args: {save_dir: x, name: PLACE/logs}}",
]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_config_beside_a_checkpoint_writes_nothing(
    writer: str, here: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    shutil.copy(here / "best.ckpt", stranger)
    text = (here / "config.yaml").read_text()
    hostile = text.replace(f"{writer.split(':')[0]}: null", writer.replace("PLACE", str(tmp_path)))
    assert hostile != text
    (stranger / "config.yaml").write_text(hostile)
    before = contents(tmp_path)
    checkpoint = ["--ckpt_path", str(stranger / "best.ckpt")]
    assert main(["validate", *checkpoint]) == 0
    assert main(["fit", *checkpoint, "--run", tmp_path.name, "--trainer.max_epochs", "2"]) == 0
    assert f"without its trainer.{writer.split(':')[0]}, since" in caplog.text
    assert contents(tmp_path) == before
    # What the user says on the command line is the user's.
    mine = {"class_path": "SavePredictions", "init_args": {"path": str(tmp_path / "mine.npz")}}
    assert main(["validate", *checkpoint, "--trainer.callbacks", json.dumps(mine)]) == 0
    assert (tmp_path / "mine.npz").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config", "tyni.yaml"], "tiny"),
        (["--config", "tiny.yaml", "--modle.main_head", "mask"], "modle"),
        (["--config", "tiny.yaml", "--model.main_haed", "mask"], "main_haed"),
        (["--config", "tiny.yaml", "--model.weighting.weights.nose", "1"], "'nose'"),
        (["--config", "tiny.yaml", "--data.root", "nowhere", "--run", "gone"], "nowhere"),
        (["--config", "tiny.yaml", "--run", "first"], "choose another --run"),
        (["--config", "tiny.yaml", "--ckpt_path", "nowhere.ckpt"], "nowhere.ckpt"),
        (["--config", "tiny.yaml", "--data.batch_size", "many"], "batch_size"),
        (["--config", "tiny.yaml", "--model.heads.mask", "MaksHead"], "'MaksHead'"),
        (["--config", "tiny.yaml", "--model.main_head", "nose", "--run", "gone"], "main_head"),
        (["--config", "tiny.yaml", "--data.flip", "2", "--run", "gone"], "Expected flip"),
        (["--config", "tiny.yaml", "--data.input_size", "[-5,64]", "--run", "gone"], "input_size"),
        (["--config", "tiny.yaml", "--trainer.accelerator", "gpu", "--run", "gone"], "gpu"),
        (["--config", "tiny.yaml", "--trainer.default_root_dir", "tiny.yaml"], "tiny.yaml"),
        (["--config", "tiny.yaml", "--trainer.devices", "0", "--run", "gone"], "devices"),
        (["--config", "tiny.yaml", "--seed_everything", "-1", "--run", "gone"], "found -1"),
        (["--config", "tiny.yaml", "--data.rotatoin", "3", "--run", "gone"], "rotatoin"),
        (["--config", "tiny.yaml", "--model.optimizer.lr", "-1", "--run", "gone"], "rate: -1"),
        (["--config", "tiny.yaml", "--data.num_workers", "-1", "--run", "gone"], "found -1"),
        (["--config", "tiny.yaml", "--run", "../gone"], "name of one folder"),
        (["--config", "tiny.yaml", *SELDOM, "--run", "gone"], "val_check_interval"),
        (["--config", "tiny.yaml", *MISSPELT], "val/nose"),
        (["--config", "latin.yaml"], "text in UTF-8"),
        (["--config", "tiny.yaml", "--model.mean", "[0.5]", "--run", "gone"], "three channels"),
        (["--config", "tiny.yaml", "--model.std", "[1,0,1]", "--run", "gone"], "std above 0"),
        (["--config", "tiny.yaml", "--trainer.precision", "bf16-true", "--run", "gone"], "bf16-tr"),
        (["--config", "tiny.yaml", "--trainer.callbacks", "os.system"], "could run anything"),
    ],
)
@pytest.mark.usefixtures("here")
def test_bad_words_get_one_sentence(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("latin.yaml").write_bytes("# größer\n".encode("latin-1"))
    assert message in refused(capsys, "fit", *words)
    assert not Path("checkpoints/tiny/gone").exists(), "a run that never began leaves no folder"


def test_a_misspelt_key_in_a_config_is_named(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong.yaml").write_text("model: {main_haed: mask}\n")
    words = ["--config", "tiny.yaml", "--config", str(tmp_path / "wrong.yaml")]
    assert "main_haed" in refused(capsys, "fit", *words)


def test_the_checkpoint_of_another_model_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", "tiny.yaml", "--model.backbone.init_args.width", "8"]
    sentence = refused(capsys, "validate", *words, "--ckpt_path", str(here / "best.ckpt"))
    assert "backbone.init_args.width (8 here, 4 in the checkpoint)" in sentence


def test_a_truncated_picture_is_named(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("lspet", tmp_path / "lspet")
    picture = tmp_path / "lspet" / "images" / "im00003.jpg"
    picture.write_bytes(picture.read_bytes()[:300])
    for workers in ("0", "1"):
        words = ["--config", "tiny.yaml", "--data.root", str(tmp_path / "lspet")]
        sentence = refused(capsys, "fit", *words, "--data.num_workers", workers)
        assert "im00003.jpg" in sentence


def test_a_nan_stops_the_run_and_keeps_its_checkpoint(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lightning_pose.heads import MaskHead

    usual = MaskHead.loss

    def sick(self: MaskHead, output: torch.Tensor, target: object) -> torch.Tensor:
        # Healthy in the first epoch (2 steps and a validation), then not.
        sick.calls += 1
        return usual(self, output, target) * (float("nan") if sick.calls > 4 else 1.0)

    sick.calls = 0
    monkeypatch.setattr(MaskHead, "loss", sick)
    words = ["fit", "--config", "tiny.yaml", "--run", "sick", "--trainer.num_sanity_val_steps", "0"]
    assert "NaN or infinity in mask" in refused(capsys, *words)
    model = PoseModule.load_from_checkpoint(here.parent / "sick" / "last.ckpt")
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_weights_that_broke_in_the_last_step_replace_no_checkpoint(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Break(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
            if trainer.global_step == 4:
                with torch.no_grad():
                    next(trainer.model.backbone.parameters()).fill_(torch.nan)

    usual = PoseCLI._callbacks
    monkeypatch.setattr(PoseCLI, "_callbacks", lambda *given: [*usual(*given), Break()])
    words = ["fit", "--config", "tiny.yaml", "--run", "broken"]
    assert "NaN or infinity in" in refused(capsys, *words)
    for name in ("best", "last"):
        model = PoseModule.load_from_checkpoint(here.parent / "broken" / f"{name}.ckpt")
        assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_the_seed_reaches_the_data(here: Path) -> None:
    words = ["--config", "tiny.yaml", "--run", "seeded", "--seed_everything", "7"]
    assert main(["fit", *words, "--trainer.max_epochs", "1", "--data.batch_size", "3"]) == 0
    seeds = [rows(here.parent / name / "metrics.csv") for name in ("first", "seeded")]
    assert seeds[0] != seeds[1]
    assert (
        yaml.safe_load((here.parent / "seeded" / "config.yaml").read_text())["seed_everything"] == 7
    )


def test_a_run_from_pretrained_weights_is_scored_and_resumed(here: Path, tmp_path: Path) -> None:
    # resnet18 wants another normalisation than the default, and its checkpoint remembers it.
    import timm

    weights = tmp_path / "resnet10t.pth"
    torch.save(timm.create_model("resnet10t").state_dict(), weights)
    backbone = f"""
model:
  backbone:
    class_path: SMPBackbone
    init_args:
      encoder: tu-resnet10t
      pretrained: {weights}
      options: {{decoder_pyramid_channels: 8, decoder_segmentation_channels: 32}}
"""
    (tmp_path / "resnet.yaml").write_text(backbone)
    words = ["--config", "tiny.yaml", "--config", str(tmp_path / "resnet.yaml"), "--run", "resnet"]
    assert main(["fit", *words, "--trainer.max_epochs", "1", "--data.input_size", "[64,64]"]) == 0
    run = here.parent / "resnet"
    weights.unlink()
    assert main(["validate", "--ckpt_path", str(run / "best.ckpt")]) == 0
    resumed = ["--config", str(run / "config.yaml"), "--ckpt_path", str(run / "last.ckpt")]
    assert main(["fit", *resumed, "--trainer.max_epochs", "2", "--experiment", "resumed"]) == 0
    model = PoseModule.load_from_checkpoint(run / "best.ckpt")
    assert model.mean == pytest.approx((0.485, 0.456, 0.406))


def test_validation_leaves_a_runs_own_checkpointing_alone(here: Path) -> None:
    words = ["--config", "tiny.yaml", "--run", "callback", "--trainer.max_epochs", "1"]
    assert main(["fit", *words, "--trainer.callbacks+=ModelCheckpoint"]) == 0
    assert main(["validate", "--ckpt_path", str(here.parent / "callback" / "best.ckpt")]) == 0


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
def test_a_run_without_validation_does_not_promise_a_best_checkpoint(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", "tiny.yaml", "--run", "blind", "--trainer.limit_val_batches", "0"]
    assert main(["fit", *words]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "there is no best.ckpt" in printed
    assert "lightning predict" not in printed


def test_the_crop_of_the_data_is_the_crop_of_predictions(here: Path) -> None:
    words = ["--config", "tiny.yaml", "--run", "wide", "--data.enlarge", "1.5"]
    assert main(["fit", *words, "--trainer.max_epochs", "1"]) == 0
    assert PoseModule.load_from_checkpoint(here.parent / "wide" / "best.ckpt").enlarge == 1.5
    assert PoseModule.load_from_checkpoint(here / "best.ckpt").enlarge == 1.25


@pytest.mark.usefixtures("here")
def test_a_mistake_in_a_users_code_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("my own mistake")

    usual = PoseCLI._callbacks
    mine = Callback()
    monkeypatch.setattr(mine, "on_train_batch_start", broken)
    monkeypatch.setattr(PoseCLI, "_callbacks", lambda *given: [*usual(*given), mine])
    with pytest.raises(RuntimeError, match="my own mistake"):
        main(["fit", "--config", "tiny.yaml", "--run", "mistaken"])


def test_an_interrupted_run_keeps_its_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(trainer: Trainer, *_: object) -> None:
        raise KeyboardInterrupt

    usual = PoseCLI._callbacks
    mine = Callback()
    monkeypatch.setattr(mine, "on_train_batch_end", stop)
    monkeypatch.setattr(PoseCLI, "_callbacks", lambda *given: [*usual(*given), mine])
    with pytest.raises(SystemExit):
        main(["fit", "--config", "tiny.yaml", "--run", "interrupted"])
    assert (here.parent / "interrupted" / "config.yaml").is_file()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"trainer: {", b"- 1\n"])
def test_a_damaged_config_beside_a_checkpoint_gets_one_sentence(
    content: bytes, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(here / "best.ckpt", tmp_path)
    (tmp_path / "config.yaml").write_bytes(content)
    for command in ("validate", "fit"):
        sentence = refused(capsys, command, "--ckpt_path", str(tmp_path / "best.ckpt"))
        assert "Expected" in sentence
        assert "config" in sentence
