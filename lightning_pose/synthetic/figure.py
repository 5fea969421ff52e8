"""The articulated figure: from joint angles to a body in space as the camera sees it.

Lengths are in statures, multiples of the person's height. The body's axes are x to the person's own
left, y up and z forward; the camera's are x to the right of the image, y up and z towards the
viewer. They agree when a person stands and faces the camera, so that the person's left is at the
image's right.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from lightning_pose.synthetic.draws import Draws
from lightning_pose.synthetic.poses import ARMS, STANCES, Stance

__all__ = ["Body", "Figure", "draw_figure"]


class Body(NamedTuple):
    """The proportions of a person in statures; girth widens everything about the bones."""

    head: float
    torso: float
    shoulders: float
    hips: float
    upper_arm: float
    forearm: float
    thigh: float
    shank: float
    girth: float


@dataclass(frozen=True)
class Figure:
    """A person in space; orthographic, so that x and y are already the projection.

    Attributes:
        body: The proportions.
        joints: The joints in the order of LSP14.
        hands: The ends of the right and the left hand.
        toes: The tips of the right and the left foot.
        waist: The point where the trunk bends.
        pelvis: Body to camera axes at the hips, one column per axis.
        chest: The same at the shoulders.
        head: The same at the head.
        scale: Units of the coordinates per stature.
    """

    body: Body
    joints: Float[np.ndarray, "14 3"]
    hands: Float[np.ndarray, "2 3"]
    toes: Float[np.ndarray, "2 3"]
    waist: Float[np.ndarray, " 3"]
    pelvis: Float[np.ndarray, "3 3"]
    chest: Float[np.ndarray, "3 3"]
    head: Float[np.ndarray, "3 3"]
    scale: float = 1.0

    def extent(self) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
        """The minimum and maximum (x, y) of the joints."""
        points = self.joints[:, :2]
        return points.min(axis=0), points.max(axis=0)

    def place(self, scale: float, shift: tuple[float, float]) -> "Figure":
        """The figure in an image, where y points down.

        Args:
            scale: Pixels per stature.
            shift: (x, y) of the middle of the hips in pixels.

        Returns:
            A figure whose lengths are pixels; z still points towards the viewer.
        """
        to_screen = np.array([scale, -scale, scale])
        origin = np.array([shift[0], shift[1], 0.0])
        return replace(
            self,
            joints=self.joints * to_screen + origin,
            hands=self.hands * to_screen + origin,
            toes=self.toes * to_screen + origin,
            waist=self.waist * to_screen + origin,
            pelvis=self.pelvis * to_screen[:, None],
            chest=self.chest * to_screen[:, None],
            head=self.head * to_screen[:, None],
            scale=scale,
        )


def _rotations(angles: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """Rotations about y, then x, then z, from (pitch, twist, roll) in radians.

    Positive pitch takes up to forward, positive twist takes forward to the left, and positive roll
    takes left to up.
    """
    (sx, sy, sz), (cx, cy, cz) = np.sin(angles).T, np.cos(angles).T
    entries = np.stack(
        [
            *(cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy),
            *(sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy),
            *(-cx * sy, sx, cx * cy),
        ],
        axis=1,
    )
    return entries.reshape(-1, 3, 3)


def _draw_body(draws: Draws) -> Body:
    # A child has a large head and short limbs; every proportion between child and adult occurs.
    child = draws.uniform() ** 3
    limbs = (1 - 0.14 * child) * draws.uniform(0.95, 1.05)
    return Body(
        head=(0.122 + 0.03 * child) * draws.uniform(0.93, 1.07),
        torso=0.29 * draws.uniform(0.93, 1.07),
        shoulders=0.108 * draws.uniform(0.85, 1.15),
        hips=0.062 * draws.uniform(0.88, 1.15),
        upper_arm=0.168 * limbs * draws.uniform(0.94, 1.06),
        forearm=0.142 * limbs * draws.uniform(0.94, 1.06),
        thigh=0.238 * limbs * draws.uniform(0.94, 1.06),
        shank=0.232 * limbs * draws.uniform(0.94, 1.06),
        girth=draws.uniform(0.9, 1.25) * (1.2 if draws.chance(0.15) else 1.0),
    )


def _draw_view(draws: Draws, stance: Stance) -> tuple[float, float, float]:
    """Pitch, twist and roll of the whole person, mostly seen from the front."""
    view = draws.uniform()
    if view < 0.48:
        twist = draws.bell(28.0)
    elif view < 0.68:
        twist = 180 + draws.bell(28.0)
    else:
        twist = draws.uniform(0.0, 360.0)
    roll = draws.uniform(*stance.roll) * draws.sign() + draws.bell(14.0)
    if draws.chance(0.2):
        roll += draws.bell(70.0)
    return draws.bell(14.0), twist, roll


def draw_figure(draws: Draws) -> Figure:
    """A person of random proportions in a random pose, seen from a random side.

    Args:
        draws: The source of randomness.

    Returns:
        The figure in statures, with the middle of its hips at the origin.
    """
    body = _draw_body(draws)
    stance = draws.pick(STANCES)
    lean, trunk = draws.uniform(*stance.lean), draws.uniform(*stance.trunk)
    legs = [
        (draws.uniform(*stance.flex), draws.uniform(*stance.knee)),
        (draws.uniform(*stance.other_flex), draws.uniform(*stance.other_knee)),
    ]
    if draws.chance(0.5):
        legs.reverse()
    arms = [draws.pick(ARMS), draws.pick(ARMS)]
    if draws.chance(0.25):
        arms[1] = arms[0]

    sides = (-1.0, 1.0)  # right, left: twist and roll are mirrored
    # People look ahead: the head undoes most of the trunk's bend.
    gaze = -0.6 * (lean + trunk) + draws.bell(14.0)
    chest = [(trunk, draws.bell(18.0), draws.bell(10.0)), (gaze, draws.bell(24.0), draws.bell(8.0))]
    upper = [
        (-draws.uniform(*a.flex), s * draws.uniform(*a.twist), s * draws.uniform(*a.spread))
        for a, s in zip(arms, sides, strict=True)
    ]
    fore = [(-draws.uniform(*a.elbow), 0.0, 0.0) for a in arms]
    thigh = [
        (-flex - lean, s * draws.uniform(-10.0, 35.0), s * draws.uniform(*stance.spread))
        for (flex, _), s in zip(legs, sides, strict=True)
    ]
    shank = [(knee, 0.0, 0.0) for _, knee in legs]
    foot = [(draws.uniform(-15.0, 40.0), s * draws.uniform(-10.0, 20.0), 0.0) for s in sides]
    view = _draw_view(draws, stance)
    root = (lean, 0.0, draws.bell(6.0))

    angles = np.radians([view, root, *chest, *upper, *fore, *thigh, *shank, *foot])
    turn = _rotations(angles)
    pelvis = turn[0] @ turn[1]
    chest_axes = pelvis @ turn[2]
    head_axes = chest_axes @ turn[3]
    upper_axes = chest_axes @ turn[4:6]
    fore_axes = upper_axes @ turn[6:8]
    thigh_axes = pelvis @ turn[8:10]
    shank_axes = thigh_axes @ turn[10:12]
    foot_axes = shank_axes @ turn[12:14]

    across = np.array([[-1.0], [1.0]])
    waist = pelvis[:, 1] * (0.38 * body.torso)
    neck = waist + chest_axes[:, 1] * (0.62 * body.torso)
    head_top = neck + head_axes[:, 1] * body.head
    shoulders = neck - chest_axes[:, 1] * 0.022 + across * chest_axes[:, 0] * body.shoulders
    elbows = shoulders - upper_axes[:, :, 1] * body.upper_arm
    wrists = elbows - fore_axes[:, :, 1] * body.forearm
    hips = across * pelvis[:, 0] * body.hips
    knees = hips - thigh_axes[:, :, 1] * body.thigh
    ankles = knees - shank_axes[:, :, 1] * body.shank
    (rs, ls), (re, le), (rw, lw) = shoulders, elbows, wrists
    (rh, lh), (rk, lk), (ra, la) = hips, knees, ankles
    return Figure(
        body=body,
        joints=np.stack([ra, rk, rh, lh, lk, la, rw, re, rs, ls, le, lw, neck, head_top]),
        hands=wrists - fore_axes[:, :, 1] * 0.05,
        toes=ankles + foot_axes @ np.array([0.0, -0.03, 0.085]),
        waist=waist,
        pelvis=pelvis,
        chest=chest_axes,
        head=head_axes,
    )
