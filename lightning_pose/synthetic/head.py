"""Hair, hats and faces, which distinguish the front of a person from the back."""

import math

import numpy as np
from jaxtyping import Float

from lightning_pose.synthetic.brush import Brush, Colour, shade
from lightning_pose.synthetic.colours import any_colour, hair_colour
from lightning_pose.synthetic.draws import Draws
from lightning_pose.synthetic.figure import Figure

__all__ = ["draw_head"]

_TURN = np.linspace(0, 2 * math.pi, 13)[:-1]
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)])


def _face(middle: float, width: float, height: float) -> Float[np.ndarray, "3 n"]:
    """Directions around a patch of the head's front, with its middle above the equator."""
    directions = np.stack([width * np.cos(_TURN), middle + height * np.sin(_TURN), np.ones(12)])
    unit: np.ndarray = directions / np.linalg.norm(directions, axis=0)
    return unit


_FACES = tuple(_face(middle, 0.9, 0.85) for middle in (-0.35, -0.25, -0.15))
_FEATURES = np.array([[-0.36, 0.12, 0.92], [0.36, 0.12, 0.92], [0.0, -0.55, 0.83]]).T  # eyes, mouth
_NOSE = np.array([0.0, -0.15, 1.14])


def draw_head(
    brush: Brush, figure: Figure, skin: Colour, light: tuple[float, float], draws: Draws
) -> None:
    """Add the head to a brush: an ellipsoid of hair with a face in front.

    Args:
        brush: Collects the shapes.
        figure: The person in pixels.
        skin: The colour of the face.
        light: The direction in the image, of length 1, from which the light comes.
        draws: The source of randomness.
    """
    unit, frame, body = figure.scale, figure.head, figure.body
    style = draws.pick(("short", "short", "long", "long", "bald", "cap", "cap", "hood"))
    hair = {"bald": skin, "cap": any_colour(draws), "hood": any_colour(draws)}.get(
        style, hair_colour(draws)
    )
    half = 0.44 * body.head + 0.006
    # With hair, the top of the head is a little above its joint.
    middle = figure.joints[13] - frame[:, 1] * (half - 0.012)
    axes = frame * [0.8 * half, half, 0.95 * half]
    depth = float(middle[2]) + 0.02 * unit
    centre = middle[:2]

    # The outline of an ellipsoid is the ellipse of its projected axes' second moments.
    (a, b), (_, d) = (axes[:2] @ axes[:2].T).tolist()
    root = math.sqrt(a)
    spread = np.array([[root, 0.0], [b / root, math.sqrt(max(d - b * b / a, 0.0))]])
    outline = centre + (spread @ _CIRCLE).T
    facing = float(frame[2, 2]) / unit
    if style == "long":
        fall = middle + frame @ [0.0, -draws.uniform(0.08, 0.16), -0.03]
        tress = fall[:2] + 0.9 * (outline - centre)
        brush.hull(depth - 0.05 * facing * unit, np.concatenate([outline, tress]), hair)
    brush.hull(depth, outline, shade(hair, 0.8))
    brush.hull(depth, centre + 0.8 * (outline - centre) + light, hair)

    # Points of the face beyond the horizon of the ellipsoid are moved onto it.
    toward = np.linalg.solve(axes, [0.0, 0.0, 1.0])
    toward /= np.linalg.norm(toward)
    patch = _FACES[0 if style in ("cap", "hood") else draws.integer(0, 2)]
    height = toward @ patch
    if height.max() > 0.05:
        shown = patch - np.minimum(height, 0.0) * toward[:, None]
        shown /= np.linalg.norm(shown, axis=0)
        brush.hull(depth, centre + (0.96 * axes[:2] @ shown).T, skin)
    if style == "cap":
        brim = middle[:, None] + axes @ np.array(
            [[-0.7, 0.7, 0.5, -0.5], [0.35, 0.35, 0.3, 0.3], [0.75, 0.75, 1.6, 1.6]]
        )
        brush.hull(depth + 0.03 * facing * unit, brim[:2].T, shade(hair, 0.7))
    (left, right, mouth), size = (
        (centre + (axes[:2] @ _FEATURES).T).tolist(),
        0.16 * half * unit,
    )
    seen = (toward @ _FEATURES > 0.12).tolist()
    for (x, y), visible in zip((left, right), seen[:2], strict=True):
        if visible:
            brush.capsule(depth, (x, y), (x, y), size, size, (25.0, 22.0, 25.0))
    if seen[2]:
        at = (mouth[0], mouth[1])
        brush.capsule(depth, at, at, size, size, (150.0, 50.0, 50.0))
    if facing > -0.2:
        nose = (centre + axes[:2] @ _NOSE).tolist()
        bridge = (centre + axes[:2] @ [0.0, 0.1, 0.95]).tolist()
        brush.capsule(
            depth,
            (bridge[0], bridge[1]),
            (nose[0], nose[1]),
            size,
            1.4 * size,
            shade(skin, 0.85),
        )
