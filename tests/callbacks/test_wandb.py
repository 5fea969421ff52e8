"""An offline run of W&B has everything on disk that `wandb sync` sends, also after a resume."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import pytorch_lightning as pl
import wandb
import yaml
from PIL import Image
from pytorch_lightning.loggers import WandbLogger

from lightning_pose.callbacks import WandbRun
from lightning_pose.cli import main
from lightning_pose.metrics import default_metrics
from lightning_pose.skeletons import LSP14
from tests.callbacks.model import StubModel, answers, make_trainer
from tests.commands.project import CONFIG, rows
from tests.data.lspet import write_lspet
from tests.metrics.people import make_people
from tests.wandb_log import WandbLog, read_wandb

FIT = ["fit", "--config", "tiny.yaml", "--config", "logger/wandb.yaml"]
FIT += ["--trainer.callbacks=GradientTelemetry", "--trainer.callbacks.every_n_steps=2"]
RUNS = Path("checkpoints") / "tiny-wandb"
JOINTS = ("joints", "heatmap", "coordinates")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, and another that resumes it for a third; each is a segment in W&B."""
    folder = tmp_path_factory.mktemp("project")
    write_lspet(folder / "lspet", count=12)
    (folder / "tiny.yaml").write_text(CONFIG)
    last = str(RUNS / "first" / "last.ckpt")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in (
            ["--run=first", "--trainer.logger.init_args.log_model=true"],
            ["--run=second", f"--ckpt_path={last}", "--trainer.max_epochs=3"],
        ):
            assert main([*FIT, *words]) == 0
            # As at the end of the process: an offline run is on disk only then.
            wandb.finish()
            wandb.teardown()
    return folder / RUNS


def segment(project: Path, run: str) -> WandbLog:
    (folder,) = (project / run / "wandb").glob("offline-run-*")
    return read_wandb(folder)


@pytest.fixture(scope="module")
def first(project: Path) -> WandbLog:
    return segment(project, "first")


@pytest.fixture(scope="module")
def second(project: Path) -> WandbLog:
    return segment(project, "second")


def directions() -> dict[str, str]:
    """The best value of each metric is its..."""
    found = {f"val/{h}/{m}": "max" for h in JOINTS for m in ("PCKh", "PCK")}
    found |= {f"val/{head}/RMSE": "min" for head in JOINTS}
    found |= {f"val/loss/{head}": "min" for head in (*JOINTS, "mask")}
    return found | {"val/mask/Dice": "max", "val/main": "max", "val/loss": "min"}


def test_the_config_is_the_resolved_one(project: Path, first: WandbLog) -> None:
    config = yaml.safe_load((project / "first" / "config.yaml").read_text())
    assert config["model"]["backbone"]["init_args"]["dropout"] == 0.3
    assert {key: first.config[key] for key in config} == config
    # A run repeated from its config has another id.
    assert config["trainer"]["logger"]["init_args"]["id"] is None


def test_every_metric_is_in_it_with_the_values_of_the_run(project: Path, first: WandbLog) -> None:
    for key in ("lr", *(f"train/loss/{head}" for head in (*JOINTS, "mask")), *directions()):
        expected = {
            int(row["step"]): float(row[key])
            for row in rows(project / "first" / "metrics.csv")
            if row[key]
        }
        assert first.values(key) == pytest.approx(expected), key
        assert expected, key


def test_the_guide_names_everything_that_is_in_it(first: WandbLog) -> None:
    text = (Path(__file__).parents[2] / "docs" / "wandb.md").read_text()
    named = re.findall(r"`(\S+)`", "".join(line for line in text.splitlines() if line[:1] == "|"))
    words = {"HEAD": "[a-z]+", "METRIC": "[A-Za-z]+", "JOINT": ".+"}
    forms = [re.sub("HEAD|METRIC|JOINT", lambda word: words[word[0]], one) for one in named]
    keys = {key.split(".")[0] for row in first.history for key in row}
    assert {"lr", "gradient/norm/mask", "gradient"} <= keys
    other = {"epoch", "trainer/global_step"}
    for key in keys - other:
        assert key.startswith("_") or any(re.fullmatch(form, key) for form in forms), key


def test_the_summary_of_a_metric_is_its_best_value(first: WandbLog) -> None:
    for key, best in directions().items():
        values = list(first.values(key).values())
        assert first.summary[key] == {best: {"max": max, "min": min}[best](values)}, key
        assert first.metrics[key].step_metric == "trainer/global_step"


