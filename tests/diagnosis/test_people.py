from dataclasses import replace

import numpy as np

from lightning_pose.datasets import LSPExtendedDataset
from lightning_pose.diagnosis.people import read_people
from tests.data.lspet import SIZE, write_lspet
from tests.diagnosis.drawn import drawn, quietly, table


def test_the_table_is_what_the_dataset_gives(tmp_path):
    write_lspet(tmp_path / "lspet")
    dataset = LSPExtendedDataset(tmp_path / "lspet", first=2, last=5)
    people = read_people("val", "val/lspet", dataset, quietly)
    assert len(people) == 4
    np.testing.assert_array_equal(people.table.keypoints, dataset.annotations.keypoints)
    np.testing.assert_array_equal(people.table.visibility, dataset.annotations.visibility)
    np.testing.assert_array_equal(people.joint_boxes, dataset.annotations.box)
    np.testing.assert_array_equal(people.table.head_size, dataset.annotations.head_size)
    np.testing.assert_array_equal(people.table.image_id, dataset.image_ids)
    assert people.sizes.tolist() == [list(SIZE)] * 4
    assert people.failures == {}
    assert people.places("neck", "left_hip") == [12, 3]
    assert people.places("neck", "nose") is None


def test_who_cannot_be_used_is_kept_apart(tmp_path):
    samples = drawn()[:3]
    samples[0].keypoints[5] = np.inf
    samples[1] = replace(
        samples[1], keypoints=np.zeros((9, 2), np.float32), visibility=np.ones(9, np.uint8)
    )
    people = table(samples)
    assert set(people.failures) == {0, 1}
    assert "finite keypoints" in people.failures[0]
    assert "keypoints of shape (14, 2)" in people.failures[1]
    assert people.labelled.sum(axis=1).tolist() == [13, 0, 14]
    assert np.isfinite(people.table.keypoints).all()


def test_an_image_whose_size_cannot_be_read_is_a_failure(tmp_path):
    write_lspet(tmp_path / "lspet")
    (tmp_path / "lspet" / "images" / "im00003.jpg").write_bytes(b"no image")
    dataset = LSPExtendedDataset(tmp_path / "lspet", first=1, last=6)
    people = read_people("train", "train", dataset, quietly)
    assert set(people.failures) == {2}
    assert "im00003.jpg" in people.failures[2]
    assert people.sizes[2].tolist() == [0, 0]
