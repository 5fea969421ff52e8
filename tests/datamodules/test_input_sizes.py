from pathlib import Path

import numpy as np
import pytest

from lightning_pose.datamodules import LSPExtendedDataModule
from lightning_pose.datamodules.input_sizes import input_sizes
from lightning_pose.datasets import LSPExtendedDataset
from lightning_pose.errors import DataError
from lightning_pose.input_spec import InputSpec
from lightning_pose.transforms import PersonCrop
from tests.data.lspet import write_lspet


@pytest.mark.parametrize("subject", ["box", "image"])
def test_input_sizes_are_those_of_the_crops(tmp_path, subject: str) -> None:
    write_lspet(tmp_path / "lspet", count=6, sizes=((60, 50), (40, 90)))
    people = LSPExtendedDataset(tmp_path / "lspet", 1, 6)
    people.annotations.box[:2] = 0
    spec = InputSpec(size=None, short_side=32, subject=subject)
    crop = PersonCrop(spec)
    sizes = [crop(people, i, np.random.default_rng(0)).mask.shape for i in range(6)]
    assert [tuple(size) for size in input_sizes(people, spec).tolist()] == sizes
    assert len(set(sizes)) > 1


@pytest.mark.parametrize("workers", [0, 1])
def test_whole_images_of_any_size_are_skipped_if_they_cannot_be_read(
    tmp_path: Path, workers: int
) -> None:
    write_lspet(tmp_path / "lspet", count=8, sizes=((60, 50), (40, 90)))
    for number in (2, 8):
        (tmp_path / "lspet" / "images" / f"im{number:05d}.jpg").write_bytes(b"damaged")
    spec = InputSpec(size=None, short_side=32, subject="image")
    settings = {"splits": None, "train": (1, 6), "val": (7, 8), "batch_size": 2}
    data = LSPExtendedDataModule(
        tmp_path / "lspet", input_spec=spec, num_workers=workers, unreadable="skip", **settings
    )
    batches = list(data.train_dataloader())
    ids = np.concatenate([batch.person_id for batch in batches])
    sizes = np.concatenate([batch.image_size for batch in batches])
    assert sorted(ids.tolist()) == [1, 2, 3, 4, 5, 6]
    assert sizes[ids == 2].tolist() == [[0, 0]]
    assert (sizes[ids != 2] > 0).all()
    # Only training skips.
    with pytest.raises(DataError, match=r"im00008\.jpg"):
        data.val_dataloader()
    data.unreadable = "stop"
    with pytest.raises(DataError, match=r"im00002\.jpg"):
        input_sizes(data.make_dataset("train"), spec)
