from dataclasses import replace

import cv2
import numpy as np
import pytest

from lightning_pose.diagnosis.pixels import readings, sample_pixels
from lightning_pose.geometry import transform_points
from lightning_pose.sample import Pixels
from tests.diagnosis.drawn import InMemory, drawn, quietly, table


def sample(samples, count: int = 1000):
    return sample_pixels(table(samples), count, quietly)


def test_visible_joints_of_synthetic_people_are_on_the_mask():
    samples = drawn()
    found = sample(samples)
    assert found.masked.all()
    assert (found.on_mask[:, 0] == 1).all()
    assert (found.on_mask[:, 1:].mean(axis=0) < 0.95).all()
    visible = np.array([s.visibility == 2 for s in samples])
    assert (found.off_mask[visible] == 0).all()
    assert (found.off_mask[~visible] > 0).all()


def test_a_sample_is_drawn_once_and_in_order():
    few = sample(drawn(), 7)
    assert len(few.index) == 7
    assert (np.diff(few.index) > 0).all()
    np.testing.assert_array_equal(sample(drawn(), 7).index, few.index)
    everything = sample(drawn())
    for name in ("on_mask", "off_mask", "lean"):
        np.testing.assert_array_equal(
            getattr(few, name), getattr(everything, name)[few.index], err_msg=name
        )


def test_an_unknown_mask_is_no_mask_and_an_unknown_pixel_accuses_nobody():
    samples = drawn()[:3]
    samples[0].mask[:] = -1
    samples[1].mask[samples[1].mask == 0] = -1
    samples[1].keypoints[0] = 2, 2
    found = sample(samples)
    assert found.masked.tolist() == [False, True, True]
    assert np.isnan(found.on_mask[0]).all()
    assert (found.off_mask[1] == 0).all()


def test_a_smaller_mask_says_the_same(monkeypatch):
    samples = drawn()[:20]
    expected = sample(samples)
    double = np.float32([[2, 0, 0.5], [0, 2, 0.5]])

    def read(self, index, shrink=1):
        mask = self.samples[index].mask.repeat(2, axis=0).repeat(2, axis=1)
        return Pixels(image=self.samples[index].image, mask=mask, mask_frame=double)

    monkeypatch.setattr(InMemory, "read", read)
    found = sample(samples)
    np.testing.assert_array_equal(found.on_mask[:, 0], expected.on_mask[:, 0])
    np.testing.assert_allclose(found.on_mask, expected.on_mask, atol=0.2)
    np.testing.assert_allclose(found.off_mask, expected.off_mask, atol=0.02)


def test_readings_are_their_own_inverse():
    points = np.float32([[3, 4], [17, 1]])
    for name, matrix in list(readings((10, 20), 7.0).items())[:4]:
        again = transform_points(matrix, transform_points(matrix, points))
        np.testing.assert_allclose(again, points, atol=1e-4, err_msg=name)
    lower = readings((10, 20), 7.0)["with y from the lower edge"]
    np.testing.assert_allclose(transform_points(lower, points), [[3, 5], [17, 8]], atol=1e-4)


@pytest.mark.parametrize("radius", [3, 9])
def test_the_lean_is_how_far_the_mask_is_to_the_right(radius: int):
    first = drawn()[0]
    mask = np.zeros((160, 160), np.uint8)
    points = np.float32([[20 + 20 * n, 80] for n in range(7)] + [[40, 40]] * 7)
    for x, y in points:
        cv2.circle(mask, (int(x) + 1, int(y)), radius, 1, cv2.FILLED)
    person = replace(
        first, mask=mask.view(np.int8), keypoints=points, visibility=np.full(14, 2, np.uint8)
    )
    lean = sample([person]).lean[0]
    assert (np.diff(lean) < 0).all()
    assert lean[2] == pytest.approx(0, abs=1e-6)
    assert lean[1] > 0.2
