"""`lightning predict` from files to files, with everything that a folder may contain."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_pose import inference
from lightning_pose.cli import main
from lightning_pose.commands import device
from lightning_pose.datasets import images
from lightning_pose.skeletons import LSP14
from tests.dot_model import DotModel, dot_model

SIZE = (90, 70)
POINT = (50.0, 20.0)


def drawn(point=POINT, size=SIZE):
    """A red disc around the point, and blue in the upper half."""
    rows, columns = np.indices(size)
    image = np.zeros((*size, 3), dtype=np.uint8)
    image[..., 0] = np.where(np.hypot(columns - point[0], rows - point[1]) <= 6, 255, 0)
    image[: size[0] // 2, :, 2] = 255
    return image


@pytest.fixture
def asked(monkeypatch):
    """The dot model in place of a trained one, and the arguments that it was loaded with."""
    calls = []

    def load(path, allow=(), device="cpu"):
        calls.append((path.name, list(allow), device))
        return inference.Predictor(dot_model())

    monkeypatch.setattr(inference, "load", load)
    return calls


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "images"
    made.mkdir()
    return made


def predict(folder, output, *words):
    paths = ["--images", str(folder), "--output", str(output)]
    return main(["predict", "--ckpt_path", "a.ckpt", "--device", "cpu", *paths, *map(str, words)])


def entries(output):
    return json.loads((output / "predictions.json").read_text(encoding="utf-8"))["people"]


def test_the_output_holds_joints_masks_and_overlays(folder, tmp_path, asked, capsys):
    for name in ("b.png", "a.png"):
        Image.fromarray(drawn()).save(folder / name)
    output = tmp_path / "deep" / "output"
    assert predict(folder, output) == 0
    assert asked == [("a.ckpt", [], "cpu")]
    printed = capsys.readouterr()
    assert printed.err == ""
    assert f"Predictions for 2 people in 2 images: {output / 'predictions.json'}\n" in printed.out
    assert f"Overlays to look at: {output / 'overlays'}\n" in printed.out
    whole = json.loads((output / "predictions.json").read_text(encoding="utf-8"))
    assert list(whole) == ["model", "heads", "joints", "limbs", "people"]
    assert whole["model"] == "a.ckpt"
    assert whole["heads"] == {"keypoints": "main", "mask": "mask"}
    assert whole["joints"] == list(LSP14.names)
    assert whole["limbs"] == [list(limb) for limb in LSP14.limbs]
    found = whole["people"]
    assert [entry["image"] for entry in found] == ["a.png", "b.png"]
    assert [entry["mask"] for entry in found] == ["a_0.png", "b_0.png"]
    assert sorted(p.relative_to(output).as_posix() for p in output.rglob("*.*")) == [
        "masks/a_0.png",
        "masks/b_0.png",
        "overlays/a.jpg",
        "overlays/b.jpg",
        "predictions.json",
    ]
    for entry in found:
        assert set(entry) == {"image", "size", "box", "score", "keypoints", "labels", "mask"}
        assert entry["labels"] == {}
        assert (entry["size"], entry["score"]) == (list(SIZE), 0.75)
        assert entry["box"] == [-0.5, -0.5, 69.5, 89.5]
        assert len(entry["keypoints"]) == LSP14.num_joints
        assert entry["keypoints"][5] == pytest.approx([*POINT, 0.75], abs=0.2)
        mask = np.asarray(Image.open(output / "masks" / entry["mask"]))
        assert (mask.dtype, mask.shape) == (np.uint8, SIZE)
        np.testing.assert_array_equal(mask[2:43, 2:-2], 255)
        np.testing.assert_array_equal(mask[47:], 0)
    overlay = np.asarray(Image.open(output / "overlays" / "a.jpg")).astype(int)
    assert overlay.shape == (*SIZE, 3)
    # Green comes only from the mask's colour; the red of the disc is painted over.
    assert overlay[10, 10, 1] > 50
    assert overlay[70, 10, 1] < 30
    assert np.ptp(overlay[20, 50] - drawn()[20, 50]) > 100


def test_boxes_make_people(folder, tmp_path, asked, capsys):
    Image.fromarray(drawn()).save(folder / "a.png")
    Image.fromarray(drawn()).save(folder / "b.png")
    Image.fromarray(drawn()).save(folder / "c.png")
    boxes = {"a.png": [[30, 0, 69, 45], [-20, -10.5, 80, 70]], "b.png": [], "unknown.png": []}
    (tmp_path / "boxes.json").write_text("\ufeff" + json.dumps(boxes))
    output = tmp_path / "output"
    assert predict(folder, output, "--boxes", tmp_path / "boxes.json", "--batch_size", 2) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "names images that are not in --images and are ignored, the first 'unknown.png'" in line
    found = entries(output)
    assert [(entry["image"], entry["box"]) for entry in found] == [
        ("a.png", [30, 0, 69, 45]),
        ("a.png", [-20, -10.5, 80, 70]),
        ("c.png", [-0.5, -0.5, 69.5, 89.5]),
    ]
    assert [entry["mask"] for entry in found] == ["a_0.png", "a_1.png", "c_0.png"]
    # No people were requested in b, which is shown unchanged.
    assert {path.name for path in (output / "overlays").iterdir()} == {"a.jpg", "b.jpg", "c.jpg"}
    for entry in found:
        assert entry["keypoints"][0][:2] == pytest.approx(POINT, abs=0.3)
    # The first person's crop ends within the image; beyond it nothing is the person.
    mask = np.asarray(Image.open(output / "masks" / "a_0.png"))
    assert (mask[30, 40], mask[30, 2]) == (255, 0)


def test_a_box_outside_its_image_is_named_and_the_others_are_done(folder, tmp_path, asked, capsys):
    Image.fromarray(drawn()).save(folder / "a.png")
    boxes = {"a.png": [[70, 10, 90, 40], [20, 0, 60, 50]]}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    assert predict(folder, tmp_path / "output", "--boxes", tmp_path / "boxes.json") == 1
    assert [entry["box"] for entry in entries(tmp_path / "output")] == [[20, 0, 60, 50]]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "a.png (70 x 90 pixels), found [70, 10, 90, 40]" in lines[0]


def test_a_photograph_is_turned_upright(folder, tmp_path, asked):
    exif = Image.Exif()
    exif[0x0112] = 6
    # Orientation 6 means that the sensor's image must be turned clockwise to be upright.
    sensor = np.ascontiguousarray(np.rot90(drawn()))
    Image.fromarray(sensor).save(folder / "a.jpg", exif=exif, quality=98, subsampling=0)
    assert predict(folder, tmp_path / "output") == 0
    (entry,) = entries(tmp_path / "output")
    assert entry["box"] == [-0.5, -0.5, 69.5, 89.5]
    assert entry["keypoints"][0][:2] == pytest.approx(POINT, abs=0.5)
    for path in (tmp_path / "output").rglob("a*.*g"):
        with Image.open(path) as written:
            assert written.size == SIZE[::-1]
            assert not written.getexif()


def test_every_kind_of_image_is_taken(folder, tmp_path, asked):
    image = Image.fromarray(drawn())
    image.convert("L").save(folder / "grey.png")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.convert("1").save(folder / "bits.png")
    image.quantize().save(folder / "palette.gif")
    image.putalpha(99)
    image.save(folder / "alpha.png")
    assert predict(folder, tmp_path / "output") == 0
    found = {entry["image"]: entry["keypoints"] for entry in entries(tmp_path / "output")}
    assert sorted(found) == ["alpha.png", "bits.png", "cmyk.jpg", "grey.png", "palette.gif"]
    for name in ("alpha.png", "cmyk.jpg", "palette.gif"):
        assert found[name][0][:2] == pytest.approx(POINT, abs=0.5)


def test_a_damaged_image_gets_one_sentence_while_the_others_are_done(
    folder, tmp_path, asked, capsys
):
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    for name in ("1.jpg", "4.jpg"):
        Image.fromarray(noise).save(folder / name)
    (folder / "2.jpg").write_bytes((folder / "1.jpg").read_bytes()[:2000])
    (folder / "3.txt").write_text("These are my images.")
    (folder / ".hidden").write_text("not ours")
    (folder / "within").mkdir()
    assert predict(folder, tmp_path / "output") == 1
    assert [entry["image"] for entry in entries(tmp_path / "output")] == ["1.jpg", "4.jpg"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for line, name in zip(lines, ("2.jpg", "3.txt"), strict=True):
        assert line.startswith("lightning predict: Expected a whole image in ")
        assert str(folder / name) in line


def test_a_file_name_that_is_no_utf8_is_kept(folder, tmp_path, asked):
    name = os.fsdecode(b"gr\xfc\xdfe.png")
    try:
        Image.fromarray(drawn()).save(folder / "a.png")
        (folder / "a.png").rename(folder / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert predict(folder, tmp_path / "output") == 0
    (entry,) = entries(tmp_path / "output")
    assert (folder / entry["image"]).is_file()
    assert (tmp_path / "output" / "masks" / entry["mask"]).is_file()


def test_what_cannot_be_written_is_named_while_the_others_are_done(folder, tmp_path, asked, capsys):
    long = "b" * 251 + ".png"
    for name in ("a.png", long, "c.png"):
        Image.fromarray(drawn()).save(folder / name)
    assert predict(folder, tmp_path / "output") == 1
    assert [(entry["image"], entry["mask"]) for entry in entries(tmp_path / "output")] == [
        ("a.png", "a_0.png"),
        (long, None),
        ("c.png", "c_0.png"),
    ]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "Expected to write" in lines[0]
    assert "shorter name" in lines[0]


def test_files_and_folders_may_be_mixed_and_named_twice(folder, tmp_path, asked, capsys):
    for name in ("a.png", "a.jpg"):
        Image.fromarray(drawn()).save(folder / name)
    words = ["predict", "--ckpt_path", "a.ckpt", "--output", str(tmp_path / "output")]
    paths = [folder / "a.png", folder]
    # A name with a typing error leaves the output folder free for the corrected command.
    wrong = tmp_path / "nowhere.png"
    assert main([*words, "--images", *map(str, paths), str(wrong)]) == 1
    assert f"found nothing at {wrong}" in capsys.readouterr().err
    assert main([*words, "--images", *map(str, paths)]) == 0
    assert [entry["mask"] for entry in entries(tmp_path / "output")] == [
        "a.png_0.png",
        "a.jpg_0.png",
    ]


def test_names_that_differ_in_capitals_make_different_files_on_every_disk(folder, tmp_path, asked):
    for name in ("Anna.png", "anna.jpg"):
        Image.fromarray(drawn()).save(folder / name)
    assert predict(folder, tmp_path / "output") == 0
    found = {path.name.casefold() for path in (tmp_path / "output" / "overlays").iterdir()}
    assert found == {"anna.png.jpg", "anna.jpg.jpg"}


def test_nothing_is_overwritten(folder, tmp_path, asked, capsys):
    Image.fromarray(drawn()).save(folder / "a.png")
    output = tmp_path / "output"
    output.mkdir()
    assert predict(folder, output) == 0
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    assert predict(folder, output) == 1
    assert "Expected a new or empty folder for the output" in capsys.readouterr().err
    assert predict(folder, folder / "a.png") == 1
    assert "Expected a new or empty folder for the output" in capsys.readouterr().err
    assert predict(folder, folder / "a.png" / "output") == 1
    assert "that it cannot be created" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
    assert len(asked) == 2


def test_a_folder_in_which_another_command_wrote_meanwhile_is_left_alone(
    folder, tmp_path, asked, capsys, monkeypatch
):
    Image.fromarray(drawn()).save(folder / "a.png")
    output, choose = tmp_path / "output", device.choose_device

    def another(name):
        output.mkdir()
        (output / "predictions.json").write_text("mine")
        return choose(name)

    monkeypatch.setattr(device, "choose_device", another)
    assert predict(folder, output) == 1
    assert "Expected a new or empty folder for the output" in capsys.readouterr().err
    assert [path.read_text() for path in output.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ("[[1, 2, 3, 4]]", "list of boxes for each image's name"),
        ('{"a.png": [1, 2, 3, 4]}', "found 1 for a.png"),
        ('{"a.png": {"box": 1}}', "list of boxes for each image's name"),
        ('{"a.png": [[1, 2, 3]]}', "x0 < x1"),
        ('{"a.png": [[5, 2, 3, 4]]}', "x0 < x1"),
        ('{"a.png": [[1, 2, 3, NaN]]}', "x0 < x1"),
        ('{"a.png": [["1", 2, 3, 4]]}', "x0 < x1"),
        ('{"a.png": [[0.1, 0.2, 0.5, 0.9]]}', "give pixels, not fractions of the image"),
        ('{"a.png": [[1, 2, 40, 3]]}', "boxes of 2 pixels or more along each side"),
        ('{"images/a.png": [[1, 2, 3, 4]]}', "at least one of the images"),
        ("{}", "at least one of the images"),
        ("{", "that it cannot be read"),
    ],
)
def test_boxes_of_another_layout_get_one_sentence(folder, tmp_path, asked, capsys, boxes, message):
    Image.fromarray(drawn()).save(folder / "a.png")
    (tmp_path / "boxes.json").write_text(boxes)
    assert predict(folder, tmp_path / "output", "--boxes", tmp_path / "boxes.json") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "output").exists()


def test_input_that_cannot_be_used_gets_one_sentence_and_makes_nothing(
    folder, tmp_path, asked, capsys
):
    output = tmp_path / "output"

    def sentence(*words, images=folder):
        assert predict(images, output, *words) == 1
        assert not output.exists()
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "found none" in sentence()
    Image.fromarray(drawn()).save(folder / "a.png")
    assert "Expected --batch_size of 1 or more" in sentence("--batch_size", 0)
    assert "found 'warp'" in sentence("--device", "warp")
    assert "found 'meta'" in sentence("--device", "meta")
    assert "boxes at" in sentence("--boxes", tmp_path / "nowhere.json")
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(drawn()).save(other / "a.png")
    both = ["predict", "--ckpt_path", "c", "--images", str(folder), str(other)]
    assert main([*both, "--output", str(output)]) == 1
    assert "images with different names" in capsys.readouterr().err
    assert not output.exists()


def test_a_head_can_be_preferred(folder, tmp_path, asked, capsys):
    Image.fromarray(drawn()).save(folder / "a.png")
    assert predict(folder, tmp_path / "output", "--head", "first") == 0
    text = (tmp_path / "output" / "predictions.json").read_text()
    assert json.loads(text)["heads"] == {"keypoints": "first", "mask": "mask"}
    assert entries(tmp_path / "output")[0]["keypoints"][0][2] == 0
    assert predict(folder, tmp_path / "other", "--head", "last") == 1
    assert "one of the trained heads mask, first, main, found 'last'" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("flip", ["true", "false"])
def test_the_flip_test_is_a_choice(folder, tmp_path, asked, monkeypatch, flip):
    Image.fromarray(drawn()).save(folder / "a.png")
    asked_for = []
    found = DotModel.predict
    monkeypatch.setattr(
        DotModel, "predict", lambda self, image, flip: asked_for.append(flip) or found(self, image)
    )
    assert predict(folder, tmp_path / "output", "--flip", flip) == 0
    assert asked_for == [flip == "true"]


def test_what_boxes_are_around_decides_how_large_people_appear(folder, tmp_path, asked):
    Image.fromarray(np.full((*SIZE, 3), 255, dtype=np.uint8)).save(folder / "a.png")
    (tmp_path / "boxes.json").write_text('{"a.png": [[20, 20, 50, 65]]}')
    sizes = []
    for around in ("joints", "silhouette"):
        words = ["--boxes", tmp_path / "boxes.json", "--boxes_around", around]
        assert predict(folder, tmp_path / around, *words) == 0
        mask = np.asarray(Image.open(tmp_path / around / "masks" / "a_0.png"))
        sizes.append((mask > 0).any(axis=1).sum())
    assert sizes == [pytest.approx(45 * 1.25, abs=1), pytest.approx(45 * 1.25 / 1.18, abs=1)]


def test_a_terminated_command_keeps_what_it_has(folder, tmp_path, asked, monkeypatch):
    for name in ("a.png", "b.png"):
        Image.fromarray(drawn()).save(folder / name)
    read = images.read_image

    def read_then_stop(path):
        if path.name == "b.png":
            signal.raise_signal(signal.SIGTERM)
        return read(path)

    monkeypatch.setattr(images, "read_image", read_then_stop)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        predict(folder, tmp_path / "output", "--batch_size", 1)
    assert stop.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    assert [entry["image"] for entry in entries(tmp_path / "output")] == ["a.png"]


def test_a_checkpoint_that_cannot_be_trusted_is_refused(folder, tmp_path, capsys):
    Image.fromarray(drawn()).save(folder / "a.png")
    path = tmp_path / "hostile.ckpt"
    backbone = {"class_path": "stranger.Backbone", "init_args": {}}
    spec = {"format": 1, "model": {"backbone": backbone}}
    torch.save({"state_dict": {}, "lightning_pose": spec}, path)
    words = ["predict", "--images", str(folder), "--output", str(tmp_path / "output")]
    for checkpoint, message in ((path, "'stranger.Backbone'"), (tmp_path / "no", "found nothing")):
        assert main([*words, "--ckpt_path", str(checkpoint)]) == 1
        assert message in capsys.readouterr().err
        assert not (tmp_path / "output").exists()


def test_packages_to_trust_reach_the_checkpoint(folder, tmp_path, asked):
    Image.fromarray(drawn()).save(folder / "a.png")
    assert predict(folder, tmp_path / "output", "--allow", "mine", "--allow", "yours") == 0
    assert asked == [("a.ckpt", ["mine", "yours"], "cpu")]


def test_wrong_words_are_refused_by_the_parser(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["predict", "--images", "a.png"])
    assert stop.value.code == 2
    assert "--ckpt_path" in capsys.readouterr().err
