"""Hostile checkpoints and configs beside them, through the real `lightning validate` and `test`."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from lightning_pose import checkpoint
from lightning_pose.cli import main
from tests.commands.project import contents, refused

EVIL = [
    "{class_path: hostile_trap.Evil}",
    '{"class_path": hostile_trap.Evil}',
    "{class_path : hostile_trap.Evil}",
    "{class_path: &a hostile_trap.Evil}",
    "{class_path: !!str hostile_trap.Evil}",
    "hostile_trap.Evil",
    "[hostile_trap.Evil]",
    "[{class_path: hostile_trap.Evil}]",
    "[{class_path: albumentations.Blur}, {class_path: hostile_trap.Evil}]",
    "{hostile_trap.Evil: 1}",
    "other.yaml",
    '"{class_path: hostile_trap.Evil}"',
    '["{class_path: hostile_trap.Evil}"]',
    "|\n        class_path: hostile_trap.Evil",
    "\n    - class_path: >-\n        hostile_trap.Evil",
    "[{class_path: lightning_pose.datamodules.base.os.system}]",
    "[{class_path: albumentations.core.composition.random.os.system}]",
    "[{class_path: albumentations.Lambda, init_args: {image: hostile_trap.Evil}}]",
    "[{class_path: lightning_pose.callbacks.SavePredictions, init_args: {path: precious.txt}}]",
]
"""How a transform or a callback could be spelt that is no transform or callback."""


def strangers(here: Path, folder: Path, before: str, after: str) -> str:
    """A checkpoint beside a config that somebody has changed."""
    folder.mkdir()
    (folder / "other.yaml").write_text("class_path: hostile_trap.Evil\n")
    text = (here / "config.yaml").read_text()
    hostile = text.replace(before, after)
    assert hostile != text
    (folder / "config.yaml").write_text(hostile)
    return str(shutil.copy(here / "best.ckpt", folder))


@pytest.mark.parametrize("spelling", EVIL)
def test_hostile_data_beside_a_checkpoint_are_refused(
    spelling: str,
    here: Path,
    tmp_path: Path,
    trap: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = strangers(here, tmp_path / "stranger", "photometric: null", f"photometric: {spelling}")
    monkeypatch.chdir(tmp_path / "stranger")
    sentence = refused(capsys, "validate", "--ckpt_path", path)
    assert "only classes of lightning_pose.datamodules, albumentations, found" in sentence
    assert "only if you trust" in sentence
    assert not trap.exists()


@pytest.mark.parametrize(
    "data",
    [
        "hostile_trap.Evil",
        "other.yaml",
        "{class_path: hostile_trap.Evil}",
        "{class_path: lightning_pose.datamodules.base.os.system}",
        "{class_path: LSPExtendedDataModule, init_args: {root: {class_path: hostile_trap.Evil}}}",
        "{class_path: LSPExtendedDataModule, init_args: {root: x, evil: hostile_trap.Evil}}",
        "{class_path: MixedDataModule, init_args: {sets: {a: {class_path: hostile_trap.Evil}}}}",
        "{class_path: MixedDataModule, init_args: {sets: {a: hostile_trap.Evil}}}",
        "{class_path: MixedDataModule, init_args: {sets: {a: {class_path: SyntheticDataModule}},"
        " skeleton: {class_path: hostile_trap.Evil}}}",
        "{class_path: MixedDataModule, init_args: &a {sets: {a: {class_path: MixedDataModule,"
        " init_args: *a}}}}",
        "{}",
        "[]",
        "1",
    ],
)
def test_data_that_are_no_data_module_are_refused(
    data: str,
    here: Path,
    tmp_path: Path,
    trap: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = strangers(here, tmp_path / "stranger", "\ndata:\n", f"\ndata: {data}\nmodle:\n")
    monkeypatch.chdir(tmp_path / "stranger")
    # A list or a number is refused before it could name anything.
    message = "settings below data in" if data in ("[]", "1") else "only if you trust"
    assert message in refused(capsys, "test", "--ckpt_path", path)
    assert not trap.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        # Albumentations gives this argument a type that jsonargparse cannot see.
        "photometric: [{class_path: FDA, init_args: {reference_images: [a], read_fn: FN}}]",
        "dict_kwargs: {photometric: [{class_path: FDA, init_args: {read_fn: FN}}]}",
        "dict_kwargs: {evil: FN}",
    ],
)
def test_text_stays_text_where_no_type_is_known(
    arguments: str, here: Path, tmp_path: Path, trap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = arguments.replace("FN", "hostile_trap.Evil").replace("FDA", "albumentations.FDA")
    if hostile.startswith("dict_kwargs"):
        hostile = f"photometric: null\n  {hostile}"
    path = strangers(here, tmp_path / "stranger", "photometric: null", hostile)
    assert "Expected" in refused(capsys, "validate", "--ckpt_path", path)
    assert not trap.exists()


@pytest.mark.parametrize(
    "value",
    [
        "{class_path: hostile_trap.Evil}",
        "other.yaml",
        '["{class_path: hostile_trap.Evil}"]',
        "[{class_path: albumentations.core.composition.random.os.system}]",
    ],
)
def test_the_rest_of_a_config_beside_a_checkpoint_is_not_even_read(
    value: str, here: Path, tmp_path: Path, trap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = yaml.safe_load(value)
    config = yaml.safe_load((here / "config.yaml").read_text())
    config["data"]["init_args"]["root"] = str(Path("lspet").resolve())
    for key in ("callbacks", "logger", "plugins", "profiler", "strategy", "accelerator"):
        assert key in config["trainer"]
        config["trainer"][key] = hostile
    for key in config["model"]:
        config["model"][key] = hostile
    config |= {"seed_everything": hostile, "flip": hostile, "anything": hostile}
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "other.yaml").write_text("class_path: hostile_trap.Evil\n")
    (stranger / "config.yaml").write_text(yaml.safe_dump(config))
    path = shutil.copy(here / "best.ckpt", stranger)
    monkeypatch.chdir(stranger)
    assert main(["validate", "--ckpt_path", str(path)]) == 0
    assert not trap.exists()


def test_a_config_beside_a_checkpoint_writes_nothing(here: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    config = yaml.safe_load((here / "config.yaml").read_text())
    place = str(tmp_path)
    writers = {
        "callbacks": [
            {"class_path": "SavePredictions", "init_args": {"path": f"{place}/precious.txt"}},
            {"class_path": "ContactSheet", "init_args": {"folder": f"{place}/sheets"}},
        ],
        "profiler": {
            "class_path": "SimpleProfiler",
            "init_args": {"dirpath": place, "filename": "precious"},
        },
        "logger": {"class_path": "CSVLogger", "init_args": {"save_dir": place, "name": "logs"}},
        "default_root_dir": place,
    }
    config["trainer"] |= writers
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "config.yaml").write_text(yaml.safe_dump(config))
    words = ["validate", "--ckpt_path", str(shutil.copy(here / "best.ckpt", stranger))]
    before = contents(tmp_path)
    assert main(words) == 0
    after = contents(tmp_path)
    assert {path: after[path] for path in before} == before
    # The results, which the command itself writes.
    (new,) = set(after) - set(before)
    assert new.parent == stranger
    assert new.match("validate_*.json")
    # What the user says on the command line is the user's.
    mine = {"class_path": "SavePredictions", "init_args": {"path": f"{place}/mine.npz"}}
    assert main([*words, "--trainer.callbacks", json.dumps(mine)]) == 0
    assert (tmp_path / "mine.npz").is_file()


def wrapped(here: Path, folder: Path, inner: object) -> str:
    """A checkpoint whose mask head has a head of its own, and the module with its class."""
    (folder / "wrapped_heads.py").write_text(
        "from lightning_pose.heads import Head, MaskHead\n"
        "class Wrapped(MaskHead):\n"
        "    def __init__(self, inner: Head | None = None) -> None:\n"
        "        super().__init__()\n"
        "        self.inner = inner\n"
    )
    shutil.copy(here / "config.yaml", folder)
    content = torch.load(here / "best.ckpt", weights_only=True)
    heads = content[checkpoint.SPEC_KEY]["model"]["heads"]
    heads["mask"] = {"class_path": "wrapped_heads.Wrapped", "init_args": {"inner": inner}}
    torch.save(content, folder / "wrapped.ckpt")
    return str(folder / "wrapped.ckpt")


@pytest.mark.parametrize(
    "inner",
    [
        "hostile_trap.Evil",
        "{class_path: hostile_trap.Evil}",
        {"hostile_trap.Evil": 1},
        ["hostile_trap.Evil"],
        "other.yaml",
    ],
)
def test_a_checkpoint_imports_nothing_by_another_spelling(
    inner: object,
    here: Path,
    tmp_path: Path,
    trap: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Reading a checkpoint checks its class paths; a parser also imports what other text names.
    (tmp_path / "other.yaml").write_text("class_path: hostile_trap.Evil\n")
    words = ["validate", "--ckpt_path", wrapped(here, tmp_path, inner)]
    monkeypatch.chdir(tmp_path)
    assert "'wrapped_heads.Wrapped'" in refused(capsys, *words)
    assert "only if you trust that code" in refused(capsys, *words, "--allow", "wrapped_heads")
    assert not trap.exists()


def test_a_checkpoint_with_parts_of_ones_own_is_scored(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    inner = {"class_path": "wrapped_heads.Wrapped", "init_args": {}}
    words = ["validate", "--ckpt_path", wrapped(here, tmp_path, inner)]
    assert main([*words, "--allow", "wrapped_heads"]) == 0


def test_the_words_of_the_user_are_the_users(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The classes that the data beside a checkpoint may name are few; those of the words are not.
    (tmp_path / "my_callbacks.py").write_text(
        "import pytorch_lightning as pl\n"
        "class Written(pl.Callback):\n"
        "    def __init__(self, path: str) -> None:\n"
        "        self.path = path\n"
        "    def on_validation_end(self, trainer, pl_module) -> None:\n"
        "        open(self.path, 'w').close()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = str(tmp_path / "written.txt")
    mine = {"class_path": "my_callbacks.Written", "init_args": {"path": path}}
    words = ["validate", "--ckpt_path", str(here / "best.ckpt")]
    assert main([*words, "--trainer.callbacks", json.dumps(mine)]) == 0
    assert Path(path).is_file()


def test_a_package_is_allowed_by_name(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_data.py").write_text(
        "from lightning_pose.datamodules import LSPExtendedDataModule\n"
        "class MyDataModule(LSPExtendedDataModule):\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    usual = "class_path: lightning_pose.datamodules.LSPExtendedDataModule"
    path = strangers(here, tmp_path / "stranger", usual, "class_path: my_data.MyDataModule")
    words = ["validate", "--ckpt_path", path]
    assert "my_data.MyDataModule" in refused(capsys, *words)
    assert main([*words, "--allow", "my_data"]) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"trainer: {",
        b"- 1\n",
        b"trainer: !!python/object/apply:os.system [true]\n",
        b"trainer: {}\n",
        b"",
    ],
)
def test_a_damaged_config_beside_a_checkpoint_gets_one_sentence(
    content: bytes, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(here / "best.ckpt", tmp_path)
    (tmp_path / "config.yaml").write_bytes(content)
    sentence = refused(capsys, "validate", "--ckpt_path", str(tmp_path / "best.ckpt"))
    assert "Expected" in sentence
    assert str(tmp_path / "config.yaml") in sentence
