"""Drawn people: exact, repeatable, and neither a toy nor a riddle."""

import functools
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_pose.batch import Sample
from lightning_pose.datasets.synthetic import SyntheticDataset
from lightning_pose.datasets.synthetic.brush import Brush
from lightning_pose.datasets.synthetic.draws import Draws
from lightning_pose.datasets.synthetic.figure import Figure, draw_figure
from lightning_pose.datasets.synthetic.person import dress
from lightning_pose.errors import InputError
from lightning_pose.geometry import crop_matrix, transform_points
from lightning_pose.skeletons import LSP14

RIGHT_HIP, LEFT_HIP, RIGHT_SHOULDER, LEFT_SHOULDER, NECK, HEAD_TOP = 2, 3, 8, 9, 12, 13


def _person(index: int) -> Sample:
    return SyntheticDataset("val", length=10**6)[index]


def _same(first: Sample, second: Sample) -> bool:
    return pickle.dumps(first) == pickle.dumps(second)


# The same people, exactly


def test_a_person_depends_on_split_and_index_alone():
    few, many = SyntheticDataset("val", length=5), SyntheticDataset("val", length=50)
    forward = [few[index] for index in range(5)]
    backward = [many[index] for index in reversed(range(5))]
    assert all(_same(a, b) for a, b in zip(forward, reversed(backward), strict=True))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        elsewhere = list(pool.map(_person, [3, 1]))
    assert _same(elsewhere[0], forward[3])
    assert _same(elsewhere[1], forward[1])


def test_splits_share_nobody():
    splits = [SyntheticDataset(name, length=100) for name in ("train", "val", "test")]
    numbers = np.concatenate([people.person_ids for people in splits])
    assert len(np.unique(numbers)) == 300
    assert [people[7].person_id for people in splits] == [p.person_ids[7] for p in splits]
    first, second, third = (people[7].image for people in splits)
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"split": "training", "length": 3}, "'training'"),
        ({"split": "train", "length": 0}, "length from 1"),
        ({"split": "train", "length": 10**9 + 1}, "found 1000000001"),
        ({"split": "train", "length": 3, "size": 16}, "64 to 1024 pixels, found 16"),
        ({"split": "train", "length": 3, "size": 2048}, "found 2048"),
    ],
)
def test_bad_arguments_get_a_sentence(arguments, match):
    with pytest.raises(InputError, match=match):
        SyntheticDataset(**arguments)


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_beyond_the_people_ends_a_loop(index):
    with pytest.raises(IndexError, match="from 0 to 2"):
        SyntheticDataset("train", length=3)[index]


# What a sample says is what the picture shows


@given(index=st.integers(0, 10**6 - 1), size=st.sampled_from([64, 160, 400]))
@settings(max_examples=40, deadline=None)
def test_a_sample_agrees_with_itself(index, size):
    sample = SyntheticDataset("train", length=10**6, size=size)[index]
    points = sample.keypoints
    assert sample.image.shape == (size, size, 3)
    assert sample.image.flags.c_contiguous
    assert points.min() >= 0
    assert points.max() <= size - 1
    assert set(np.unique(sample.mask)) <= {0, 1}
    assert sample.area == sample.mask.sum() > 0
    assert sample.box == pytest.approx([*points.min(axis=0), *points.max(axis=0)])
    assert sample.head_size == pytest.approx(np.linalg.norm(points[NECK] - points[HEAD_TOP]))
    torso = np.linalg.norm(points[RIGHT_SHOULDER] - points[LEFT_HIP])
    assert sample.torso_size == pytest.approx(torso)
    assert sample.head_size > 0
    assert set(np.unique(sample.visibility)) <= {1, 2}
    columns, rows = np.rint(points).astype(int).T
    assert np.array_equal(sample.visibility == 2, sample.mask[rows, columns] == 1)


@functools.cache
def _upright() -> Figure:
    """The first figure that stands straight and faces the camera."""
    figures = (draw_figure(Draws(seed)) for seed in range(10_000))
    return next(
        figure
        for figure in figures
        if figure.chest[1, 1] > 0.98 and figure.chest[2, 2] > 0.95 and figure.head[2, 2] > 0.9
    )


