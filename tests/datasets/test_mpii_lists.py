import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from lightning_pose.datasets import MPIIDataset
from lightning_pose.errors import DataError
from tests.data.mpii import write_mpii

PEOPLE: list[tuple[str, Any, str]] = [
    ("joints", [[1, 2]] * 15, r"no 'joints' of shape \(16, 2\)"),
    ("joints", [[1, 2]] * 15 + [[1]], "no 'joints'"),
    ("joints", [[1, float("nan")]] * 16, "no 'joints'"),
    ("joints", [[1, float("inf")]] * 16, "no 'joints'"),
    ("joints", [[1, 1e300]] * 16, "no 'joints'"),
    ("joints", [[1, -(2**63)]] * 16, "no 'joints'"),
    ("joints", [[1, 10**400]] * 16, "no 'joints'"),
    ("joints", [["1", "2"]] * 16, "no 'joints'"),
    ("joints", None, "no 'joints'"),
    ("joints_vis", [1] * 15, r"no 'joints_vis' of shape \(16,\)"),
    ("joints_vis", [1] * 15 + [2], "'joints_vis' other than 0 and 1"),
    ("center", [1.0], r"no 'center' of shape \(2,\)"),
    ("center", {"x": 1}, "no 'center'"),
    ("scale", [1.0], r"no 'scale' of shape \(\)"),
    ("scale", 0.0, r"the scale 0\.0"),
    ("scale", -1, r"the scale -1\.0"),
    ("image", "../../000000100.jpg", "in place of nine digits"),
    ("image", "000000100.jpg\n", "in place of nine digits"),
    ("image", "\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u06601.jpg", "in place of nine digits"),
    ("image", 100, "'100' in place of nine digits"),
]


@pytest.mark.parametrize(("key", "value", "message"), PEOPLE)
def test_a_damaged_person_is_named(tmp_path: Path, key: str, value: Any, message: str) -> None:
    people = write_mpii(tmp_path / "mpii")["train"]
    for change in ("replace", "remove"):
        person = {**people[5], key: value}
        if change == "remove":
            del person[key]
            message = {"image": "'None' in place"}.get(key, f"no '{key}'")
        path = tmp_path / "mpii" / "train.json"
        path.write_text(json.dumps([*people[:5], person]))
        with pytest.raises(
            DataError, match=rf"train\.json, found .*{message}.* person 5"
        ) as caught:
            MPIIDataset(tmp_path / "mpii", "train")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found that it is not JSON"),
        (b"\xff\xfe[", "found that it is not JSON"),
        (b'[{"image": ', "found that it is not JSON"),
        (b"[" * 100_000, "found that it is not JSON"),
        (b'{"people": []}', "found none"),
        (b"[]", "found none"),
        (b"[3]", "found no object for person 0"),
    ],
)
def test_a_file_that_is_no_list_of_people_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    write_mpii(tmp_path / "mpii")
    (tmp_path / "mpii" / "train.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"train\.json, {message}"):
        MPIIDataset(tmp_path / "mpii", "train")


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda truth: truth.pop(name)


def fewer(truth: dict[str, Any]) -> None:
    for name in ("pos_gt_src", "jnt_missing", "headboxes_src"):
        truth[name] = truth[name][..., :-1]


def other_people(truth: dict[str, Any]) -> None:
    truth["jnt_missing"] = truth["jnt_missing"][:, [1, 0, 2, 3]]


def not_finite(truth: dict[str, Any]) -> None:
    truth["headboxes_src"][0, 1, 2] = np.nan


def text(truth: dict[str, Any]) -> None:
    truth["pos_gt_src"] = "abc"


def complex_numbers(truth: dict[str, Any]) -> None:
    truth["pos_gt_src"] = truth["pos_gt_src"] * 1j


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("pos_gt_src"), r"no 'pos_gt_src' of shape \(16, 2, 4\)"),
        (without("jnt_missing"), r"no 'jnt_missing' of shape \(16, 4\)"),
        (without("headboxes_src"), r"no 'headboxes_src' of shape \(2, 2, 4\)"),
        (fewer, "no 'pos_gt_src'"),
        (not_finite, "no 'headboxes_src'"),
        (text, "no 'pos_gt_src'"),
        (complex_numbers, "no 'pos_gt_src'"),
        (other_people, "'jnt_missing' that differs from joints_vis"),
    ],
)
def test_ground_truth_of_other_people_is_refused(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    write_mpii(tmp_path / "mpii")
    path = tmp_path / "mpii" / "gt_valid.mat"
    truth = {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith("_")}
    spoil(truth)
    scipy.io.savemat(path, truth)
    with pytest.raises(
        DataError, match=rf"the 4 people .*gt_valid\.mat, found {message}"
    ) as caught:
        MPIIDataset(tmp_path / "mpii", "val")
    assert "\n" not in str(caught.value)
    assert len(MPIIDataset(tmp_path / "mpii", "train")) == 8


def test_ground_truth_that_is_damaged_is_refused(tmp_path: Path) -> None:
    write_mpii(tmp_path / "mpii")
    path = tmp_path / "mpii" / "gt_valid.mat"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"gt_valid\.mat.*cannot be read"):
        MPIIDataset(tmp_path / "mpii", "val")
