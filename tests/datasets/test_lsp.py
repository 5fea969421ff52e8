from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io

from lightning_pose.datasets import LSPDataset
from lightning_pose.errors import ConfigError, DataError
from lightning_pose.skeletons import LSP14
from tests.data.lsp import write_lsp
from tests.data.lspet import SIZE, write_lspet


def test_a_sample_is_what_was_written(tmp_path: Path) -> None:
    root = tmp_path / "lsp"
    joints = write_lsp(root)
    dataset = LSPDataset(root, first=2, last=5)
    assert len(dataset) == 4
    assert dataset.skeleton == LSP14
    assert dataset.person_ids.tolist() == [2, 3, 4, 5]
    sample = dataset[1]  # image 3: nothing occluded, and a mask
    expected = (joints[:2, :, 2].T - 1).astype(np.float32)
    np.testing.assert_array_equal(sample.keypoints, expected)
    assert sample.visibility.tolist() == [2] * 14
    np.testing.assert_array_equal(sample.box, [*expected.min(0), *expected.max(0)])
    assert sample.head_size == pytest.approx(np.linalg.norm(expected[12] - expected[13]))
    assert sample.torso_size == pytest.approx(np.linalg.norm(expected[8] - expected[3]))
    assert sample.image.shape == (*SIZE, 3)
    assert (sample.person_id, sample.image_id) == (3, "im0003.jpg")
    assert sample.mask.sum() == 40 * 23
    assert sample.area == 0
    assert sample.labels == dataset.labels == {}
    assert (dataset[0].mask == -1).all()
    assert dataset.image_size(3) == SIZE


def test_an_occluded_joint_is_labelled(tmp_path: Path) -> None:
    root = tmp_path / "lsp"
    joints = write_lsp(root)
    joints[:2, 11, 3] = 1  # The corner, so that the box says whether the joint is in it.
    scipy.io.savemat(root / "joints.mat", {"joints": joints})
    sample = LSPDataset(root, first=4, last=4).annotation(0)
    assert sample.visibility.tolist() == [2] * 11 + [1, 2, 2]
    assert sample.keypoints[11].tolist() == [0, 0]
    assert sample.box[:2].tolist() == [0, 0]


def test_annotations_need_no_image(tmp_path: Path) -> None:
    root = tmp_path / "lsp"
    write_lsp(root)
    dataset = LSPDataset(root, first=1, last=6)
    for path in (root / "images").glob("*"):
        path.unlink()
    assert [dataset.annotation(index).person_id for index in range(6)] == list(range(1, 7))
    assert dataset.image_ids.tolist() == [f"im000{number}.jpg" for number in range(1, 7)]


def test_a_root_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        LSPDataset(tmp_path / "moved", first=1, last=6)


def save(root: Path, joints: object, name: str = "joints") -> None:
    scipy.io.savemat(root / "joints.mat", {name: joints})


def spoil_number(root: Path, place: tuple[int, int, int], value: float) -> None:
    joints = scipy.io.loadmat(root / "joints.mat")["joints"]
    joints[place] = value
    save(root, joints)


BAD = {
    "no joints": (lambda root: (root / "joints.mat").unlink(), r"no joints\.mat"),
    "bytes": (
        lambda root: (root / "joints.mat").write_bytes(b"no MATLAB here"),
        r"joints\.mat.*cannot be read",
    ),
    "name": (lambda root: save(root, np.zeros((3, 14, 6)), "other"), "found no such name"),
    "axes": (
        lambda root: save(root, np.zeros((14, 3, 6))),
        r"\(3, 14, N\).*found shape \(14, 3, 6\).*LSPExtendedDataset",
    ),
    "sides": (lambda root: save(root, np.zeros((3, 14))), r"found shape \(3, 14\)"),
    "cells": (
        lambda root: save(root, np.full((3, 14, 6), "x", dtype=object)),
        r"numbers 'joints'.*found shape \(3, 14, 6\) of object",
    ),
    "struct": (lambda root: save(root, {"x": 1.0}), "numbers 'joints'"),
    "nan": (
        lambda root: spoil_number(root, (1, 4, 2), np.nan),
        r"coordinates in pixels.*found \[.*nan, 0\.0\] for joint 5 of person 3",
    ),
    "infinity": (
        lambda root: spoil_number(root, (0, 11, 3), -np.inf),
        r"found \[-inf, .*, 1\.0\] for joint 12 of person 4",
    ),
    "too large": (lambda root: spoil_number(root, (0, 0, 0), 1e300), r"found \[1e\+300,"),
    "flag": (lambda root: spoil_number(root, (2, 0, 5), 0.5), r"0\.5\] for joint 1 of person 6"),
    "fewer": (
        lambda root: (root / "images" / "im0004.jpg").unlink(),
        r"6 annotations.*found 5 images.*with im0004\.jpg",
    ),
    "more": (
        lambda root: (root / "images" / "im0001.jpg").rename(root / "images" / "im00001.jpg"),
        r"6 annotations.*found 6 images, with im0001\.jpg missing",
    ),
    "masks": (
        lambda root: [path.rename(path.with_suffix(".bmp")) for path in (root / "masks").iterdir()],
        r"masks such as im0001\.png",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), BAD.values(), ids=BAD.keys())
