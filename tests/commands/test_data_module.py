"""The data module alone, from configs and words as `fit` takes them."""

from argparse import ArgumentError
from pathlib import Path

import pytest

from lightning_pose.commands.configs import find_config
from lightning_pose.commands.data_module import data_module
from lightning_pose.datamodules import (
    LSPDataModule,
    LSPExtendedDataModule,
    MixedDataModule,
    SyntheticDataModule,
)
from lightning_pose.errors import ConfigError
from lightning_pose.input_spec import InputSpec


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_later_config_and_the_words_come_on_top(tmp_path: Path) -> None:
    first = written(
        tmp_path / "first.yaml",
        "data: {class_path: LSPExtendedDataModule,\n"
        "  init_args: {root: a, train: [1, 5], val: [6, 7]}}\n",
    )
    second = written(tmp_path / "second.yaml", "data: {init_args: {root: b, batch_size: 3}}")
    data = data_module([first, second], ["--data.val", "[6, 9]", "--data.input_spec.size=[32,48]"])
    assert isinstance(data, LSPExtendedDataModule)
    assert (data.root, data.train, data.val) == (Path("b"), (1, 5), (6, 9))
    assert (data.batch_size, data.input_spec) == (3, InputSpec((32, 48)))


def test_an_overlay_replaces_the_data_of_an_experiment_whose_model_is_not_read(
    tmp_path: Path,
) -> None:
    experiment = written(
        tmp_path / "mine.yaml",
        "model: {backbone: {class_path: nowhere.Backbone}}\n"
        "data: {class_path: SyntheticDataModule, init_args: {train_size: 4, flip: 0.25}}\n",
    )
    data = data_module([experiment], [])
    assert isinstance(data, SyntheticDataModule)
    assert data.train_size == 4
    data = data_module([experiment, find_config("data/lsp.yaml")], ["--data.root", "here"])
    assert isinstance(data, LSPDataModule)
    assert (data.root, data.flip) == (Path("here"), 0.25)


def test_words_alone_and_mixes_work() -> None:
    data = data_module([], ["--data", "SyntheticDataModule", "--data.val_size", "7"])
    assert isinstance(data, SyntheticDataModule)
    assert data.val_size == 7
    words = ["--data.sets.lsp.init_args.train", "[1, 2]"]
    mix = data_module([find_config("data/mix.yaml")], words)
    assert isinstance(mix, MixedDataModule)
    assert isinstance(mix.sets["lsp"], LSPDataModule)
    assert mix.sets["lsp"].train == (1, 2)


def test_what_describes_no_data_is_refused(tmp_path: Path) -> None:
    config = written(tmp_path / "model.yaml", "model: {}")
    for words in ([], ["--data.root", "here"]):
        with pytest.raises(ConfigError, match="Expected a config that describes data"):
            data_module([config], words)
    synthetic = written(tmp_path / "data.yaml", "data: SyntheticDataModule")
    assert isinstance(data_module([synthetic], []), SyntheticDataModule)
    with pytest.raises(ConfigError, match=r"data\.num_workers from 0"):
        data_module([synthetic], ["--data.num_workers", "-1"])
    with pytest.raises(ArgumentError, match="root"):
        data_module([synthetic], ["--data.root", "here"])
    with pytest.raises(ArgumentError, match="modle"):
        data_module([synthetic], ["--modle.main_head", "mask"])


def test_a_config_cannot_run_commands(tmp_path: Path, trap: Path) -> None:
    class_path = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", str(trap)]}}
    config = written(
        tmp_path / "hostile.yaml",
        f"data: {{class_path: SyntheticDataModule, init_args: {{photometric: [{class_path}]}}}}",
    )
    # Refused by its name, before it is imported and compared with the type of the setting.
    with pytest.raises(ArgumentError, match="set_parsing_settings"):
        data_module([config], [])
    assert not trap.exists()