def _standing(turn: float = 0.0) -> Figure:
    """That figure, turned about the vertical by an angle in radians."""
    figure = _upright()
    cosine, sine = np.cos(turn), np.sin(turn)
    rotation = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return Figure(
        body=figure.body,
        joints=figure.joints @ rotation.T,
        hands=figure.hands @ rotation.T,
        toes=figure.toes @ rotation.T,
        waist=rotation @ figure.waist,
        pelvis=rotation @ figure.pelvis,
        chest=rotation @ figure.chest,
        head=rotation @ figure.head,
    )


def _painted(figure: Figure, seed: int) -> np.ndarray:
    """The person alone on black, with some clothes."""
    canvas = np.zeros((600, 600, 4), dtype=np.uint8)
    brush = Brush()
    dress(brush, figure, (0.0, 0.0, 0.0), Draws(seed))
    brush.paint(canvas, cover=True)
    return canvas


def test_the_right_hand_side_is_the_persons_own():
    front, back = _standing(), _standing(turn=np.pi)
    for right, left in LSP14.flip_pairs[2:3] + LSP14.flip_pairs[5:]:  # hips, shoulders
        assert front.joints[right, 0] < front.joints[left, 0]
        assert back.joints[right, 0] > back.joints[left, 0]


def test_a_face_is_seen_from_the_front_alone():
    def has_mouth(turn: float, seed: int) -> bool:
        difference = _painted(_standing(turn).place(400.0, (300.0, 300.0)), seed)[..., :3].astype(
            int
        ) - [150, 50, 50]
        return bool((np.abs(difference).max(axis=-1) <= 2).any())

    assert sum(has_mouth(0.0, seed) for seed in range(20)) >= 18
    assert sum(has_mouth(np.pi, seed) for seed in range(20)) <= 2


@pytest.mark.parametrize("seed", range(20))
def test_every_joint_lies_in_the_person_that_nothing_hides(seed):
    placed = draw_figure(Draws(seed)).place(150.0, (300.0, 300.0))
    canvas = _painted(placed, seed + 1000)
    columns, rows = np.rint(placed.joints[:, :2]).astype(int).T
    assert (canvas[rows, columns, 3] > 127).all()
    # The person is one piece, and picture and mask are the same drawing.
    pieces, _ = cv2.connectedComponents((canvas[..., 3] > 127).astype(np.uint8))
    assert pieces == 2
    assert not canvas[canvas[..., 3] == 0].any()


def test_a_stroke_is_centred_on_its_points_to_a_tenth_of_a_pixel():
    for x, y in np.random.default_rng(0).uniform(20, 30, size=(50, 2)).tolist():
        at = (x, y)
        canvas = np.zeros((50, 50, 4), dtype=np.uint8)
        brush = Brush()
        brush.capsule(0.0, at, at, 6.0, 6.0, (255.0, 255.0, 255.0))
        brush.paint(canvas, cover=True)
        weight = canvas[..., 3].astype(float)
        rows, columns = np.indices(weight.shape)
        centre = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
        assert centre == pytest.approx(at, abs=0.1)


def test_near_shapes_are_painted_over_far_ones_and_things_uncover_the_person():
    canvas = np.zeros((9, 9, 4), dtype=np.uint8)
    brush = Brush()
    brush.capsule(2.0, (4.0, 4.0), (4.0, 4.0), 3.0, 3.0, (10.0, 20.0, 30.0))
    brush.capsule(1.0, (4.0, 4.0), (4.0, 4.0), 3.0, 3.0, (99.0, 99.0, 99.0))
    brush.paint(canvas, cover=True)
    assert canvas[4, 4].tolist() == [10, 20, 30, 255]
    thing = Brush()
    thing.hull(0.0, np.array([[2, 2], [6, 2], [6, 6], [2, 6.0]]), (7.0, 8.0, 9.0))
    thing.paint(canvas, cover=False)
    assert canvas[4, 4].tolist() == [7, 8, 9, 0]


