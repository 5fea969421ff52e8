import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_pose.datasets import MPIIDataset
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.input_spec import InputSpec
from lightning_pose.metrics import keypoint_pckh
from lightning_pose.skeletons import MPII16
from tests.data.mpii import RELEASE, SIZE, annotated, point, write_image, write_mpii, write_release


def test_a_sample_is_what_was_written(tmp_path: Path) -> None:
    people = write_mpii(tmp_path / "mpii")["train"]
    dataset = MPIIDataset(tmp_path / "mpii", "train")
    assert len(dataset) == 8
    assert dataset.skeleton == MPII16
    sample = dataset[4]  # every joint has a label
    expected = np.array(people[4]["joints"], dtype=np.float32) - 1
    np.testing.assert_allclose(sample.keypoints, expected, atol=1e-4)
    assert sample.visibility.tolist() == [2] * 16
    # Centre (60, 49) from 1, 15 * 0.3 further down, and 100 * 0.3 to each side.
    np.testing.assert_allclose(sample.box, [29, 22.5, 89, 82.5], atol=1e-4)
    assert sample.head_size == pytest.approx(0.75 * np.hypot(*(expected[8] - expected[9])))
    assert sample.torso_size == pytest.approx(np.hypot(*(expected[12] - expected[3])))
    assert sample.image.shape == (*SIZE, 3)
    assert (sample.mask == -1).all()
    assert sample.area == 0
    assert (sample.person_id, sample.image_id) == (400000, "000000400.jpg")
    assert sample.labels == {"activity": -1}
    assert dataset.labels["activity"][14] == "sports"


def test_joints_without_a_label_are_zero_whatever_stands_in_their_place(tmp_path: Path) -> None:
    people = write_mpii(tmp_path / "mpii")["train"]
    placeholders = [people[k]["joints"][10] for k in (0, 3)]
    assert placeholders == [[0, 0], [-1, -1]]
    people[1]["joints"][9], people[2]["joints"][3] = [-1, -1], [0, 0]  # and joints_vis 1
    (tmp_path / "mpii" / "train.json").write_text(json.dumps(people))
    dataset = MPIIDataset(tmp_path / "mpii", "train")
    for person, joint in ((0, 10), (3, 10), (1, 9), (2, 3)):
        annotation = dataset.annotation(person)
        assert annotation.keypoints[joint].tolist() == [0, 0]
        assert np.flatnonzero(annotation.visibility == 0).tolist() == [joint]
    assert dataset.annotation(1).head_size == 0
    assert dataset.annotation(2).torso_size == 0


def test_everyone_has_a_number_of_their_own_that_says_the_image(tmp_path: Path) -> None:
    write_mpii(tmp_path / "mpii")
    train, val = (MPIIDataset(tmp_path / "mpii", split) for split in ("train", "val"))
    expected = [100000, 200000, 200001, 300000, 400000, 400001, 500000, 600000]
    assert train.person_ids.tolist() == expected
    assert not set(train.person_ids) & set(val.person_ids)
    # They do not depend on the order of the images, and follow that of the people of each.
    people = json.loads((tmp_path / "mpii" / "train.json").read_text())
    (tmp_path / "mpii" / "train.json").write_text(json.dumps(people[4:] + people[:4]))
    assert (
        MPIIDataset(tmp_path / "mpii", "train").person_ids.tolist() == expected[4:] + expected[:4]
    )


def test_validation_takes_joints_and_head_boxes_of_the_official_evaluation(tmp_path: Path) -> None:
    root = tmp_path / "mpii"
    people = write_mpii(root)["valid"]
    official = MPIIDataset(root, "val")
    (root / "gt_valid.mat").unlink()
    own = MPIIDataset(root, "val")
    for index, person in enumerate(people):
        seen = np.array(person["joints_vis"]) == 1
        first, second = official.annotation(index), own.annotation(index)
        moved = (first.keypoints - second.keypoints)[seen]
        np.testing.assert_allclose(moved[:, 0], np.arange(16)[seen] / 4, atol=1e-4)
        np.testing.assert_allclose(moved[:, 1], 0, atol=1e-4)
        assert not first.keypoints[~seen].any()
        assert first.head_size == pytest.approx(0.6 * 50)
        head = np.hypot(*(second.keypoints[8] - second.keypoints[9]))
        assert second.head_size == pytest.approx(0.75 * head)
        torso = np.hypot(*(first.keypoints[12] - first.keypoints[3]))
        assert first.torso_size == pytest.approx(torso) != second.torso_size
        np.testing.assert_array_equal(first.visibility, second.visibility)
        np.testing.assert_array_equal(first.box, second.box)


