import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from lightning_pose.datasets.images import read_mask, read_picture
from lightning_pose.errors import InputError

WIDE = np.zeros((4, 6, 3), dtype=np.uint8)
WIDE[0, 0] = 255  # the upper left corner, so that an orientation shows
COLOURS = np.random.default_rng(0).integers(0, 255, (12, 9, 3), dtype=np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_png_is_read_exactly(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(COLOURS))
    np.testing.assert_array_equal(read_picture(path), COLOURS)


def test_jpeg_is_what_pillow_reads(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(COLOURS), quality=90)
    difference = read_picture(path).astype(int) - np.asarray(Image.open(path)).astype(int)
    assert abs(difference).max() <= 2


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "jpg"), ("CMYK", "jpg"), ("L", "png"), ("P", "png"), ("RGBA", "png"), ("LA", "png")],
)
def test_every_kind_of_picture_becomes_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    ramp = np.linspace(0, 255, 12).astype(np.uint8)[:, None, None]
    image = Image.fromarray(np.tile(ramp, (1, 9, 3)))
    image = image.quantize() if mode == "P" else image.convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(100)
    found = read_picture(save(tmp_path / f"a.{suffix}", image))
    assert (found.dtype, found.shape) == (np.uint8, (12, 9, 3))
    assert abs(found.astype(int) - np.tile(ramp, (1, 9, 3))).max() <= 6


def test_sixteen_bits_keep_their_upper_half(tmp_path: Path) -> None:
    values = np.array([[0, 256, 65535], [300, 32768, 511]], dtype=np.uint16)
    path = save(tmp_path / "a.png", Image.fromarray(values))
    np.testing.assert_array_equal(read_picture(path)[:, :, 1], values >> 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = np.kron(WIDE, np.ones((16, 16, 1), dtype=np.uint8))
    path = save(tmp_path / "a.jpg", Image.fromarray(smooth), exif=exif, quality=95)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    found = read_picture(path)
    assert found.shape == upright.shape
    assert abs(found.astype(int) - upright).max() <= 4


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block of (tag, type, count, value), which may hold what Pillow would not write."""
    rows = b"".join(struct.pack("<HHL", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<LH", 8, len(entries)) + rows + bytes(4)


TURNED = (0x0112, 3, 1, struct.pack("<HH", 6, 0))


@pytest.mark.parametrize(
    ("block", "turned"),
    [
        (exif(TURNED), True),
        # Pillow reads these, and cannot write them anew.
        (exif((259, 4, 1, struct.pack("<L", 70000)), TURNED), True),
        (exif(TURNED, (282, 2, 4, b"72\0\0")), True),
        (exif((0x0112, 2, 4, b"up\0\0")), False),
        (b"Exif\0\0MM\0*\0\0", False),
        (b"Exif\0\0nonsense", False),
    ],
)
def test_odd_exif_does_not_cost_the_picture(tmp_path: Path, block: bytes, turned: bool) -> None:
    smooth = np.kron(WIDE, np.ones((16, 16, 1), dtype=np.uint8))
    data = save(tmp_path / "a.jpg", Image.fromarray(smooth), dpi=(72, 72)).read_bytes()
    behind = 4 + struct.unpack(">H", data[4:6])[0]  # The start of the file and its first segment.
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    (tmp_path / "a.jpg").write_bytes(data[:behind] + segment + data[behind:])
    found = read_picture(tmp_path / "a.jpg")
    assert found.shape == ((96, 64, 3) if turned else (64, 96, 3))
    assert found[4, -4 if turned else 4].min() > 200


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_a_picture_of_unknown_range_is_refused(tmp_path: Path, kind: type) -> None:
    path = save(tmp_path / "a.tif", Image.fromarray(np.full((4, 6), 300, dtype=kind)))
    with pytest.raises(InputError, match="32 bits a pixel"):
        read_picture(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("kept", [0.0, 0.2, 0.8])
def test_a_truncated_picture_is_refused_by_name(tmp_path: Path, suffix: str, kept: float) -> None:
    path = save(
        tmp_path / f"half.{suffix}", Image.fromarray(np.kron(COLOURS, np.ones((8, 8, 1), np.uint8)))
    )
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match=rf"half\.{suffix}.*cannot be read") as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_png_with_damaged_pixels_is_refused_by_name(tmp_path: Path, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (64, 48, 3), dtype=np.uint8) * 255
    path = save(tmp_path / "a.png", Image.fromarray(noise).convert(mode))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(byte ^ 0xFF for byte in data[middle : middle + 8])
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.png.*cannot be read"):
        read_picture(path) if mode == "RGB" else read_mask(path, path, (64, 48))


def test_what_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jpg.*cannot be read"):
        read_picture(tmp_path / "none.jpg")
    text = tmp_path / "text.jpg"
    text.write_text("This is not a picture.")
    with pytest.raises(InputError, match=r"text\.jpg.*cannot be read"):
        read_picture(text)


def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 12), colour) for colour in ("white", "black")]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert (read_picture(path) == 255).all()


def test_a_transparent_palette_is_read_without_a_warning(tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS).convert("P")
    path = save(tmp_path / "a.png", image, transparency=bytes(range(256)))
    np.testing.assert_array_equal(read_picture(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "1"])
def test_a_mask_is_zero_and_one(tmp_path: Path, mode: str) -> None:
    person = np.random.default_rng(1).random((7, 5)) > 0.5
    path = save(tmp_path / "a.png", Image.fromarray(person.astype(np.uint8) * 255).convert(mode))
    mask = read_mask(path, tmp_path / "a.jpg", size=(7, 5))
    assert mask.dtype == np.int8
    np.testing.assert_array_equal(mask, person)


def test_a_mask_of_another_size_names_both_files(tmp_path: Path) -> None:
    path = save(tmp_path / "mask.png", Image.fromarray(np.zeros((7, 5), np.uint8)))
    with pytest.raises(InputError, match=r"mask\.png.*photo\.jpg, 7 x 5 pixels, found 5 x 7"):
        read_mask(path, tmp_path / "photo.jpg", size=(5, 7))
