import numpy as np
import pytest

from lightning_pose.synthetic.brush import Brush
from lightning_pose.synthetic.draws import Draws
from lightning_pose.synthetic.scene import add_occluder, draw_background, expose


@pytest.mark.parametrize("size", [64, 160, 1024])
def test_a_background_covers_nobody_and_is_not_plain(size: int) -> None:
    for seed in range(5):
        canvas = draw_background(size, Draws(seed))
        assert canvas.shape == (size, size, 4)
        assert not (canvas[..., 3] > 127).any()
        assert canvas[..., :3].std() > 3


def test_an_occluder_uncovers_the_person_around_its_place() -> None:
    for seed in range(20):
        canvas = np.full((100, 100, 4), 255, dtype=np.uint8)
        brush = Brush()
        add_occluder(brush, (50.0, 50.0), 15.0, 100, Draws(seed))
        brush.paint(canvas, cover=False)
        rows, columns = np.nonzero(canvas[..., 3] == 0)
        assert len(rows) > 20
        assert abs(columns.mean() - 50) < 20


def test_an_exposure_changes_colours_and_no_places() -> None:
    canvas = np.zeros((160, 160, 4), dtype=np.uint8)
    canvas[40:80, 60:130, :3] = 250
    for seed in range(20):
        image = expose(canvas, Draws(seed))
        assert (image.shape, image.dtype) == ((160, 160, 3), np.uint8)
        inside, outside = image[44:76, 64:126].astype(float), image[100:].astype(float)
        assert inside.mean() > outside.mean() + 100
        # Blur reaches one pixel, and noise stays within this tolerance.
        assert abs(image[42:78, 62:128].mean() - inside.mean()) < 5
