import json
import pickle

import pytest
from jsonargparse import ArgumentParser

from lightning_pose.errors import ConfigError
from lightning_pose.skeletons import BODY25, COCO17, LSP14, MPII16, Skeleton

SKELETONS = [LSP14, MPII16, COCO17, BODY25]


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_a_skeleton_is_sound(skeleton: Skeleton) -> None:
    joints = range(skeleton.num_joints)
    assert len(set(skeleton.names)) == skeleton.num_joints
    assert len(skeleton.colours) == len(skeleton.limbs)
    assert all(a in joints and b in joints and a != b for a, b in skeleton.limbs)
    assert {joint for limb in skeleton.limbs for joint in limb} == set(joints)


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_flip_pairs_are_left_and_right_of_the_same_joint(skeleton: Skeleton) -> None:
    mirror = {"left": "right", "right": "left"}
    for joint, name in enumerate(skeleton.names):
        side, _, rest = name.partition("_")
        expected = f"{mirror[side]}_{rest}" if side in mirror else name
        assert skeleton.names[skeleton.flip_order[joint]] == expected
    twice = [skeleton.flip_order[joint] for joint in skeleton.flip_order]
    assert twice == list(range(skeleton.num_joints))


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_limbs_mirror_into_limbs(skeleton: Skeleton) -> None:
    limbs = {frozenset(limb) for limb in skeleton.limbs}
    order = skeleton.flip_order
    # The trunk may be drawn as a quadrilateral, which also mirrors into itself.
    assert {frozenset(order[joint] for joint in limb) for limb in limbs} == limbs


def test_lsp_has_its_published_order_and_segments() -> None:
    assert LSP14.num_joints == 14
    assert LSP14.names[:3] == ("right_ankle", "right_knee", "right_hip")
    assert [LSP14.names[joint] for joint in LSP14.torso or ()] == ["right_shoulder", "left_hip"]
    assert [LSP14.names[joint] for joint in LSP14.head or ()] == ["neck", "head_top"]


def test_the_others_have_their_published_orders() -> None:
    # README of the MPII data; the annotations of COCO 2017; OpenPose's doc/02_output.md.
    assert (MPII16.names[6:10], MPII16.names[0], MPII16.names[15]) == (
        ("pelvis", "thorax", "neck", "head_top"),
        "right_ankle",
        "left_wrist",
    )
    assert COCO17.names[:3] == ("nose", "left_eye", "right_eye")
    assert COCO17.names[5:7] == ("left_shoulder", "right_shoulder")
    assert (BODY25.names[1], BODY25.names[8], BODY25.names[24]) == (
        "mid_shoulder",
        "mid_hip",
        "right_heel",
    )
    assert [len(one.names) for one in SKELETONS] == [14, 16, 17, 25]
    # A name is the same joint in all of them.
    assert "neck" not in COCO17.names + BODY25.names
    assert set(LSP14.names) < set(MPII16.names)


def test_sides_and_colours_follow_from_the_names() -> None:
    limbs = [["neck", "left_hand"], ["left_hand", "right_hand"]]
    names = ["left_hand", "neck", "right_hand"]
    made = Skeleton.from_names(names, limbs, head=["neck", "left_hand"])
    assert (made.limbs, made.flip_pairs, made.head) == (((1, 0), (0, 2)), ((2, 0),), (1, 0))
    left, middle = LSP14.colours[2], LSP14.colours[12]
    assert made.colours == (left, middle)
    for limbs in ([["neck"]], [["neck", "nose"]]):
        with pytest.raises(ConfigError, match=r"of the joints left_hand, neck.*found \['neck"):
            Skeleton.from_names(["left_hand", "neck"], limbs)


@pytest.mark.parametrize(
    "skeleton", [*SKELETONS, Skeleton(("a", "b"), ((0, 1),), (), ((1, 2, 3),))]
)
def test_plain_data_and_back(skeleton: Skeleton) -> None:
    through_json = json.loads(json.dumps(skeleton.to_dict()))
    assert through_json == skeleton.to_dict()
    assert Skeleton.from_dict(through_json) == skeleton
    assert pickle.loads(pickle.dumps(skeleton)) == skeleton


@pytest.mark.parametrize("key", ["limbs", "flip_pairs", "head", "torso"])
@pytest.mark.parametrize("joint", [-1, 14])
def test_a_joint_that_is_not_there_is_refused(key: str, joint: int) -> None:
    pair = [0, joint]
    data = {**LSP14.to_dict(), key: pair if key in ("head", "torso") else [pair]}
    with pytest.raises(ConfigError, match=r"from 0 to 13, found \(0, "):
        Skeleton.from_dict(data)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("colours", [], "one colour for each of 14 limbs, found 0"),
        ("names", ["nose"] * 14, "its own name"),
        ("flip_pairs", [[0, 5], [5, 1]], "at most once among a skeleton's flip_pairs"),
    ],
)
def test_a_skeleton_that_contradicts_itself_is_refused(key: str, value: list, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Skeleton.from_dict({**LSP14.to_dict(), key: value})


def test_a_config_makes_one_and_is_checked_too() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--skeleton", type=Skeleton)
    config = parser.parse_object({"skeleton": LSP14.to_dict()})
    assert parser.instantiate_classes(config).skeleton == LSP14
    wrong = {**LSP14.to_dict(), "torso": [0, 14]}
    with pytest.raises(ConfigError, match="from 0 to 13, found"):
        parser.instantiate_classes(parser.parse_object({"skeleton": wrong}))


def test_missing_and_unknown_keys_are_refused() -> None:
    data = LSP14.to_dict()
    with pytest.raises(ConfigError, match="extra"):
        Skeleton.from_dict({**data, "extra": 1})
    del data["names"]
    with pytest.raises(ConfigError, match=r"found .*colours"):
        Skeleton.from_dict(data)
