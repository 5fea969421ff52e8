import multiprocessing
import os
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from lightning_pose.batch import Batch
from lightning_pose.datamodules import LSPExtendedDataModule, cache
from lightning_pose.datamodules.cache import CachedDataset
from lightning_pose.datasets import LSPExtendedDataset, PoseDataset
from lightning_pose.errors import DataError
from lightning_pose.input_spec import InputSpec
from lightning_pose.sample import CroppedSample, Pixels
from lightning_pose.skeletons import LSP14
from lightning_pose.transforms import PersonCrop
from tests.data.lspet import write_lspet

COUNT = 40


class Counting(LSPExtendedDataset):
    """Notes in a file whose image is read."""

    def read(self, index: int, shrink: int = 1) -> Pixels:
        with (self.root / "reads.txt").open("a") as file:
            file.write(f"{index}\n")
        return super().read(index, shrink)

    def count(self) -> int:
        """Images read since the last time."""
        path = self.root / "reads.txt"
        lines = path.read_text().splitlines() if path.is_file() else []
        path.unlink(missing_ok=True)
        return len(lines)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "lspet"
    write_lspet(root, COUNT, sizes=((70, 60), (60, 80)))
    return root


@pytest.fixture
def people(written: Path, tmp_path: Path) -> Counting:
    shutil.copytree(written, tmp_path / "lspet")
    return Counting(tmp_path / "lspet", 1, COUNT)


def make_crop(size: tuple[int, int] = (112, 96), **settings: object) -> PersonCrop:
    spec = {"size": size, "enlarge": 1.1, **settings.pop("spec", {})}  # type: ignore[dict-item]
    return PersonCrop(InputSpec(**spec), LSP14, **settings)  # type: ignore[arg-type]


def crops(people: PoseDataset, crop: PersonCrop) -> list[CroppedSample]:
    """Some random crops of everybody, the same for any dataset with these people."""
    keys = [(index, draw) for index in range(len(people)) for draw in range(4)]
    return [crop(people, index, np.random.default_rng([index, draw])) for index, draw in keys]


def difference(ours: CroppedSample, theirs: CroppedSample) -> int:
    """The largest difference in a pixel.

    A warp rounds places to 1/32 of a pixel along each axis, which may differ by a step; at the edge
    of an image, where black begins, a step is 8 of 255.
    """
    return int(np.abs(ours.image.astype(int) - theirs.image).max())


@pytest.mark.parametrize("fit", ["contain", "cover", "stretch"])
@pytest.mark.parametrize(
    "augmentation",
    [
        {},
        {"rotation": 180.0, "flip": 0.5},
        {"scale": 0.4, "shift": 0.5},
        {"rotation": 35.0, "scale": 0.2, "shift": 0.1, "box_jitter": 0.4, "flip": 0.5},
    ],
)
@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"subject": "image"},
        {"size": None, "short_side": 96, "multiple": 4},
        {"interpolation": "cubic"},
        {"enlarge": 0.6},
    ],
)
def test_the_cache_has_all_that_a_crop_can_show(
    people: Counting, tmp_path: Path, fit: str, augmentation: dict[str, float], spec: dict
) -> None:
    people = Counting(people.root, 1, 6)
    crop = make_crop(spec={**spec, "fit": fit}, **augmentation)
    cached = CachedDataset(people, crop, tmp_path / "cache")
    for ours, theirs in zip(crops(cached, crop), crops(people, crop), strict=True):
        np.testing.assert_array_equal(ours.crop, theirs.crop)
        np.testing.assert_array_equal(ours.keypoints, theirs.keypoints)
        np.testing.assert_array_equal(ours.visibility, theirs.visibility)
        assert ours.image_size == theirs.image_size
        assert difference(ours, theirs) <= 40
        # Along a straight edge of a mask, all the nearest pixels may be others.
        assert (ours.mask != theirs.mask).mean() < 0.03


def test_large_images_are_stored_as_small_as_crops_need_them(tmp_path: Path) -> None:
    write_lspet(tmp_path / "lspet", 4, sizes=((1000, 800),))
    for path in (tmp_path / "lspet" / "images").iterdir():
        # Without texture that a small crop cannot show.
        cv2.imwrite(str(path), cv2.GaussianBlur(cv2.imread(str(path)), (0, 0), 25))
    people = LSPExtendedDataset(tmp_path / "lspet", 1, 4)
    crop = make_crop(size=(64, 64), rotation=30.0, scale=0.25, flip=0.5)
    cached = CachedDataset(people, crop, tmp_path / "cache")
    for index in range(4):
        stored = cached.read(index)
        # 64 pixels, seen 1.25 times as near and as far, and turned.
        assert 64 < max(stored.image.shape[:2]) < 64 * 1.25**2 * 1.5
        assert cached.image_size(index) == people.image_size(index) == (1000, 800)
    for ours, theirs in zip(crops(cached, crop), crops(people, crop), strict=True):
        assert np.abs(ours.image.astype(float) - theirs.image).mean() < 4
        assert (ours.mask != theirs.mask).mean() < 0.02


