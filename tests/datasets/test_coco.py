import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as coco
import pytest

from lightning_pose.datasets import COCODataset
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.skeletons import COCO17
from tests.data.coco import NAMES, SIZE, write_coco

FILE = "annotations/person_keypoints_val2017.json"


def opened(root: Path, content: dict[str, Any] | None = None, **settings: Any) -> COCODataset:
    """The people below a folder, after a change to their file."""
    if content is not None:
        (root / FILE).write_text(json.dumps(content))
    return COCODataset(root / FILE, root / "val2017", **settings)


def test_a_sample_is_what_was_written(tmp_path: Path) -> None:
    content = write_coco(tmp_path, first_id=900_100_000_001)
    dataset = opened(tmp_path)
    assert len(dataset) == 6
    assert dataset.boxes_around == "silhouette"
    for index, row in enumerate(content["annotations"][:6]):
        sample = dataset[index]
        points = np.array(row["keypoints"]).reshape(17, 3)
        np.testing.assert_array_equal(sample.keypoints, points[:, :2])
        np.testing.assert_array_equal(sample.visibility, points[:, 2])
        # From the left edge of the first pixel, whose centre is 0, to the right edge of the last.
        left = row["bbox"][0]
        assert sample.box.tolist() == [left - 0.5, 9.5, left + 19.5, 49.5]
        mask = np.zeros(SIZE)
        mask[10:50, left : left + 20] = 1
        np.testing.assert_array_equal(sample.mask, mask)
        assert sample.area == 800
        torso = points[[6, 11]]
        expected = np.linalg.norm(np.diff(torso[:, :2], axis=0)) * torso[:, 2].all()
        assert sample.torso_size == pytest.approx(expected)
        assert sample.head_size == 0
        assert sample.person_id == dataset.person_ids[index] == 900_100_000_001 + index
        image = content["images"][index // 2]
        assert sample.image_id == dataset.image_ids[index] == image["file_name"]
        assert sample.image.shape == (*SIZE, 3)
        assert dataset.image_size(index) == SIZE
        assert sample.labels == dataset.labels == {}


def test_people_of_coco_have_its_joints(tmp_path: Path) -> None:
    write_coco(tmp_path)
    assert opened(tmp_path).skeleton is COCO17


def test_unlabelled_joints_are_zero_whatever_the_file_says(tmp_path: Path) -> None:
    content = write_coco(tmp_path)
    content["annotations"][0]["keypoints"] = [7, 8, 0] * 16 + [9, 10, 1]
    annotation = opened(tmp_path, content).annotation(0)
    assert annotation.keypoints.tolist() == [[0, 0]] * 16 + [[9, 10]]
    assert annotation.visibility.tolist() == [0] * 16 + [1]
    assert annotation.torso_size == 0


def test_min_joints_and_first_id(tmp_path: Path) -> None:
    content = write_coco(tmp_path)
    content["annotations"][0]["keypoints"] = [9, 9, 2] * 4 + [0, 0, 0] * 13
    assert opened(tmp_path, content).person_ids.tolist() == [1, 2, 3, 4, 5, 6]
    several = opened(tmp_path, content, min_joints=5, first_id=1000)
    assert several.person_ids.tolist() == [1002, 1003, 1004, 1005, 1006]
    everyone = opened(tmp_path, content, min_joints=0)
    assert everyone.person_ids.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert not everyone.annotation(6).visibility.any()
    assert everyone[6].mask.sum() == 800


def test_another_category_has_its_own_skeleton(tmp_path: Path) -> None:
    content = write_coco(tmp_path)
    names = ["Right Shoulder", "left_shoulder", "left_hip", "neck", "head_top"]
    limbs = [[1, 2], [4, 5], [2, 3]]
    content["categories"].append({"id": 5, "name": "dancer", "keypoints": names, "skeleton": limbs})
    row = {**content["annotations"][0], "id": 70, "category_id": 5}
    row["keypoints"] = [10, 10, 2, 0, 0, 0, 13, 14, 2, 5, 5, 2, 5, 11, 1]
    content["annotations"].append(row)
    dataset = opened(tmp_path, content, category="dancer")
    skeleton = dataset.skeleton
    assert skeleton.names == ("right_shoulder", "left_shoulder", "left_hip", "neck", "head_top")
    assert skeleton.limbs == ((0, 1), (3, 4), (1, 2))
    assert skeleton.flip_order == [1, 0, 2, 3, 4]
    assert (skeleton.torso, skeleton.head) == ((0, 2), (3, 4))
    annotation = dataset.annotation(0)
    assert (annotation.torso_size, annotation.head_size) == (5, 6)


def test_the_order_of_the_joints_is_that_of_the_file(tmp_path: Path) -> None:
    content = write_coco(tmp_path)
    content["categories"][0]["keypoints"] = NAMES[::-1]
    skeleton = opened(tmp_path, content).skeleton
    assert skeleton.names == COCO17.names[::-1]
    assert skeleton.limbs == ((15, 13), (13, 11))
    assert {frozenset(pair) for pair in skeleton.flip_pairs} == {
        frozenset(16 - joint for joint in pair) for pair in COCO17.flip_pairs
    }


def test_a_person_without_segmentation_has_an_unknown_mask(tmp_path: Path) -> None:
    content = write_coco(tmp_path)
    content["annotations"][1]["segmentation"] = []
    dataset = opened(tmp_path, content)
    assert dataset.read(1).mask is None
    assert (dataset[1].mask == -1).all()
    assert (dataset[0].mask >= 0).all()


def test_annotations_need_no_image(tmp_path: Path) -> None:
    content = write_coco(tmp_path)
    for path in (tmp_path / "val2017").iterdir():
        path.write_bytes(b"")
    dataset = opened(tmp_path)
    people = [dataset.annotation(index) for index in range(6)]
    assert [person.person_id for person in people] == dataset.person_ids.tolist()
    assert [dataset.image_size(index) for index in range(6)] == [SIZE] * 6
    # A box of a single point says nothing.
    assert people[0].crop_box is people[0].box
    content["annotations"][0]["bbox"] = [7, 8, 0, 0]
    assert opened(tmp_path, content).annotation(0).crop_box is None


def test_a_smaller_image_has_its_frame_and_a_whole_mask(tmp_path: Path) -> None:
    write_coco(tmp_path)
    dataset = opened(tmp_path)
    pixels = dataset.read(2, shrink=2)
    assert pixels.image.shape == (30, 25, 3)
    np.testing.assert_allclose(pixels.image_frame, [[0.5, 0, -0.25], [0, 0.5, -0.25]])
    np.testing.assert_array_equal(pixels.mask, dataset[2].mask)
    assert pixels.mask_frame is None


@pytest.mark.parametrize("shrink", [1, 2])
def test_an_image_of_another_size_is_refused(tmp_path: Path, shrink: int) -> None:
    content = write_coco(tmp_path)
    name = content["images"][1]["file_name"]
    cv2.imwrite(str(tmp_path / "val2017" / name), np.zeros((50, 60, 3), np.uint8))
    dataset = opened(tmp_path)
    dataset.read(1, shrink)
    with pytest.raises(DataError, match=rf"val2017\.json.*{name}, 50 x 60 .*found 60 x 50; .*EXIF"):
        dataset.read(2, shrink)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    content = write_coco(tmp_path)
    path = tmp_path / "val2017" / content["images"][1]["file_name"]
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=path.name):
        opened(tmp_path)[2]


