from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy

from lightning_pose.batch import Batch
from lightning_pose.datamodules import LSPExtendedDataModule, PoseDataModule
from lightning_pose.datasets import LSPExtendedDataset
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14
from tests.data.lspet import write_lspet
from tests.datamodules.recording import QUIET, fit, module

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "lspet"
    write_lspet(root, count=22)
    return root


def equal(one: Batch, other: Batch) -> bool:
    values = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(Batch)]
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in values)


def two_epochs(data: PoseDataModule) -> list[Batch]:
    data.setup("fit")
    loader = data.train_dataloader()
    return [batch for _ in range(2) for batch in loader]


def test_workers_change_nothing(root: Path) -> None:
    alone = two_epochs(module(root))
    assert len(alone) == 6
    assert not torch.equal(alone[0].person_id, alone[3].person_id)
    for workers in (1, 2):
        batches = two_epochs(module(root, num_workers=workers))
        assert all(equal(a, b) for a, b in zip(alone, batches, strict=True))


def test_batch_size_does_not_change_a_persons_augmentation(root: Path) -> None:
    def crops(batches: list[Batch]) -> dict[tuple[int, int], torch.Tensor]:
        seen: dict[tuple[int, int], torch.Tensor] = {}
        for batch in batches:
            for person, crop in zip(batch.person_id.tolist(), batch.crop, strict=True):
                seen[(person, 0) if (person, 0) not in seen else (person, 1)] = crop
        return seen

    # Both divide 14, so nobody is left out.
    small, large = (crops(two_epochs(module(root, batch_size=size))) for size in (2, 7))
    assert small.keys() == large.keys()
    assert all(torch.equal(small[key], large[key]) for key in small)


def test_evaluation_is_in_order_and_without_chance(root: Path) -> None:
    data = module(root, seed=1)
    data.setup("validate")
    first, second = list(data.val_dataloader()), list(module(root, seed=2).val_dataloader())
    assert torch.cat([batch.person_id for batch in first]).tolist() == list(range(15, 21))
    assert all(equal(a, b) for a, b in zip(first, second, strict=True))
    # The crop is upright and not flipped.
    assert (first[0].crop[:, 0, 1] == 0).all()
    assert (first[0].crop[:, 0, 0] > 0).all()
    data.setup("test")
    assert [len(batch) for batch in data.test_dataloader()] == [2]


def test_what_a_model_is_given(root: Path) -> None:
    data = module(root)
    assert data.skeleton is LSP14
    assert data.input_spec == InputSpec((32, 24))
    assert data.labels == {}
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.image.shape == (4, 3, 32, 24)
    assert batch.image.is_contiguous(memory_format=torch.channels_last)


SHORT = {
    "box": InputSpec(size=None, short_side=32, multiple=4, enlarge=1.1),
    "image": InputSpec(size=None, short_side=32, multiple=4, subject="image"),
}


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("spec", SHORT.values(), ids=SHORT.keys())
def test_unequal_sizes_in_a_batch_change_nobodys_crop(
    tmp_path: Path, spec: InputSpec, split: str
) -> None:
    root = tmp_path / "lspet"
    ranges = {"train": (1, 14), "val": (15, 33), "test": (34, 35)}
    write_lspet(root, count=33, sizes=((60, 50), (60, 64), (40, 90)))

    def people(batch_size: int) -> dict[int, tuple[Any, ...]]:
        data = module(root, input_spec=spec, batch_size=batch_size, **ranges)
        data.setup("fit")
        seen: dict[int, tuple[Any, ...]] = {}
        padded = 0
        for batch in data.train_dataloader() if split == "train" else data.val_dataloader():
            padded += int((~batch.valid).sum())
            for row, (height, width) in enumerate(batch.input_size.tolist()):
                assert int(batch.person_id[row]) not in seen
                seen[int(batch.person_id[row])] = (
                    batch.image[row, :, :height, :width],
                    batch.mask[row, :height, :width],
                    batch.crop[row],
                    batch.keypoints[row],
                    batch.visibility[row],
                    batch.image_size[row],
                )
        assert bool(padded) == (batch_size > 1)
        return seen

    # 7 divides the 14 people in training, so nobody is left out.
    together, alone = people(7), people(1)
    assert len(alone) == (14 if split == "train" else 19)
    assert len({image.shape for image, *_ in alone.values()}) > 2
    assert all(min(image.shape[1:]) == 32 for image, *_ in alone.values())
    assert together.keys() == alone.keys()
    for person, values in alone.items():
        assert all(torch.equal(a, b) for a, b in zip(values, together[person], strict=True))