def test_knees_bend_backwards_only_and_bones_keep_their_length():
    for seed in range(50):
        figure = draw_figure(Draws(seed))
        joints = figure.joints
        for hip, knee, ankle in ((2, 1, 0), (3, 4, 5)):
            thigh, shank = joints[knee] - joints[hip], joints[ankle] - joints[knee]
            # The knee's axis leaves that of the hips by less than a right angle.
            assert np.cross(thigh, shank) @ figure.pelvis[:, 0] >= 0
        lengths = np.linalg.norm(joints[[1, 4]] - joints[[2, 3]], axis=1)
        assert lengths == pytest.approx(figure.body.thigh)


# Neither a toy nor a riddle: what a crop of 128 pixels gives away


class _Crops(NamedTuple):
    small: np.ndarray  # (N, 3072) the crop at 32 x 32
    joints: np.ndarray  # (N, 14, 2) in the crop
    head: np.ndarray  # (N,)
    colours: np.ndarray  # (N, 14, 3) at the joints
    visible: np.ndarray  # (N, 14)


def _crops(split: str, count: int) -> _Crops:
    people = SyntheticDataset(split, count)
    rows = []
    for index in range(count):
        sample = people[index]
        matrix = crop_matrix(sample.box, size=(128, 128))
        crop = cv2.warpAffine(sample.image, matrix, (128, 128))
        joints = transform_points(matrix, sample.keypoints)
        x, y = np.rint(joints).astype(int).T
        small = cv2.resize(crop, (32, 32), interpolation=cv2.INTER_AREA)
        head = np.linalg.norm(joints[NECK] - joints[HEAD_TOP])
        rows.append((small.ravel(), joints, head, crop[y, x], sample.visibility == 2))
    return _Crops(*(np.stack(column) for column in zip(*rows, strict=True)))


@pytest.fixture(scope="module")
def train() -> _Crops:
    return _crops("train", 2000)


@pytest.fixture(scope="module")
def val() -> _Crops:
    return _crops("val", 400)


def _pckh(guess: np.ndarray, truth: _Crops) -> float:
    right = np.linalg.norm(guess - truth.joints, axis=2) <= 0.5 * truth.head[:, None]
    return float(right.mean(axis=0).mean())


def test_guard_the_mean_pose_is_no_answer(train, val):
    assert _pckh(train.joints.mean(axis=0), val) <= 0.08


def test_guard_the_nearest_training_picture_is_no_answer(train, val):
    known, asked = train.small.astype(np.float32), val.small.astype(np.float32)
    # |a - b|^2 without |a|^2, which does not change who is nearest.
    distance = (known**2).sum(axis=1) - 2 * asked @ known.T
    nearest = distance.argmin(axis=1)
    assert _pckh(train.joints[nearest], val) <= 0.3


@pytest.mark.parametrize("bins", [4, 6])
def test_guard_a_colour_hardly_tells_the_joint(train, val, bins):
    def cell(colours: np.ndarray) -> np.ndarray:
        return (colours.astype(int) * bins // 256) @ [bins * bins, bins, 1]

    counts = np.zeros((bins**3, 14))
    np.add.at(counts, (cell(train.colours), np.arange(14)[None]), 1)
    guess = counts[cell(val.colours)].argmax(axis=-1)
    assert (guess == np.arange(14)).mean() <= 2 / 14


def test_guard_poses_are_mostly_upright_and_mostly_seen(train):
    # The other side of the guards: a person who is never upright or always hidden is a riddle.
    spine = train.joints[:, NECK] - train.joints[:, [RIGHT_HIP, LEFT_HIP]].mean(axis=1)
    upright = -spine[:, 1] > np.abs(spine[:, 0])
    assert 0.55 <= upright.mean() <= 0.9
    assert train.visible.mean() >= 0.93
    hidden = ~train.visible.all(axis=1)
    assert 0.08 <= hidden.mean() <= 0.4
    across = train.joints[:, LEFT_SHOULDER, 0] - train.joints[:, RIGHT_SHOULDER, 0]
    facing = across[upright] > 0
    assert 0.5 <= facing.mean() <= 0.8
