import os
import signal
from pathlib import Path

import albumentations as A
import numpy as np
import pytest

from lightning_pose.batch import Batch
from lightning_pose.datamodules import loaders
from lightning_pose.datamodules.loaders import CropDataset, make_loader
from lightning_pose.datamodules.samplers import InOrder, PersonBatchSampler
from lightning_pose.datasets import LSPExtendedDataset
from lightning_pose.errors import ConfigError, DataError, InputError
from lightning_pose.geometry import crop_matrix
from lightning_pose.input_spec import InputSpec
from lightning_pose.sample import CroppedSample, Pixels
from lightning_pose.skeletons import LSP14
from lightning_pose.transforms import PersonCrop, Photometric
from tests.data.lspet import write_lspet


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> LSPExtendedDataset:
    root = tmp_path_factory.mktemp("data") / "lspet"
    write_lspet(root, count=6)
    return LSPExtendedDataset(root, 1, 6)


def crops(people: LSPExtendedDataset, seed: int = 0) -> CropDataset:
    crop = PersonCrop(InputSpec((32, 32)), LSP14, rotation=40.0, scale=0.3, flip=0.5)
    return CropDataset(people, crop, Photometric([A.RandomBrightnessContrast(p=1.0)]), seed)


def same(one: CroppedSample, other: CroppedSample) -> bool:
    return np.array_equal(one.image, other.image) and np.array_equal(one.crop, other.crop)


def test_augmentation_depends_on_seed_epoch_person_and_draw_alone(people) -> None:
    keys = [(epoch, index, draw) for epoch in range(2) for index in range(6) for draw in range(2)]
    dataset = crops(people)
    forward = {key: dataset[key] for key in keys}
    again = crops(people)
    for key in reversed(keys):
        assert same(forward[key], again[key])
    assert len({sample.crop.tobytes() for sample in forward.values()}) == len(keys)
    assert not same(forward[0, 1, 0], crops(people, seed=1)[0, 1, 0])
    # What counts is the person, not its place in this split.
    later = LSPExtendedDataset(people.root, 3, 6)
    assert same(forward[1, 4, 1], crops(later)[1, 2, 1])


def test_the_first_draw_is_augmented_as_before_there_were_draws(people) -> None:
    for epoch, index in [(0, 0), (3, 2), (7, 5)]:
        number = int(people.person_ids[index])
        # NumPy's SeedSequence pads with zeros, so a trailing 0 does not change the seed.
        rng = np.random.default_rng([0, epoch, number])
        turn, zoom, flip = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.random() < 0.5
        expected = crop_matrix(
            people.annotation(index).box,
            (32, 32),
            rotation=40 * turn,
            scale=1.3**zoom,
            flip=bool(flip),
        )
        np.testing.assert_array_equal(crops(people)[epoch, index, 0].crop, expected)


def niceness(_: object) -> int:
    return os.nice(0)


@pytest.mark.parametrize(("gpu", "more"), [(False, 19), (True, 0)])
def test_workers_make_way_for_a_network_on_the_same_cores(
    people, monkeypatch: pytest.MonkeyPatch, gpu: bool, more: int
) -> None:
    monkeypatch.setattr(loaders, "collate", niceness)
    sampler = PersonBatchSampler(InOrder(6, batch_size=3))
    loader = make_loader(crops(people), sampler, num_workers=1, on_gpu=gpu)
    assert set(loader) == {min(os.nice(0) + more, 19)}


class Refusing(CropDataset):
    """Raises the given error instead of reading a person."""

    def __init__(self, people: LSPExtendedDataset, error: InputError) -> None:
        super().__init__(people, PersonCrop(InputSpec((32, 32))))
        self.error = error

    def __getitem__(self, key: tuple[int, int, int]) -> CroppedSample:
        raise self.error from OSError("the cause")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", [InputError, DataError, ConfigError])
def test_an_error_keeps_its_kind_and_its_sentence_also_out_of_a_worker(
    people, workers: int, kind: type[InputError]
) -> None:
    sampler = PersonBatchSampler(InOrder(6, batch_size=3))
    crops = Refusing(people, kind("Expected a: b, found c; do d."))
    with pytest.raises(InputError, match=r"^Expected a: b, found c; do d\.$") as caught:
        list(make_loader(crops, sampler, workers, on_gpu=False))
    assert type(caught.value) is kind


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_file_is_one_sentence_also_out_of_a_worker(tmp_path: Path, workers: int) -> None:
    root = tmp_path / "lspet"
    write_lspet(root, count=3)
    image = root / "images" / "im00002.jpg"
    image.write_bytes(image.read_bytes()[:600])
    sampler = PersonBatchSampler(InOrder(3, batch_size=3))
    loader = make_loader(crops(LSPExtendedDataset(root, 1, 3)), sampler, workers, on_gpu=False)
    with pytest.raises(DataError, match=r"^Expected .*im00002\.jpg") as caught:
        list(loader)
    assert "\n" not in str(caught.value)


class KilledWorker(LSPExtendedDataset):
    """Kills the process that reads it, as the kernel does when memory runs out."""

    def read(self, index: int, shrink: int = 1) -> Pixels:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("not reached")


def test_a_killed_worker_is_one_sentence(people: LSPExtendedDataset) -> None:
    dataset = crops(KilledWorker(people.root, 1, 6))
    loader = make_loader(dataset, PersonBatchSampler(InOrder(6, 2)), num_workers=1, on_gpu=False)
    with pytest.raises(DataError, match=r"1 data workers to run, found that one was killed"):
        list(loader)


class TerminatedWorker(LSPExtendedDataset):
    """Sends SIGTERM to the process that reads it, before each of some people."""

    def __init__(self, root: Path, people: set[int]) -> None:
        super().__init__(root, 1, 6)
        self.people = people

    def read(self, index: int, shrink: int = 1) -> Pixels:
        if index in self.people:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().read(index, shrink)


def test_a_worker_survives_one_sigterm(people: LSPExtendedDataset) -> None:
    def batches(*terminated: int) -> list[Batch]:
        dataset = crops(TerminatedWorker(people.root, set(terminated)))
        sampler = PersonBatchSampler(InOrder(6, batch_size=2))
        return list(make_loader(dataset, sampler, num_workers=1, on_gpu=False))

    assert len(batches(1)) == 3
    with pytest.raises(DataError, match="one was killed"):
        batches(1, 3)
