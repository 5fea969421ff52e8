from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_pose.datasets.masks import read_mask
from lightning_pose.errors import DataError
from tests.datasets.test_images import save


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "1"])
def test_a_mask_is_zero_and_one(tmp_path: Path, mode: str) -> None:
    person = np.random.default_rng(1).random((7, 5)) > 0.5
    path = save(tmp_path / "a.png", Image.fromarray(person.astype(np.uint8) * 255).convert(mode))
    mask = read_mask(path, tmp_path / "a.jpg", size=(7, 5))
    assert mask.dtype == np.int8
    np.testing.assert_array_equal(mask, person)


def test_a_pixel_is_the_person_above_127(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(np.uint8([[0, 1, 127, 128, 254, 255]])))
    assert read_mask(path, path, size=(1, 6)).tolist() == [[0, 0, 0, 1, 1, 1]]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_mask_in_the_transparency_is_refused(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(np.full((7, 5), 255, np.uint8)).convert(mode)
    image.putalpha(Image.fromarray(np.uint8(np.eye(7, 5) * 255)))
    path = save(tmp_path / "a.png", image)
    with pytest.raises(DataError, match=r"in .*a\.png, found .*bright and transparent; save it"):
        read_mask(path, path, size=(7, 5))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_a_background_may_be_transparent(tmp_path: Path, mode: str) -> None:
    person = np.eye(7, 5, dtype=np.uint8) * 255
    image = Image.fromarray(person).convert(mode)
    if mode == "P":
        image.save(tmp_path / "a.png", transparency=0)
    else:
        image.putalpha(Image.fromarray(person))
        image.save(tmp_path / "a.png")
    found = read_mask(tmp_path / "a.png", tmp_path / "a.png", size=(7, 5))
    np.testing.assert_array_equal(found, person > 0)


@pytest.mark.parametrize("person", [255, 65535])
@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_a_mask_of_sixteen_bits_keeps_its_values(tmp_path: Path, person: int, suffix: str) -> None:
    inside = np.random.default_rng(1).random((7, 5)) > 0.5
    values = inside.astype(np.uint16) * np.uint16(person)
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(values))
    np.testing.assert_array_equal(read_mask(path, path, size=(7, 5)), inside)
    path = save(tmp_path / "b.png", Image.fromarray(np.zeros((7, 5), np.uint16)))
    assert not read_mask(path, path, size=(7, 5)).any()


@pytest.mark.parametrize(
    ("values", "found"),
    [([0, 1], "0, 1;"), ([0, 255, 65535], "0, 255, 65535;"), (range(9), r"0, 1, 2, 3, \.\.\.;")],
)
def test_other_values_of_a_mask_of_sixteen_bits_are_refused(
    tmp_path: Path, values: list[int], found: str
) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(np.array([values], np.uint16)))
    with pytest.raises(DataError, match=rf"65535 in the mask .*a\.png of 16 bits, found {found}"):
        read_mask(path, path, size=(1, len(values)))


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
@pytest.mark.parametrize(
    ("person", "background"),
    [((255, 0, 0), (255, 255, 255)), ((192, 128, 128), (0, 0, 0)), ((0, 255, 0), (0, 0, 0))],
)
def test_a_mask_in_colour_is_refused_by_name(
    tmp_path: Path, mode: str, person: tuple[int, ...], background: tuple[int, ...]
) -> None:
    values = np.tile(np.uint8(background), (7, 5, 1))
    values[2:5, 1:4] = person
    path = save(tmp_path / "a.png", Image.fromarray(values).convert(mode))
    with pytest.raises(DataError, match=r"in the mask .*a\.png, found a mask in colour;"):
        read_mask(path, path, size=(7, 5))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_a_compressed_mask_is_read_although_its_greys_are_not_pure(
    tmp_path: Path, mode: str, suffix: str
) -> None:
    person = np.zeros((40, 32), np.bool_)
    person[11:30, 5:21] = True
    image = Image.fromarray(person.astype(np.uint8) * 255).convert(mode)
    path = save(tmp_path / f"a.{suffix}", image, quality=60)
    np.testing.assert_array_equal(read_mask(path, path, size=(40, 32)), person)


@pytest.mark.parametrize("values", [(0, 1), (1, 2, 3), (0, 127)])
def test_a_mask_without_bright_pixels_is_refused(tmp_path: Path, values: tuple[int, ...]) -> None:
    for image in (np.uint8([values]), np.uint8([values])[..., None].repeat(3, axis=2)):
        path = save(tmp_path / "a.png", Image.fromarray(image))
        with pytest.raises(DataError, match=rf"255 .*a\.png, found at most {values[-1]};"):
            read_mask(path, path, size=(1, len(values)))


def test_a_mask_of_another_size_names_both_files(tmp_path: Path) -> None:
    path = save(tmp_path / "mask.png", Image.fromarray(np.zeros((7, 5), np.uint8)))
    with pytest.raises(DataError, match=r"mask\.png.*photo\.jpg, 7 x 5 pixels, found 5 x 7"):
        read_mask(path, tmp_path / "photo.jpg", size=(5, 7))
