import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import EpsImagePlugin, Image, ImageOps

from lightning_pose.datasets.images import image_size, read_image, read_values, to_rgb
from lightning_pose.errors import DataError

WIDE = np.zeros((4, 6, 3), dtype=np.uint8)
WIDE[0, 0] = 255  # the upper left corner, so that the orientation is visible
COLOURS = np.random.default_rng(0).integers(0, 255, (12, 9, 3), dtype=np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_png_is_read_exactly(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.fromarray(COLOURS))
    np.testing.assert_array_equal(read_image(path)[0], COLOURS)


@pytest.mark.parametrize("shrink", [1, 2, 3, 4, 8, 100])
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 90},
        {"quality": 30, "subsampling": "4:2:0"},
        {"subsampling": "4:4:4"},
        {"progressive": True},
        {"keep_rgb": True},
    ],
)
def test_a_jpeg_is_what_pillow_reads(tmp_path: Path, options: dict, shrink: int) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (13, 17, 3), dtype=np.uint8)
    image = Image.fromarray(colours).resize((85, 63))
    path = save(tmp_path / "a.jpg", image, **options)
    with Image.open(path) as file:
        factor = max(f for f in (1, 2, 4, 8) if f <= shrink)
        file.draft(None, (file.width // factor, file.height // factor))
        expected = np.asarray(file)
    np.testing.assert_array_equal(read_image(path, shrink)[0], expected)


def test_a_common_jpeg_is_not_decoded_by_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(COLOURS))
    monkeypatch.setattr(Image, "open", None)
    assert read_image(path)[0].shape == COLOURS.shape


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_jpeg_is_read_as_by_pillow_or_refused(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = save(tmp_path / "a.jpg", Image.fromarray(COLOURS).resize((45, 60)), quality=95)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(2, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([None, -1, -2, -30]))])
    with contextlib.suppress(DataError):
        found = read_image(path)[0]
        with Image.open(path) as file:
            np.testing.assert_array_equal(found, to_rgb(file))


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "jpg"), ("CMYK", "jpg"), ("L", "png"), ("P", "png"), ("RGBA", "png"), ("LA", "png")],
)
def test_every_kind_of_image_becomes_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    ramp = np.linspace(0, 255, 12).astype(np.uint8)[:, None, None]
    image = Image.fromarray(np.tile(ramp, (1, 9, 3)))
    image = image.quantize() if mode == "P" else image.convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(100)
    found = read_image(save(tmp_path / f"a.{suffix}", image))[0]
    assert (found.dtype, found.shape) == (np.uint8, (12, 9, 3))
    assert abs(found.astype(int) - np.tile(ramp, (1, 9, 3))).max() <= 6


