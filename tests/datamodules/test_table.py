from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser

from lightning_pose.datamodules import PoseDataModule, TableDataModule
from lightning_pose.datasets import LSPExtendedDataset, table
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14, Skeleton
from tests.data.lspet import write_lspet
from tests.data.table import write_table

SPLITS = ["train"] * 12 + ["val"] * 5 + ["test"] * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with twenty people, in a table with splits and in one without."""
    folder = tmp_path_factory.mktemp("data")
    write_lspet(folder / "lspet", count=20)
    people = LSPExtendedDataset(folder / "lspet", 1, 20)
    write_table(folder / "split.csv", people, SPLITS)
    write_table(folder / "whole.jsonl", people)
    (folder / "train.txt").write_text(str(people.root / "images" / "im00004.jpg"))
    return folder


def module(path: Path, **settings: Any) -> TableDataModule:
    defaults = {"batch_size": 4, "num_workers": 0, "input_spec": InputSpec((32, 24))}
    return TableDataModule(path, **{**defaults, **settings})


def lines(data: TableDataModule, split: str) -> list[int]:
    return data.make_dataset(split).person_ids.tolist()


def test_the_column_says_the_splits(folder: Path) -> None:
    data = module(folder / "split.csv")
    # The header is line 1.
    assert lines(data, "train") == list(range(2, 14))
    assert lines(data, "val") == list(range(14, 19))
    assert lines(data, "test") == list(range(19, 22))


def test_fractions_say_them_otherwise(folder: Path) -> None:
    parts = [lines(module(folder / "whole.jsonl"), name) for name in ("train", "val", "test")]
    assert [len(part) for part in parts] == [16, 2, 2]
    assert sorted(person for part in parts for person in part) == list(range(1, 21))
    halves = module(folder / "split.csv", splits=(0.5, 0.5, 0.0), split_seed=1)
    assert len(lines(halves, "train")) == 10
    other = module(folder / "split.csv", splits=(0.5, 0.5, 0.0), split_seed=2)
    assert lines(halves, "train") != lines(other, "train")


def test_lists_say_them_too(folder: Path) -> None:
    assert lines(module(folder / "whole.jsonl", splits=folder), "train") == [4]


def test_a_split_that_nobody_is_in_is_refused(folder: Path, tmp_path: Path) -> None:
    people = LSPExtendedDataset(folder / "lspet", 1, 3)
    write_table(tmp_path / "p.csv", people, ["train", "train", "val"])
    module(tmp_path / "p.csv").setup("fit")
    with pytest.raises(ConfigError, match=r"of the split test in .*p\.csv, found none; write test"):
        module(tmp_path / "p.csv").setup("test")


def test_the_table_is_read_once_for_skeleton_labels_and_all_splits(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    read = table.open_csv
    monkeypatch.setattr(table, "open_csv", lambda *args: opened.append(args) or read(*args))
    text = (folder / "split.csv").read_text().splitlines()
    text = [f"{line},{'sport' if not number else 'golf'}" for number, line in enumerate(text)]
    (tmp_path / "p.csv").write_text("\n".join(text))
    data = module(tmp_path / "p.csv")
    assert data.labels == {"sport": ["golf"]}
    assert data.skeleton == Skeleton.from_names(LSP14.names)
    data.setup("fit")
    data.setup("test")
    batch = next(iter(data.train_dataloader()))
    assert batch.labels["sport"].tolist() == [0] * 4
    assert len(opened) == 1


def test_workers_change_nothing(folder: Path) -> None:
    def seen(workers: int) -> list[tuple[list[int], float]]:
        data = module(folder / "split.csv", skeleton="LSP14", num_workers=workers)
        data.setup("fit")
        return [(b.person_id.tolist(), float(b.image.sum())) for b in data.train_dataloader()]

    assert seen(2) == seen(0)


def test_a_config_makes_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        f"names: [{', '.join(reversed(LSP14.names))}]\nhead: [neck, head_top]\n"
    )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(PoseDataModule, "data")
    config = {
        "class_path": "TableDataModule",
        "init_args": {
            "table": str(folder / "whole.jsonl"),
            "skeleton": str(tmp_path / "mine.yaml"),
            "splits": [0.5, 0.25, 0.25],
            "batch_size": 2,
            "num_workers": 0,
            "input_spec": {"size": [48, 32]},
        },
    }
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert isinstance(data, TableDataModule)
    assert data.splits == (0.5, 0.25, 0.25)
    assert data.skeleton.names == LSP14.names[::-1]
    assert data.skeleton.head == (1, 0)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (2, 3, 48, 32)
    assert (batch.head_size > 0).all()
    config["init_args"]["splits"] = str(folder)
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert data.splits == folder
    assert lines(data, "train") == [4]


def test_bad_tables_and_skeletons_are_refused_at_once(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file LSP15"):
        module(folder / "split.csv", skeleton="LSP15")
    with pytest.raises(DataError, match=r"the skeleton's joints in line 1 of .*split\.csv, found"):
        module(folder / "split.csv", skeleton="COCO17")
    with pytest.raises(ConfigError, match="num_workers"):
        module(folder / "split.csv", num_workers=-1)
