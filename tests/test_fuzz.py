"""Damaged files by the thousand: our own errors, no hang, no dead process. Minutes, on demand."""

import contextlib
import copy
import faulthandler
import io
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
import yaml
from PIL import Image

import lightning_pose as lp
from lightning_pose.cli import main
from lightning_pose.datasets import LSPExtendedDataset
from lightning_pose.datasets.images import image_size, read_image, to_rgb
from lightning_pose.datasets.masks import read_mask
from lightning_pose.errors import InputError
from tests.commands.project import CONFIG
from tests.data.lspet import write_lspet

# Libraries may warn about what they then read or refuse.
pytestmark = [pytest.mark.drill, pytest.mark.filterwarnings("ignore")]

IMAGES, MATLAB_FILES, CHECKPOINTS, CONFIGS = 20_000, 2_000, 500, 500
LONGEST = 10
"""Seconds after which a read counts as hanging; the process is ended with a traceback."""

CHECKPOINT = Path(__file__).parent / "data" / "format_1.ckpt"


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    # In a thread of its own, because a decoder that hangs never returns to Python.
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a file in one to five places, every other time near its start."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        reach = len(data) if rng.random() < 0.5 else min(len(data), 200)
        at, other = (int(place) for place in rng.integers(max(reach, 1), size=2))
        length = int(rng.integers(1, 65))
        kind = rng.choice(["byte", "cut", "zeros", "insert", "copy", "large"])
        if kind == "byte" and data:
            data[at] = rng.integers(256)
        elif kind == "cut" and rng.random() < 0.3:
            del data[at:]
        elif kind == "zeros":
            data[at : at + length] = bytes(min(length, len(data) - at))
        elif kind == "insert":
            data[at:at] = rng.bytes(length)
        elif kind == "copy":
            data[at : at + length] = data[other : other + length]
        elif kind == "large":  # A size of two or four bytes.
            data[at : at + 4] = b"\xff" * int(rng.choice([2, 4]))
    return bytes(data)


def is_read(read: Callable[[], object]) -> bool:
    """Whether a file is read; if not, it must be one of our errors."""
    with at_most(LONGEST):
        try:
            read()
        except InputError:
            return False
    return True


