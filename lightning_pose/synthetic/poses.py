"""Poses: ranges of the joints' angles."""

from typing import NamedTuple

__all__ = ["ARMS", "STANCES", "Arm", "Stance"]

Range = tuple[float, float]


class Stance(NamedTuple):
    """Ranges of angles in degrees; leg flexion is counted from the vertical, forward positive."""

    weight: int  # its frequency, out of about a hundred
    lean: Range  # the pelvis, forward
    trunk: Range  # the chest against the pelvis, forward
    flex: Range  # one thigh
    knee: Range
    other_flex: Range  # the other thigh
    other_knee: Range
    spread: Range  # both thighs, outward
    roll: Range  # the whole person in the image's plane


_WEIGHTED = {
    "stand": Stance(
        weight=12,
        lean=(-6.0, 10.0),
        trunk=(-10.0, 18.0),
        flex=(-12.0, 14.0),
        knee=(0.0, 15.0),
        other_flex=(-12.0, 14.0),
        other_knee=(0.0, 15.0),
        spread=(0.0, 18.0),
        roll=(-25.0, 25.0),
    ),
    "stride": Stance(
        weight=12,
        lean=(-4.0, 15.0),
        trunk=(-6.0, 20.0),
        flex=(10.0, 55.0),
        knee=(0.0, 30.0),
        other_flex=(-40.0, 0.0),
        other_knee=(0.0, 45.0),
        spread=(0.0, 14.0),
        roll=(-28.0, 28.0),
    ),
    "run": Stance(
        weight=10,
        lean=(5.0, 40.0),
        trunk=(0.0, 25.0),
        flex=(35.0, 105.0),
        knee=(20.0, 100.0),
        other_flex=(-45.0, 5.0),
        other_knee=(0.0, 80.0),
        spread=(0.0, 14.0),
        roll=(-35.0, 35.0),
    ),
    "sit": Stance(
        weight=7,
        lean=(-25.0, 15.0),
        trunk=(-10.0, 35.0),
        flex=(65.0, 110.0),
        knee=(30.0, 110.0),
        other_flex=(65.0, 110.0),
        other_knee=(30.0, 110.0),
        spread=(0.0, 40.0),
        roll=(-28.0, 28.0),
    ),
    "long sit": Stance(
        weight=8,
        lean=(-40.0, 20.0),
        trunk=(-10.0, 45.0),
        flex=(70.0, 120.0),
        knee=(0.0, 45.0),
        other_flex=(70.0, 120.0),
        other_knee=(0.0, 45.0),
        spread=(0.0, 45.0),
        roll=(-30.0, 30.0),
    ),
    "squat": Stance(
        weight=4,
        lean=(10.0, 40.0),
        trunk=(0.0, 45.0),
        flex=(75.0, 125.0),
        knee=(70.0, 135.0),
        other_flex=(75.0, 125.0),
        other_knee=(70.0, 135.0),
        spread=(0.0, 45.0),
        roll=(-28.0, 28.0),
    ),
    "kneel": Stance(
        weight=5,
        lean=(-5.0, 35.0),
        trunk=(-5.0, 30.0),
        flex=(60.0, 105.0),
        knee=(60.0, 105.0),
        other_flex=(-25.0, 20.0),
        other_knee=(60.0, 120.0),
        spread=(0.0, 20.0),
        roll=(-28.0, 28.0),
    ),
    "bend": Stance(
        weight=15,
        lean=(45.0, 110.0),
        trunk=(10.0, 60.0),
        flex=(-10.0, 25.0),
        knee=(0.0, 25.0),
        other_flex=(-25.0, 10.0),
        other_knee=(0.0, 25.0),
        spread=(0.0, 24.0),
        roll=(-28.0, 28.0),
    ),
    "leap": Stance(
        weight=9,
        lean=(-30.0, 30.0),
        trunk=(-30.0, 25.0),
        flex=(-25.0, 70.0),
        knee=(0.0, 70.0),
        other_flex=(-60.0, 30.0),
        other_knee=(0.0, 70.0),
        spread=(10.0, 65.0),
        roll=(-50.0, 50.0),
    ),
    "kick": Stance(
        weight=8,
        lean=(-50.0, 15.0),
        trunk=(-10.0, 30.0),
        flex=(60.0, 130.0),
        knee=(0.0, 45.0),
        other_flex=(-15.0, 15.0),
        other_knee=(0.0, 25.0),
        spread=(0.0, 24.0),
        roll=(-40.0, 40.0),
    ),
    "lie": Stance(
        weight=10,
        lean=(-25.0, 30.0),
        trunk=(-20.0, 30.0),
        flex=(-10.0, 100.0),
        knee=(0.0, 80.0),
        other_flex=(-10.0, 80.0),
        other_knee=(0.0, 80.0),
        spread=(0.0, 30.0),
        roll=(60.0, 125.0),
    ),
    "tumble": Stance(
        weight=8,
        lean=(-25.0, 50.0),
        trunk=(-25.0, 50.0),
        flex=(-35.0, 100.0),
        knee=(0.0, 80.0),
        other_flex=(-50.0, 70.0),
        other_knee=(0.0, 80.0),
        spread=(0.0, 50.0),
        roll=(120.0, 240.0),
    ),
}
STANCES = tuple(stance for stance in _WEIGHTED.values() for _ in range(stance.weight))
"""Every stance, repeated as often as its weight, to be drawn from with equal probability."""


class Arm(NamedTuple):
    """Ranges of angles in degrees of one arm against the chest."""

    flex: Range  # forward
    spread: Range  # outward
    twist: Range  # about the upper arm, outward; the elbow bends forward at 0
    elbow: Range


ARMS = (
    Arm((-25.0, 30.0), (4.0, 35.0), (-40.0, 20.0), (0.0, 60.0)),  # hanging
    Arm((-25.0, 30.0), (4.0, 35.0), (-40.0, 20.0), (0.0, 60.0)),
    Arm((40.0, 115.0), (-10.0, 40.0), (-50.0, 20.0), (0.0, 80.0)),  # reaching
    Arm((125.0, 180.0), (-10.0, 35.0), (-60.0, 60.0), (0.0, 100.0)),  # overhead
    Arm((-15.0, 30.0), (50.0, 130.0), (-90.0, 90.0), (0.0, 120.0)),  # sideways
    Arm((-30.0, 5.0), (25.0, 60.0), (-110.0, -60.0), (60.0, 125.0)),  # akimbo
    Arm((10.0, 65.0), (0.0, 30.0), (-75.0, 0.0), (60.0, 135.0)),  # in front of the chest
    Arm((-65.0, -15.0), (5.0, 40.0), (-30.0, 20.0), (20.0, 115.0)),  # swinging back
)
