import numpy as np
import pytest

from lightning_pose.synthetic.brush import Brush, shade


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


def test_a_shade_keeps_the_hue() -> None:
    assert shade((10.0, 20.0, 40.0), 0.5) == (5.0, 10.0, 20.0)
