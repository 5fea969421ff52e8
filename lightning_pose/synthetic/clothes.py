"""Clothes over a figure.

The details show which side is left: the face, the brim of a cap and the toes point forward; a zip,
buttons or a tie are on the chest, a backpack and long hair on the back.
"""

import math
from dataclasses import dataclass

import numpy as np

from lightning_pose.synthetic.brush import Brush, Colour, Point, shade
from lightning_pose.synthetic.colours import (
    any_colour,
    cloth_colour,
    skin_colour,
)
from lightning_pose.synthetic.draws import Draws
from lightning_pose.synthetic.figure import Figure
from lightning_pose.synthetic.head import draw_head

__all__ = ["dress"]

_TURN = np.linspace(0, 2 * math.pi, 13)[:-1]
_RING = np.stack([np.cos(_TURN), np.zeros(12), np.sin(_TURN)])  # (3, 12): about a body's y axis
_ARMS = ((8, 7, 6, 0), (9, 10, 11, 1))
_LEGS = ((2, 1, 0, 0), (3, 4, 5, 1))


@dataclass(frozen=True)
class _Cloth:
    colour: Colour
    accent: Colour
    pattern: str


def _cloth(draws: Draws, background: Colour) -> _Cloth:
    pattern = draws.pick(("plain", "plain", "hoops", "stripe", "dots", "ends"))
    return _Cloth(cloth_colour(draws, background), any_colour(draws), pattern)


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


