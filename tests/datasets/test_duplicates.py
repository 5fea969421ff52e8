"""The same picture is found at another scale, quality or brightness, and others are not."""

import itertools
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from lightning_pose.datasets import PoseDataset, SyntheticDataset, duplicates
from lightning_pose.datasets.duplicates import (
    ImageHashes,
    duplicate_groups,
    hash_images,
    image_hash,
)
from lightning_pose.datasets.images import image_size, read_image
from lightning_pose.datasets.lspet import LSPExtendedDataset
from lightning_pose.datasets.subset import Subset
from lightning_pose.errors import DataError
from lightning_pose.sample import Pixels

DRAWN = [
    Image.fromarray(SyntheticDataset("train", length=40, size=200)[n].image) for n in range(40)
]


class Photographs(PoseDataset):
    """One person in each file of a folder, in a given order."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder, self.names, self.read_names = folder, names, []
        self.person_ids = np.arange(len(names))

    @property
    def image_ids(self) -> np.ndarray:
        return np.array(self.names)

    def image_size(self, index: int) -> tuple[int, int]:
        return image_size(self.folder / self.names[index])

    def read(self, index: int, shrink: int = 1) -> Pixels:
        self.read_names.append(self.names[index])
        image, frame = read_image(self.folder / self.names[index], shrink)
        return Pixels(image, image_frame=frame)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty drawn people, and smaller copies of three of them."""
    folder = tmp_path_factory.mktemp("photographs")
    for number, image in enumerate(DRAWN):
        image.save(folder / f"{number:02d}.jpg", quality=92)
    for number in (3, 17, 20):
        DRAWN[number].resize((120, 120)).save(folder / f"{number:02d}_small.jpg")
    return folder


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)))


