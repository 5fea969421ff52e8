import numpy as np
import pytest

from lightning_pose.skeletons import LSP14
from lightning_pose.synthetic.draws import Draws
from lightning_pose.synthetic.figure import draw_figure
from tests.synthetic.figures import standing


def test_the_right_hand_side_is_the_persons_own():
    front, back = standing(), standing(turn=np.pi)
    for right, left in LSP14.flip_pairs[2:3] + LSP14.flip_pairs[5:]:  # hips, shoulders
        assert front.joints[right, 0] < front.joints[left, 0]
        assert back.joints[right, 0] > back.joints[left, 0]


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


def test_a_placed_figure_is_the_same_in_pixels_with_y_down() -> None:
    figure = draw_figure(Draws(3))
    placed = figure.place(100.0, (40.0, 60.0))
    middle = placed.joints[[2, 3], :2].mean(axis=0)
    assert middle == pytest.approx([40, 60])
    assert placed.joints[:, 0] == pytest.approx(40 + 100 * figure.joints[:, 0])
    assert placed.joints[:, 1] == pytest.approx(60 - 100 * figure.joints[:, 1])
    low, high = placed.extent()
    assert np.all((placed.joints[:, :2] >= low) & (placed.joints[:, :2] <= high))
