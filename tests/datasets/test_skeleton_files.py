from pathlib import Path

import pytest

from lightning_pose import skeletons
from lightning_pose.datasets.skeleton_files import check_sides, read_skeleton
from lightning_pose.errors import ConfigError
from lightning_pose.skeletons import COCO17, LSP14, Skeleton

YAML = """\
names: [left_knee, right_knee, left_foot, right_foot, nose]
limbs:
  - [left_knee, left_foot]
  - [right_foot, right_knee]
head: [nose, left_foot]
"""


def test_a_name_is_a_known_skeleton() -> None:
    for name in set(skeletons.__all__) - {"Skeleton"}:
        assert read_skeleton(name) is getattr(skeletons, name)
        check_sides(read_skeleton(name), Path(name))
    assert read_skeleton("LSP14") is LSP14


def test_a_file_is_what_from_names_makes(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(YAML)
    found = read_skeleton(path)
    assert found == Skeleton.from_names(
        ["left_knee", "right_knee", "left_foot", "right_foot", "nose"],
        limbs=[("left_knee", "left_foot"), ("right_foot", "right_knee")],
        head=("nose", "left_foot"),
    )
    assert found.flip_pairs == ((1, 0), (3, 2))
    path.write_text("names: [nose]\nlimbs:\ntorso:\n")
    assert read_skeleton(str(path)) == Skeleton.from_names(["nose"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [nose", r"YAML in .*mine\.yaml.*cannot be read \(while parsing"),
        ("names: 2020-13-45", r"YAML in .*mine\.yaml.*cannot be read \(month must be"),
        ("names: " + "[" * 5000, r"YAML in .*mine\.yaml.*cannot be read"),
        ("\x00", r"YAML in .*mine\.yaml.*cannot be read"),
        ("", r"the keys names, limbs, head, torso in .*mine\.yaml, found a NoneType"),
        ("[nose]", r"the keys names, limbs, head, torso in .*mine\.yaml, found a list"),
        ("limbs: []", r"Expected names .*mine\.yaml, found other keys or values"),
        ("names: nose", r"Expected names .*mine\.yaml, found other"),
        ("names: [nose, yes]", r"Expected names .*mine\.yaml, found other .*'yes' in quotes"),
        ("names: [nose]\nlimb: []", r"Expected names .*mine\.yaml, found other"),
        ("names: [nose]\nlimbs: nose", r"Expected names .*mine\.yaml, found other"),
        ("names: [nose]\nlimbs: [nose]", r"Expected names .*mine\.yaml, found other"),
        ("names: [nose]\nhead: nose", r"Expected names .*mine\.yaml, found other"),
        (
            "names: [nose]\nlimbs: [[nose, ear]]",
            r"joints nose, found \['nose', 'ear'\].*mine\.yaml",
        ),
        ("names: [nose]\ntorso: [nose]", r"joints nose, found \['nose'\].*mine\.yaml\.$"),
        ("names: [nose, nose]", r"own name, found .*; correct the names in .*mine\.yaml\.$"),
        ("names: [LKnee, RKnee]", r"left_NAME and right_NAME in .*mine\.yaml, found 'LKnee'"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_skeleton(path)
    assert "\n" not in str(caught.value)


def test_a_skeleton_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"LSP14, MPII16, COCO17, BODY25 or .* no file COCO18"):
        read_skeleton("COCO18")
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"mine\.yaml.*cannot be read .*utf-8"):
        read_skeleton(tmp_path / "mine.yaml")


@pytest.mark.parametrize(
    "names",
    [
        ("LKnee", "RKnee"),
        ("knee_r", "knee_l"),
        ("kneeL", "nose", "kneeR"),
        ("knee_left", "knee_right"),
        ("Right Knee", "Left Knee"),
        ("left_Knee", "right_knee"),
        ("left_eye", "right_eye", "ear.l", "ear.r"),
    ],
)
def test_sides_that_a_flip_would_not_swap_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="left_NAME and right_NAME in here"):
        check_sides(Skeleton.from_names(names), Path("here"))


@pytest.mark.parametrize(
    "names", [COCO17.names, ("left_knee", "right_knee", "nose"), ("collar", "tail", "rib_1"), ()]
)
def test_other_names_are_fine(names: tuple[str, ...]) -> None:
    check_sides(Skeleton.from_names(names), Path("here"))
