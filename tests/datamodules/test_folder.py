import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser

from lightning_pose.cli import main
from lightning_pose.datamodules import FolderDataModule, PoseDataModule
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import BODY25
from tests.data.folder import write_folder

LABELS = "image,height,activity\n" + "".join(
    f"{n:04d}.jpg,{'' if n % 3 else 1.5 + n / 100},{('run', '', 'walk')[n % 3]}\n"
    for n in range(20)
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "folder"
    write_folder(root, count=20)
    (root / "labels.csv").write_text(LABELS)
    return root


def module(root: Path, **settings: Any) -> FolderDataModule:
    defaults = {"batch_size": 4, "num_workers": 0, "input_spec": InputSpec((32, 24))}
    return FolderDataModule(root, **{**defaults, **settings})


def test_the_defaults_keep_everyone_with_a_joint() -> None:
    data = FolderDataModule("anywhere")
    assert data.min_joints == 1
    assert data.splits == (0.8, 0.1, 0.1)
    assert data.skeleton == BODY25
    assert data.labels == {}


def test_everyone_is_in_one_split(root: Path) -> None:
    data = module(root)
    parts = [data.make_dataset(split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [16, 2, 2]
    people = np.concatenate([part.person_ids for part in parts])
    assert sorted(people.tolist()) == list(range(20))
    other = module(root, split_seed=1).make_dataset("val")
    assert other.person_ids.tolist() != parts[1].person_ids.tolist()


def test_splits_may_be_lists(root: Path, tmp_path: Path) -> None:
    for split, names in (("train", "0003.jpg\n0001.jpg\n"), ("val", "0002.jpg\n")):
        (tmp_path / f"{split}.txt").write_text(names)
    data = module(root, splits=tmp_path)
    data.setup("fit")
    (batch,) = data.train_dataloader()
    assert sorted(batch.image_id) == ["0001.jpg", "0003.jpg"]
    (batch,) = data.val_dataloader()
    assert batch.image_id == ["0002.jpg"]


@pytest.mark.parametrize(
    ("splits", "split"),
    [((0.0, 0.5, 0.5), "train"), ((0.5, 0.0, 0.5), "val"), ((0.8, 0.2, 0.0), "test")],
)
def test_a_split_without_people_is_refused_when_it_is_needed(
    root: Path, splits: tuple[float, float, float], split: str
) -> None:
    data = module(root, splits=splits)
    data.setup("fit")
    with pytest.raises(ConfigError, match=f"one person in the {split} split, found none"):
        getattr(data, f"{split}_dataloader")()


def test_who_is_left_out_is_said_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = module(root, min_joints=24)
    with caplog.at_level(logging.INFO):
        data.setup("fit")
        data.setup("test")
        module(root).setup("fit")
    (line,) = [record.getMessage() for record in caplog.records if str(root) in record.getMessage()]
    assert line == f"14 people in {root}; left out: 6 with fewer than 24 joints."


def test_labels_are_known_before_setup_and_are_in_the_batches(root: Path) -> None:
    data = module(root)
    assert data.labels == {"height": [], "activity": ["run", "walk"]}
    data.setup("fit")
    for batch in data.train_dataloader():
        kind = batch.person_id % 3
        expected = torch.where(kind == 0, 1.5 + batch.person_id / 100, torch.nan)
        torch.testing.assert_close(batch.labels["height"], expected, equal_nan=True)
        assert batch.labels["activity"].tolist() == torch.tensor([0, -1, 1])[kind].tolist()


def test_a_table_of_labels_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("height\n1.5\n")
    with pytest.raises(DataError, match="column 'image'"):
        FolderDataModule(tmp_path)


@pytest.mark.parametrize("splits", [[0.5, 0.25, 0.25], "lists"])
def test_a_config_makes_it(root: Path, splits: list[float] | str) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(PoseDataModule, "data")
    settings = {"root": str(root), "min_joints": 24, "splits": splits, "batch_size": 2}
    config = {"class_path": "FolderDataModule", "init_args": settings}
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert isinstance(data, FolderDataModule)
    assert (data.min_joints, data.batch_size) == (24, 2)
    assert data.splits == (Path(splits) if isinstance(splits, str) else tuple(splits))


def test_heads_of_labels_train_from_a_config(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.yaml").write_text(
        f"""
model:
  backbone: {{class_path: UNet, init_args: {{width: 4}}}}
  heads:
    activity: {{class_path: ClassHead, init_args: {{label: activity}}}}
    height: {{class_path: ValueHead, init_args: {{label: height, mean: 170, std: 10}}}}
  main_metric: loss
data:
  class_path: FolderDataModule
  init_args: {{root: {root}, batch_size: 4, num_workers: 0, input_spec: {{size: [32, 32]}}}}
trainer: {{max_epochs: 1, enable_progress_bar: false, log_every_n_steps: 1}}
"""
    )
    assert main(["fit", "--config", "labels.yaml"]) == 0
    (metrics,) = tmp_path.glob("checkpoints/labels/*/metrics.csv")
    header, *rows = metrics.read_text().splitlines()
    for head in ("activity", "height"):
        column = header.split(",").index(f"train/loss/{head}")
        assert any(float(row.split(",")[column] or 0) > 0 for row in rows)
