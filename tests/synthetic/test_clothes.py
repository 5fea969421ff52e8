import cv2
import numpy as np
import pytest

from lightning_pose.synthetic.draws import Draws
from lightning_pose.synthetic.figure import draw_figure
from tests.synthetic.figures import painted


@pytest.mark.parametrize("seed", range(20))
def test_every_joint_lies_in_the_person_that_nothing_hides(seed):
    placed = draw_figure(Draws(seed)).place(150.0, (300.0, 300.0))
    canvas = painted(placed, seed + 1000)
    columns, rows = np.rint(placed.joints[:, :2]).astype(int).T
    assert (canvas[rows, columns, 3] > 127).all()
    # The person is in one piece, and image and mask are the same drawing.
    pieces, _ = cv2.connectedComponents((canvas[..., 3] > 127).astype(np.uint8))
    assert pieces == 2
    assert not canvas[canvas[..., 3] == 0].any()
