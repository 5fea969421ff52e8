import copy
import pickle
from dataclasses import fields
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch

from lightning_pose.batch import Batch, Example, Sample, collate


def example(person: int, size: tuple[int, int] = (8, 6)) -> Example:
    rng = np.random.default_rng(person)
    source = Sample(
        image=rng.integers(0, 255, (20 + person, 30, 3), dtype=np.uint8),
        keypoints=rng.uniform(0, 20, (3, 2)).astype(np.float32),
        visibility=np.array([2, 1, 0], dtype=np.uint8),
        mask=rng.integers(-1, 2, (20 + person, 30)).astype(np.int8),
        box=np.array([1, 2, 18, 19], dtype=np.float32),
        head_size=float(person) + 0.25,
        torso_size=float(person) + 0.5,
        area=100.0 * person,
        person_id=person,
        image_id=f"{person}.jpg",
    )
    return Example(
        image=rng.integers(1, 255, (*size, 3), dtype=np.uint8),
        keypoints=rng.uniform(0, 5, (3, 2)).astype(np.float32),
        visibility=np.array([2, 0, 0], dtype=np.uint8),
        mask=rng.integers(0, 2, size).astype(np.int8),
        crop=rng.normal(size=(2, 3)).astype(np.float32),
        source=source,
    )


def test_every_person_keeps_its_row() -> None:
    examples = [example(person) for person in (7, 3, 5)]
    batch = collate(examples)
    assert len(batch) == 3
    for row, one in enumerate(examples):
        np.testing.assert_array_equal(batch.image[row].permute(1, 2, 0), one.image)
        np.testing.assert_array_equal(batch.mask[row], one.mask)
        np.testing.assert_array_equal(batch.keypoints[row], one.keypoints)
        np.testing.assert_array_equal(batch.visibility[row], one.visibility)
        np.testing.assert_array_equal(batch.crop[row], one.crop)
        np.testing.assert_array_equal(batch.source_keypoints[row], one.source.keypoints)
        np.testing.assert_array_equal(batch.source_visibility[row], one.source.visibility)
    assert batch.person_id.tolist() == [7, 3, 5]
    assert batch.image_id == ["7.jpg", "3.jpg", "5.jpg"]
    assert batch.image_size.tolist() == [[27, 30], [23, 30], [25, 30]]
    assert batch.head_size.tolist() == [7.25, 3.25, 5.25]
    assert batch.torso_size.tolist() == [7.5, 3.5, 5.5]
    assert batch.area.tolist() == [700, 300, 500]
    assert batch.valid.all()


def test_labelled_is_of_the_crop_and_source_labelled_of_the_source() -> None:
    batch = collate([example(1)])
    assert batch.labelled.tolist() == [[True, False, False]]
    assert batch.source_labelled.tolist() == [[True, True, False]]


def test_pictures_are_channels_first_over_channels_last_memory() -> None:
    batch = collate([example(1), example(2)])
    assert batch.image.shape == (2, 3, 8, 6)
    assert batch.image.dtype == torch.uint8
    assert batch.image.is_contiguous(memory_format=torch.channels_last)


def test_smaller_crops_are_padded_at_the_right_and_below_and_not_valid_there() -> None:
    small, wide = example(1, size=(5, 6)), example(2, size=(4, 9))
    batch = collate([small, wide])
    assert batch.image.shape == (2, 3, 5, 9)
    np.testing.assert_array_equal(batch.image[0, :, :, :6].permute(1, 2, 0), small.image)
    np.testing.assert_array_equal(batch.mask[1, :4], wide.mask)
    assert batch.valid[0, :5, :6].all()
    assert batch.valid[1, :4, :9].all()
    assert batch.valid.sum(dim=(1, 2)).tolist() == [30, 36]
    assert (batch.mask[~batch.valid] == -1).all()
    assert (batch.image.permute(0, 2, 3, 1)[~batch.valid] == 0).all()


def test_a_batch_is_a_copy() -> None:
    one = example(1)
    before = copy.deepcopy(one)
    batch = collate([one])
    batch.image.zero_()
    batch.keypoints.zero_()
    batch.source_keypoints.zero_()
    np.testing.assert_array_equal(one.image, before.image)
    np.testing.assert_array_equal(one.keypoints, before.keypoints)
    np.testing.assert_array_equal(one.source.keypoints, before.source.keypoints)


def test_nothing_is_no_batch() -> None:
    with pytest.raises(ValueError, match="at least one example"):
        collate([])


def test_to_moves_every_tensor_and_leaves_the_names() -> None:
    batch = collate([example(1), example(2)])
    moved = batch.to("meta")
    assert isinstance(moved, Batch)
    for field in fields(Batch):
        if field.name == "image_id":
            assert moved.image_id == batch.image_id
        else:
            assert getattr(moved, field.name).device.type == "meta"
            assert getattr(batch, field.name).device.type == "cpu"


@pytest.mark.parametrize("size", [(8, 6), (200, 160)])
def test_a_batch_survives_the_way_from_a_worker(size: tuple[int, int]) -> None:
    batch = collate([example(1, size), example(2, size)])
    found = pickle.loads(ForkingPickler.dumps(batch))
    for field in fields(Batch):
        value, other = getattr(batch, field.name), getattr(found, field.name)
        if field.name == "image_id":
            assert other == value
            continue
        assert (other.dtype, other.shape) == (value.dtype, value.shape)
        assert torch.equal(other, value)
        other.zero_()  # It may be written to, as any other batch.