class _Dresser:
    """Adds one person's parts to a brush, lit from one side."""

    def __init__(self, brush: Brush, figure: Figure, background: Colour, draws: Draws) -> None:
        self.brush, self.figure, self.background, self.draws = brush, figure, background, draws
        self.unit = figure.scale
        self.width = figure.scale * figure.body.girth
        # Shadow on the far side of every part separates neighbours of the same colour.
        angle = draws.uniform(0.0, 2.0 * math.pi)
        self.light = (math.cos(angle), math.sin(angle))
        self.shadow = draws.uniform(0.5, 0.8)

    def part(
        self,
        depth: float,
        start: Point,
        end: Point,
        radius: float,
        end_radius: float,
        colour: Colour,
    ) -> None:
        """Add a rounded part: its whole outline in shadow, and the lit side on top."""
        self.brush.capsule(depth, start, end, radius, end_radius, shade(colour, self.shadow))
        x, y = 0.2 * self.light[0], 0.2 * self.light[1]
        lit_start = (start[0] + x * radius, start[1] + y * radius)
        lit_end = (end[0] + x * end_radius, end[1] + y * end_radius)
        self.brush.capsule(depth, lit_start, lit_end, 0.76 * radius, 0.76 * end_radius, colour)

    def sleeve(
        self,
        depth: float,
        start: Point,
        end: Point,
        radius: float,
        end_radius: float,
        cloth: _Cloth,
    ) -> None:
        """Add a clothed part with its pattern."""
        self.part(depth, start, end, radius, end_radius, cloth.colour)
        brush, accent = self.brush, cloth.accent
        if cloth.pattern == "hoops":
            length = math.hypot(end[0] - start[0], end[1] - start[1])
            if length < 0.5 * radius:
                return  # The part points at the viewer: hoops would hide each other.
            x, y = (start[1] - end[1]) / length, (end[0] - start[0]) / length
            for share in (0.2, 0.6, 1.0):
                reach = 0.75 * (radius + (end_radius - radius) * share)
                middle = _between(start, end, share)
                side = (middle[0] + x * reach, middle[1] + y * reach)
                other = (middle[0] - x * reach, middle[1] - y * reach)
                brush.capsule(depth, side, other, 0.22 * radius, 0.22 * radius, accent)
        elif cloth.pattern == "stripe":
            brush.capsule(depth, start, end, 0.25 * radius, 0.25 * end_radius, accent)
        elif cloth.pattern == "dots":
            for share in (0.15, 0.5, 0.85):
                at = _between(start, end, share)
                at = (at[0] + self.draws.bell(0.3 * radius), at[1] + self.draws.bell(0.3 * radius))
                brush.capsule(depth, at, at, 0.3 * radius, 0.3 * radius, accent)
        elif cloth.pattern == "ends":
            self.part(depth, _between(start, end, 0.75), end, 0.9 * end_radius, end_radius, accent)

    def limb(
        self,
        joints: tuple[int, int, int],
        radii: tuple[float, float, float],
        skin: Colour,
        cloth: _Cloth,
        length: float,
        biases: tuple[float, float],
    ) -> None:
        """Add an arm or a leg: two parts of skin, the first `length` parts of them clothed."""
        points, depths = self.points, self.depths
        for i in (0, 1):
            a, b = joints[i], joints[i + 1]
            depth = (depths[a] + depths[b]) / 2 + biases[i] * self.unit
            start, end, radius, end_radius = points[a], points[b], radii[i], radii[i + 1]
            covered = min(length - i, 1.0)
            if covered < 0.9:
                self.part(depth, start, end, radius, end_radius, skin)
            if covered > 0.05:
                hem = radius + (end_radius - radius) * covered
                edge = _between(start, end, covered)
                self.sleeve(depth, start, edge, 1.12 * radius, 1.12 * hem, cloth)

    def dress(self) -> None:
        """Draw the outfit and add every part of the person."""
        draws, figure, unit, width = self.draws, self.figure, self.unit, self.width
        self.points: list[Point] = [(x, y) for x, y in figure.joints[:, :2].tolist()]
        self.depths: list[float] = figure.joints[:, 2].tolist()
        self.skin = skin_colour(draws)
        top, bottom = _cloth(draws, self.background), _cloth(draws, self.background)
        if draws.chance(0.1):
            bottom = top
        shoes = any_colour(draws)
        glove = any_colour(draws) if draws.chance(0.12) else self.skin
        socks = any_colour(draws) if draws.chance(0.4) else self.skin
        sleeves = draws.pick((0.0, 0.45, 0.6, 1.0, 1.5, 2.0, 2.0, 2.0))
        legs = draws.pick((0.3, 0.6, 0.9, 1.5, 2.0, 2.0, 2.0, 2.0))
        # A skirt is a hull about both thighs down to this part of them.
        skirt = draws.uniform(0.45, 0.95) if draws.chance(0.15) else 0.0

        hands, toes = figure.hands.tolist(), figure.toes.tolist()
        arm_radii = (0.031 * width, 0.026 * width, 0.018 * width)
        leg_radii = (0.052 * width, 0.038 * width, 0.024 * width)
        for shoulder, elbow, wrist, side in _ARMS:
            hand = (hands[side][0], hands[side][1])
            depth = (self.depths[wrist] + hands[side][2]) / 2 + 0.012 * unit
            self.part(depth, self.points[wrist], hand, 0.019 * width, 0.021 * width, glove)
            self.limb((shoulder, elbow, wrist), arm_radii, self.skin, top, sleeves, (0.0, 0.012))
        for hip, knee, ankle, side in _LEGS:
            toe = (toes[side][0], toes[side][1])
            depth = (self.depths[ankle] + toes[side][2]) / 2
            if socks is not self.skin:
                shin = _between(self.points[knee], self.points[ankle], 0.5)
                depth_shin = (self.depths[knee] + self.depths[ankle]) / 2
                self.part(
                    depth_shin + 1e-3, shin, self.points[ankle], 0.035 * width, 0.027 * width, socks
                )
            self.part(depth, self.points[ankle], toe, 0.029 * width, 0.022 * width, shoes)
            self.limb((hip, knee, ankle), leg_radii, self.skin, bottom, legs, (-0.02, 0.0))
        self.trunk(top, bottom, skirt)
        draw_head(self.brush, figure, self.skin, self.light, draws)

    def trunk(self, top: _Cloth, bottom: _Cloth, skirt: float) -> None:
        """Add the trunk as hulls of elliptic sections, with what is worn in front and behind."""
        draws, figure, unit, body = self.draws, self.figure, self.unit, self.figure.body
        girth, chest, pelvis = body.girth, figure.chest, figure.pelvis
        neck = figure.joints[12]
        deep = 0.058 * girth

        def section(frame: np.ndarray, middle: np.ndarray, wide: float, thick: float) -> np.ndarray:
            ring: np.ndarray = middle[:, None] + frame @ (_RING * [[wide], [0.0], [thick]])
            return ring[:2].T

        hip = 0.5 * (figure.joints[2] + figure.joints[3])
        shoulder = section(chest, neck - chest[:, 1] * 0.028, body.shoulders + 0.008, 0.8 * deep)
        ribs = section(chest, neck - chest[:, 1] * 0.11, 0.085 * girth, 1.05 * deep)
        waist = section(pelvis, figure.waist, 0.07 * girth, 0.9 * deep)
        hips = section(pelvis, hip, body.hips + 0.034 * girth, deep)
        depth = float(0.5 * (neck[2] + hip[2])) + 0.01 * unit
        brush = self.brush
        if skirt:
            thighs = figure.joints[2:4] + skirt * (figure.joints[[1, 4]] - figure.joints[2:4])
            hem = (thighs[:, :2, None] + 0.055 * self.width * _RING[::2]).transpose(0, 2, 1)
            near = max(depth, *thighs[:, 2].tolist())
            cloth = np.concatenate([waist, hips, hem.reshape(-1, 2)])
            brush.hull(near, cloth, shade(bottom.colour, self.shadow))
            brush.hull(near, 0.85 * cloth + 0.15 * cloth.mean(axis=0), bottom.colour)
            depth = near
        else:
            brush.hull(depth, np.concatenate([waist, hips]), shade(bottom.colour, 0.9))
        upper = np.concatenate([shoulder, ribs, waist])
        brush.hull(depth, upper, shade(top.colour, self.shadow))
        lit = 0.02 * unit * np.array(self.light)
        brush.hull(depth, 0.82 * upper + 0.18 * upper.mean(axis=0) + lit, top.colour)
        if draws.chance(0.4):  # A shirt worn over the trousers.
            brush.hull(depth, np.concatenate([waist, 0.6 * hips + 0.4 * waist]), top.colour)
        if top.pattern == "hoops":
            for high, low in ((shoulder, ribs), (ribs, waist)):
                for share in (0.3, 0.8):
                    band = [high + (low - high) * (share + more) for more in (0.0, 0.2)]
                    brush.hull(depth, np.concatenate(band), top.accent)
        elif top.pattern == "dots":
            at = np.concatenate([shoulder + (ribs - shoulder) * 0.6, ribs + (waist - ribs) * 0.6])
            for x, y in (0.6 * at + 0.4 * at.mean(axis=0))[::3].tolist():
                brush.capsule(depth, (x, y), (x, y), 0.02 * unit, 0.02 * unit, top.accent)
        elif top.pattern == "stripe":
            stripe = np.concatenate([shoulder, waist])
            brush.hull(depth, stripe + 0.7 * (stripe.mean(axis=0) - stripe), top.accent)
        elif top.pattern == "ends":
            brush.hull(depth, np.concatenate([waist, 0.5 * (ribs + waist)]), top.accent)

        facing = float(chest[2, 2]) / unit
        self.front_and_back(depth, facing, top)
        x, y = (self.points[12][0] + self.points[13][0]), (self.points[12][1] + self.points[13][1])
        throat = (0.5 * x, 0.5 * y)
        self.part(
            self.depths[12] - 0.005 * unit,
            self.points[12],
            throat,
            0.03 * self.width,
            0.028 * self.width,
            self.skin,
        )

    def front_and_back(self, depth: float, facing: float, top: _Cloth) -> None:
        """Add a neckline, zip, buttons or tie in front, and a backpack behind."""
        draws, figure, unit = self.draws, self.figure, self.unit
        chest, brush, neck = figure.chest, self.brush, figure.joints[12]
        deep = 0.056 * figure.body.girth
        kind = draws.pick(("zip", "buttons", "tie", "neckline", "badge", "neckline"))
        accent = any_colour(draws)
        pack = any_colour(draws) if draws.chance(0.4) else None
        if facing > 0.15:
            front = neck + chest[:, 2] * deep
            high = front - chest[:, 1] * 0.03
            low = front - chest[:, 1] * 0.17
            start, end = (high[0], high[1]), (low[0], low[1])
            thin = 0.012 * unit
            if kind == "neckline":
                points = np.stack(
                    [
                        neck + chest @ [-0.035, 0.0, 0.7 * deep],
                        neck + chest @ [0.035, 0.0, 0.7 * deep],
                        neck + chest @ [0.0, -0.07, deep],
                    ]
                )
                brush.hull(depth, points[:, :2], self.skin)
            elif kind == "badge":
                at = front + chest @ [0.045, -0.07, 0.0]
                brush.capsule(depth, (at[0], at[1]), (at[0], at[1]), 2 * thin, 2 * thin, accent)
            elif kind == "tie":
                brush.capsule(depth, start, end, thin, 2 * thin, accent)
            elif kind == "zip":
                brush.capsule(depth, start, end, 0.8 * thin, 0.8 * thin, accent)
            else:
                for share in (0.0, 0.35, 0.7, 1.05):
                    at = _between(start, end, share)
                    brush.capsule(depth, at, at, thin, thin, accent)
            if pack is not None:
                for side in (-0.6, 0.6):
                    a = front + chest @ [side * figure.body.shoulders, -0.01, -0.5 * deep]
                    b = front + chest @ [side * figure.body.shoulders, -0.15, -0.3 * deep]
                    brush.capsule(depth, (a[0], a[1]), (b[0], b[1]), 1.3 * thin, 1.3 * thin, pack)
        if pack is not None:
            corners = np.array(
                [
                    (x, y, z)
                    for x in (-0.07, 0.07)
                    for y in (-0.02, -0.2)
                    for z in (-0.8 * deep, -0.8 * deep - 0.07)
                ]
            )
            bag = neck + corners @ chest.T
            bag_depth = depth - 0.08 * facing * unit
            brush.hull(bag_depth, bag[:, :2], shade(pack, 0.75))
            brush.hull(bag_depth, 0.7 * bag[:, :2] + 0.3 * bag[:, :2].mean(axis=0), pack)


def dress(brush: Brush, figure: Figure, background: Colour, draws: Draws) -> None:
    """Add a clothed person to a brush.

    Args:
        brush: Collects the shapes of the person's parts.
        figure: The person in pixels.
        background: The colour that clothes should stand out from.
        draws: The source of randomness.
    """
    _Dresser(brush, figure, background, draws).dress()
