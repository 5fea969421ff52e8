import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lightning_pose.datasets import FolderDataset
from lightning_pose.datasets.checks import check_annotation, check_pixels
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.skeletons import BODY25
from tests.data.folder import SIZE, write_folder, write_people


def test_a_sample_is_what_was_written(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    joints = write_folder(root)
    dataset = FolderDataset(root)
    assert len(dataset) == 6
    assert dataset.skeleton == BODY25
    assert dataset.boxes_around == "joints"
    assert dataset.person_ids.tolist() == [0, 1, 2, 3, 4, 5]
    assert dataset.image_ids.tolist() == [f"{n:04d}.jpg" for n in range(6)]
    assert dataset.skipped == {}
    sample = dataset[3]  # Every joint is labelled, and there is a mask.
    expected = joints[3, :, :2].astype(np.float32)
    np.testing.assert_array_equal(sample.keypoints, expected)
    assert sample.visibility.tolist() == [2] * 25
    np.testing.assert_array_equal(sample.box, [*expected.min(0), *expected.max(0)])
    shoulder, hip = BODY25.names.index("right_shoulder"), BODY25.names.index("left_hip")
    assert sample.torso_size == pytest.approx(np.linalg.norm(expected[shoulder] - expected[hip]))
    assert sample.head_size == sample.area == 0
    assert sample.image.shape == (*SIZE, 3)
    assert (sample.person_id, sample.image_id) == (3, "0003.jpg")
    assert sample.mask.sum() == 40 * 23
    assert set(np.unique(sample.mask)) == {0, 1}
    assert sample.labels == dataset.labels == {}


def test_a_joint_of_confidence_0_is_unlabelled_and_not_in_the_box(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    joints = write_folder(root)
    joints[0, 7] = [-900, 4000, 0]
    joints[0, 8, 2] = 1e-9
    write_people(root, "0000", joints[0].ravel().tolist())
    sample = FolderDataset(root)[0]
    assert sample.visibility.tolist() == [2] * 7 + [0] + [2] * 17
    assert sample.keypoints[7].tolist() == [0, 0]
    assert 5 <= sample.box.min() <= sample.box.max() <= 55


def test_a_joint_outside_the_image_is_kept(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    joints = write_folder(root)
    joints[0, 7, :2] = -12.5, 70
    write_people(root, "0000", joints[0].ravel().tolist())
    sample = FolderDataset(root)[0]
    assert sample.keypoints[7].tolist() == [-12.5, 70]
    assert sample.box[[0, 3]].tolist() == [-12.5, 70]


def test_only_images_of_one_person_are_kept_and_the_others_counted(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    joints = write_folder(root, count=9)
    person = joints[0].ravel().tolist()
    write_people(root, "0001", person, person)
    write_people(root, "0003", person, person, person)
    write_people(root, "0004")
    (root / "keypoints" / "0005_keypoints.json").unlink()
    (root / "images" / "0006.jpg").unlink()
    dataset = FolderDataset(root, min_joints=24)  # 0002 and 0008 have 23.
    assert dataset.image_ids.tolist() == ["0000.jpg", "0007.jpg"]
    assert dataset.skipped == {
        "with several people": 2,
        "with no person": 1,
        "without keypoints": 1,
        "without an image": 1,
        "with fewer than 24 joints": 2,
    }
    assert [dataset[index].mask.sum() for index in range(2)] == [40 * 20, 40 * 27]


def test_who_is_kept_does_not_change_anybodys_number(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    write_folder(root)
    everyone, few = FolderDataset(root, min_joints=0), FolderDataset(root, min_joints=25)
    ids = dict(zip(everyone.image_ids, everyone.person_ids, strict=True))
    assert few.person_ids.tolist() == [ids[name] for name in few.image_ids] == [0, 3]
    (root / "keypoints" / "0000_keypoints.json").unlink()
    assert FolderDataset(root, min_joints=25).person_ids.tolist() == [3]


def test_everyone_with_a_joint_is_kept_by_default(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    joints = write_folder(root)
    joints[0], joints[1, 1:] = 0, 0
    for person in (0, 1):
        write_people(root, f"{person:04d}", joints[person].ravel().tolist())
    assert FolderDataset(root).image_ids[0] == "0001.jpg"
    dataset = FolderDataset(root, min_joints=0)
    for index in range(2):  # No joint, or only one: there is no box.
        assert dataset.annotation(index).crop_box is None
        assert dataset[index].torso_size == 0
    assert dataset.annotation(2).crop_box is not None


def test_masks_are_optional(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    write_folder(root, without_mask=(1,))
    sample = FolderDataset(root)[1]
    assert sample.mask.shape == SIZE
    assert (sample.mask == -1).all()
    for path in (root / "masks").iterdir():
        path.unlink()
    assert (FolderDataset(root)[0].mask == -1).all()
    (root / "masks").rmdir()
    assert (FolderDataset(root)[0].mask == -1).all()


def test_the_suffix_of_a_mask_may_be_in_capitals(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    write_folder(root)
    before = FolderDataset(root)[2].mask
    assert (before == 1).any()
    (root / "masks" / "0002.png").rename(root / "masks" / "0002.PNG")
    dataset = FolderDataset(root)
    np.testing.assert_array_equal(dataset[2].mask, before)
    assert [path.name for path in dataset.files(2)] == ["0002.jpg", "0002.PNG"]


def test_labels_belong_to_the_images_that_are_kept(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    write_folder(root)
    (root / "labels.csv").write_text(
        "image,height,activity\n0005.jpg,1.9,run\n0003.jpg,,walk\ngone.jpg,1.2,sit\n0000.jpg,1.5,\n"
    )
    dataset = FolderDataset(root, min_joints=24)
    assert dataset.labels == {"height": [], "activity": ["run", "sit", "walk"]}
    assert dataset.skipped["in labels.csv without an image"] == 1
    people = [dataset.annotation(index) for index in range(4)]
    assert [person.image_id for person in people] == [f"{n:04d}.jpg" for n in (0, 1, 3, 4)]
    heights = [person.labels["height"] for person in people]
    np.testing.assert_allclose(heights, [1.5, np.nan, np.nan, np.nan])
    assert [person.labels["activity"] for person in people] == [-1, -1, 2, -1]
    assert all(isinstance(person.labels["activity"], int) for person in people)
    for person in people:
        check_annotation(person, dataset)


def test_images_of_any_format_are_found_and_other_files_ignored(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    write_folder(root, sizes=((60, 50), (40, 60)))
    images = root / "images"
    for number, suffix in ((0, ".JPG"), (1, ".png"), (2, ".webp")):
        image = cv2.imread(str(images / f"{number:04d}.jpg"))
        (images / f"{number:04d}.jpg").unlink()
        assert cv2.imwrite(str(images / f"{number:04d}{suffix.lower()}"), image)
        (images / f"{number:04d}{suffix.lower()}").rename(images / f"{number:04d}{suffix}")
    for name in ("0003.txt", "._0003.jpg", "notes", "Thumbs.db"):
        (images / name).write_text("no image")
    (images / "old.jpg").mkdir()
    dataset = FolderDataset(root)
    assert dataset.image_ids.tolist()[:4] == ["0000.JPG", "0001.png", "0002.webp", "0003.jpg"]
    assert dataset.skipped == {}
    for index in range(6):
        pixels = dataset.read(index)
        check_pixels(pixels, dataset.annotation(index))
        assert pixels.image.shape[:2] == dataset.image_size(index)
        assert dataset.image_size(index) == ((60, 50), (40, 60))[index % 2]


def test_masks_of_one_bit_are_read(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    write_folder(root)
    path = root / "masks" / "0003.png"
    before = FolderDataset(root)[3].mask
    assert cv2.imwrite(str(path), cv2.imread(str(path), 0), [cv2.IMWRITE_PNG_BILEVEL, 1])
    np.testing.assert_array_equal(FolderDataset(root)[3].mask, before)


def test_annotations_need_no_image(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    write_folder(root)
    for path in (*(root / "images").iterdir(), *(root / "masks").iterdir()):
        path.write_bytes(b"")
    dataset = FolderDataset(root)
    people = [dataset.annotation(index) for index in range(6)]
    assert [person.person_id for person in people] == dataset.person_ids.tolist()


def test_a_smaller_image_has_its_frame_and_a_whole_mask(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    write_folder(root, sizes=((61, 51),))
    dataset = FolderDataset(root)
    pixels = dataset.read(2, shrink=2)
    assert pixels.image.shape == (31, 26, 3)
    np.testing.assert_allclose(pixels.image_frame, [[0.5, 0, -0.25], [0, 0.5, -0.25]])
    np.testing.assert_array_equal(pixels.mask, dataset[2].mask)
    assert pixels.mask_frame is None
    assert dataset.read(1, shrink=2).mask is None


def test_a_root_that_is_no_folder_and_a_number_of_joints_that_nobody_has_are_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        FolderDataset(tmp_path / "moved")
    write_folder(tmp_path / "folder")
    for number in (-1, 26):
        with pytest.raises(ConfigError, match=f"min_joints from 0 to 25, found {number}"):
            FolderDataset(tmp_path / "folder", min_joints=number)


def spoil_folder(root: Path) -> None:
    (root / "keypoints").rename(root / "json")


def spoil_images(root: Path) -> None:
    (root / "images").rename(root / "photos")


def spoil_names(root: Path) -> None:
    for path in (root / "images").iterdir():
        path.rename(path.with_stem(f"photo_{path.stem}"))


def spoil_suffixes(root: Path) -> None:
    for path in (root / "keypoints").iterdir():
        path.rename(path.with_name(path.name.replace("_keypoints", "")))


def spoil_twins(root: Path) -> None:
    (root / "images" / "0002.png").write_bytes(b"")


def spoil_twin_masks(root: Path) -> None:
    (root / "masks" / "0002.PNG").write_bytes(b"")


def spoil_masks(root: Path) -> None:
    for path in (root / "masks").iterdir():
        path.rename(path.with_stem(f"{path.stem}_mask"))


def spoil_labels(root: Path) -> None:
    (root / "labels.csv").write_text("image,age\n0000,31\n0001,32\n")


def spoil_everyone(root: Path) -> None:
    for number in range(6):
        write_people(root, f"{number:04d}", [1.0] * 75, [1.0] * 75)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_folder, r"images/NAME\.jpg with keypoints/NAME_key.*6 images and 0 files"),
        (spoil_images, r"images/NAME\.jpg with keypoints/NAME_key.*0 images and 6 files"),
        (spoil_names, r"6 images and 6 files of keypoints, of which no two have the same NAME"),
        (spoil_suffixes, r"6 images and 0 files of keypoints"),
        (spoil_twins, r"differ without their suffixes, found 0002\.jpg and 0002\.png"),
        (spoil_twin_masks, r"masks that differ .*, found 0002\.PNG and 0002\.png; rename"),
        (spoil_masks, r"as 0000\.png, in .*masks, found no such name but 0000_mask\.png"),
        (spoil_labels, r"such as 0000\.jpg in the column 'image' of .*labels\.csv.* but '0000'"),
        (spoil_everyone, r"one person with min_joints=1 labelled.*only 6 with several people"),
    ],
)
def test_files_that_do_not_fit_together_are_one_sentence(tmp_path, spoil, message) -> None:
    root = tmp_path / "folder"
    write_folder(root)
    spoil(root)
    with pytest.raises(DataError, match=message) as caught:
        FolderDataset(root)
    assert "\n" not in str(caught.value)


def person(**change: Any) -> dict[str, Any]:
    return {"people": [{"pose_keypoints_2d": [3.0] * 75, **change}]}


def changed(value: Any, place: int = 40) -> dict[str, Any]:
    values: list[Any] = [3.0] * 75
    values[place] = value
    return person(pose_keypoints_2d=values)


NUMBERS = r"finite numbers in 'pose_keypoints_2d' of .*0002_keypoints\.json, found "


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"keypoints as JSON in .*0002_keypoints\.json, found that it cannot be read"),
        ('{"people": [', "cannot be read"),
        (b"\xff\xfe\xfa", "cannot be read"),
        ("[" * 10**5, "cannot be read"),
        ('{"people": ' + "9" * 5000 + "}", "cannot be read"),
        ("[]", r"list 'people' in .*0002_keypoints\.json, found none.*--write_json"),
        ("{}", r"list 'people'"),
        ('{"people": {}}', r"list 'people'"),
        ('{"people": [7]}', r"75 numbers in 'pose_key.*0002_keypoints\.json.*no such list"),
        ('{"people": [{}]}', "found no such list"),
        (person(pose_keypoints_2d=None), "found no such list"),
        (person(pose_keypoints_2d=[]), "found 0 values"),
        (person(pose_keypoints_2d=[3.0] * 54), "found 54 values; run OpenPose with --model_pose"),
        (person(pose_keypoints_2d=[[3.0, 3.0, 1.0]] * 25), "found 25 values"),
        (changed(None), NUMBERS + "None"),
        (changed("12"), NUMBERS + "'12'"),
        (changed(True), NUMBERS + "True"),
        (changed([1.0]), NUMBERS + "list"),
        (changed({}), NUMBERS + "dict"),
        (changed(float("nan")), NUMBERS + "nan"),
        (changed(float("-inf"), place=41), NUMBERS + "-inf"),
        (changed(10**400), NUMBERS + "10000"),
        (changed(1e6), NUMBERS + "1000000.0"),
        (person(pose_keypoints_2d=[0.5, -1.0, 1.0] * 25), r"pixels.*--keypoint_scale 0"),
    ],
)
def test_damaged_keypoints_are_named(tmp_path: Path, content: Any, message: str) -> None:
    root = tmp_path / "folder"
    write_folder(root)
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    content = content if isinstance(content, bytes) else content.encode()
    (root / "keypoints" / "0002_keypoints.json").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        FolderDataset(root)
    assert "0002_keypoints.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_image_and_a_mask_of_another_size_are_named(tmp_path: Path) -> None:
    root = tmp_path / "folder"
    write_folder(root)
    image = root / "images" / "0003.jpg"
    image.write_bytes(image.read_bytes()[:700])
    cv2.imwrite(str(root / "masks" / "0005.png"), np.zeros((9, 8), np.uint8))
    dataset = FolderDataset(root)
    with pytest.raises(DataError, match=r"0003\.jpg"):
        dataset[3]
    with pytest.raises(DataError, match=r"0005\.png.*0005\.jpg.*found 8 x 9"):
        dataset[5]


def test_the_real_folder_is_read_as_its_readme_counts_it(real_data: Path) -> None:
    real = real_data / "fashion"
    if not real.is_dir():
        pytest.skip("LIGHTNING_POSE_DATA has no fashion/")
    everyone, full = FolderDataset(real), FolderDataset(real, min_joints=22)
    assert (len(everyone), len(full)) == (120, 63)
    assert everyone.skipped == {}
    assert full.skipped == {"with fewer than 22 joints": 57}
    assert (everyone.masks != "").all()
    on_mask, labelled, facing = 0, 0, 0
    for index in range(len(everyone)):
        person, pixels = everyone.annotation(index), everyone.read(index)
        check_annotation(person, everyone)
        check_pixels(pixels, person)
        # An independent reading of the file.
        path = real / "keypoints" / f"{Path(person.image_id).stem}_keypoints.json"
        (truth,) = json.loads(path.read_text())["people"]
        x, y, confidence = np.array(truth["pose_keypoints_2d"], np.float32).reshape(25, 3).T
        np.testing.assert_array_equal(person.keypoints.T, [x, y])
        assert ((person.visibility > 0) == (confidence > 0)).all()
        columns, rows = np.rint(person.keypoints[confidence > 0]).astype(int).T
        height, width = pixels.image.shape[:2]
        on_mask += (pixels.mask[rows.clip(0, height - 1), columns.clip(0, width - 1)] == 1).sum()
        labelled += len(rows)
        right, left = (BODY25.names.index(f"{side}_shoulder") for side in ("right", "left"))
        facing += person.keypoints[right, 0] < person.keypoints[left, 0]
    # Joints and masks were made separately: that joints lie on masks shows a common frame.
    assert on_mask / labelled > 0.9
    # Almost everyone faces the camera: the person's right is on the left of the image.
    assert facing > 0.9 * 120
