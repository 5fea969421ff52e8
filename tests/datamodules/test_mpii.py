from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser

from lightning_pose.datamodules import MPIIDataModule, PoseDataModule, mpii
from lightning_pose.datasets import MPIIDataset
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.input_spec import InputSpec
from tests.data.mpii import RELEASE, write_crowds, write_mpii
from tests.site import Site, publish


def test_the_lists_are_the_default_splits(tmp_path: Path) -> None:
    write_mpii(tmp_path / "mpii")
    data = MPIIDataModule(tmp_path / "mpii", num_workers=0, batch_size=3)
    data.setup("fit")
    sizes = [len(batch.image) for batch in data.val_dataloader()]
    assert sizes == [3, 1]
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (3, 3, 128, 128)
    assert batch.labels["activity"].tolist() == [-1, -1, -1]
    with pytest.raises(ConfigError, match=r"found 'test'.*not public"):
        data.setup("test")


def test_the_published_file_is_split_by_images(tmp_path: Path) -> None:
    write_crowds(tmp_path / "mpii")
    data = MPIIDataModule(tmp_path / "mpii", splits=(0.6, 0.2, 0.2), num_workers=0, batch_size=2)
    parts = [data.make_dataset(split) for split in ("train", "val", "test")]
    images = [set(part.image_ids.tolist()) for part in parts]
    assert all(images)
    assert sum(len(names) for names in images) == len(set.union(*images)) == 10
    everyone = MPIIDataset(tmp_path / "mpii")
    ids = sorted(number for part in parts for number in part.person_ids.tolist())
    assert ids == sorted(everyone.person_ids.tolist())
    other = MPIIDataModule(tmp_path / "mpii", splits=(0.6, 0.2, 0.2), split_seed=1)
    assert set(other.make_dataset("train").image_ids.tolist()) != images[0]
    data.setup("fit")
    assert next(iter(data.train_dataloader())).labels["activity"].tolist() == [2, 2]


def test_the_published_file_is_read_once(tmp_path: Path) -> None:
    write_crowds(tmp_path / "mpii")
    data = MPIIDataModule(tmp_path / "mpii", splits=(0.6, 0.2, 0.2))
    data.setup("fit")
    (tmp_path / "mpii" / RELEASE).unlink()
    data.setup("test")


def test_annotations_in_the_other_form_are_refused_with_the_setting(tmp_path: Path) -> None:
    write_crowds(tmp_path / "released")
    with pytest.raises(DataError, match=rf"train\.json.*data\.splits.*{RELEASE}"):
        MPIIDataModule(tmp_path / "released").setup("fit")


@pytest.mark.parametrize("splits", [[0.6, 0.2, 0.2], "lists"])
def test_a_config_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, splits: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write_crowds(tmp_path / "mpii")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.txt").write_text("000000002.jpg\n000000003.jpg\n")
    (tmp_path / "lists" / "val.txt").write_text("000000005.jpg\n")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(PoseDataModule, "data")
    config = {
        "class_path": "MPIIDataModule",
        "init_args": {
            "root": "mpii",
            "splits": splits,
            "num_workers": 0,
            "batch_size": 2,
            "input_spec": {"size": [64, 48], "enlarge": 1.475},
        },
    }
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert isinstance(data, MPIIDataModule)
    assert data.input_spec == InputSpec((64, 48), enlarge=1.475)
    data.setup("fit")
    assert next(iter(data.train_dataloader())).image.shape == (2, 3, 64, 48)
    if splits == "lists":
        assert data.make_dataset("val").person_ids.tolist() == [5000, 5001]


@pytest.fixture
def site(tmp_path: Path, monkeypatch):
    """Serves the images and the published file in archives that have folders of their own."""
    write_crowds(tmp_path / "published" / "mpii_human_pose_v1_u12_2")
    with Site() as site:
        for name in ("_IMAGES", "_ANNOTATIONS"):
            archive = publish(site, getattr(mpii, name), tmp_path / "published")
            monkeypatch.setattr(mpii, name, archive)
        yield site


def test_the_published_file_and_the_images_are_downloaded(tmp_path: Path, site: Site) -> None:
    data = MPIIDataModule(tmp_path / "root", splits=(0.6, 0.2, 0.2), download=True)
    data.prepare_data()
    data.setup("fit")
    assert sorted(path.name for path in (tmp_path / "root").glob("[!.]*")) == ["images", RELEASE]
    assert len(site.asked) == 2


def test_only_the_images_are_downloaded_for_the_lists(tmp_path: Path, site: Site) -> None:
    data = MPIIDataModule(tmp_path / "root", download=True)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "valid.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"found no train\.json; put them there.*no official"):
        data.prepare_data()
    assert site.asked == []
    (tmp_path / "root" / "train.json").write_text("[]")
    data.prepare_data()
    assert site.asked == [("mpii_human_pose_v1.tar.gz", None)]
