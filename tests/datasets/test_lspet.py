from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io

from lightning_pose.datasets import LSPExtendedDataset
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.skeletons import LSP14
from tests.data.lspet import SIZE, write_lspet


def test_a_sample_is_what_was_written(tmp_path: Path) -> None:
    root = tmp_path / "lspet"
    joints = write_lspet(root)
    dataset = LSPExtendedDataset(root, first=2, last=5)
    assert len(dataset) == 4
    assert dataset.skeleton == LSP14
    assert dataset.person_ids.tolist() == [2, 3, 4, 5]
    sample = dataset[1]  # image 3: every joint visible, and a mask
    expected = joints[:, :2, 2].astype(np.float32)
    np.testing.assert_array_equal(sample.keypoints, expected)
    assert sample.visibility.tolist() == [2] * 14
    np.testing.assert_array_equal(sample.box, [*expected.min(0), *expected.max(0)])
    assert sample.head_size == pytest.approx(np.linalg.norm(expected[12] - expected[13]))
    assert sample.torso_size == pytest.approx(np.linalg.norm(expected[8] - expected[3]))
    assert sample.image.shape == (*SIZE, 3)
    assert (sample.person_id, sample.image_id) == (3, "im00003.jpg")
    assert sample.mask.sum() == 40 * 23
    assert sample.area == 0
    assert sample.labels == dataset.labels == {}
    assert set(np.unique(sample.mask)) == {0, 1}


def test_junk_of_invisible_joints_is_zero_and_not_in_the_box(tmp_path: Path) -> None:
    root = tmp_path / "lspet"
    write_lspet(root)
    sample = LSPExtendedDataset(root, first=4, last=4)[0]
    assert sample.visibility.tolist() == [2] * 11 + [0, 2, 2]
    assert sample.keypoints[11].tolist() == [0, 0]
    assert sample.box.min() >= 5


def test_junk_may_be_anything(tmp_path: Path) -> None:
    root = tmp_path / "lspet"
    write_lspet(root)
    spoil_number(root, (11, 0, 3), np.nan)
    spoil_number(root, (11, 1, 3), 1e300)
    assert LSPExtendedDataset(root, first=4, last=4)[0].keypoints[11].tolist() == [0, 0]


def test_a_person_without_mask_has_an_unknown_one(tmp_path: Path) -> None:
    root = tmp_path / "lspet"
    write_lspet(root, without_mask=(2,))
    sample = LSPExtendedDataset(root, first=1, last=6)[1]
    assert sample.mask.shape == SIZE
    assert (sample.mask == -1).all()
    assert sample.area == 0


def test_no_mask_folder_is_no_error(tmp_path: Path) -> None:
    root = tmp_path / "lspet"
    write_lspet(root, without_mask=(1, 2, 3, 4, 5, 6))
    (root / "masks").rmdir()
    assert (LSPExtendedDataset(root, first=1, last=6)[0].mask == -1).all()


def test_unlabelled_ends_make_the_sizes_zero_and_no_joint_makes_no_box(tmp_path: Path) -> None:
    root = tmp_path / "lspet"
    joints = write_lspet(root)
    joints[13, 2, 0] = joints[8, 2, 0] = 0
    joints[:, 2, 1] = 0
    scipy.io.savemat(root / "joints.mat", {"joints": joints})
    dataset = LSPExtendedDataset(root, first=1, last=2)
    assert dataset[0].head_size == dataset[0].torso_size == 0
    assert dataset.annotation(1).crop_box is None
    assert not dataset[1].keypoints.any()


def test_annotations_need_no_image(tmp_path: Path) -> None:
    root = tmp_path / "lspet"
    joints = write_lspet(root, count=6)
    joints[:, 2, 1] = 0
    scipy.io.savemat(root / "joints.mat", {"joints": joints})
    dataset = LSPExtendedDataset(root, first=1, last=6)
    for path in (root / "images").glob("*"):
        path.unlink()
    people = [dataset.annotation(index) for index in range(6)]
    assert [person.person_id for person in people] == dataset.person_ids.tolist()
    assert [person.crop_box is None for person in people] == [False, True, *[False] * 4]


def test_the_size_of_an_image_needs_its_header_only(tmp_path: Path) -> None:
    write_lspet(tmp_path / "lspet")
    path = tmp_path / "lspet" / "images" / "im00002.jpg"
    path.write_bytes(path.read_bytes()[:700])
    assert LSPExtendedDataset(tmp_path / "lspet", first=1, last=2).image_size(1) == SIZE


def test_a_smaller_image_has_its_frame_and_a_whole_mask(tmp_path: Path) -> None:
    root = tmp_path / "lspet"
    write_lspet(root, sizes=((61, 51),))
    dataset = LSPExtendedDataset(root, first=1, last=6)
    pixels = dataset.read(2, shrink=2)
    assert pixels.image.shape == (31, 26, 3)
    np.testing.assert_allclose(pixels.image_frame, [[0.5, 0, -0.25], [0, 0.5, -0.25]])
    np.testing.assert_array_equal(pixels.mask, dataset[2].mask)
    assert pixels.mask_frame is None
    assert dataset.read(1, shrink=2).mask is None


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        LSPExtendedDataset(tmp_path / "moved", first=1, last=6)


def spoil_no_joints(root: Path) -> None:
    (root / "joints.mat").unlink()


def spoil_bytes(root: Path) -> None:
    (root / "joints.mat").write_bytes(b"no MATLAB here")


def spoil_empty(root: Path) -> None:
    (root / "joints.mat").write_bytes(b"")