def test_people_of_one_size_share_a_batch_and_the_sizes_are_asked_for_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = module(
        root, input_spec=SHORT["box"], train=(1, 20), val=(21, 22), test=(23, 24), batch_size=2
    )
    data.setup("fit")
    padded = [bool((~batch.valid).any()) for batch in data.train_dataloader()]
    # With 20 people in a few sizes, at most one of each size is left without a partner.
    assert sum(padded) <= 3
    first = data._sizes["train"]
    data.train_dataloader()
    assert data._sizes["train"] is first


def test_fewer_people_than_a_batch_are_one_small_batch(root: Path) -> None:
    data = module(root, train=(1, 3), batch_size=32)
    data.setup("fit")
    assert [len(batch) for batch in data.train_dataloader()] == [3]


def test_bad_folders_are_found_at_setup(tmp_path: Path, root: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        module(tmp_path / "none").setup("fit")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no joints\.mat"):
        module(tmp_path / "empty").setup("fit")
    with pytest.raises(ConfigError, match=r"within 1 to 22.*found 15 to 23"):
        module(root, val=(15, 23)).setup("validate")


def test_splits_that_share_people_are_refused(root: Path) -> None:
    message = "no person in both the train and the val split, found 2, first person 13"
    with pytest.raises(DataError, match=message):
        module(root, val=(13, 20)).setup("fit")
    data = module(root, test=(20, 22))
    data.setup("validate")
    with pytest.raises(DataError, match="in both the val and the test split"):
        data.setup("test")
    for split, (first, last) in {"train": (3, 5), "val": (17, 19)}.items():
        data = module(root, test=(first, last))
        with pytest.raises(DataError, match=f"in both the {split} and the test split, found 3"):
            data.setup("fit")
        data = module(root, test=(first, last))
        with pytest.raises(DataError, match=f"in both the test and the {split} split, found 3"):
            data.setup("test")


def test_a_split_that_does_not_exist_is_not_compared(root: Path) -> None:
    for split, stage in (("test", "fit"), ("train", "test"), ("val", "test")):
        data = module(root, **{split: (23, 24)})
        data.setup(stage)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"person_ids": np.arange(14) - 1}, "0 or more and differ"),
        ({"person_ids": np.zeros(14, dtype=np.int64)}, "0 or more and differ"),
        ({"labels": {"sport": []}}, r"labels \{\} from LSPExtendedDataset, found \{'sport'"),
        ({"skeleton": replace(LSP14, names=LSP14.names[::-1])}, "joints right_ankle.*found head"),
    ],
)
def test_a_dataset_that_does_not_fit_its_data_module_is_refused(
    root: Path, change: dict[str, Any], message: str
) -> None:
    class Other(LSPExtendedDataModule):
        def make_dataset(self, split: str) -> LSPExtendedDataset:
            people = super().make_dataset(split)
            vars(people).update(change)
            return people

    with pytest.raises(DataError, match=message):
        Other(root, train=(1, 14), val=(15, 20)).setup("fit")


def shape(batch: Batch) -> dict[str, torch.Tensor]:
    """What augmentation changes in the crops of a batch, one number per person."""
    linear = batch.crop[:, :, :2]
    centre = batch.crop[:, :, 2] + torch.einsum(
        "bij,bj->bi", linear, (batch.image_size.flip(1) - 1) / 2
    )
    return {
        "rotation": (linear[:, 0, 1] / linear[:, 1, 1]).abs(),
        "scale": torch.linalg.det(linear).abs().sqrt(),
        "flip": torch.linalg.det(linear).sign(),
        "place": centre.sum(dim=1),
        "brightness": batch.image.float().mean(dim=(1, 2, 3)),
    }


