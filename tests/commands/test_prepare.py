"""`lightning prepare` from images to labels that training reads; the teachers know the answer."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from filelock import FileLock
from PIL import Image

from lightning_pose import __version__, teachers
from lightning_pose.cli import main
from lightning_pose.datamodules import COCODataModule
from lightning_pose.datasets import COCODataset
from lightning_pose.skeletons import BODY25, COCO17
from lightning_pose.teachers import Masks, Poses
from tests.commands.project import contents
from tests.data.folder import write_folder, write_people

SIZE = (60, 50)


def box_of(number: int) -> tuple[int, int, int, int]:
    """Where the person of an image is: left, top, right and bottom, the last two outside."""
    return 5 + number, 8, 30 + number, 52


class Joints:
    """Knows that the person of image N has joints on a diagonal, of which N are uncertain."""

    skeleton = COCO17
    asked: list[str]
    stop_at: str | None = None

    def __init__(self, weights=None, person_score=0.9, joint_score=2.0, device="cpu"):
        self.joint_score, self.asked = joint_score, []
        self.about = {"name": "joints", "weights": str(weights), "joint_score": joint_score}
        self.about["person_score"] = person_score
        Joints.last = self

    def __call__(self, image, name):
        self.asked.append(name)
        if name == Joints.stop_at:
            raise KeyboardInterrupt
        number = int(Path(name).stem)
        x0, y0, x1, y1 = box_of(number)
        points = np.linspace((x0, y0), (x1 - 1, y1 - 1), 17, dtype=np.float32)[None]
        scores = np.where(np.arange(17) < number, 1.0, 3.0).astype(np.float32)[None]
        box = np.float32([[x0 - 0.5, y0 - 0.5, x1 - 0.5, y1 - 0.5]])
        score = np.float32([0.99 - number / 100])
        return Poses(points, scores >= self.joint_score, scores, box, score)


class Silhouettes:
    """Knows the person of each image by its red; in image 1, one mask more; in image 2, none."""

    def __init__(self, weights=None, person_score=0.9, mask_score=0.5, device="cpu"):
        self.about = {"name": "masks", "mask_score": mask_score}

    def __call__(self, image):
        red = image[:, :, 0] > 200
        masks = np.stack([red, ~red & (np.indices(SIZE)[0] >= 55)])
        count = {1: 2, 2: 0}.get(int(image[0, 0, 2]), 1)
        x0, y0, x1, y1 = box_of(int(image[0, 0, 2]))
        boxes = np.float32([[x0 - 2, y0 - 2, x1 + 1, y1 + 1], [-0.5, 54.5, 49.5, 59.5]])
        return Masks(masks[:count], boxes[:count], np.float32([0.95, 0.91])[:count])


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.setattr(teachers, "KeypointRCNNTeacher", Joints)
    monkeypatch.setattr(teachers, "MaskRCNNTeacher", Silhouettes)
    monkeypatch.setattr(Joints, "stop_at", None)


def write_images(folder: Path, count: int = 5) -> Path:
    """Write 0.png, 1.png, ... with a red person on a background whose blue is the number."""
    folder.mkdir()
    for number in range(count):
        image = np.zeros((*SIZE, 3), dtype=np.uint8)
        image[..., 2] = number
        x0, y0, x1, y1 = box_of(number)
        image[y0:y1, x0:x1, 0] = 250
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / "images")


def prepare(images: Path, output: Path, *words: str) -> int:
    where = ["--images", str(images), "--output", str(output), "--device", "cpu"]
    return main(["prepare", *where, *words])


def labels(output: Path) -> dict[str, bytes]:
    """All labels without the dates."""

    def undated(content: bytes) -> str:
        value = json.loads(content)
        value.get("about", value.get("info", {})).pop("date", None)
        value.get("info", {}).pop("date_created", None)
        return json.dumps(value)

    files = {path: value for path, value in contents(output).items() if path.suffix == ".json"}
    return {str(path.relative_to(output)): undated(value) for path, value in files.items()}


def test_training_reads_what_the_teachers_found(images, tmp_path, fakes):
    output = tmp_path / "output"
    assert prepare(images, output) == 0
    people = COCODataset(output / "people.json", images, min_joints=0)
    assert people.skeleton == COCO17
    assert people.boxes_around == "silhouette"
    assert people.image_ids.tolist() == ["0.png", "1.png", "1.png", "2.png", "3.png", "4.png"]
    for place, number in enumerate((0, 1, None, 2, 3, 4)):
        if number is None:
            continue
        person, (x0, y0, x1, y1) = people[place], box_of(number)
        assert person.visibility.tolist() == [0] * number + [2] * (17 - number)
        points = np.linspace((x0, y0), (x1 - 1, y1 - 1), 17)
        np.testing.assert_allclose(person.keypoints[number:], points[number:], atol=0.005)
        if number == 2:
            assert (person.mask == -1).all()
            assert person.area == 0
            assert person.box.tolist() == [x0 - 0.5, y0 - 0.5, x1 - 0.5, y1 - 0.5]
        else:
            expected = np.zeros(SIZE, dtype=np.int8)
            expected[y0:y1, x0:x1] = 1
            np.testing.assert_array_equal(person.mask, expected)
            assert person.area == expected.sum()
            assert person.box.tolist() == [x0 - 2, y0 - 2, x1 + 1, y1 + 1]
    alone = people[2]
    assert not alone.visibility.any()
    assert (alone.mask.sum(), alone.box.tolist()) == (5 * 50, [-0.5, 54.5, 49.5, 59.5])


def test_every_file_of_labels_says_what_made_it(images, tmp_path, fakes):
    output = tmp_path / "output"
    assert prepare(images, output, "--joint_score", "1", "--keypointrcnn", "w.pth") == 0
    files = [json.loads(path.read_bytes()) for path in sorted(output.rglob("*.json"))]
    assert len(files) == 6
    for content in files:
        about = content.get("about") or content["info"]
        joints = {"name": "joints", "weights": "w.pth", "joint_score": 1.0, "person_score": 0.9}
        assert about["joints"] == joints
        assert about["masks"] == {"name": "masks", "mask_score": 0.5}
        assert about["lightning_pose"] == __version__
        assert (about.get("date") or about["date_created"]).endswith("+00:00")
    person = files[-1]["annotations"][0]
    assert (person["pose_score"], person["mask_score"]) == (0.99, 0.95)
    assert person["keypoint_scores"] == [3.0] * 17


def test_the_printed_command_trains_on_the_labels(tmp_path, fakes, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = write_images(tmp_path / "my images, all", count=10)
    assert prepare(images, Path("output")) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Labels of 11 people in 10 images: output/people.json"
    assert printed[1] == "Look at them first: output/sheet.jpg, output/doubtful.jpg"
    words = shlex.split(printed[2].removeprefix("Then train on them: lightning "))
    with pytest.raises(SystemExit):
        main([*words, "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]
    files, splits = tuple(config["train"]), tuple(config["splits"])
    data = COCODataModule(config["root"], files, splits=splits, batch_size=4, num_workers=0)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert (batch.labelled.any(), (batch.mask == 1).any()) == (True, True)


def test_a_run_that_was_stopped_goes_on(images, tmp_path, fakes, monkeypatch):
    whole, output = tmp_path / "whole", tmp_path / "output"
    assert prepare(images, whole) == 0
    monkeypatch.setattr(Joints, "stop_at", "3.png")
    assert prepare(images, output) == 130
    files = contents(output / "labels")
    before = {path: files[path] for path in files if path.suffix == ".json"}
    assert not (output / "people.json").exists()
    assert [path.name for path in sorted(before)] == [
        "0.png.json", "1.png.json", "2.png.json",
    ]  # fmt: skip
    (output / "labels" / "3.png.json.part").write_bytes(b'{"half')
    monkeypatch.setattr(Joints, "stop_at", None)
    assert prepare(images, output) == 0
    assert Joints.last.asked == ["3.png", "4.png"]
    after = contents(output / "labels")
    assert {path: after[path] for path in before} == before
    assert not list(output.rglob("*.part"))
    assert labels(output) == labels(whole)


def test_a_run_that_is_complete_asks_nothing_again(images, tmp_path, fakes):
    output = tmp_path / "output"
    assert prepare(images, output) == prepare(images, output) == 0
    assert Joints.last.asked == []
    Image.open(images / "0.png").save(images / "9.png")
    assert prepare(images, output) == 0
    assert Joints.last.asked == ["9.png"]


def test_an_image_that_was_replaced_is_labelled_again(images, tmp_path, fakes):
    output = tmp_path / "output"
    assert prepare(images, output) == 0
    Image.open(images / "4.png").save(images / "3.png")
    assert prepare(images, output) == 0
    assert Joints.last.asked == ["3.png"]
    (images / "4.png").write_bytes((images / "3.png").read_bytes())  # The same content as before.
    assert prepare(images, output) == 0
    assert Joints.last.asked == []


def test_an_image_that_was_replaced_and_cannot_be_read_has_no_labels(images, tmp_path, fakes):
    output = tmp_path / "output"
    assert prepare(images, output) == 0
    (images / "3.png").write_bytes(b"damaged")
    assert prepare(images, output) == 1
    people = json.loads((output / "people.json").read_bytes())
    assert "3.png" not in [image["file_name"] for image in people["images"]]


def test_an_image_that_is_replaced_meanwhile_is_labelled_again(
    images, tmp_path, fakes, monkeypatch
):
    output, labelling = tmp_path / "output", Joints.__call__

    def replacing(teacher, image, name):
        if name == "3.png":
            Image.open(images / "4.png").save(images / "3.png")
        return labelling(teacher, image, name)

    with monkeypatch.context() as patch:
        patch.setattr(Joints, "__call__", replacing)
        assert prepare(images, output) == 0
    assert prepare(images, output) == 0
    assert Joints.last.asked == ["3.png"]


def test_labels_that_are_corrected_meanwhile_are_kept(images, tmp_path, fakes, monkeypatch):
    output, labelling = tmp_path / "output", Joints.__call__
    assert prepare(images, output) == 0
    Image.open(images / "0.png").save(images / "9.png")

    def correcting(teacher, image, name):
        (output / "people.json").write_bytes(b"corrected")
        return labelling(teacher, image, name)

    monkeypatch.setattr(Joints, "__call__", correcting)
    assert prepare(images, output) == 1
    assert (output / "people.json").read_bytes() == b"corrected"


def test_labels_that_somebody_corrected_are_kept(images, tmp_path, fakes, capsys):
    output = tmp_path / "output"
    assert prepare(images, output) == 0
    people = output / "people.json"
    people.write_bytes(people.read_bytes().replace(b'"keypoints": [5', b'"keypoints": [6'))
    Image.open(images / "0.png").save(images / "9.png")
    before = contents(output)
    assert f"Expected {people} as lightning prepare wrote it" in refused(capsys, images, output)
    assert contents(output) == before
    people.rename(output / "corrected.json")
    assert prepare(images, output) == 0
    assert (output / "corrected.json").read_bytes() == before[people]


def test_a_run_that_was_stopped_at_its_last_rename_goes_on(images, tmp_path, fakes, monkeypatch):
    output, replace = tmp_path / "output", Path.replace

    def renaming(path: Path, target: Path) -> Path:
        found = replace(path, target)
        if target.name == "people.json":
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", renaming)
        assert prepare(images, output) == 130
    assert (output / "people.json").is_file()
    assert prepare(images, output) == 0
    assert Joints.last.asked == []


def test_files_of_other_kinds_are_named(images, tmp_path, fakes, capsys):
    for name in (".hidden", "notes.txt", "phone.heic"):
        (images / name).write_bytes(b"")
    assert prepare(images, tmp_path / "output") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        f"files of {images} that are not images are left out: 2, the first 'notes.txt'."
    )


def refused(capsys, *arguments) -> str:
    capsys.readouterr()
    assert prepare(*arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_other_options_do_not_mix_with_labels_that_are_there(images, tmp_path, fakes, capsys):
    output = tmp_path / "output"
    assert prepare(images, output) == 0
    before = contents(output)
    line = refused(capsys, images, output, "--joint_score", "1")
    assert "found others in 0.png.json (they differ in joints)" in line
    assert contents(output) == before


@pytest.mark.parametrize("name", ["a.png", "labels/a.txt.part"])
def test_a_folder_with_other_files_is_left_alone(images, tmp_path, fakes, capsys, name):
    output = tmp_path / "output"
    (output / name).parent.mkdir(parents=True)
    (output / name).write_bytes(b"mine")
    before = contents(output)
    assert "found other files in it; choose another --output" in refused(capsys, images, output)
    assert contents(output) == before


def test_only_one_process_writes_to_a_folder(images, tmp_path, fakes, capsys):
    assert prepare(images, tmp_path / "output") == 0
    with FileLock(tmp_path / "output" / "labels" / ".lock"):
        line = refused(capsys, images, tmp_path / "output")
    assert "found another lightning prepare at work" in line
    assert prepare(images, tmp_path / "output") == 0


def test_an_image_that_cannot_be_read_is_named_and_the_others_are_done(
    images, tmp_path, fakes, capsys
):
    (images / "3.png").write_bytes((images / "3.png").read_bytes()[:100])
    assert prepare(images, tmp_path / "output") == 1
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("lightning prepare: Expected a whole image in")
    assert "Labels of 5 people in 4 images" in printed.out
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(images / "3.png")
    assert prepare(images, tmp_path / "output") == 0
    assert Joints.last.asked == ["3.png"]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b"[" * 10**5, b'{"about": {}, "image": {"file_name": "1.png"}}']
)
def test_damaged_labels_are_named(images, tmp_path, fakes, capsys, content):
    output = tmp_path / "output"
    assert prepare(images, output) == 0
    (output / "labels" / "0.png.json").write_bytes(content)
    line = refused(capsys, images, output)
    assert "0.png.json, found that they cannot be read" in line
    assert "remove the file to make it again" in line


def test_nobody_in_any_image_is_said(tmp_path, fakes, capsys):
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(np.full((*SIZE, 3), 2, np.uint8)).save(images / "17.png")
    line = refused(capsys, images, tmp_path / "output")
    assert "found nobody; give other images, or a lower --person_score" in line


def test_the_sheets_show_joints_and_masks(images, tmp_path, fakes):
    output = tmp_path / "output"
    assert prepare(images, output) == 0
    for name in ("sheet.jpg", "doubtful.jpg"):
        with Image.open(output / name) as sheet:
            assert sheet.size == (6 * (256 + 8) + 8, 256 + 22 + 2 * 8)
            colours = np.asarray(sheet.convert("RGB")).astype(int)
        # The person is red (250, 0, n); the mask covers it by 0.4 of (70, 210, 150).
        assert (np.abs(colours - (178, 84, 60)).max(axis=2) < 12).sum() > 20000
        # Left limbs are blue.
        assert (np.abs(colours - (60, 140, 230)).max(axis=2) < 30).sum() > 500


def test_files_of_openpose_beside_the_images_are_not_reported(tmp_path, capsys):
    write_folder(tmp_path, count=1)
    images = tmp_path / "images"
    for file in (tmp_path / "keypoints").iterdir():
        file.rename(images / file.name)
    words = ["--openpose", str(images), "--masks", "false"]
    assert prepare(images, tmp_path / "output", *words) == 0
    assert capsys.readouterr().err == ""
    (images / "other.json").write_text("{}")
    assert prepare(images, tmp_path / "output", *words) == 0
    assert "are left out: 1, the first 'other.json'." in capsys.readouterr().err


def test_joints_of_openpose_without_any_model(tmp_path, monkeypatch, capsys):
    monkeypatch.delattr(teachers, "KeypointRCNNTeacher")
    monkeypatch.delattr(teachers, "MaskRCNNTeacher")
    joints = write_folder(tmp_path / "folder", count=3)
    write_people(tmp_path / "folder", "0000", *(person.ravel().tolist() for person in joints))
    (tmp_path / "folder" / "keypoints" / "0002_keypoints.json").unlink()
    words = ["--openpose", str(tmp_path / "folder" / "keypoints"), "--masks", "false"]
    assert prepare(tmp_path / "folder" / "images", tmp_path / "output", *words) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "images without a file of keypoints are left out: 1 of 3, the first '0002.jpg'." in line
    people = COCODataset(tmp_path / "output" / "people.json", tmp_path / "folder" / "images")
    assert people.skeleton.names == BODY25.names
    assert people.skeleton.flip_pairs == BODY25.flip_pairs
    assert people.image_ids.tolist() == ["0000.jpg"] * 3 + ["0001.jpg"]
    for index, number in enumerate((0, 1, 2, 1)):
        expected = np.where(joints[number, :, 2:] > 0, joints[number, :, :2], 0)
        np.testing.assert_allclose(people[index].keypoints, expected, atol=0.006)
        assert (people[index].mask == -1).all()


def test_joints_of_openpose_with_masks(images, tmp_path, fakes):
    keypoints = tmp_path / "openpose"
    (keypoints / "keypoints").mkdir(parents=True)
    for number in range(5):
        x0, y0, x1, y1 = box_of(number)
        points = np.linspace((x0, y0, 0.7), (x1 - 1, y1 - 1, 0.7), 25)
        write_people(keypoints, str(number), points.ravel().tolist())
    assert prepare(images, tmp_path / "output", "--openpose", str(keypoints / "keypoints")) == 0
    people = COCODataset(tmp_path / "output" / "people.json", images)
    assert [bool((people[index].mask == 1).any()) for index in range(5)] == [1, 1, 0, 1, 1]


def test_two_images_do_not_share_a_file_of_openpose(images, tmp_path, fakes, capsys):
    (tmp_path / "openpose" / "keypoints").mkdir(parents=True)
    write_people(tmp_path / "openpose", "3", [10.0, 10.0, 0.7] * 25)
    Image.open(images / "3.png").save(images / "3.jpg")
    keypoints = str(tmp_path / "openpose" / "keypoints")
    line = refused(capsys, images, tmp_path / "output", "--openpose", keypoints)
    assert "found 3_keypoints.json for both '3.jpg' and '3.png'" in line


def test_new_keypoints_of_openpose_are_read_again(images, tmp_path):
    keypoints = tmp_path / "openpose" / "keypoints"
    words = ["--openpose", str(keypoints), "--masks", "false"]
    keypoints.mkdir(parents=True)
    for place in (10.0, 20.0):
        write_people(tmp_path / "openpose", "3", [place, 10.0, 0.7] * 25)
        assert prepare(images, tmp_path / "output", *words) == 0
        people = COCODataset(tmp_path / "output" / "people.json", images)
        assert (people[0].keypoints[:, 0] == place).all()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--person_score", "0"], "--person_score between 0 and 1, found 0.0"),
        (["--mask_score", "nan"], "--mask_score between 0 and 1, found nan"),
        (["--joint_score", "inf"], "a number as --joint_score, found inf"),
        (["--openpose", "a", "--keypointrcnn", "b"], "either --keypointrcnn or --openpose"),
        (["--masks", "false", "--maskrcnn", "b"], "either --maskrcnn or --masks false"),
        (["--openpose", "nowhere"], "OpenPose's files at nowhere, found none"),
        (["--openpose", "."], "Expected files such as 0_keypoints.json in ., found none"),
        (["--device", "toaster"], "a device that this machine has, found 'toaster'"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    images, tmp_path, fakes, capsys, monkeypatch, words, sentence
):
    monkeypatch.chdir(tmp_path)
    assert sentence in refused(capsys, images, tmp_path / "output", *words)
    assert not (tmp_path / "output").exists()


def test_folders_without_images_and_odd_names_are_refused(images, tmp_path, fakes, capsys):
    assert "found none; correct --images" in refused(capsys, tmp_path / "x", tmp_path / "output")
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "a.txt").write_text("no image")
    assert "found none; give the folder" in refused(capsys, tmp_path / "y", tmp_path / "output")
    (images / "0.png").rename(images / "a\nb.png")
    line = refused(capsys, images, tmp_path / "output")
    assert "that every system can use, found 'a\\nb.png'" in line
