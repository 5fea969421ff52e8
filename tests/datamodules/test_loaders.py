import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
import torch

from lightning_pose.batch import Batch, collate
from lightning_pose.commands.refusals import explain
from lightning_pose.datamodules import loaders
from lightning_pose.datamodules.loaders import CropDataset, Unreadable, make_loader
from lightning_pose.datamodules.samplers import InOrder, PersonBatchSampler, Shuffled
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


@pytest.fixture(autouse=True)
def _no_worker_is_left():
    """End the workers of a test.

    An exception and its iterator are in a cycle. When the iterator is collected as garbage, its
    queues have been closed before, and it waits five seconds for workers that cannot hear it.
    """
    yield
    for worker in multiprocessing.active_children():
        worker.terminate()


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
    monkeypatch.setattr(loaders, "_collate", niceness)
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
    with pytest.raises(RuntimeError) as caught:
        list(loader)
    sentence = explain(caught.value, "fit")
    assert sentence is not None
    assert sentence.startswith("Expected all data workers to run, found that one was killed")


class TerminatedWorker(LSPExtendedDataset):
    """Sends SIGTERM to the process that reads it, before each of some people."""

    def __init__(self, root: Path, people: set[int]) -> None:
        super().__init__(root, 1, 6)
        self.people = people

    def read(self, index: int, shrink: int = 1) -> Pixels:
        if index in self.people:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().read(index, shrink)


def test_a_worker_survives_sigterm_of_others_than_the_training_process(
    people: LSPExtendedDataset,
) -> None:
    dataset = crops(TerminatedWorker(people.root, {1, 3}))
    sampler = PersonBatchSampler(InOrder(6, batch_size=2))
    assert len(list(make_loader(dataset, sampler, num_workers=1, on_gpu=False))) == 3


def test_a_worker_ends_at_a_sigterm_of_the_training_process(people: LSPExtendedDataset) -> None:
    sampler = PersonBatchSampler(InOrder(6, batch_size=2))
    loader = make_loader(crops(people), sampler, num_workers=1, on_gpu=False)
    batches, others = iter(loader), multiprocessing.active_children()
    next(batches)
    (worker,) = set(multiprocessing.active_children()) - set(others)
    worker.terminate()
    worker.join(timeout=30)
    assert worker.exitcode == 0


UNFINISHED = """
from lightning_pose.datamodules import SyntheticDataModule
data = SyntheticDataModule(train_size=8, val_size=4, batch_size=2, num_workers=2)
data.setup("fit")
batches = iter(data.train_dataloader())
print(len(next(batches).image))
data.itself = data  # So that nobody ends the workers before the process does.
"""


def test_a_program_ends_that_leaves_batches_in_its_workers() -> None:
    command = [sys.executable, "-c", UNFINISHED]
    # It hangs if the workers do not end.
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


def test_a_full_shared_memory_is_an_error_and_not_a_wait(
    people: LSPExtendedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(batch: Batch) -> Batch:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch>: No space left")

    # Where torch itself moves the tensors, an error never leaves the worker.
    monkeypatch.setattr(Batch, "share_memory", full)
    loader = make_loader(crops(people), PersonBatchSampler(InOrder(6, 2)), 1, on_gpu=False)
    with pytest.raises(RuntimeError, match="unable to allocate") as caught:
        list(loader)
    sentence = explain(caught.value, "fit")
    assert sentence is not None
    assert "--data.num_workers 0" in sentence


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_out_of_a_worker_is_that_of_this_process(
    people: LSPExtendedDataset, workers: int
) -> None:
    loader = make_loader(crops(people), PersonBatchSampler(InOrder(6, 6)), workers, on_gpu=False)
    (batch,) = loader
    assert batch.image.is_shared() == (workers > 0)
    here = collate([crops(people)[0, index, 0] for index in range(6)])
    assert torch.equal(batch.image, here.image)
    assert batch.image.stride() == here.image.stride()
    assert torch.equal(batch.mask, here.mask)


def skipping(people: LSPExtendedDataset, unreadable: Unreadable = "skip") -> CropDataset:
    crop = PersonCrop(InputSpec((32, 32)), LSP14, rotation=40.0, scale=0.3, flip=0.5)
    return CropDataset(people, crop, seed=0, unreadable=unreadable)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_person_whose_image_cannot_be_read_is_skipped(
    tmp_path: Path, workers: int, damage: str
) -> None:
    root = tmp_path / "lspet"
    write_lspet(root, count=6)
    people, sampler = LSPExtendedDataset(root, 1, 6), PersonBatchSampler(Shuffled(6, 3, seed=0))
    loader = make_loader(skipping(people), sampler, workers, on_gpu=False)
    before = list(loader)
    image = root / "images" / "im00002.jpg"
    if damage == "missing":
        image.unlink()
    else:
        image.write_bytes(image.read_bytes()[:600])
    sampler.position = 0
    after = list(loader)
    with pytest.raises(DataError, match=r"im00002\.jpg"):
        skipping(people, "stop")[0, 1, 0]
    for one, other in zip(before, after, strict=True):
        assert other.person_id.tolist() == one.person_id.tolist(), "the plan is the same"
        for place, person in enumerate(one.person_id.tolist()):
            if person == 2:
                assert not other.labelled[place].any()
                assert not other.source_labelled[place].any()
                assert (other.mask[place] == -1).all()
                assert other.image_size[place].tolist() == [0, 0]
                assert other.image_id[place] == "im00002.jpg"
                assert other.head_size[place] == other.torso_size[place] == 0
            else:
                assert torch.equal(other.image[place], one.image[place])
                assert torch.equal(other.keypoints[place], one.keypoints[place])
                assert torch.equal(other.mask[place], one.mask[place])