def test_a_cache_is_written_once(people: Counting, tmp_path: Path) -> None:
    first = CachedDataset(people, make_crop(), tmp_path / "cache")
    assert people.count() == COUNT
    again = CachedDataset(people, make_crop(), tmp_path / "cache")
    assert again.folder == first.folder
    assert 0 < people.count() < COUNT, "a few are compared"
    for index in range(COUNT):
        again.read(index)
    assert people.count() == 0


def test_without_masks_none_are_stored(tmp_path: Path) -> None:
    write_lspet(tmp_path / "lspet", 3, without_mask=(1, 2, 3))
    people = LSPExtendedDataset(tmp_path / "lspet", 1, 3)
    cached = CachedDataset(people, make_crop(), tmp_path / "cache")
    assert [cached.read(index).mask for index in range(3)] == [None] * 3


@pytest.mark.parametrize(
    "settings",
    [
        {"size": (64, 64)},
        {"rotation": 10.0},
        {"scale": 0.1},
        {"shift": 0.1},
        {"box_jitter": 0.1},
        {"spec": {"interpolation": "cubic"}},
    ],
)
def test_other_settings_make_another_cache(
    people: Counting, tmp_path: Path, settings: dict
) -> None:
    first = CachedDataset(people, make_crop(), tmp_path / "cache")
    second = CachedDataset(people, make_crop(**settings), tmp_path / "cache")
    assert first.folder != second.folder
    people.count()
    assert CachedDataset(people, make_crop(), tmp_path / "cache").folder == first.folder
    assert people.count() < COUNT


def test_other_people_or_boxes_make_another_cache(people: Counting, tmp_path: Path) -> None:
    crop, cache = make_crop(), tmp_path / "cache"
    folders = {CachedDataset(people, crop, cache).folder}
    folders.add(CachedDataset(Counting(people.root, 2, COUNT), crop, cache).folder)
    people.annotations.box[3] += 1
    folders.add(CachedDataset(people, crop, cache).folder)
    people.boxes_around = "silhouette"
    folders.add(CachedDataset(people, crop, cache).folder)
    assert len(folders) == 4


@pytest.mark.parametrize("change", ["image", "mask"])
def test_changed_images_of_as_many_bytes_are_cached_again(
    people: Counting, tmp_path: Path, change: str
) -> None:
    crop, name = make_crop(), f"im{COUNT:05d}"
    path = people.root / (f"images/{name}.jpg" if change == "image" else f"masks/{name}.png")
    size = path.stat().st_size + 2000
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    folder = CachedDataset(people, crop, tmp_path / "cache").folder
    cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    assert path.stat().st_size == size
    cached = CachedDataset(people, crop, tmp_path / "cache")
    assert cached.folder == folder
    ours, theirs = (crop(each, COUNT - 1, np.random.default_rng(0)) for each in (cached, people))
    assert difference(ours, theirs) <= 40
    assert (ours.mask != theirs.mask).mean() < 0.03


@pytest.mark.parametrize("name", ["images/im{:05d}.jpg", "masks/im{:05d}.png"])
def test_a_file_of_another_size_makes_another_cache(
    people: Counting, tmp_path: Path, name: str
) -> None:
    crop = make_crop()
    before = CachedDataset(people, crop, tmp_path / "cache")
    # None of those who are compared by their pixels.
    spread = np.linspace(0, COUNT - 1, 32).astype(int).tolist()
    index = next(index for index in range(COUNT) if index not in spread)
    stored = crop(before, index, np.random.default_rng(0))
    path = people.root / name.format(index + 1)
    size, pixels = path.stat().st_size, cv2.imread(str(path))
    pixels[20:40:2, 10:30] = 0
    cv2.imwrite(str(path), pixels)
    assert path.stat().st_size != size
    after = CachedDataset(people, crop, tmp_path / "cache")
    assert after.folder != before.folder
    ours, theirs = (crop(p, index, np.random.default_rng(0)) for p in (after, people))
    assert difference(ours, theirs) <= 40
    assert (ours.mask != theirs.mask).mean() < 0.03
    # A worker of the first training, which opens the files only now, still has its own.
    opened = crop(pickle.loads(pickle.dumps(before)), index, np.random.default_rng(0))
    np.testing.assert_array_equal(opened.image, stored.image)
    np.testing.assert_array_equal(opened.mask, stored.mask)


