from itertools import chain
from pathlib import Path

import torch
from jsonargparse import ArgumentParser

from lightning_pose.datamodules import LSPDataModule, PoseDataModule
from tests.data.lsp import write_lsp
from tests.site import Site, publish


def test_the_defaults_are_the_official_test_split_and_a_tenth_for_validation() -> None:
    data = LSPDataModule("anywhere")
    assert (data.train, data.val, data.test) == ((1, 900), (901, 1000), (1001, 2000))


def test_a_config_makes_it(tmp_path: Path) -> None:
    write_lsp(tmp_path / "lsp", count=6)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(PoseDataModule, "data")
    config = {
        "class_path": "LSPDataModule",
        "init_args": {
            "root": str(tmp_path / "lsp"),
            "train": [1, 3],
            "val": [4, 4],
            "test": [5, 6],
            "batch_size": 3,
            "num_workers": 0,
            "input_spec": {"size": [48, 32]},
        },
    }
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert isinstance(data, LSPDataModule)
    data.setup("fit")
    (train,), (val,) = data.train_dataloader(), data.val_dataloader()
    (test,) = data.test_dataloader()
    assert train.image.shape == (3, 3, 48, 32)
    people = [sorted(batch.person_id.tolist()) for batch in (train, val, test)]
    assert people == [[1, 2, 3], [4], [5, 6]]
    # Person 4 has an occluded wrist, which the crop shows and training uses.
    assert val.source_visibility[0].tolist() == [2] * 11 + [1, 2, 2]
    assert torch.equal(val.visibility, val.source_visibility)


def test_it_is_downloaded_if_asked_for(tmp_path: Path, monkeypatch) -> None:
    write_lsp(tmp_path / "published")
    with Site() as site:
        (archive,) = LSPDataModule.archives
        monkeypatch.setattr(
            LSPDataModule, "archives", [publish(site, archive, tmp_path / "published")]
        )
        splits = {"train": (1, 4), "val": (5, 6), "num_workers": 0}
        LSPDataModule(tmp_path / "root", **splits).prepare_data()
        assert not (tmp_path / "root").exists()
        data = LSPDataModule(tmp_path / "root", **splits, download=True)
        data.prepare_data()
        data.prepare_data()
        assert len(site.asked) == 1
    data.setup("fit")
    assert data.make_dataset("train").image_ids[0] == "im0001.jpg"


def test_splits_may_be_fractions(tmp_path: Path) -> None:
    write_lsp(tmp_path / "lsp", count=10)
    data = LSPDataModule(tmp_path / "lsp", splits=(0.6, 0.2, 0.2), split_seed=2)
    parts = [data.make_dataset(split).person_ids.tolist() for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [6, 2, 2]
    assert (
        sorted(chain.from_iterable(parts))
        == data.everyone().person_ids.tolist()
        == list(range(1, 11))
    )