def test_images_may_be_in_folders_and_need_people(tmp_path: Path) -> None:
    content = write_coco(tmp_path)
    images = tmp_path / "val2017"
    (images / "a" / "b").mkdir(parents=True)
    name = content["images"][1]["file_name"]
    (images / name).rename(images / "a" / "b" / name)
    content["images"][1]["file_name"] = f"a/b/{name}"
    content["images"].append({**content["images"][0], "id": 900, "file_name": "of nobody.jpg"})
    dataset = opened(tmp_path, content)
    assert dataset.image_ids.tolist()[2:4] == [f"a/b/{name}"] * 2
    assert dataset[2].image.shape == (*SIZE, 3)


def test_missing_images_are_refused_at_once(tmp_path: Path) -> None:
    content = write_coco(tmp_path)
    images = tmp_path / "val2017"
    names = [image["file_name"] for image in content["images"]]
    (images / names[1]).unlink()
    with pytest.raises(DataError, match=f"found 1 of 3 missing, first .*{names[1]};"):
        opened(tmp_path)
    content["images"][1]["file_name"] = f"{'long' * 100}/{names[1]}"
    with pytest.raises(DataError, match=r"found 1 of 3 missing, first .*longlong"):
        opened(tmp_path, content)
    write_coco(tmp_path / "again")
    (tmp_path / "again" / FILE).replace(tmp_path / FILE)
    images.rename(tmp_path / "photos")
    with pytest.raises(DataError, match=f"found 3 of 3 missing, first .*{names[0]};"):
        opened(tmp_path)
    with pytest.raises(ConfigError, match="no such file"):
        COCODataset(tmp_path / "people.json", images)


@pytest.fixture
def real(real_data: Path) -> Path:
    if not (real_data / "coco").is_dir():
        pytest.skip("LIGHTNING_POSE_DATA has no coco/")
    return real_data / "coco"


def test_real_people_are_counted(real: Path) -> None:
    file, images = real / "person_keypoints.json", real / "images"
    dataset = COCODataset(file, images)
    assert len(dataset) == 161
    assert dataset.skeleton is COCO17
    content = json.loads(file.read_text())
    assert len(content["annotations"]) == 255
    single = [row for row in content["annotations"] if not row["iscrowd"]]
    assert len(COCODataset(file, images, min_joints=0)) == len(single) == 250
    rows = [row for row in single if row["num_keypoints"]]
    assert (dataset.annotations.visibility > 0).sum(1).tolist() == [
        row["num_keypoints"] for row in rows
    ]


def test_real_masks_agree_with_the_file(real: Path) -> None:
    file = real / "person_keypoints.json"
    content = json.loads(file.read_text())
    rows = {row["id"]: row for row in content["annotations"]}
    dataset = COCODataset(file, real / "images", min_joints=0)
    wrong = covered = 0
    visible, edges = [], []
    for index in range(len(dataset)):
        sample = dataset[index]
        row, size = rows[sample.person_id], dataset.image_size(index)
        expected = coco.merge(coco.frPyObjects(row["segmentation"], *size))
        wrong += abs(int(coco.area(expected)) - int(sample.mask.sum()))
        covered += int(sample.mask.sum())
        if row["area"] > 1000:  # On smaller people, the edge is a large part.
            assert sample.mask.sum() == pytest.approx(row["area"], rel=0.03)
        y, x = np.nonzero(sample.mask)
        # The outer edges of the pixels at the sides.
        edges.append([x.min() - 0.5, y.min() - 0.5, x.max() + 0.5, y.max() + 0.5] - sample.box)
        points = sample.keypoints[sample.visibility == 2].astype(int)
        visible += sample.mask[points[:, 1], points[:, 0]].tolist()
    # Points are rounded to float32, which moves some of the edge.
    assert wrong < 0.001 * covered
    # Boxes and masks were made from the same polygons, which a shift by half a pixel would show.
    assert np.abs(np.mean(edges, axis=0)).max() < 0.2
    assert np.mean(visible) > 0.98