OFF = dict.fromkeys(("rotation", "scale", "flip", "shift", "box_jitter"), 0.0) | {
    "photometric": None
}
AUGMENTATIONS = {
    "rotation": ({"rotation": 40.0}, {"rotation", "place", "brightness"}),
    "scale": ({"scale": 0.4}, {"scale", "brightness"}),
    "range of scale": ({"scale": (0.5, 0.8)}, {"scale", "place", "brightness"}),
    "flip": ({"flip": 1.0}, {"flip", "place"}),
    "shift": ({"shift": 0.2}, {"place", "brightness"}),
    "box_jitter": ({"box_jitter": 0.3}, {"scale", "place", "brightness"}),
    "photometric": ({"photometric": [A.InvertImg(p=1.0)]}, {"brightness"}),
    "occlusion": ({"photometric": [A.GridDropout(p=1.0)]}, {"brightness"}),
}


@pytest.mark.parametrize(("setting", "changed"), AUGMENTATIONS.values(), ids=AUGMENTATIONS.keys())
def test_each_augmentation_reaches_training_and_nothing_else(
    root: Path, setting: dict[str, Any], changed: set[str]
) -> None:
    batches = {}
    for name, settings in (("plain", OFF), ("augmented", OFF | setting)):
        data = module(root, batch_size=14, **settings)
        data.setup("fit")
        (train,), (val, *_) = list(data.train_dataloader()), list(data.val_dataloader())
        batches[name] = (shape(train), shape(val))
    (plain, evaluated), (augmented, still) = batches["plain"], batches["augmented"]
    change = {name: (augmented[name] - plain[name]).abs().mean() for name in plain}
    moved = {name for name in plain if change[name] > 0.02 * plain[name].abs().mean() + 1e-3}
    assert moved == changed
    assert all(torch.equal(evaluated[name], still[name]) for name in evaluated)


def test_the_seed_decides_the_order_and_the_augmentation(root: Path) -> None:
    def crops(seed: int) -> tuple[list[int], dict[int, list[float]]]:
        batches = two_epochs(module(root, batch_size=14, seed=seed))[:1]
        people = batches[0].person_id.tolist()
        return people, dict(zip(people, batches[0].crop.flatten(1).tolist(), strict=True))

    (order, one), (same, again), (other_order, other) = crops(3), crops(3), crops(4)
    assert (order, one) == (same, again)
    assert order != other_order
    assert not any(one[person] == other[person] for person in one)


def test_pixels_are_not_moved_by_photometric_transforms(root: Path) -> None:
    with pytest.raises(ConfigError, match="HorizontalFlip"):
        module(root, photometric=[A.HorizontalFlip()])


def test_overfit_batches_are_the_same_ones_every_epoch(root: Path) -> None:
    seen = fit(module(root), overfit_batches=1, max_epochs=3)
    assert [people for people, _ in seen] == [[1, 2, 3, 4]] * 3
    # Not even rotated, scaled or mirrored differently.
    assert len({crop for _, crop in seen}) == 1


@pytest.mark.parametrize("spec", [InputSpec((32, 24)), SHORT["box"]], ids=["size", "short_side"])
def test_processes_see_together_what_one_sees(
    root: Path, monkeypatch: pytest.MonkeyPatch, spec: InputSpec
) -> None:
    def epoch(rank: int, world_size: int) -> list[list[int]]:
        monkeypatch.setattr(PoseDataModule, "_process", lambda _: (rank, world_size))
        data = module(root, input_spec=spec)
        data.setup("fit")
        return [batch.person_id.tolist() for batch in data.train_dataloader()]

    whole, shares = epoch(0, 1), [epoch(rank, 2) for rank in range(2)]
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [sorted(b) for b in whole]


def test_lightning_may_not_shard_the_data_itself(root: Path) -> None:
    data = module(root)
    data.trainer = pl.Trainer(strategy=DDPStrategy(), **QUIET)
    with pytest.raises(ConfigError, match=r"use_distributed_sampler=False"):
        data.setup("fit")
    data.trainer = pl.Trainer(strategy=DDPStrategy(), use_distributed_sampler=False, **QUIET)
    data.setup("fit")


def test_fewer_people_than_processes_are_refused_where_all_must_have_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = module(root, test=(15, 15))
    monkeypatch.setattr(PoseDataModule, "_process", lambda _: (0, 2))
    with pytest.raises(ConfigError, match="test split for each of 2 processes, found 1"):
        data.test_dataloader()


def test_a_number_of_workers_that_no_machine_runs_is_refused(root: Path) -> None:
    for number in (-1, 5000):
        with pytest.raises(ConfigError, match=rf"num_workers from 0 to \d+, found {number}"):
            module(root, num_workers=number)