def compressed(image: Image.Image, quality: int) -> Image.Image:
    file = BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def trimmed(
    image: Image.Image, left: float, top: float, right: float, bottom: float
) -> Image.Image:
    width, height = image.size
    return image.crop(
        (round(left * width), round(top * height), round(width - right * width),
         round(height - bottom * height))
    )  # fmt: skip


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half the size": lambda image: scaled(image, 0.5),
    "three times the size": lambda image: scaled(image, 3),
    "stretched": lambda image: image.resize((150, 210)),
    "JPEG of low quality": lambda image: compressed(image, 20),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.5),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "mirrored": ImageOps.mirror,
    "cropped on one side": lambda image: trimmed(image, 0.03, 0, 0, 0),
    "cropped on all sides": lambda image: trimmed(image, 0.02, 0.02, 0.02, 0.02),
    "smaller, mirrored and compressed": lambda image: compressed(
        ImageOps.mirror(scaled(image, 0.6)), 50
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_picture_is_found_among_others(
    change: Callable[[Image.Image], Image.Image],
) -> None:
    hashes = [image_hash(np.asarray(image)) for image in DRAWN]
    hashes += [image_hash(np.asarray(change(image))) for image in DRAWN]
    names = np.array([str(number) for number in range(80)])
    groups = duplicate_groups(ImageHashes(names, np.array(hashes)))
    assert groups.tolist() == [*range(40), *range(40)]


def test_different_people_are_not_near_duplicates() -> None:
    people = SyntheticDataset("val", length=150, size=80)
    assert duplicate_groups(hash_images(people)).tolist() == list(range(150))


def test_neither_the_order_nor_the_blocks_matter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = sorted(path.name for path in folder.iterdir())
    hashes = hash_images(Photographs(folder, names))
    groups = duplicate_groups(hashes)
    assert hashes.image_ids.tolist() == names
    pairs = [(a, b) for a, b in zip(hashes.image_ids[groups], names, strict=True) if a != b]
    assert pairs == [(f"{n}.jpg", f"{n}_small.jpg") for n in ("03", "17", "20")]
    monkeypatch.setattr(duplicates, "_BLOCK", 7)
    shuffled = np.random.default_rng(0).permutation(names).tolist()
    again = hash_images(Photographs(folder, shuffled))
    assert again.image_ids.tolist() == names
    np.testing.assert_array_equal(again.hashes, hashes.hashes)
    np.testing.assert_array_equal(duplicate_groups(again), groups)


def test_an_image_of_several_people_is_read_once(folder: Path) -> None:
    people = Photographs(folder, ["01.jpg", "00.jpg", "01.jpg", "01.jpg"])
    assert hash_images(people).image_ids.tolist() == ["00.jpg", "01.jpg"]
    assert sorted(people.read_names) == ["00.jpg", "01.jpg"]


def test_large_images_are_decoded_at_reduced_scale(tmp_path: Path) -> None:
    scaled(DRAWN[5], 4).save(tmp_path / "large.jpg", quality=92)
    people = Photographs(tmp_path, ["large.jpg"])
    shapes = []
    read = people.read
    people.read = lambda *words: [found := read(*words), shapes.append(found.image.shape)][0]
    (found,) = hash_images(people).hashes
    assert shapes == [(100, 100, 3)]
    whole = image_hash(np.asarray(DRAWN[5]))
    assert np.bitwise_count(found ^ whole).sum() < 16


def test_a_damaged_image_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    for name in ("00.jpg", "01.jpg"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "01.jpg").write_bytes((folder / "01.jpg").read_bytes()[:1500])
    with pytest.raises(DataError, match=r"Expected a whole image in .*01\.jpg, found") as error:
        hash_images(Photographs(tmp_path, ["00.jpg", "01.jpg"]))
    assert "\n" not in str(error.value)


def plainly_grouped(hashes: np.ndarray, limit: int) -> list[int]:
    """Groups found pair by pair, with bits that are unpacked and a mirror image that is made."""
    bits = np.unpackbits(hashes.view(np.uint8), axis=1).reshape(len(hashes), 2, 128)
    mirrored = np.stack((bits[:, 0], 1 - bits[:, 1]), axis=1)
    groups = list(range(len(hashes)))
    for a, b in itertools.combinations(range(len(hashes)), 2):
        if min((bits[a] != bits[b]).sum(), (bits[a] != mirrored[b]).sum()) <= limit:
            low, high = sorted((groups[a], groups[b]))
            groups = [low if group == high else group for group in groups]
    return groups


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 40),
    flips=st.integers(0, 90),
    block=st.integers(1, 50),
)
def test_groups_are_those_of_a_plain_search(seed: int, count: int, flips: int, block: int) -> None:
    # A walk through hashes: each is some bits from an earlier one, so that groups are chains.
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (count, 256))
    for number in range(1, count):
        if rng.random() < 0.7:
            bits[number] = bits[rng.integers(number)]
            bits[number, rng.permutation(256)[:flips]] ^= 1
        if rng.random() < 0.3:
            bits[number, 128:] ^= 1
    words = np.packbits(bits, axis=1).view(np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block)
        groups = duplicate_groups(ImageHashes(np.arange(count).astype(str), words))
    assert groups.tolist() == plainly_grouped(words, duplicates._LIMIT)


def test_near_duplicates_of_one_image_are_in_one_group() -> None:
    bits = np.zeros((3, 256), dtype=np.uint8)
    bits[1, :40] = 1
    bits[2, :80] = 1
    words = np.packbits(bits, axis=1).view(np.uint64)
    for order in itertools.permutations(range(3)):
        found = duplicate_groups(ImageHashes(np.array(["a", "b", "c"]), words[list(order)]))
        assert found.tolist() == [0, 0, 0]
    ends = duplicate_groups(ImageHashes(np.array(["a", "c"]), words[[0, 2]]))
    assert ends.tolist() == [0, 1]


def test_pairs_across_the_usual_split_of_leeds_sports_pose_extended(real_data: Path) -> None:
    if not (real_data / "lspet" / "images").is_dir():
        pytest.skip("LIGHTNING_POSE_DATA has no lspet/images/")
    everyone = LSPExtendedDataset(real_data / "lspet")
    pairs = [(9082, 2423), (9130, 4433), (8796, 5545), (9054, 5488), (9195, 7818)]
    numbers = sorted({number for pair in pairs for number in pair} | set(range(9100, 9200)))
    hashes = hash_images(Subset(everyone, np.array(numbers) - 1))
    groups = duplicate_groups(hashes)
    place = {name: index for index, name in enumerate(hashes.image_ids.tolist())}
    for pair in pairs:
        first, second = (groups[place[f"im{number:05d}.jpg"]] for number in pair)
        assert first == second
    assert len(set(groups.tolist())) == len(numbers) - len(pairs)