def images() -> dict[str, bytes]:
    """A small image in every format that is read, by the format's name."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 5, 3), dtype=np.uint8))
    image = coarse.resize((50, 60), Image.Resampling.BICUBIC)
    palette, grey = image.convert("P"), image.convert("L")
    exif = Image.Exif()
    exif[0x0112] = 6  # Turned by 90 degrees.
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "JPEG": (image, {"exif": exif}),
        "JPEG progressive": (image, {"progressive": True}),
        "MPO": (image, {"save_all": True, "append_images": [image]}),
        "PNG": (image, {"exif": exif}),
        "PNG palette": (palette, {"transparency": 0}),
        "PNG grey": (grey, {}),
        "WEBP": (image, {}),
        "WEBP lossless": (image, {"lossless": True}),
        "AVIF": (image, {}),
        "TIFF": (image, {"exif": exif}),
        "TIFF lzw": (image, {"compression": "tiff_lzw"}),
        "TIFF jpeg": (image, {"compression": "jpeg"}),
        "BMP": (image, {}),
        "GIF": (palette, {"save_all": True, "append_images": [palette]}),
        "PPM": (image, {}),
        "JPEG2000": (image, {}),
    }
    Image.init()
    found = {}
    for name, (picture, options) in kinds.items():
        if name.split()[0] in Image.SAVE:
            file = io.BytesIO()
            picture.save(file, name.split()[0], **options)
            found[name] = file.getvalue()
    return found


def opened(path: Path) -> Image.Image | None:
    """An image that a user opens, where Pillow can."""
    with contextlib.suppress(Exception):
        return Image.open(path)
    return None


def test_damaged_images_are_refused_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sources = list(images().values())
    path = tmp_path / "damaged"
    whole = 0
    for number in range(IMAGES):
        path.write_bytes(damage(sources[number % len(sources)], rng))
        whole += is_read(partial(read_image, path, shrink=1 + 3 * (number % 2)))
        is_read(lambda: image_size(path))
        if number % 4 == 0:
            is_read(lambda: read_mask(path, path, (60, 50)))
            if (image := opened(path)) is not None:
                is_read(partial(to_rgb, image))
    # Both kinds occur, or nothing was tried.
    assert 0.1 < whole / IMAGES < 0.9


def test_damaged_matlab_files_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    root = tmp_path / "lspet"
    joints = write_lspet(root)
    mat = root / "joints.mat"
    sources = []
    for packed in (False, True):
        scipy.io.savemat(mat, {"joints": joints}, do_compression=packed)
        sources.append(mat.read_bytes())
    whole = 0
    for number in range(MATLAB_FILES):
        mat.write_bytes(damage(sources[number % 2], rng))
        whole += is_read(lambda: LSPExtendedDataset(root, 1, 6)[0])
    assert 0.01 < whole / MATLAB_FILES < 0.9


HOSTILE = [
    None, True, -1, 0, 3, 10**9, 10**30, -0.5, float("nan"), float("inf"), "", "x", "x" * 10_000,
    "../../etc/passwd", "os.system", "torch.nn.Linear", [], {}, [[]], [1, 2, 3], {"a": {"b": 1}},
    {"class_path": "torch.nn.Identity", "init_args": {}},
]  # fmt: skip


def replace_one(spec: Any, rng: np.random.Generator) -> Any:
    """Replace, remove or add one value somewhere in plain data."""
    spec = copy.deepcopy(spec)
    places: list[tuple[Any, Any]] = []
    left = [spec]
    while left:
        node = left.pop()
        keys = node if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], dict | list):
                left.append(node[key])
    node, key = places[rng.integers(len(places))]
    kind = rng.random()
    if kind < 0.1:
        del node[key]
    elif kind < 0.2 and isinstance(node, dict):
        node["extra"] = 1
    elif kind < 0.4:
        other, there = places[rng.integers(len(places))]
        node[key] = copy.deepcopy(other[there])
    else:
        node[key] = copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])
    return spec


def test_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    content = torch.load(CHECKPOINT, weights_only=True)
    written = lp.PoseModule.load_from_checkpoint(CHECKPOINT).spec().to_dict()
    current = {**content, "lightning_pose": {"format": 2, "model": written}}
    image = np.full((80, 60, 3), 128, dtype=np.uint8)
    path = tmp_path / "damaged.ckpt"
    whole = 0
    for number in range(CHECKPOINTS):
        if number % 4 == 0:
            path.write_bytes(damage(CHECKPOINT.read_bytes(), rng))
        else:
            source = content if number % 4 == 1 else current
            spec = replace_one(source["lightning_pose"], rng)
            torch.save({**source, "lightning_pose": spec}, path)
        whole += is_read(lambda: lp.load(path)(image))
    assert 0.1 < whole / CHECKPOINTS < 0.9


def test_damaged_configs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lspet(tmp_path / "lspet", count=12)
    rng = np.random.default_rng(0)
    config = yaml.safe_load(CONFIG)
    # What would make a valid training long is on the command line, which overrides the config.
    short = ["--trainer.fast_dev_run=true", "--trainer.accelerator=cpu", "--data.num_workers=0"]
    short += ["--data.batch_size=4", "--data.input_spec.size=[32,32]"]
    whole = 0
    for number in range(CONFIGS):
        if number % 2:
            text = yaml.safe_dump(replace_one(config, rng)).encode()
        else:
            text = damage(yaml.safe_dump(config).encode(), rng)
        Path("damaged.yaml").write_bytes(text)
        with at_most(6 * LONGEST):  # It may be fine, and train a step.
            try:
                status = main(["fit", "--config", "damaged.yaml", *short])
            except SystemExit as error:
                status = int(error.code or 0)
        printed = capsys.readouterr().err
        assert status == 0 or printed.splitlines()[-1].startswith("lightning fit: "), printed
        whole += status == 0
    assert 0.02 < whole / CONFIGS < 0.9
