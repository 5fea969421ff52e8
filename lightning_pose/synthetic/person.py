"""One drawn person: pose, clothes, surroundings and camera from one number."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Int8, UInt8

from lightning_pose.synthetic.brush import Brush, Canvas
from lightning_pose.synthetic.clothes import dress
from lightning_pose.synthetic.colours import any_colour
from lightning_pose.synthetic.draws import Draws
from lightning_pose.synthetic.figure import Figure, draw_figure
from lightning_pose.synthetic.scene import add_occluder, draw_background, expose

__all__ = ["DrawnPerson", "draw_person"]


@dataclass
class DrawnPerson:
    """A drawing with its joints and mask.

    Attributes:
        image: The RGB image.
        joints: (x, y) per joint in pixels, in the order of LSP's 14 joints; an integer is the
            centre of a pixel, and every joint lies in the image.
        mask: 1 where the labelled person is seen, 0 elsewhere.
    """

    image: UInt8[np.ndarray, "H W 3"]
    joints: Float32[np.ndarray, "14 2"]
    mask: Int8[np.ndarray, "H W"]


def draw_person(person_id: int, size: int) -> DrawnPerson:
    """Draw a clothed person in front of a background, perhaps behind objects and other people.

    Args:
        person_id: The number of the person, from 0 to 2**64 - 1; it determines everything but the
            size.
        size: Height and width of the image in pixels, from 64 to 1024.

    Returns:
        The person.

    Example:
        >>> person = draw_person(7, size=160)
        >>> person.image.shape, person.joints.shape, int(person.mask.max())
        ((160, 160, 3), (14, 2), 1)
    """
    draws = Draws(person_id)
    figure = _placed(_seen_well(draws), size, draws)
    canvas = _draw(figure, size, draws)
    return DrawnPerson(
        image=expose(canvas, draws),
        joints=figure.joints[:, :2].astype(np.float32),
        mask=(canvas[..., 3] > 127).astype(np.int8),
    )


def _seen_well(draws: Draws) -> Figure:
    """A figure, redrawn up to three times if it is curled up or seen from the soles.

    The joints of such a figure could not be told apart.
    """
    for _ in range(4):
        figure = draw_figure(draws)
        low, high = figure.extent()
        if float((high - low).max()) > 0.6:
            break
    return figure


def _placed(figure: Figure, size: int, draws: Draws) -> Figure:
    """The figure at a size and a place such that every joint is in the image."""
    low, high = figure.extent()
    longer = float((high - low).max())
    scale = size * draws.uniform(0.5, 0.74) / longer
    margin = 0.02 * size
    # The box [low, high] in statures, y up, becomes [margin, size - 1 - margin] at most.
    room = size - 1 - 2 * margin - scale * (high - low)
    return figure.place(
        scale,
        (
            margin + draws.uniform() * float(room[0]) - scale * float(low[0]),
            margin + draws.uniform() * float(room[1]) + scale * float(high[1]),
        ),
    )


def _draw(figure: Figure, size: int, draws: Draws) -> Canvas:
    """Paint the background, the person, and whatever is behind and in front."""
    canvas = draw_background(size, draws)
    if draws.chance(0.16):
        _draw_stranger(canvas, figure, size, draws, nearer=False)
    red, green, blue, _ = cv2.mean(canvas)
    brush = Brush()
    dress(brush, figure, (red, green, blue), draws)
    brush.paint(canvas, cover=True)
    if draws.chance(0.05):
        _draw_stranger(canvas, figure, size, draws, nearer=True)
    brush = Brush()
    low, high = figure.extent()
    reach = float((high - low).max())
    if draws.chance(0.3):
        joint = figure.joints[draws.integer(0, 13)]
        at = (
            float(joint[0]) + draws.bell(0.07 * reach),
            float(joint[1]) + draws.bell(0.07 * reach),
        )
        add_occluder(brush, at, draws.uniform(0.06, 0.2) * reach, size, draws)
    brush.paint(canvas, cover=False)
    return canvas


def _draw_stranger(canvas: Canvas, figure: Figure, size: int, draws: Draws, nearer: bool) -> None:
    """Paint another person beside the labelled one, perhaps partly outside the image."""
    low, high = figure.extent()
    middle, half = 0.5 * float(low[0] + high[0]), 0.5 * float((high - low).max())
    stranger = draw_figure(draws)
    scale = figure.scale * (draws.uniform(1.0, 1.3) if nearer else draws.uniform(0.6, 1.0))
    side = 1.0 if middle < 0.5 * size else -1.0  # Where there is more room.
    x = middle + side * half * draws.uniform(0.9, 1.5)
    brush = Brush()
    place = (x, draws.uniform(0.35, 0.75) * size)
    dress(brush, stranger.place(scale, place), any_colour(draws), draws)
    brush.paint(canvas, cover=False)
