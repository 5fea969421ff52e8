"""What surrounds the person: background, clutter, occluders, and the camera."""

import functools

import cv2
import numpy as np
from jaxtyping import UInt8

from lightning_pose.synthetic.brush import Brush, Canvas, Point
from lightning_pose.synthetic.colours import any_colour, skin_colour
from lightning_pose.synthetic.draws import Draws

__all__ = ["add_occluder", "draw_background", "expose"]

_TILE = 256


@functools.cache
def _tiles() -> UInt8[np.ndarray, "n H W 4"]:
    """Textures from which every image takes a piece: noise of several grains, bricks and weaves."""
    generator = np.random.default_rng(20110620)
    tiles = np.zeros((24, _TILE, _TILE, 4), dtype=np.uint8)
    ramp = np.arange(_TILE)
    for number, tile in enumerate(tiles):
        layer = np.zeros((_TILE, _TILE, 3), dtype=np.float32)
        # Few grain sizes per tile, so that no two tiles are the same grey noise.
        for cells in generator.choice((3, 5, 8, 14, 24, 40, 70, 120), size=3, replace=False):
            grain = generator.normal(size=(cells, cells, 3)).astype(np.float32)
            grain = 0.8 * grain.mean(axis=2, keepdims=True) + 0.2 * grain
            weight = generator.uniform(0.05, 1) ** 2
            layer += weight * cv2.resize(grain, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC)
        if number % 3 == 0:
            period, width = generator.integers(8, 32, size=2)
            pattern = ((ramp // period)[:, None] + (ramp // width)[None] * (number % 2)) % 2
            layer += generator.uniform(0.5, 2) * (pattern[..., None] - 0.5)
        layer *= 45 / layer.std()
        tile[..., :3] = np.clip(layer - layer.mean() + 128, 0, 255)
    return tiles


@functools.cache
def _noise() -> UInt8[np.ndarray, "n m 3"]:
    """Sensor noise around 128, of which each image takes a random part."""
    generator = np.random.default_rng(20141201)
    return np.clip(generator.normal(128, 32, size=(1024, 1024, 3)), 0, 255).astype(np.uint8)


def draw_background(size: int, draws: Draws) -> Canvas:
    """Draw light and colour that vary over the image, ground, shapes and texture.

    Args:
        size: Height and width of the image in pixels.
        draws: The source of randomness.

    Returns:
        A canvas without a person.
    """
    base = any_colour(draws)
    corners = np.zeros((2, 2, 4), dtype=np.float32)
    for row in corners.reshape(4, 4):
        other = any_colour(draws)
        row[:3] = [0.55 * b + 0.45 * o for b, o in zip(base, other, strict=True)]
    canvas = cv2.resize(corners.astype(np.uint8), (size, size), interpolation=cv2.INTER_LINEAR)
    brush = Brush()
    if draws.chance(0.5):
        left, right = draws.uniform(0.3, 1.0) * size, draws.uniform(-0.15, 0.15) * size
        ground = [(-9, left), (size + 9, left + right), (size + 9, 2 * size), (-9, 2 * size)]
        brush.hull(0.0, np.array(ground), any_colour(draws))
    for _ in range(draws.integer(0, 7)):
        _add_clutter(brush, size, draws)
    brush.paint(canvas, cover=False)

    tiles = _tiles()
    tile = tiles[draws.integer(0, len(tiles) - 1)]
    side = draws.integer(_TILE // 4, _TILE)
    y, x = draws.integer(0, _TILE - side), draws.integer(0, _TILE - side)
    piece = cv2.resize(
        tile[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_LINEAR
    )
    share = draws.uniform(0.05, 0.45)
    return cv2.addWeighted(canvas, 1 - 0.5 * share, piece, share, 0)


def _add_clutter(brush: Brush, size: int, draws: Draws) -> None:
    """Add one object to the background; some look like a limb."""
    at = (draws.uniform() * size, draws.uniform() * size)
    reach, kind = draws.uniform(0.03, 0.3) * size, draws.uniform()
    colour = any_colour(draws)
    if kind < 0.45:
        corners = [(at[0] + draws.bell(reach), at[1] + draws.bell(reach)) for _ in range(4)]
        brush.hull(0.0, np.array(corners), colour)
    elif kind < 0.6:
        brush.capsule(0.0, at, at, 0.5 * reach, 0.5 * reach, colour)
    elif kind < 0.8:
        pole = draws.uniform(0.01, 0.06) * size
        top, foot = (at[0], -0.1 * size), (at[0] + draws.bell(0.1 * size), 1.1 * size)
        brush.capsule(0.0, top, foot, pole, pole, colour)
    else:
        if draws.chance(0.3):
            colour = skin_colour(draws)
        end = (at[0] + draws.bell(reach), at[1] + draws.bell(reach))
        radius = draws.uniform(0.01, 0.03) * size
        brush.capsule(0.0, at, end, radius, draws.uniform(0.5, 1.0) * radius, colour)


def add_occluder(brush: Brush, at: Point, reach: float, size: int, draws: Draws) -> None:
    """Add one object in front of the person.

    Args:
        brush: Collects its shapes.
        at: Its place, in pixels.
        reach: About how far it extends from there, in pixels.
        size: Height and width of the image in pixels.
        draws: The source of randomness.
    """
    colour, accent, kind = any_colour(draws), any_colour(draws), draws.uniform()
    if kind < 0.35:
        corners = np.array([(draws.uniform(-1.0, 1.0), draws.uniform(-1.0, 1.0)) for _ in range(6)])
        brush.hull(0.0, at + reach * corners, colour)
        brush.hull(0.0, at + 0.6 * reach * corners, accent)
    elif kind < 0.55:
        brush.capsule(0.0, at, at, 0.75 * reach, 0.75 * reach, colour)
        brush.capsule(0.0, at, at, 0.4 * reach, 0.4 * reach, accent)
    elif kind < 0.75:
        pole = 0.25 * reach
        top, foot = (at[0] + draws.bell(pole), -9.0), (at[0] + draws.bell(pole), size + 9.0)
        brush.capsule(0.0, top, foot, pole, pole, colour)
    else:
        for _ in range(7):
            leaf = (at[0] + draws.bell(0.45 * reach), at[1] + draws.bell(0.45 * reach))
            radius = draws.uniform(0.15, 0.35) * reach
            brush.capsule(0.0, leaf, leaf, radius, radius, draws.pick((colour, accent)))


def expose(canvas: Canvas, draws: Draws) -> UInt8[np.ndarray, "H W 3"]:
    """Turn a drawing into an image: apply blur, exposure, a colour cast and noise.

    Args:
        canvas: The finished drawing.
        draws: The source of randomness.

    Returns:
        The RGB image.
    """
    size = canvas.shape[0]
    image = cv2.cvtColor(canvas, cv2.COLOR_RGBA2RGB)
    if draws.chance(0.5):
        image = cv2.GaussianBlur(image, (3, 3), draws.uniform(0.3, 1.1))
    gain, lift = draws.uniform(0.65, 1.15), draws.uniform(0.0, 40.0)
    light = [gain * draws.uniform(0.88, 1.12) for _ in range(3)]
    ramp = np.arange(256, dtype=np.float32)[:, None] * light + lift
    image = cv2.LUT(image, np.clip(ramp, 0, 255).astype(np.uint8)[None])
    noise = _noise()
    room = noise.shape[0] - size
    y, x = draws.integer(0, room), draws.integer(0, room)
    strength = draws.uniform(0.02, 0.25)
    return cv2.addWeighted(image, 1, noise[y : y + size, x : x + size], strength, -128 * strength)