def test_sixteen_bits_keep_their_upper_half(tmp_path: Path) -> None:
    values = np.array([[0, 256, 65535], [300, 32768, 511]], dtype=np.uint16)
    path = save(tmp_path / "a.png", Image.fromarray(values))
    np.testing.assert_array_equal(read_image(path)[0][:, :, 1], values >> 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    smooth = np.kron(WIDE, np.ones((16, 16, 1), dtype=np.uint8))
    path = save(tmp_path / "a.jpg", Image.fromarray(smooth), exif=exif, quality=95)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    found = read_image(path)[0]
    assert found.shape == upright.shape
    assert abs(found.astype(int) - upright).max() <= 4


@pytest.mark.parametrize("orientation", [3, 6])
def test_an_orientation_in_xmp_is_applied(tmp_path: Path, orientation: int) -> None:
    smooth = np.kron(WIDE, np.ones((16, 16, 1), dtype=np.uint8))
    words = f'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="{orientation}"></x:xmpmeta>'
    path = save(tmp_path / "a.jpg", Image.fromarray(smooth), xmp=words.encode(), quality=95)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert not np.array_equal(upright, np.asarray(Image.open(path)))
    found = read_image(path)[0]
    assert found.shape == upright.shape
    assert abs(found.astype(int) - upright).max() <= 4


def exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block of (tag, type, count, value), which may contain what Pillow would not write."""
    rows = b"".join(struct.pack("<HHL", *entry[:3]) + entry[3] for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<LH", 8, len(entries)) + rows + bytes(4)


TURNED = (0x0112, 3, 1, struct.pack("<HH", 6, 0))


@pytest.mark.parametrize(
    ("block", "turned"),
    [
        (exif(TURNED), True),
        # Pillow can read these, but cannot write them again.
        (exif((259, 4, 1, struct.pack("<L", 70000)), TURNED), True),
        (exif(TURNED, (282, 2, 4, b"72\0\0")), True),
        (exif((0x0112, 2, 4, b"up\0\0")), False),
        (b"Exif\0\0MM\0*\0\0", False),
        (b"Exif\0\0nonsense", False),
    ],
)
def test_odd_exif_does_not_cost_the_image(tmp_path: Path, block: bytes, turned: bool) -> None:
    smooth = np.kron(WIDE, np.ones((16, 16, 1), dtype=np.uint8))
    data = save(tmp_path / "a.jpg", Image.fromarray(smooth), dpi=(72, 72)).read_bytes()
    behind = 4 + struct.unpack(">H", data[4:6])[0]  # The start of the file and its first segment.
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    (tmp_path / "a.jpg").write_bytes(data[:behind] + segment + data[behind:])
    found = read_image(tmp_path / "a.jpg")[0]
    assert found.shape == ((96, 64, 3) if turned else (64, 96, 3))
    assert found[4, -4 if turned else 4].min() > 200


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_an_image_of_unknown_range_is_refused(tmp_path: Path, kind: type) -> None:
    path = save(tmp_path / "a.tif", Image.fromarray(np.full((4, 6), 300, dtype=kind)))
    with pytest.raises(DataError, match="32 bits per pixel"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("kept", [0.0, 0.2, 0.8])
def test_a_truncated_image_is_refused_by_name(tmp_path: Path, suffix: str, kept: float) -> None:
    path = save(
        tmp_path / f"half.{suffix}", Image.fromarray(np.kron(COLOURS, np.ones((8, 8, 1), np.uint8)))
    )
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DataError, match=rf"half\.{suffix}.*cannot be read") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_png_with_damaged_pixels_is_refused_by_name(tmp_path: Path, mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 2, (64, 48, 3), dtype=np.uint8) * 255
    path = save(tmp_path / "a.png", Image.fromarray(noise).convert(mode))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = bytes(byte ^ 0xFF for byte in data[middle : middle + 8])
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.png.*cannot be read"):
        read_image(path) if mode == "RGB" else read_values(path)


def test_what_is_no_image_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jpg.*cannot be read"):
        read_image(tmp_path / "none.jpg")
    text = tmp_path / "text.jpg"
    text.write_text("This is no image.")
    with pytest.raises(DataError, match=r"text\.jpg.*cannot be read"):
        read_image(text)


def test_an_image_starts_no_other_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *words, **_: started.append(words))
    # Pillow has Ghostscript draw EPS, whatever the file is called.
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 12\n%%EndComments\nshowpage\n%%EOF\n"
    path = tmp_path / "cat.jpg"
    path.write_bytes(eps)
    for read in (read_image, image_size):
        with pytest.raises(DataError, match=r"whole image in .*cat\.jpg.*one of JPEG"):
            read(path)
    with Image.open(path) as opened, pytest.raises(DataError, match="EPS is not one of JPEG"):
        to_rgb(opened)
    assert not started


@pytest.mark.parametrize(
    "suffix", ["jpg", "png", "webp", "tif", "bmp", "gif", "ppm", "jp2", "avif"]
)
def test_a_damaged_image_is_read_or_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    image = Image.fromarray(np.tile(COLOURS, (3, 3, 1)))
    try:
        image.save(path)
    except (KeyError, ValueError):
        pytest.skip(f"This build of Pillow cannot write {suffix}")
    assert read_image(path)[0].shape == (36, 27, 3)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 2, 8])):
            damaged[rng.integers(len(content))] = rng.choice([0, 255, rng.integers(256)])
        end = len(damaged) if rng.random() < 0.8 else int(rng.integers(len(damaged)))
        path.write_bytes(damaged[:end])
        for read in (read_image, image_size):
            with contextlib.suppress(DataError):
                read(path)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 12), colour) for colour in ("white", "black")]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert (read_image(path)[0] == 255).all()


def test_a_transparent_palette_is_read_without_a_warning(tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS).convert("P")
    path = save(tmp_path / "a.png", image, transparency=bytes(range(256)))
    np.testing.assert_array_equal(read_image(path)[0], np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_upright_image(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(COLOURS), exif=exif)
    assert image_size(path) == read_image(path)[0].shape[:2]
    assert image_size(path) == ((9, 12) if orientation > 4 else (12, 9))


def test_the_size_of_a_jpeg_needs_its_header_alone(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 200, 3), dtype=np.uint8)
    path = save(tmp_path / "a.jpg", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:1000])
    assert image_size(path) == (300, 200)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"a\.jpg.*cannot be read"):
        image_size(path)
    with pytest.raises(DataError, match=r"none\.jpg.*cannot be read"):
        image_size(tmp_path / "none.jpg")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    ("shrink", "factor"), [(1, 1), (2, 2), (3, 2), (4, 4), (6, 4), (8, 8), (100, 8)]
)
def test_a_jpeg_is_decoded_at_the_largest_power_of_two_within_shrink(
    tmp_path: Path, mode: str, shrink: int, factor: int
) -> None:
    path = save(tmp_path / "a.jpg", Image.new("RGB", (203, 101), (90, 90, 90)).convert(mode))
    image, frame = read_image(path, shrink)
    assert image.shape == (-(-101 // factor), -(-203 // factor), 3)
    assert abs(image.astype(int) - 90).max() <= 3
    if factor == 1:
        assert frame is None
    else:
        # A pixel's centre is x_s = (x + 0.5) / s - 0.5.
        offset = 0.5 / factor - 0.5
        np.testing.assert_allclose(frame, [[1 / factor, 0, offset], [0, 1 / factor, offset]])


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_other_files_are_decoded_in_full(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(COLOURS))
    image, frame = read_image(path, 4)
    assert frame is None
    np.testing.assert_array_equal(image, read_image(path)[0])


def test_a_tiny_jpeg_keeps_a_pixel(tmp_path: Path) -> None:
    for size in ((1, 1), (3, 1), (1, 7), (5, 2)):
        path = save(tmp_path / "a.jpg", Image.new("RGB", size))
        assert min(read_image(path, 8)[0].shape[:2]) >= 1


def test_a_truncated_jpeg_is_refused_at_a_reduced_scale_too(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 200, 3), dtype=np.uint8)
    path = save(tmp_path / "a.jpg", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"a\.jpg.*cannot be read"):
        read_image(path, 4)