def test_masks_are_overlays_on_the_people(first: WandbLog) -> None:
    shown = first.values("val/masks.all_masks")
    assert list(shown) == [1, 3]
    files = first.folder / "files"
    assert len(shown[3]) == 4
    for masks in shown[3]:
        assert set(masks) == {"truth", "mask"}
        for mask in masks.values():
            with Image.open(files / mask["path"]) as image:
                assert image.size == (32, 32)
    assert all((files / name).is_file() for name in first.values("val/masks.filenames")[3])
    labels = first.config["_wandb"]["mask/class_labels"]
    names = {"0": "background", "1": "person", "2": "unknown"}
    assert {key: one["value"] for key, one in labels.items()} == {
        "val/masks_wandb_delimeter_truth": names, "val/masks_wandb_delimeter_mask": names,
    }  # fmt: skip


def test_the_table_has_every_validation_person(project: Path, first: WandbLog) -> None:
    step, path = list(first.values("val/people.path").items())[-1]
    table = json.loads((first.folder / "files" / path).read_text())
    names = [f"{head}/{m}" for head in JOINTS for m in ("PCKh", "PCK", "RMSE")]
    assert set(table["columns"]) == {"person", "image", "mask/Dice", *names}
    people = np.load(project / "first" / "predictions.npz")
    columns = dict(zip(table["columns"], zip(*table["data"], strict=True), strict=True))
    assert columns["image"] == ("im00009.jpg", "im00010.jpg", "im00011.jpg", "im00012.jpg")
    assert columns["person"] == tuple(people["person_id"])
    for name in ("mask/Dice", *names):
        expected = [None if math.isnan(value) else value for value in people[name].tolist()]
        assert list(columns[name]) == expected
    best = max(first.values("val/main").items(), key=lambda row: row[1])
    assert step == best[0]


def test_each_joint_has_a_value_and_no_chart_of_its_own(first: WandbLog) -> None:
    keys = {key for row in first.history for key in row if key.startswith("per_joint/")}
    assert "per_joint/heatmap/PCKh/left_knee" in keys
    assert {tuple(key.split("/")[1:3]) for key in keys} == {(head, "PCKh") for head in JOINTS}
    for key in keys:
        assert first.metrics[key].options.hidden
    for head in JOINTS:  # PCKh is the mean over joints.
        values = [first.values(key) for key in keys if key.split("/")[1] == head]
        step = list(values[0])[-1]
        found = np.mean([value[step] for value in values])
        assert found == pytest.approx(first.values(f"val/{head}/PCKh")[step])


def test_the_best_checkpoint_is_an_artifact_by_choice(first: WandbLog, second: WandbLog) -> None:
    assert first.artifacts["model"] == ["model.ckpt"]
    assert "model" not in second.artifacts


def test_a_resumed_run_goes_on(first: WandbLog, second: WandbLog) -> None:
    assert first.run.display_name == "tiny-wandb/first"
    assert second.run.run_id == first.run.run_id
    # Otherwise, W&B would replace what the first segment has sent.
    assert second.run.resume
    assert not second.run.display_name, "the name stays"
    for key in ("train/loss/mask", "val/main", "val/masks.count"):
        assert min(second.values(key)) > max(first.values(key)), "no step is doubled"
    assert max(second.values("val/main")) == 5


def test_the_summary_of_a_resumed_run_is_the_best_of_the_whole(
    first: WandbLog, second: WandbLog
) -> None:
    before = 0
    for key, best in directions().items():
        choose = {"max": max, "min": min}[best]
        values = [choose(one.values(key).values()) for one in (first, second)]
        assert second.summary[key] == {best: choose(values)}, key
        before += choose(values) != values[1]
    assert before, "some value is from before the resume"


def test_a_checkpoint_names_its_run_or_none() -> None:
    assert WandbRun.id_in({"WandbRun": {"id": "a1b2c3d4", "best": {}}}) == "a1b2c3d4"
    for state in ({}, {"WandbRun": None}, {"WandbRun": {}}, {"WandbRun": {"id": 3}}):
        assert WandbRun.id_in(state) is None
    # From a stranger's file.
    for name in ("../other", "a/b", "", "x" * 65, "a\nb"):
        assert WandbRun.id_in({"WandbRun": {"id": name}}) is None


def test_a_new_run_from_the_checkpoint_of_another_starts_with_its_own_best_values() -> None:
    logger = MagicMock(spec=WandbLogger, version="new")
    run = WandbRun(logger, Path("predictions.npz"))
    run.load_state_dict({"id": "old", "best": {"val/main": 0.9}})
    assert run.state_dict() == {"id": "new", "best": {}}
    for damaged in ({}, {"id": "new"}, {"id": "new", "best": 3}, {"id": "new", "best": {"a": "b"}}):
        run.load_state_dict(damaged)
        assert run.state_dict() == {"id": "new", "best": {}}
    run.load_state_dict({"id": "new", "best": {"val/main": 0.9}})
    assert run.state_dict() == {"id": "new", "best": {"val/main": 0.9}}