def spoil_half(root: Path) -> None:
    data = (root / "joints.mat").read_bytes()
    (root / "joints.mat").write_bytes(data[: len(data) // 2])


def spoil_version(root: Path) -> None:
    # The header of a version 7.3 file, which is HDF5.
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (root / "joints.mat").write_bytes(header + b"\x89HDF\r\n\x1a\n")


def spoil_name(root: Path) -> None:
    scipy.io.savemat(root / "joints.mat", {"other": np.zeros((14, 3, 6))})


def spoil_order(root: Path) -> None:
    scipy.io.savemat(root / "joints.mat", {"joints": np.zeros((3, 14, 6))})


def spoil_axes(root: Path) -> None:
    scipy.io.savemat(root / "joints.mat", {"joints": np.zeros((14, 3))})


def spoil_coordinate(root: Path) -> None:
    spoil_number(root, (4, 1, 2), np.nan)


def spoil_flag(root: Path) -> None:
    spoil_number(root, (13, 2, 1), 2)


def spoil_number(root: Path, place: tuple[int, int, int], value: float) -> None:
    joints = scipy.io.loadmat(root / "joints.mat")["joints"]
    joints[place] = value
    scipy.io.savemat(root / "joints.mat", {"joints": joints})


def spoil_fewer(root: Path) -> None:
    (root / "images" / "im00004.jpg").unlink()


def spoil_more(root: Path) -> None:
    (root / "images" / "im00007.jpg").write_bytes((root / "images" / "im00001.jpg").read_bytes())


def spoil_folder(root: Path) -> None:
    (root / "images").rename(root / "photos")


def spoil_masks(root: Path) -> None:
    for path in (root / "masks").iterdir():
        path.rename(path.with_suffix(".bmp"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_no_joints, r"no joints\.mat"),
        (spoil_bytes, r"joints\.mat.*cannot be read"),
        (spoil_empty, r"joints\.mat.*cannot be read"),
        (spoil_half, r"joints\.mat.*cannot be read"),
        (spoil_version, r"joints\.mat.*cannot be read"),
        (spoil_name, r"'joints'.*found no such name"),
        (spoil_order, r"\(14, 3, N\).*found shape \(3, 14, 6\)"),
        (spoil_axes, r"\(14, 3, N\).*found shape \(14, 3\)"),
        (spoil_coordinate, r"coordinates in pixels.*nan, 1\.0\] for joint 5 of person 3"),
        (spoil_flag, r"flags of 0 and 1.*2\.0\] for joint 14 of person 2"),
        (spoil_fewer, r"6 annotations.*found 5 images.*with im00004\.jpg"),
        (spoil_more, "6 annotations.*found 7 images"),
        (spoil_folder, r"6 annotations.*found 0 images"),
        (spoil_masks, r"masks such as im00001\.png"),
    ],
)
def test_bad_files_are_one_sentence_before_the_first_batch(tmp_path, spoil, message) -> None:
    root = tmp_path / "lspet"
    write_lspet(root)
    spoil(root)
    with pytest.raises(DataError, match=message) as caught:
        LSPExtendedDataset(root, first=1, last=6)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("first", "last"), [(0, 3), (3, 2), (5, 7), (7, 8)])
def test_a_range_that_is_not_there_is_refused(tmp_path: Path, first: int, last: int) -> None:
    root = tmp_path / "lspet"
    write_lspet(root)
    with pytest.raises(ConfigError, match=f"within 1 to 6.*found {first} to {last}"):
        LSPExtendedDataset(root, first=first, last=last)


def test_a_truncated_image_and_a_mask_of_another_size_are_named(tmp_path: Path) -> None:
    root = tmp_path / "lspet"
    write_lspet(root)
    image = root / "images" / "im00003.jpg"
    image.write_bytes(image.read_bytes()[:700])
    cv2.imwrite(str(root / "masks" / "im00005.png"), np.zeros((9, 8), np.uint8))
    dataset = LSPExtendedDataset(root, first=1, last=6)
    with pytest.raises(DataError, match=r"im00003\.jpg"):
        dataset[2]
    with pytest.raises(DataError, match=r"im00005\.png.*im00005\.jpg.*found 8 x 9"):
        dataset[4]


def test_real_people_follow_the_protocol(real_data: Path) -> None:
    real = real_data / "lspet"
    if not real.is_dir():
        pytest.skip("LIGHTNING_POSE_DATA has no lspet/")
    train = LSPExtendedDataset(real, 1, 8500)
    val = LSPExtendedDataset(real, 8501, 9250)
    assert (len(train), len(val)) == (8500, 750)
    masks = {int(path.stem[2:]) for path in (real / "masks").glob("im*.png")}
    assert train.has_mask.sum() + val.has_mask.sum() == len([m for m in masks if m <= 9250])
    # An independent reading of the protocol LSPE-v1: boxes and lengths in float64.
    people = scipy.io.loadmat(real / "joints.mat")["joints"].transpose(2, 0, 1)[8500:]
    points, visible = people[..., :2], people[..., 2] == 1
    upper = np.where(visible[..., None], points, -np.inf).max(axis=1)
    lower = np.where(visible[..., None], points, np.inf).min(axis=1)
    torso = np.linalg.norm(points[:, 8] - points[:, 3], axis=1) * (visible[:, 8] & visible[:, 3])
    head = np.linalg.norm(points[:, 12] - points[:, 13], axis=1) * (visible[:, 12] & visible[:, 13])
    for index in range(750):
        sample = val.annotation(index)
        np.testing.assert_allclose(sample.box, [*lower[index], *upper[index]], atol=1e-4)
        assert sample.head_size == pytest.approx(head[index], abs=1e-4)
        assert sample.torso_size == pytest.approx(torso[index], abs=1e-4)
        assert (sample.visibility > 0).tolist() == visible[index].tolist()
