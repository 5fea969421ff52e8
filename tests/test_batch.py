import copy
import pickle
from dataclasses import fields
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch

from lightning_pose.batch import Batch, collate, valid_size
from lightning_pose.sample import Annotation, CroppedSample


def sample(person: int, size: tuple[int, int] = (8, 6)) -> CroppedSample:
    rng = np.random.default_rng(person)
    return CroppedSample(
        image=rng.integers(1, 255, (*size, 3), dtype=np.uint8),
        keypoints=rng.uniform(0, 5, (3, 2)).astype(np.float32),
        visibility=np.array([2, 0, 0], dtype=np.uint8),
        mask=rng.integers(0, 2, size).astype(np.int8),
        crop=rng.normal(size=(2, 3)).astype(np.float32),
        image_size=(20 + person, 30),
        annotation=Annotation(
            keypoints=rng.uniform(0, 20, (3, 2)).astype(np.float32),
            visibility=np.array([2, 1, 0], dtype=np.uint8),
            box=np.array([1, 2, 18, 19], dtype=np.float32),
            head_size=float(person) + 0.25,
            torso_size=float(person) + 0.5,
            area=100.0 * person,
            labels={"sport": person, "age": float("nan") if person == 3 else 20.5},
            person_id=person,
            image_id=f"{person}.jpg",
        ),
    )


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    """Every tensor of a batch by name."""
    values = {field.name: getattr(batch, field.name) for field in fields(Batch)}
    labels = values.pop("labels")
    return {
        **{name: value for name, value in values.items() if name != "image_id"},
        **{f"labels/{name}": value for name, value in labels.items()},
    }


def test_every_person_keeps_its_row() -> None:
    samples = [sample(person) for person in (7, 3, 5)]
    batch = collate(samples)
    assert len(batch) == 3
    for row, one in enumerate(samples):
        np.testing.assert_array_equal(batch.image[row].permute(1, 2, 0), one.image)
        np.testing.assert_array_equal(batch.mask[row], one.mask)
        np.testing.assert_array_equal(batch.keypoints[row], one.keypoints)
        np.testing.assert_array_equal(batch.visibility[row], one.visibility)
        np.testing.assert_array_equal(batch.crop[row], one.crop)
        np.testing.assert_array_equal(batch.source_keypoints[row], one.annotation.keypoints)
        np.testing.assert_array_equal(batch.source_visibility[row], one.annotation.visibility)
    assert batch.person_id.tolist() == [7, 3, 5]
    assert batch.image_id == ["7.jpg", "3.jpg", "5.jpg"]
    assert batch.image_size.tolist() == [[27, 30], [23, 30], [25, 30]]
    assert batch.head_size.tolist() == [7.25, 3.25, 5.25]
    assert batch.torso_size.tolist() == [7.5, 3.5, 5.5]
    assert batch.area.tolist() == [700, 300, 500]
    assert batch.valid.all()


def test_labelled_is_of_the_crop_and_source_labelled_of_the_source() -> None:
    batch = collate([sample(1)])
    assert batch.labelled.tolist() == [[True, False, False]]
    assert batch.source_labelled.tolist() == [[True, True, False]]


def test_images_are_channels_first_over_channels_last_memory() -> None:
    batch = collate([sample(1), sample(2)])
    assert batch.image.shape == (2, 3, 8, 6)
    assert batch.image.dtype == torch.uint8
    assert batch.image.is_contiguous(memory_format=torch.channels_last)


def test_smaller_crops_are_padded_at_the_right_and_below_and_not_valid_there() -> None:
    small, wide = sample(1, size=(5, 6)), sample(2, size=(4, 9))
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
    one = sample(1)
    before = copy.deepcopy(one)
    batch = collate([one])
    batch.image.zero_()
    batch.keypoints.zero_()
    batch.source_keypoints.zero_()
    np.testing.assert_array_equal(one.image, before.image)
    np.testing.assert_array_equal(one.keypoints, before.keypoints)
    np.testing.assert_array_equal(one.annotation.keypoints, before.annotation.keypoints)


def test_nothing_is_no_batch() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        collate([])


def test_to_moves_every_tensor_and_leaves_the_names() -> None:
    batch = collate([sample(1), sample(2)])
    moved = batch.to("meta")
    assert isinstance(moved, Batch)
    assert moved.image_id == batch.image_id
    assert all(value.device.type == "meta" for value in tensors(moved).values())
    assert all(value.device.type == "cpu" for value in tensors(batch).values())
    assert tensors(moved).keys() == tensors(batch).keys()


@pytest.mark.parametrize("size", [(8, 6), (200, 160)])
def test_a_batch_survives_the_way_from_a_worker(size: tuple[int, int]) -> None:
    batch = collate([sample(1, size), sample(2, size)])
    found = pickle.loads(ForkingPickler.dumps(batch))
    assert found.image_id == batch.image_id
    for name, value in tensors(batch).items():
        other = tensors(found)[name]
        assert (other.dtype, other.shape) == (value.dtype, value.shape)
        assert torch.equal(other, value)
        other.zero_()  # It can be written to, like any other batch.


def test_labels_are_classes_or_numbers() -> None:
    batch = collate([sample(7), sample(3)])
    assert batch.labels["sport"].dtype == torch.int64
    assert batch.labels["sport"].tolist() == [7, 3]
    assert batch.labels["age"].dtype == torch.float32
    assert batch.labels["age"].isnan().tolist() == [False, True]
    assert batch.labels["age"][0] == 20.5


def test_the_valid_size_is_that_of_each_image() -> None:
    sizes = [(5, 6), (4, 9), (5, 9), (1, 1)]
    batch = collate([sample(person, size) for person, size in enumerate(sizes, 1)])
    assert [tuple(size) for size in batch.input_size.tolist()] == sizes
    assert valid_size(batch.valid[:0]).shape == (0, 2)


def test_parts_are_free_of_padding_and_hold_everyone_once() -> None:
    sizes = [(5, 6), (4, 9), (5, 6), (8, 9), (4, 9)]
    samples = [sample(person, size) for person, size in enumerate(sizes, 1)]
    batch = collate(samples)
    parts = batch.parts()
    assert sorted(place for places, _ in parts for place in places) == list(range(5))
    assert [places for places, _ in parts] == [[0, 2], [1, 4], [3]]
    for places, part in parts:
        assert part.valid.all()
        alone = collate([samples[place] for place in places])
        assert part.image_id == alone.image_id
        for name, value in tensors(alone).items():
            torch.testing.assert_close(tensors(part)[name], value, equal_nan=True, rtol=0, atol=0)


def test_a_batch_of_one_size_is_its_only_part() -> None:
    batch = collate([sample(1), sample(2)])
    ((places, part),) = batch.parts()
    assert places == [0, 1]
    assert part is batch


def test_a_padded_batch_of_one_size_is_cut_to_it() -> None:
    batch = collate([sample(1, (4, 5)), sample(2, (8, 9))])._select([0], (8, 9))
    ((places, part),) = batch.parts()
    assert places == [0]
    assert part.image.shape == (1, 3, 4, 5)