def test_images_are_without_padding_and_say_what_is_unknown() -> None:
    people = make_people(2)
    assert not people.valid[0].all()
    people.mask[0, :, :3] = -1
    logger = MagicMock(spec=WandbLogger)
    run = WandbRun(logger, Path("predictions.npz"))
    trainer, model = make_trainer(enable_checkpointing=False), StubModel()
    found = model.scores.update(answers(people, 0), people)
    run.on_validation_batch_end(trainer, model, found, people, 0)
    run.on_validation_end(trainer, model)
    (call,) = logger.log_image.call_args_list
    image, masks = call.kwargs["images"][0], call.kwargs["masks"][0]
    assert call.kwargs["images"][1].shape == (24, 20, 3)
    np.testing.assert_array_equal(image, people.image[0, :, :, :16].permute(1, 2, 0))
    truth = people.mask[0, :, :16].numpy()
    np.testing.assert_array_equal(masks["truth"]["mask_data"] == 2, truth == -1)
    np.testing.assert_array_equal(masks["truth"]["mask_data"] == 1, truth == 1)
    predicted = answers(people, 0)["mask"].mask[0, :, :16] > 0.5
    np.testing.assert_array_equal(masks["mask"]["mask_data"], predicted)
    dice = found["values"]["mask"]["Dice"][0].item()
    assert call.kwargs["caption"][0] == f"{people.image_id[0]}, mask Dice {dice:.2f}"


def test_eight_people_are_shown_whatever_the_batches() -> None:
    people = make_people(6)
    logger, model = MagicMock(spec=WandbLogger), StubModel()
    run, trainer = WandbRun(logger, Path("predictions.npz")), make_trainer()
    found = model.scores.update(answers(people, 0), people)
    run.on_validation_epoch_start(trainer, model)
    for number in range(2):
        run.on_validation_batch_end(trainer, model, found, people, number)
    run.on_validation_end(trainer, model)
    names = [text.split(",")[0] for text in logger.log_image.call_args.kwargs["caption"]]
    assert names == [*people.image_id, *people.image_id[:2]]
    run.on_validation_epoch_start(trainer, model)
    run.on_validation_end(trainer, model)
    logger.log_image.assert_called_once()


def test_what_is_not_labelled_has_no_value(tmp_path: Path) -> None:
    people = make_people(5)
    people.mask[0], people.source_visibility[:, 0] = -1, 0
    logger, scores = MagicMock(spec=WandbLogger), StubModel().scores
    found = scores.update(answers(people, 0), people)["values"]
    np.savez(
        tmp_path / "p.npz",
        **{"person_id": people.person_id, "image_id": people.image_id, "label/age": np.ones(5)},
        **{"mask/Dice": found["mask"]["Dice"], "joints/RMSE": found["joints"]["RMSE"]},
        **{"joints/errors": np.ones((5, 14))},
    )
    evaluations = {"val": SimpleNamespace(scores=scores)}
    model = MagicMock(
        spec=pl.LightningModule, evaluations=evaluations, metrics=default_metrics(LSP14)
    )
    for is_global_zero in (False, True):
        assert not logger.method_calls, "only the first process sends"
        trainer = MagicMock(spec=pl.Trainer, is_global_zero=is_global_zero, global_step=7)
        WandbRun(logger, tmp_path / "p.npz").keep_best(trainer, model)
    name, columns, table = logger.log_table.call_args.args
    assert name == "val/people"
    assert columns == ["person", "image", "mask/Dice", "joints/RMSE"]
    unknown = (people.mask == -1).all(dim=(1, 2)).tolist()
    assert [row[2] is None for row in table] == unknown == [True, False, False, True, False]
    assert [row[:2] for row in table] == [
        [int(number), image]
        for number, image in zip(people.person_id, people.image_id, strict=True)
    ]
    values, step = logger.log_metrics.call_args.args
    assert step == logger.log_table.call_args.kwargs["step"] == 6
    counted = ((people.source_visibility > 0) & (people.head_size > 0)[:, None]).any(dim=0)
    assert not counted[0]
    assert list(values) == [
        f"per_joint/joints/PCKh/{name}"
        for name, is_counted in zip(LSP14.names, counted, strict=True)
        if is_counted
    ]


@pytest.mark.drill
def test_two_processes_are_one_run(tmp_path: Path) -> None:
    write_lspet(tmp_path / "lspet", count=12)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    words = [
        "--run=both",
        "--trainer.devices=2",
        "--trainer.strategy=ddp",
        "--trainer.max_epochs=1",
    ]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-m", "lightning_pose", *FIT, *words],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, check=True,
    )  # fmt: skip
    log = segment(tmp_path / RUNS, "both")
    (path,) = log.values("val/people.path").values()
    table = json.loads((log.folder / "files" / path).read_text())
    assert [row[0] for row in table["data"]] == [9, 10, 11, 12]
    assert len(log.values("val/main")) == 1
