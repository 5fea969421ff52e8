"""The real `lightning fit`, in process, on a tiny Leeds Sports Pose Extended in the real layout."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_pose import checkpoint
from lightning_pose.backbones import UNet
from lightning_pose.callbacks import log_config
from lightning_pose.cli import main
from lightning_pose.commands import fit
from lightning_pose.commands.fit import FitCLI
from lightning_pose.datamodules import LSPExtendedDataModule
from lightning_pose.errors import ConfigError
from lightning_pose.geometry import apply_affine, crop_scale, invert_affine
from lightning_pose.heads import HeatmapHead, MaskHead, RegressionHead, SoftmaxJointHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.metrics import dice_per_person
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from lightning_pose.weightings import FixedWeighting
from tests.commands.project import best, refused, rows
from tests.test_checkpoint import hostile_checkpoints


def test_a_run_is_a_folder_with_everything(here: Path) -> None:
    names = {path.name for path in here.iterdir()}
    assert {"config.yaml", "best.ckpt", "last.ckpt", "metrics.csv", "predictions.npz"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    sheets = sorted((here / "pictures").iterdir())
    assert len(sheets) == 2
    shown = EventAccumulator(str(here)).Reload()
    assert [event.step for event in shown.Images("val/predictions")] == [1, 3]
    sheet = cv2.imdecode(
        np.frombuffer(shown.Images("val/predictions")[0].encoded_image_string, np.uint8), 1
    )
    assert (sheet == cv2.imread(str(sheets[0]))).all()


def test_metrics_csv_has_every_head(here: Path) -> None:
    header = rows(here / "metrics.csv")[0].keys()
    for head in ("joints", "heatmap", "coordinates"):
        assert {f"train/loss/{head}", f"val/loss/{head}"} <= header
        assert {f"val/{head}/{metric}" for metric in ("PCKh", "PCK", "RMSE")} <= header
    assert {"val/mask/Dice", "val/main", "train/loss", "val/loss"} <= header
    assert {"gradient/norm/heatmap", "gradient/cosine/mask-heatmap"} <= header


def test_every_row_of_metrics_csv_has_an_epoch_and_those_of_training_a_rate(here: Path) -> None:
    found = rows(here / "metrics.csv")
    assert all(row["epoch"] for row in found)
    rates = [float(row["lr"]) for row in found if row["train/loss"]]
    assert len(rates) == 4
    assert 0 < min(rates) < max(rates) <= 1e-3


def test_the_config_is_resolved_and_plain(here: Path) -> None:
    config = yaml.safe_load((here / "config.yaml").read_text())
    assert config["seed_everything"] == 0
    assert config["experiment"] == "tiny"
    assert config["run"] is None
    assert config["model"]["backbone"]["init_args"]["dropout"] == 0.3
    assert config["data"]["init_args"]["input_spec"]["size"] == [32, 32]
    # The data module has them, and a second copy here could disagree with it.
    assert not {"skeleton", "input_spec", "labels"} & set(config["model"])
    assert yaml.safe_load((here / "hparams.yaml").read_text())["seed_everything"] == 0


def test_tensorboard_has_the_results_of_the_best_checkpoint(here: Path) -> None:
    result = json.loads((here / "result.json").read_text())
    shown = EventAccumulator(str(here)).Reload()
    assert shown.PluginTagToContent("hparams")
    for name, value in {"main": result["main"], **result["metrics"]}.items():
        (event,) = shown.Scalars(f"best/{name}")
        assert (event.step, event.value) == (result["step"], pytest.approx(value))


def test_a_run_repeats_from_its_config(here: Path) -> None:
    words = ["--config", str(here / "config.yaml"), "--run", "again"]
    assert main(["fit", *words]) == 0
    assert rows(here.parent / "again" / "metrics.csv") == rows(here / "metrics.csv")


def test_predictions_belong_to_the_best_validation(here: Path) -> None:
    saved = np.load(here / "predictions.npz")
    assert saved["person_id"].tolist() == [9, 10, 11, 12]
    assert saved["heatmap/keypoints"].shape == (4, 14, 2)
    assert saved["coordinates/scores"].shape == (4, 14)
    assert saved["mask/Dice"].shape == (4,)
    # RMSE is in pixels of the crop.
    error = saved["heatmap/errors"] * crop_scale(torch.from_numpy(saved["crop"])).numpy()[:, None]
    rmse = np.sqrt(np.nanmean(error**2))
    assert rmse == pytest.approx(float(best(here)["val/heatmap/RMSE"]), rel=1e-4)


def test_the_checkpoint_alone_predicts_what_the_run_predicted(here: Path, tmp_path: Path) -> None:
    words = ["--config", "tiny.yaml", "--run", "exact", "--trainer.precision", "32-true"]
    assert main(["fit", *words, "--trainer.max_epochs", "1"]) == 0
    run = here.parent / "exact"
    saved = np.load(run / "predictions.npz")
    data = LSPExtendedDataModule(
        "lspet", val=(9, 12), input_spec=InputSpec(size=(32, 32)), num_workers=0
    )
    (batch,) = data.val_dataloader()
    model = PoseModule.load_from_checkpoint(shutil.copy(run / "best.ckpt", tmp_path))
    predictions = model.predict(batch.image)
    for head in ("joints", "heatmap", "coordinates"):
        found = apply_affine(invert_affine(batch.crop), predictions[head].keypoints)
        np.testing.assert_allclose(found, saved[f"{head}/keypoints"], atol=0.01)
        np.testing.assert_allclose(predictions[head].scores, saved[f"{head}/scores"], atol=1e-4)
    dice = dice_per_person(predictions["mask"].mask, batch.mask)
    np.testing.assert_allclose(dice, saved["mask/Dice"], atol=1e-4)


def test_the_command_and_python_write_the_same_spec(here: Path) -> None:
    heads = {
        "mask": MaskHead(),
        "joints": SoftmaxJointHead(),
        "heatmap": HeatmapHead(),
        "coordinates": RegressionHead(),
    }
    model = PoseModule(
        UNet(width=4), heads, LSP14, InputSpec(size=(32, 32)), main_head="heatmap",
        weighting=FixedWeighting({"coordinates": 0.5}),
    )  # fmt: skip
    content = checkpoint.read(here / "best.ckpt")
    assert checkpoint.spec_of(content) == model.spec()


def test_a_head_set_to_null_is_removed_with_its_weight(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", "tiny.yaml", "--model.heads.coordinates", "null", "--run", "two"]
    assert main(["fit", *words, "--trainer.max_steps", "2"]) == 0
    run = here.parent / "two"
    names = ["mask", "joints", "heatmap"]
    assert list(PoseModule.load_from_checkpoint(run / "last.ckpt").heads) == names
    kept = yaml.safe_load((run / "config.yaml").read_text())["model"]
    assert list(kept["heads"]) == names
    assert kept["weighting"]["init_args"]["weights"] == {}
    sentence = refused(capsys, "fit", *words[:-2], "--model.heads.heatmap", "null")
    assert "main_head to be one of ['joints', 'mask'], found 'heatmap'" in sentence


def test_the_experiment_is_named_after_all_configs(here: Path, tmp_path: Path) -> None:
    (tmp_path / "wide.yaml").write_text("model: {backbone: {init_args: {width: 5}}}\n")
    words = ["--config", "tiny.yaml", "--config", str(tmp_path / "wide.yaml"), "--run", "a"]
    assert main(["fit", *words, "--trainer.max_steps", "1"]) == 0
    assert (here.parent.parent / "tiny-wide" / "a" / "last.ckpt").is_file()


def test_fit_resumes_into_a_new_folder(here: Path) -> None:
    words = ["--config", "tiny.yaml", "--run", "longer", "--trainer.max_epochs", "3"]
    assert main(["fit", *words, "--ckpt_path", str(here / "last.ckpt")]) == 0
    steps = [int(row["step"]) for row in rows(here.parent / "longer" / "metrics.csv")]
    # last.ckpt is that of the last validation, even if an earlier one was better.
    assert torch.load(here / "last.ckpt", weights_only=True)["global_step"] == 4
    best_step = int(best(here)["step"]) + 1
    assert torch.load(here / "best.ckpt", weights_only=True)["global_step"] == best_step
    assert min(steps) >= 4
    assert max(steps) == 5


def test_resuming_without_a_config_gets_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["--ckpt_path", str(here / "last.ckpt")], [f"--ckpt_path={here / 'last.ckpt'}"]):
        sentence = refused(capsys, "fit", *words, "--run", "gone")
        assert "Expected --config to resume from" in sentence
        assert sentence.endswith(f"found none; name {here / 'config.yaml'}.")


def test_hostile_checkpoints_are_refused(
    here: Path, tmp_path: Path, trap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in hostile_checkpoints(tmp_path):
        for option in ("--ckpt_path", "--init_from"):
            words = ["--config", "tiny.yaml", option, str(path), "--run", "gone"]
            sentence = refused(capsys, "fit", *words)
            assert "only if you trust that code" in sentence or "could run code" in sentence
    assert not trap.exists()


def test_a_run_starts_from_the_weights_of_another(
    here: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    first = here.parent / "first" / "last.ckpt"
    words = ["--config", "tiny.yaml", "--init_from", str(first), "--trainer.max_epochs", "1"]
    # A learning rate of 0 leaves the weights unchanged.
    assert main(["fit", *words, "--model.optimizer.lr", "0", "--run", "started"]) == 0
    assert str(first) in caplog.text
    states = [
        torch.load(path, weights_only=True)["state_dict"]
        for path in (first, here.parent / "started" / "last.ckpt")
    ]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(states[1][name], value, msg=name)
    content = torch.load(here.parent / "started" / "last.ckpt", weights_only=True)
    assert content["global_step"] == 2, "the steps of the other run do not count"
    # Resuming needs no weights other than those of the checkpoint.
    words[3] = "nowhere.ckpt"
    resumed = ["--ckpt_path", str(here.parent / "started" / "last.ckpt"), "--run", "resumed"]
    assert main(["fit", *words, *resumed, "--trainer.max_epochs", "2"]) == 0
    assert "found nothing at nowhere.ckpt" in refused(capsys, "fit", *words, "--run", "gone")


def test_the_checkpoint_of_another_model_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", "tiny.yaml", "--model.backbone.init_args.width", "8", "--run", "gone"]
    sentence = refused(capsys, "fit", *words, "--ckpt_path", str(here / "best.ckpt"))
    assert "backbone.init_args.width (8 here, 4 in the checkpoint)" in sentence


def test_a_nan_stops_the_run_and_keeps_its_checkpoint(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Poison(Callback):
        def on_train_batch_start(self, trainer: Trainer, *_: object) -> None:
            if trainer.global_step == 3:
                with torch.no_grad():
                    trainer.model.heads["mask"].get_parameter("layer.bias").fill_(torch.nan)

    add_callback(monkeypatch, Poison())
    words = ["fit", "--config", "tiny.yaml", "--run", "sick"]
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
                    next(trainer.model.network.backbone.parameters()).fill_(torch.nan)

    add_callback(monkeypatch, Break())
    words = ["fit", "--config", "tiny.yaml", "--run", "broken"]
    assert "NaN or infinity in" in refused(capsys, *words)
    for name in ("best", "last"):
        model = PoseModule.load_from_checkpoint(here.parent / "broken" / f"{name}.ckpt")
        assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_a_run_from_pretrained_weights_is_scored_and_resumed(here: Path, tmp_path: Path) -> None:
    # resnet10t expects a different normalisation from the default, and its checkpoint stores it.
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
    size = ["--data.input_spec.size", "[64,64]"]
    assert main(["fit", *words, "--trainer.max_epochs", "1", *size]) == 0
    run = here.parent.parent / "tiny-resnet" / "resnet"
    weights.unlink()
    assert main(["validate", "--ckpt_path", str(run / "best.ckpt")]) == 0
    resumed = ["--config", str(run / "config.yaml"), "--ckpt_path", str(run / "last.ckpt")]
    assert main(["fit", *resumed, "--trainer.max_epochs", "2", "--experiment", "resumed"]) == 0
    model = PoseModule.load_from_checkpoint(run / "best.ckpt")
    assert model.mean == pytest.approx((0.485, 0.456, 0.406))


def test_a_resumed_run_looks_for_no_initial_weights(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_backbones.py").write_text(
        "from lightning_pose.backbones import UNet\n"
        "class Taught(UNet):\n"
        "    weight_sources = ('teacher',)\n"
        "    def __init__(self, width: int, teacher: str | None = None) -> None:\n"
        "        super().__init__(width=width)\n"
        "        self.teacher = teacher\n"
        "        if teacher is not None:\n"
        "            raise LookupError(teacher)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    backbone = "{class_path: my_backbones.Taught, init_args: {width: 4, teacher: nobody}}"
    (tmp_path / "taught.yaml").write_text(f"model: {{backbone: {backbone}}}\n")
    words = ["--config", "tiny.yaml", "--config", str(tmp_path / "taught.yaml"), "--run", "taught"]
    with pytest.raises(LookupError, match="nobody"):
        main(["fit", *words])
    words += ["--trainer.max_epochs", "3"]
    assert main(["fit", *words, "--ckpt_path", str(here / "last.ckpt")]) == 0


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
def test_a_run_without_validation_does_not_promise_a_best_checkpoint(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", "tiny.yaml", "--run", "blind", "--trainer.limit_val_batches", "0"]
    assert main(["fit", *words]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Found no best.ckpt in" in printed
    assert "lightning predict" not in printed


def test_the_run_folder_and_the_next_command_are_printed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", "tiny.yaml", "--run", "told", "--trainer.max_epochs", "1"]
    assert main(["fit", *words, "--experiment", "sweep/one"]) == 0
    printed = capsys.readouterr().out
    assert "\nRun folder: checkpoints/sweep/one/told\n" in printed
    assert "lightning predict --ckpt_path checkpoints/sweep/one/told/best.ckpt" in printed


def test_the_input_of_the_data_is_the_input_of_predictions(here: Path) -> None:
    words = ["--config", "tiny.yaml", "--run", "wide", "--data.input_spec.enlarge", "1.5"]
    assert main(["fit", *words, "--trainer.max_epochs", "1"]) == 0
    wide = PoseModule.load_from_checkpoint(here.parent / "wide" / "best.ckpt").input_spec
    assert wide == InputSpec(size=(32, 32), enlarge=1.5)
    usual = PoseModule.load_from_checkpoint(here / "best.ckpt").input_spec
    assert usual == InputSpec(size=(32, 32))


def add_callback(monkeypatch: pytest.MonkeyPatch, mine: Callback) -> None:
    usual = FitCLI._callbacks
    monkeypatch.setattr(FitCLI, "_callbacks", lambda *given: [*usual(*given), mine])


@pytest.mark.parametrize("hook", ["on_train_start", "on_train_batch_end"])
def test_a_mistake_in_a_users_code_keeps_its_traceback(
    hook: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("my own mistake")

    mine = Callback()
    monkeypatch.setattr(mine, hook, broken)
    add_callback(monkeypatch, mine)
    with pytest.raises(RuntimeError, match="my own mistake"):
        main(["fit", "--config", "tiny.yaml", "--run", hook])
    # A run without a step can be started again under its name.
    assert (here.parent / hook).exists() == (hook == "on_train_batch_end")


def test_a_logger_that_cannot_start_leaves_no_folder(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Logger] = []

    def offline(loggers: list[Logger], config: dict[str, object]) -> None:
        log_config(loggers, config)
        started.extend(loggers)
        raise ConfigError("Expected W&B, found no network; log in.")

    monkeypatch.setattr(fit, "log_config", offline)
    words = ["--config", "tiny.yaml", "--run", "gone"]
    assert "found no network" in refused(capsys, "fit", *words)
    assert not (here.parent / "gone").exists()
    # Its thread must not write into a folder that is no longer there.
    (tensorboard,) = (logger for logger in started if isinstance(logger, TensorBoardLogger))
    # Nothing was written yet; its property would open it, and make the folder again.
    assert tensorboard._experiment is None


def test_a_setting_that_lightning_refuses_late_leaves_no_folder(here: Path) -> None:
    words = ["--config", "tiny.yaml", "--trainer.val_check_interval", "1000", "--run", "gone"]
    with pytest.raises(ValueError, match="val_check_interval"):
        main(["fit", *words])
    assert not (here.parent / "gone").exists()


def test_an_interrupted_run_keeps_its_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(trainer: Trainer, *_: object) -> None:
        raise KeyboardInterrupt

    mine = Callback()
    monkeypatch.setattr(mine, "on_train_batch_end", stop)
    add_callback(monkeypatch, mine)
    assert main(["fit", "--config", "tiny.yaml", "--run", "interrupted"]) == 130
    assert (here.parent / "interrupted" / "config.yaml").is_file()