def test_bad_files_are_one_sentence_before_the_first_batch(tmp_path, spoil, message) -> None:
    root = tmp_path / "lsp"
    write_lsp(root)
    spoil(root)
    with pytest.raises(DataError, match=message) as caught:
        LSPDataset(root, first=1, last=6)
    assert "\n" not in str(caught.value)
    assert str(root) in str(caught.value)


def test_the_file_of_the_extended_set_is_refused_whatever_its_number_of_people(
    tmp_path: Path,
) -> None:
    write_lspet(tmp_path / "lspet", count=3)
    with pytest.raises(DataError, match="LSPExtendedDataset for that of Leeds Sports Pose Ext"):
        LSPDataset(tmp_path / "lspet", first=1, last=3)


@pytest.mark.parametrize(("first", "last"), [(0, 3), (3, 2), (5, 7), (7, 8)])
def test_a_range_that_is_not_there_is_refused(tmp_path: Path, first: int, last: int) -> None:
    root = tmp_path / "lsp"
    write_lsp(root)
    with pytest.raises(ConfigError, match=f"within 1 to 6.*found {first} to {last}"):
        LSPDataset(root, first=first, last=last)


def test_no_person_is_no_range(tmp_path: Path) -> None:
    root = tmp_path / "lsp"
    write_lsp(root, count=1)
    (root / "images" / "im0001.jpg").unlink()
    (root / "masks" / "im0001.png").unlink()
    (root / "masks").rmdir()
    save(root, np.zeros((3, 14, 0)))
    with pytest.raises(ConfigError, match="within 1 to 0, "):
        LSPDataset(root, first=1, last=1)


def test_a_truncated_image_and_a_mask_of_another_size_are_named(tmp_path: Path) -> None:
    root = tmp_path / "lsp"
    write_lsp(root)
    image = root / "images" / "im0003.jpg"
    image.write_bytes(image.read_bytes()[:700])
    cv2.imwrite(str(root / "masks" / "im0005.png"), np.zeros((9, 8), np.uint8))
    dataset = LSPDataset(root, first=1, last=6)
    with pytest.raises(DataError, match=r"im0003\.jpg"):
        dataset[2]
    with pytest.raises(DataError, match=r"im0005\.png.*im0005\.jpg.*found 8 x 9"):
        dataset[4]


def test_the_real_file(real_data: Path, tmp_path: Path) -> None:
    real = real_data / "lsp" / "joints.mat"
    if not real.is_file():
        pytest.skip("LIGHTNING_POSE_DATA has no lsp/joints.mat")
    root = tmp_path / "lsp"
    (root / "images").mkdir(parents=True)
    (root / "joints.mat").symlink_to(real)
    for number in range(1, 2001):  # The constructor opens no image.
        (root / "images" / f"im{number:04d}.jpg").touch()
    dataset = LSPDataset(root, 1, 2000)
    assert len(dataset) == 2000
    table = dataset.annotations
    assert (table.visibility > 0).all()
    # 7.3 % of the joints are occluded; with the flag of the extended set it would be the others.
    assert (table.visibility == 1).mean() == pytest.approx(0.073)
    assert (table.keypoints > 0).all()
    assert (table.keypoints < 1023).all()
    assert (table.head_size > 0).all()
    assert (table.torso_size > 0).all()
    # Whole pixels of a smaller image, if pixel centres count from 0 in both: people 11 and 3, along
    # y, in images that were enlarged by these factors.
    for person, factor in ((11, 1024 / 901), (3, 768 / 901)):
        whole = (table.keypoints[person - 1, :, 1] + 0.5) / factor - 0.5
        np.testing.assert_allclose(whole, np.rint(whole), atol=1e-3)