def test_the_published_crop_is_an_input_spec(tmp_path: Path) -> None:
    # Simple Baselines: center[1] += 15 * scale, scale *= 1.25, and 200 * scale pixels across.
    write_mpii(tmp_path / "mpii")
    dataset = MPIIDataset(tmp_path / "mpii", "train")
    spec = InputSpec((256, 256), enlarge=1.475)
    matrix, _ = spec.crop(dataset.annotation(2).box, None, around=dataset.boxes_around)
    side = 200 * 0.3 * 1.25
    np.testing.assert_allclose(matrix[:, :2], np.eye(2) * 256 / side, rtol=1e-6)
    centre = np.array([60 - 1, 45 + 2 - 1 + 15 * 0.3])
    np.testing.assert_allclose(matrix[:, :2] @ centre + matrix[:, 2], [127.5, 127.5], atol=1e-3)


def test_the_published_file_has_everyone_with_occlusion_and_activities(tmp_path: Path) -> None:
    root = tmp_path / "mpii"
    points = [point(12, 31.0, 41.0, is_visible="0"), point(3, 61.0, 81.0, is_visible=np.uint8(1))]
    head = [point(9, 21.0, 11.0), point(8, 24.0, 15.0)]
    images = [
        ("000000007.jpg", [annotated(points), annotated(head, x1=np.zeros((0, 0)))], "running"),
        ("000000003.jpg", [annotated(points)], ""),
    ]
    write_release(root, images)
    for name, _, _ in images:
        write_image(root, name)
    dataset = MPIIDataset(root)
    assert dataset.person_ids.tolist() == [7000, 7001, 3000]
    first, second, third = (dataset.annotation(index) for index in range(3))
    assert first.visibility.tolist() == [0] * 3 + [2] + [0] * 8 + [1] + [0] * 3
    assert first.keypoints[[3, 12]].tolist() == [[60, 80], [30, 40]]
    np.testing.assert_allclose(first.box, [29, 18.5, 89, 78.5], atol=1e-4)
    assert first.torso_size == pytest.approx(50)
    assert first.head_size == pytest.approx(0.6 * 50)
    # Without a head box, from the joints.
    assert second.head_size == pytest.approx(0.75 * 5)
    assert [person.labels["activity"] for person in (first, second, third)] == [12, 12, -1]
    assert dataset.labels["activity"][12] == "running"
    assert dataset[2].image.shape == (*SIZE, 3)


def test_annotations_need_no_pixels(tmp_path: Path) -> None:
    root = tmp_path / "mpii"
    write_mpii(root)
    for path in (root / "images").iterdir():
        path.write_bytes(b"")
    dataset = MPIIDataset(root, "val")
    assert [dataset.annotation(k).person_id for k in range(4)] == dataset.person_ids.tolist()
    with pytest.raises(DataError, match=r"000050100\.jpg"):
        dataset[0]


def test_a_smaller_image_has_its_frame(tmp_path: Path) -> None:
    write_mpii(tmp_path / "mpii")
    dataset = MPIIDataset(tmp_path / "mpii", "train")
    pixels = dataset.read(2, shrink=2)
    assert pixels.image.shape == (45, 60, 3)
    np.testing.assert_allclose(pixels.image_frame, [[0.5, 0, -0.25], [0, 0.5, -0.25]])
    assert pixels.mask is None
    assert dataset.image_size(2) == SIZE


def test_a_root_that_is_no_folder_and_a_split_that_is_not_public_are_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"train\.json.*no such folder"):
        MPIIDataset(tmp_path / "moved", "train")
    with pytest.raises(ConfigError, match=r"'train' or 'val'.*found 'test'.*not public"):
        MPIIDataset(tmp_path, "test")


def test_missing_files_are_named(tmp_path: Path) -> None:
    root = tmp_path / "mpii"
    write_mpii(root)
    with pytest.raises(DataError, match=rf"{RELEASE} in .*no such file.*data\.splits"):
        MPIIDataset(root)
    (root / "images" / "000000400.jpg").unlink()
    (root / "images" / "000000200.jpg").unlink()
    with pytest.raises(
        DataError, match=r"the 6 images of train\.json in .*2 of them.*first 000000200\.jpg"
    ):
        MPIIDataset(root, "train")
    assert len(MPIIDataset(root, "val")) == 4
    (root / "train.json").unlink()
    with pytest.raises(DataError, match=r"train\.json in .*no such file.*data\.splits"):
        MPIIDataset(root, "train")


