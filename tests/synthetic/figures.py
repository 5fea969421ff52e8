"""A known figure for tests, and its drawing without surroundings."""

import functools

import numpy as np

from lightning_pose.synthetic.brush import Brush
from lightning_pose.synthetic.clothes import dress
from lightning_pose.synthetic.draws import Draws
from lightning_pose.synthetic.figure import Figure, draw_figure


@functools.cache
def _upright() -> Figure:
    """The first figure that stands straight and faces the camera."""
    figures = (draw_figure(Draws(seed)) for seed in range(10_000))
    return next(
        figure
        for figure in figures
        if figure.chest[1, 1] > 0.98 and figure.chest[2, 2] > 0.95 and figure.head[2, 2] > 0.9
    )


def standing(turn: float = 0.0) -> Figure:
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


def painted(figure: Figure, seed: int) -> np.ndarray:
    """The person alone on black, with some clothes."""
    canvas = np.zeros((600, 600, 4), dtype=np.uint8)
    brush = Brush()
    dress(brush, figure, (0.0, 0.0, 0.0), Draws(seed))
    brush.paint(canvas, cover=True)
    return canvas
