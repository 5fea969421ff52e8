"""The real `lightning split`, in process, on small datasets with planted near-duplicates."""

import csv
import json
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image, ImageOps

from lightning_pose.cli import main
from lightning_pose.commands.configs import find_config
from lightning_pose.commands.data_module import data_module
from lightning_pose.datamodules import leeds
from lightning_pose.datasets import LSPExtendedDataset, PoseDataset, duplicates
from lightning_pose.datasets.duplicates import ImageHashes
from tests.data.coco import write_coco
from tests.data.folder import write_folder
from tests.data.lsp import write_lsp
from tests.data.lspet import write_lspet
from tests.data.table import write_table

SPLITS = ("train", "val", "test")
RANGES = ["--data.train", "[1,6]", "--data.val", "[7,9]", "--data.test", "[10,12]"]


def copy_image(source: Path, target: Path, mirror: bool = False) -> None:
    """Replace an image by another one at another scale, without its mask."""
    image = Image.open(source)
    image = image.resize((image.width * 3 // 2, image.height * 3 // 2))
    (ImageOps.mirror(image) if mirror else image).save(target, quality=80)
    (target.parent.parent / "masks" / f"{target.stem}.png").unlink(missing_ok=True)


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve images, of which 7, 11 are like 2, 12 like 8, and 5 like 4."""
    monkeypatch.chdir(tmp_path)
    write_lspet(tmp_path / "lspet", count=12)
    images = tmp_path / "lspet" / "images"
    for source, target in ((2, 7), (2, 11), (8, 12), (4, 5)):
        copy_image(image(images, source), image(images, target), mirror=target == 11)
    return images


def image(folder: Path, number: int) -> Path:
    return folder / f"im{number:05d}.jpg"


def split(*words: str) -> int:
    config = ["--config", "data/lspet.yaml", "--data.root", "lspet"]
    return main(["split", *config, "--output", "lists", *words])


def lists(folder: Path = Path("lists")) -> list[list[int]]:
    """The numbers of the images in each list."""
    return [
        [int(line.removeprefix("im").removesuffix(".jpg")) for line in text.splitlines()]
        for text in ((folder / f"{split}.txt").read_text() for split in SPLITS)
    ]


def test_the_splits_of_the_config_lose_what_a_later_one_shows(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split(*RANGES) == 0
    assert lists() == [[1, 3, 4, 5, 6], [9], [10, 11, 12]]
    printed = capsys.readouterr().out
    assert "Images: 12, of which 7 are near-duplicates, in 3 groups\n" in printed
    assert "People: train 5, val 1, test 3; 3 in no split\n" in printed
    with Path("lists/duplicates.csv").open() as file:
        head, *table = csv.reader(file)
    assert head == ["image", "group", "split"]
    assert table == [
        ["im00002.jpg", "im00002.jpg", ""],
        ["im00007.jpg", "im00002.jpg", ""],
        ["im00011.jpg", "im00002.jpg", "test"],
        ["im00008.jpg", "im00008.jpg", ""],
        ["im00012.jpg", "im00008.jpg", "test"],
        ["im00004.jpg", "im00004.jpg", "train"],
        ["im00005.jpg", "im00004.jpg", "train"],
    ]
    with Image.open("lists/duplicates.jpg") as sheet:
        # Three rows, of which the first has three images.
        assert sheet.size[1] > 3 * 192
        assert sheet.size[0] > 3 * 160
    words = ["--data.root", "lspet", "--data.splits", "lists"]
    data = data_module([find_config("data/lspet.yaml")], words)
    data.setup("fit")
    data.setup("test")
    found = [data.make_dataset(split).person_ids.tolist() for split in SPLITS]
    assert found == lists()


def test_what_is_missing_is_downloaded_if_asked_for(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leeds, "fetch", lambda root, archives: Path("lspet").rename(root))
    assert split(*RANGES, "--data.root", "new", "--data.download", "true") == 0
    assert lists() == [[1, 3, 4, 5, 6], [9], [10, 11, 12]]


def test_fractions_keep_near_duplicates_together(images: Path) -> None:
    drawn = set()
    for seed in range(8):
        output = Path(f"lists_{seed}")
        words = ["--fractions", "0.5", "0.25", "0.25", "--seed", str(seed)]
        assert split("--output", str(output), *words) == 0
        found = lists(output)
        assert sorted(chain.from_iterable(found)) == list(range(1, 13))
        for group in ({2, 7, 11}, {4, 5}, {8, 12}):
            assert sum(bool(group & set(part)) for part in found) == 1
        drawn.add(str(found))
    assert len(drawn) > 4


def test_near_duplicates_across_the_sets_of_a_mix_are_found(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_lsp(Path("lsp"), count=6)
    copy_image(image(images, 1), Path("lsp/images/im0006.jpg"))
    words = ["split", "--config", "data/mix.yaml", "--output", "lists"]
    ranges = {"lspet": ((1, 6), (7, 9), (10, 12)), "lsp": ((1, 2), (3, 4), (5, 6))}
    for name, numbers in ranges.items():
        words += [f"--data.sets.{name}.init_args.root", name]
        for part, (first, last) in zip(SPLITS, numbers, strict=True):
            words += [f"--data.sets.{name}.init_args.{part}", f"[{first},{last}]"]
    assert main(words) == 0
    assert lists(Path("lists/lspet")) == [[3, 4, 5, 6], [9], [10, 11, 12]]
    assert lists(Path("lists/lsp")) == [[1, 2], [3, 4], [5, 6]]
    assert sorted(path.name for path in Path("lists").iterdir()) == [
        "duplicates.csv",
        "duplicates.jpg",
        "lsp",
        "lspet",
    ]
    assert "lsp/im0006.jpg,lsp/im0006.jpg,test\n" in Path("lists/duplicates.csv").read_text()
    words = [f"--data.sets.{name}.init_args.{key}" for name in ranges for key in ("root", "splits")]
    values = ["lspet", "lists/lspet", "lsp", "lists/lsp"]
    pairs = [word for pair in zip(words, values, strict=True) for word in pair]
    data = data_module([find_config("data/mix.yaml")], pairs)
    assert [len(data.make_dataset(part)) for part in SPLITS] == [6, 3, 5]


def test_the_mix_is_split_as_it_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sets = ((Path("data/lspet"), 10_000, 5, write_lspet), (Path("data/lsp"), 2000, 4, write_lsp))
    for root, count, digits, write in sets:
        joints = write(root, count=1)
        scipy.io.savemat(root / "joints.mat", {"joints": np.repeat(joints, count, axis=2)})
        image = root / "images" / f"im{1:0{digits}d}.jpg"
        for number in range(2, count + 1):
            image.with_name(f"im{number:0{digits}d}.jpg").hardlink_to(image)

    def hash_nothing(people: PoseDataset, progress: bool) -> ImageHashes:
        bits = np.frombuffer(np.random.default_rng(0).bytes(32 * len(people)), np.uint64)
        return ImageHashes(np.unique(people.image_ids), bits.reshape(-1, 4))

    monkeypatch.setattr(duplicates, "hash_images", hash_nothing)
    assert main(["split", "--config", "data/mix.yaml", "--output", "lists"]) == 0
    for name, counts in {"lspet": [8500, 750, 750], "lsp": [900, 100, 1000]}.items():
        assert [len(numbers) for numbers in lists(Path("lists", name))] == counts
    # The people on whom published results of Leeds Sports Pose are measured.
    assert lists(Path("lists/lsp"))[2] == list(range(1001, 2001))


@pytest.mark.parametrize("missing", ["column", "list"])
def test_there_need_be_no_test_split(
    images: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(Path("people.csv"), LSPExtendedDataset("lspet", 1, 12), ["train"] * 6 + ["val"] * 6)
    words = ["split", "--config", "data/table.yaml", "--data.table", "people.csv"]
    if missing == "list":
        assert main([*words, "--output", "first"]) == 0
        Path("first/test.txt").unlink()
        words += ["--data.splits", "first"]
    assert main([*words, "--output", "out"]) == 0
    # Of the near-duplicates, the images 2 and 7 are in two splits.
    assert [len(Path(f"out/{part}.txt").read_text().split()) for part in SPLITS] == [5, 6, 0]
    for part in ("val", "train"):
        Path(f"out/{part}.txt").unlink()
        assert main([*words, "--data.splits", "out", "--output", "none"]) == 1
        assert f"{part}.txt, found no such file" in capsys.readouterr().err


def test_a_folder_without_near_duplicates_needs_no_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(Path("folder"), count=10)
    words = ["--config", "data/folder.yaml", "--data.root", "folder", "--output", "out"]
    assert main(["split", *words]) == 0
    data = data_module([find_config("data/folder.yaml")], ["--data.root", "folder"])
    for part in SPLITS:
        names = Path(f"out/{part}.txt").read_text().splitlines()
        assert names == data.make_dataset(part).image_ids.tolist()
    assert Path("out/duplicates.csv").read_text().split() == ["image,group,split"]
    assert not Path("out/duplicates.jpg").exists()
    assert "look at" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.val", "[6,9]"], "no person in both the train and the val split, found 1"),
        (["--data.test", "[10,13]"], "within 1 to 12"),
        (["--fractions", "0.5", "0.4", "0.2"], "add up to 1, found (0.5, 0.4, 0.2)"),
        (["--seed", "-1"], "Expected --seed of 0 or more"),
        (["--data", "SyntheticDataModule"], "found SyntheticDataModule without it"),
        (["--data.rooot", "here"], "rooot"),
        (["--output", "lspet"], "found lspet in use"),
        (["--output", "lspet/joints.mat/lists"], "that it cannot be created"),
    ],
)
def test_what_cannot_be_split_gets_one_sentence(
    images: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert split(*RANGES, *words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lightning split: Expected ")
    assert message in line
    assert {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()} == before
    assert not Path("lists").exists()


def test_a_damaged_image_gets_one_sentence_and_nothing_is_written(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image(images, 9).write_bytes(image(images, 9).read_bytes()[:900])
    assert split(*RANGES) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lightning split: Expected a whole image in ")
    assert "im00009.jpg" in line
    assert not Path("lists").exists()


def test_fractions_are_of_people_where_images_show_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = write_coco(tmp_path, "train", count=8)
    for person in content["annotations"][:5]:
        person["image_id"] = content["images"][0]["id"]
    file = tmp_path / "annotations" / "person_keypoints_train2017.json"
    file.write_text(json.dumps(content))
    words = ["--config", "data/coco.yaml", "--data.root", ".", "--data.splits", "[0.5,0.5,0]"]
    for seed in map(str, range(6)):
        wanted = data_module(
            [find_config("data/coco.yaml")], [*words[2:], "--data.split_seed", seed]
        )
        drawn = ["--fractions", "0.5", "0.5", "0", "--seed", seed, "--output", f"lists_{seed}"]
        assert main(["split", *words, *drawn]) == 0
        for part in SPLITS:
            names = set(Path(f"lists_{seed}/{part}.txt").read_text().splitlines())
            # Without near-duplicates, the same seed draws the same people as the config.
            assert names == set(wanted.make_dataset(part).image_ids.tolist())