@pytest.fixture(scope="module")
def mpii(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real annotations, with empty files in the place of the images that are not there."""
    if not (real_data / "mpii" / "train.json").is_file():
        pytest.skip("LIGHTNING_POSE_DATA has no mpii/train.json")
    root = tmp_path_factory.mktemp("data")
    (root / "images").mkdir()
    for name in ("train.json", "valid.json", "gt_valid.mat"):
        (root / name).symlink_to(real_data / "mpii" / name)
    for name in ("train.json", "valid.json"):
        for image in {person["image"] for person in json.loads((root / name).read_text())}:
            (root / "images" / image).touch()
    return root


def test_real_people_are_those_of_the_files(mpii: Path) -> None:
    for split, name, count in (("train", "train.json", 22246), ("val", "valid.json", 2958)):
        dataset = MPIIDataset(mpii, split)
        people = json.loads((mpii / name).read_text())
        assert len(dataset) == len(set(dataset.person_ids.tolist())) == len(people) == count
        seen = np.array([person["joints_vis"] for person in people]) == 1
        np.testing.assert_array_equal(dataset.annotations.visibility, np.where(seen, 2, 0))
        box = dataset.annotations.box
        scale = np.array([person["scale"] for person in people])
        np.testing.assert_allclose(
            box[:, 2:] - box[:, :2], 200 * scale[:, None] * [[1, 1]], rtol=1e-4
        )
        # Nearly every joint is in the published crop, and no body joint is left of the image.
        points = dataset.annotations.keypoints
        middle = (box[:, None, :2] + box[:, None, 2:]) / 2
        inside = (abs(points - middle) < 125 * scale[:, None, None]).all(axis=2)
        assert 0.995 < inside[seen].mean() < 0.997
        if split == "train":
            body = [j for j, joint in enumerate(MPII16.names) if joint not in ("neck", "head_top")]
            assert points[:, body][seen[:, body]].min() == 0


PUBLISHED = {
    "head_top": "96.79",
    "shoulder": "95.19",
    "elbow": "90.08",
    "wrist": "85.32",
    "hip": "87.48",
    "knee": "84.26",
    "ankle": "80.73",
}


def predicted(real_data: Path) -> torch.Tensor:
    """The predictions of a published stacked hourglass, whose coordinates count from 1."""
    points = np.load(real_data / "mpii" / "predictions_hg_s8.npz")["keypoints"]
    return torch.from_numpy(points.astype(np.float32)) - 1


def counted(
    dataset: MPIIDataset, preds: torch.Tensor, joints: list[int]
) -> dict[str, torch.Tensor]:
    table = dataset.annotations
    return {
        "preds": preds[:, joints],
        "target": torch.from_numpy(table.keypoints)[:, joints],
        "labelled": torch.from_numpy(table.visibility)[:, joints] > 0,
        "normalizer": torch.from_numpy(table.head_size),
    }


def test_real_predictions_get_the_published_table(mpii: Path, real_data: Path) -> None:
    dataset, preds = MPIIDataset(mpii, "val"), predicted(real_data)
    values = keypoint_pckh(**counted(dataset, preds, list(range(16))), average="none")
    by_name = dict(zip(MPII16.names, (100 * values.double()).tolist(), strict=True))
    both = {name: [f"right_{name}", f"left_{name}"] for name in PUBLISHED}
    both["head_top"] = ["head_top"]
    table = {name: f"{np.mean([by_name[n] for n in group]):.2f}" for name, group in both.items()}
    assert table == PUBLISHED
    fourteen = [k for k, name in enumerate(MPII16.names) if name not in ("pelvis", "thorax")]
    chosen = counted(dataset, preds, fourteen)
    assert f"{100 * keypoint_pckh(**chosen).double():.2f}" == "88.64"
    assert f"{100 * keypoint_pckh(**chosen, average='micro').double():.2f}" == "89.09"


def test_real_heads_without_boxes_are_nearly_those_with_them(
    mpii: Path, real_data: Path, tmp_path: Path
) -> None:
    official = MPIIDataset(mpii, "val")
    for name in ("valid.json", "images"):
        (tmp_path / name).symlink_to(mpii / name)
    own = MPIIDataset(tmp_path, "val")
    known = own.annotations.head_size > 0
    ratio = (own.annotations.head_size / official.annotations.head_size)[known]
    assert known.sum() == 2932
    assert (abs(ratio - 1) < 0.00125).mean() > 0.94
    fourteen = [k for k, name in enumerate(MPII16.names) if name not in ("pelvis", "thorax")]
    value = 100 * keypoint_pckh(**counted(own, predicted(real_data), fourteen))
    assert value.item() == pytest.approx(88.64, abs=0.1)
