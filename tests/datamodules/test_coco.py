import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser

from lightning_pose.datamodules import COCODataModule, MixedDataModule, PoseDataModule, coco
from lightning_pose.datasets import MixedDataset
from lightning_pose.errors import ConfigError, DataError, LeakError
from lightning_pose.skeletons import COCO17
from tests.data.coco import write_coco
from tests.site import Site, publish

TRAIN, VAL = (
    (f"annotations/person_keypoints_{split}2017.json", f"{split}2017") for split in ("train", "val")
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two splits as COCO has them: ids continue from one to the other."""
    write_coco(tmp_path, "train", count=8, first_id=1)
    write_coco(tmp_path, "val", count=4, first_id=101)
    return tmp_path


def test_the_defaults_are_the_published_files(root: Path) -> None:
    data = COCODataModule(root)
    assert (data.train, data.val, data.test) == (TRAIN, VAL, None)
    assert data.skeleton is COCO17
    data.setup("fit")
    train, val = (data.make_dataset(split) for split in ("train", "val"))
    assert train.person_ids.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert val.person_ids.tolist() == [101, 102, 103, 104]


def test_coco_has_no_test_split(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.test, found none, because COCO publishes no"):
        COCODataModule(root).setup("test")
    data = COCODataModule(root, train=("none.json", "none"), test=TRAIN)
    data.setup("test")
    assert len(data.make_dataset("test")) == 8


def test_each_file_is_read_once(root: Path) -> None:
    data = COCODataModule(root)
    assert data.make_dataset("val") is data.make_dataset("val")
    val = data.make_dataset("val")
    (root / VAL[0]).unlink()
    data.setup("validate")
    assert data.make_dataset("val") is val


def test_files_of_ones_own_may_be_numbered_alike(tmp_path: Path) -> None:
    """Exported separately, so that the ids of annotations start at 1 in each."""
    for split in ("train", "val", "test"):
        write_coco(tmp_path / split, "val", count=4, first_id=1)
    train, val, test = (
        (f"{name}/{VAL[0]}", f"{name}/{VAL[1]}") for name in ("train", "val", "test")
    )
    data = COCODataModule(tmp_path, train, val, test, num_workers=0, batch_size=2)
    data.setup("fit")
    data.setup("test")
    assert data.make_dataset("train").person_ids.tolist() == [1, 2, 3, 4]
    assert data.make_dataset("val").person_ids.tolist() == [2**38 + n for n in (1, 2, 3, 4)]
    assert data.make_dataset("test").person_ids.tolist() == [2**39 + n for n in (1, 2, 3, 4)]
    assert next(iter(data.test_dataloader())).person_id.tolist() == [2**39 + n for n in (1, 2)]
    # Low enough for a mix.
    mix = MixedDataset({"mine": data.make_dataset("test")}, COCO17)
    assert mix.person_ids.tolist() == data.make_dataset("test").person_ids.tolist()


def test_splits_that_share_images_are_refused(root: Path) -> None:
    with pytest.raises(LeakError, match=r"no image in both the val and the train split.*found 2"):
        COCODataModule(root, train=VAL).setup("fit")
    content = json.loads((root / TRAIN[0]).read_text())
    shared = content["images"][1]["file_name"]
    for part, images in (("a", [501, 502]), ("b", [502, 503])):
        rows = [row for row in content["annotations"] if row["image_id"] in images]
        (root / f"{part}.json").write_text(json.dumps({**content, "annotations": rows}))
    data = COCODataModule(root, train=("a.json", "train2017"), val=("b.json", "train2017"))
    with pytest.raises(LeakError, match=f"found 1, first '{shared}'"):
        data.setup("fit")
    one = COCODataModule(root, train=("a.json", "train2017"), test=("b.json", "train2017"))
    for stage in ("fit", "test"):
        with pytest.raises(LeakError, match=f"the .* split, found 1, first '{shared}'"):
            one.setup(stage)


def test_one_file_is_divided(root: Path) -> None:
    (root / VAL[0]).unlink()
    data = COCODataModule(root, train=TRAIN, splits=(0.5, 0.25, 0.25), split_seed=3)
    data.setup("fit")
    data.setup("test")
    parts = [data.make_dataset(split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [4, 2, 2]
    people = np.concatenate([part.person_ids for part in parts])
    assert sorted(people.tolist()) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(part.boxes_around == "silhouette" for part in parts)
    chosen = set()
    for seed in range(6):
        other = COCODataModule(root, splits=(0.5, 0.5, 0.0), split_seed=seed)
        chosen.add(tuple(other.make_dataset("val").person_ids.tolist()))
    assert len(chosen) > 1


def test_one_file_is_divided_by_lists(root: Path) -> None:
    images = [image["file_name"] for image in json.loads((root / TRAIN[0]).read_text())["images"]]
    (root / "lists").mkdir()
    (root / "lists" / "val.txt").write_text(f"{images[2]}\n{images[0]}\n")
    data = COCODataModule(root, splits=root / "lists")
    assert data.make_dataset("val").person_ids.tolist() == [1, 2, 5, 6]


@pytest.mark.parametrize("files", [{"val": TRAIN}, {"test": TRAIN}])
def test_files_and_splits_at_once_are_refused(
    root: Path, files: dict[str, tuple[str, str]]
) -> None:
    with pytest.raises(ConfigError, match=r"either data\.splits.*found both"):
        COCODataModule(root, splits=(0.5, 0.25, 0.25), **files)


def test_the_joints_are_those_of_the_file(root: Path) -> None:
    for split, names in (("train", "a b c"), ("val", "a b d")):
        path = root / f"annotations/person_keypoints_{split}2017.json"
        content = json.loads(path.read_text())
        content["categories"][0].update(keypoints=names.split(), skeleton=[])
        for row in content["annotations"]:
            row["keypoints"] = row["keypoints"][:9]
        path.write_text(json.dumps(content))
    data = COCODataModule(root)
    assert data.skeleton.names == ("a", "b", "d")
    with pytest.raises(DataError, match="the joints a, b, d from COCODataset, found a, b, c"):
        data.setup("fit")
    # Without a val file, whatever else there is.
    (root / VAL[0]).unlink()
    data = COCODataModule(root)
    assert data.skeleton.names == ("a", "b", "c")
    with pytest.raises(ConfigError, match=r"val2017\.json, found no such file"):
        data.setup("fit")
    assert COCODataModule(root, train=VAL, test=TRAIN).skeleton.names == ("a", "b", "c")
    with pytest.raises(ConfigError, match=r"val2017\.json, found no such file"):
        COCODataModule(root / "nowhere")


@pytest.mark.parametrize("others", [["nose"], ["left_hip", "right_hip"]])
def test_sides_that_a_flip_would_not_swap_are_refused_if_training_flips(
    root: Path, others: list[str]
) -> None:
    joints = ["L_Eye", "R_Eye", *others]
    for split in ("train", "val"):
        path = root / f"annotations/person_keypoints_{split}2017.json"
        content = json.loads(path.read_text())
        content["categories"][0].update(keypoints=joints, skeleton=[])
        for row in content["annotations"]:
            row["keypoints"] = row["keypoints"][: 3 * len(joints)]
        path.write_text(json.dumps(content))
    message = r"found 'l_eye' and 'r_eye'; rename .*, or set data\.flip to 0"
    with pytest.raises(ConfigError, match=message):
        COCODataModule(root).setup("fit")
    COCODataModule(root, flip=0.0).setup("fit")
    COCODataModule(root).setup("validate")
    # A mix flips by its own setting.
    for flip in (0.5, 0.0):
        mix = MixedDataModule({"mine": COCODataModule(root)}, flip=flip)
        with pytest.raises(ConfigError, match=message) if flip else nullcontext():
            mix.setup("fit")


def test_category_and_min_joints_reach_the_dataset(root: Path) -> None:
    data = COCODataModule(root, min_joints=0)
    assert data.make_dataset("val").person_ids.tolist() == [101, 102, 103, 104, 105]
    with pytest.raises(ConfigError, match="'horse'"):
        COCODataModule(root, category="horse")


def test_a_config_makes_it(root: Path) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(PoseDataModule, "data")
    config = {
        "class_path": "COCODataModule",
        "init_args": {
            "root": str(root),
            "train": list(TRAIN),
            "splits": [0.5, 0.5, 0.0],
            "batch_size": 2,
            "num_workers": 0,
            "input_spec": {"size": [48, 32]},
        },
    }
    data = parser.instantiate_classes(parser.parse_object({"data": config})).data
    assert isinstance(data, COCODataModule)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (2, 3, 48, 32)
    assert batch.keypoints.shape == (2, 17, 2)


def test_real_batches(real_data: Path) -> None:
    if not (real_data / "coco").is_dir():
        pytest.skip("LIGHTNING_POSE_DATA has no coco/")
    data = COCODataModule(
        real_data / "coco",
        train=("person_keypoints.json", "images"),
        splits=(0.0, 1.0, 0.0),
        num_workers=0,
    )
    data.setup("validate")
    batches = list(data.val_dataloader())
    assert sum(len(batch.person_id) for batch in batches) == 161
    inside, total = 0, 0
    for batch in batches:
        assert (batch.mask >= 0).all()
        x, y = batch.keypoints.round().long().unbind(-1)
        on_mask = batch.mask[torch.arange(len(x))[:, None], y.clamp(0, 127), x.clamp(0, 127)] == 1
        # The mask is that of what is visible of a person.
        inside += on_mask[batch.visibility == 2].sum()
        total += (batch.visibility == 2).sum()
    assert inside / total > 0.97


def test_it_is_downloaded_if_asked_for(root: Path, tmp_path_factory, monkeypatch) -> None:
    target = tmp_path_factory.mktemp("target") / "coco"
    data = COCODataModule(target, download=True)
    assert data.skeleton is COCO17
    with Site() as site:
        archives = [publish(site, archive, root) for archive in coco._ARCHIVES]
        monkeypatch.setattr(coco, "_ARCHIVES", archives)
        data.prepare_data()
        data.prepare_data()
        assert len(site.asked) == 3
    data.setup("fit")
    assert data.make_dataset("val").person_ids.tolist() == [101, 102, 103, 104]
    assert sorted(path.name for path in target.glob("[!.]*")) == [
        "annotations",
        "train2017",
        "val2017",
    ]


@pytest.mark.parametrize("settings", [{"val": ("a.json", "a")}, {"category": "horse"}])
def test_files_of_ones_own_are_not_downloaded(root: Path, settings: dict) -> None:
    with pytest.raises(ConfigError, match=r"COCO's own files with data\.download"):
        COCODataModule(root, download=True, **settings)