def test_a_newer_file_is_compared_but_a_copy_is_not_cached_again(
    people: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crop = make_crop()
    monkeypatch.setattr(cache, "_COMPARED", 1)
    folder = CachedDataset(people, crop, tmp_path / "cache").folder
    written, index = folder.stat().st_ino, 20
    # A copy of the data, all of whose files are newer.
    for path in people.root.rglob("im*"):
        os.utime(path, ns=(1, path.stat().st_mtime_ns + 10**9))
    people.count()
    CachedDataset(people, crop, tmp_path / "cache")
    assert people.count() == COUNT
    assert folder.stat().st_ino == written
    # Another image of the same size.
    path = people.root / "images" / f"im{index + 1:05d}.jpg"
    size = path.stat().st_size
    cv2.imwrite(str(path), 255 - cv2.imread(str(path)), [cv2.IMWRITE_JPEG_QUALITY, 50])
    assert path.stat().st_size < size
    path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    cached = CachedDataset(people, crop, tmp_path / "cache")
    ours, theirs = (crop(each, index, np.random.default_rng(0)) for each in (cached, people))
    assert difference(ours, theirs) <= 40


def test_a_dataset_without_files_is_compared_by_pixels(
    people: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counting, "files", PoseDataset.files)
    CachedDataset(people, make_crop(), tmp_path / "cache")
    people.count()
    CachedDataset(people, make_crop(), tmp_path / "cache")
    assert 0 < people.count() < COUNT


@pytest.mark.parametrize("name", ["images.bin", "masks.bin", "people.npz"])
@pytest.mark.parametrize("left", [0, 100])
def test_a_damaged_cache_is_written_again(
    people: Counting, tmp_path: Path, name: str, left: int
) -> None:
    cached = CachedDataset(people, make_crop(), tmp_path / "cache")
    before = cached.read(COUNT - 1)
    image, mask = before.image.copy(), np.copy(before.mask)
    whole = (cached.folder / name).read_bytes()
    (cached.folder / name).write_bytes(whole[:left])
    again = CachedDataset(people, make_crop(), tmp_path / "cache").read(COUNT - 1)
    np.testing.assert_array_equal(again.image, image)
    np.testing.assert_array_equal(again.mask, mask)


def test_nothing_is_left_of_a_cache_that_could_not_be_written(
    people: Counting, tmp_path: Path
) -> None:
    image = people.root / "images" / "im00030.jpg"
    whole = image.read_bytes()
    image.write_bytes(whole[:300])
    with pytest.raises(DataError, match=r"im00030\.jpg"):
        CachedDataset(people, make_crop(), tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]
    image.write_bytes(whole)
    assert CachedDataset(people, make_crop(), tmp_path / "cache").folder.is_dir()


def test_what_a_killed_process_left_is_written_again(people: Counting, tmp_path: Path) -> None:
    folder = CachedDataset(people, make_crop(), tmp_path / "cache").folder
    whole = (folder / "images.bin").read_bytes()
    folder.rename(folder.with_suffix(".part"))
    (folder.with_suffix(".part") / "images.bin").write_bytes(whole[:100])
    CachedDataset(people, make_crop(), tmp_path / "cache")
    assert (folder / "images.bin").read_bytes() == whole
    assert not folder.with_suffix(".part").exists()


def _open(root: Path, cache: Path) -> None:
    CachedDataset(Counting(root, 1, COUNT), make_crop(), cache)


def test_of_two_processes_one_writes(people: Counting, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    words = (people.root, tmp_path / "cache")
    both = [context.Process(target=_open, args=words) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert COUNT < people.count() < 2 * COUNT


def test_a_worker_that_is_spawned_opens_the_cache_itself(people: Counting, tmp_path: Path) -> None:
    cached = CachedDataset(people, make_crop(), tmp_path / "cache")
    before = cached.read(5)
    small = pickle.dumps(cached)
    assert len(small) < len(pickle.dumps(people)) + 2000
    after = pickle.loads(small).read(5)
    np.testing.assert_array_equal(before.image, after.image)
    np.testing.assert_array_equal(before.mask, after.mask)


@pytest.mark.parametrize("workers", [0, 2])
def test_training_with_a_cache_has_the_same_batches(
    written: Path, tmp_path: Path, workers: int
) -> None:
    def batches(cache: Path | None) -> list[Batch]:
        data = LSPExtendedDataModule(
            written,
            train=(1, 32),
            val=(33, 40),
            input_spec=InputSpec((112, 96)),
            batch_size=8,
            num_workers=workers,
            cache=cache,
        )
        return list(data.train_dataloader())

    for ours, theirs in zip(batches(tmp_path / "cache"), batches(None), strict=True):
        assert torch.equal(ours.person_id, theirs.person_id)
        assert torch.equal(ours.keypoints, theirs.keypoints)
        assert (ours.image.int() - theirs.image.int()).abs().max() <= 40
    assert (tmp_path / "cache").is_dir()
