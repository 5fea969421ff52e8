"""Skeletons: which joints a person has, how they are joined, and which of them are mirrored."""

from dataclasses import dataclass
from typing import Any

from lightning_pose.errors import InputError

__all__ = ["LSP14", "Skeleton"]


@dataclass(frozen=True)
class Skeleton:
    """The joints of a dataset, in its order; left and right are the person's own.

    Attributes:
        names: One snake_case name a joint, in the order of the keypoints' K axis.
        limbs: Pairs of joint indices that a drawing joins by a line.
        flip_pairs: Pairs of joint indices that change places when a picture is mirrored.
        colours: One (red, green, blue) a limb, 0 to 255.
        head: The two joints at the ends of the head, whose distance is its size unless a dataset
            says another; without them there is no PCKh.
        torso: The two joints whose distance is the torso size.

    Example:
        >>> LSP14.names[LSP14.head[1]]
        'head_top'
        >>> Skeleton.from_dict(LSP14.to_dict()) == LSP14
        True
    """

    names: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    flip_pairs: tuple[tuple[int, int], ...]
    colours: tuple[tuple[int, int, int], ...]
    head: tuple[int, int] | None = None
    torso: tuple[int, int] | None = None

    @property
    def num_joints(self) -> int:
        """K, the number of joints."""
        return len(self.names)

    @property
    def flip_order(self) -> list[int]:
        """The joint that stands at each place after a flip, so that `points[flip_order]` swaps.

        Example:
            >>> LSP14.flip_order[:6]
            [5, 4, 3, 2, 1, 0]
        """
        order = list(range(self.num_joints))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return order

    def to_dict(self) -> dict[str, Any]:
        """The skeleton as plain data, as a data module offers it and a checkpoint keeps it."""
        return {
            "names": list(self.names),
            "limbs": [list(pair) for pair in self.limbs],
            "flip_pairs": [list(pair) for pair in self.flip_pairs],
            "colours": [list(colour) for colour in self.colours],
            "head": None if self.head is None else list(self.head),
            "torso": None if self.torso is None else list(self.torso),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Skeleton":
        """Read a skeleton from the plain data that `to_dict` writes.

        Args:
            data: The keys of this class's attributes, with lists in place of tuples.

        Returns:
            The skeleton.

        Raises:
            InputError: A key is missing or not known, a joint index is out of range, or a limb has
                no colour.
        """
        keys = {"names", "limbs", "flip_pairs", "colours", "head", "torso"}
        if set(data) != keys:
            raise InputError(
                f"Expected a skeleton with the keys {sorted(keys)}, found {sorted(data)}; "
                "take it from Skeleton.to_dict()."
            )

        def pairs(key: str) -> tuple[tuple[int, int], ...]:
            return tuple((int(first), int(second)) for first, second in data[key])

        skeleton = cls(
            names=tuple(str(name) for name in data["names"]),
            limbs=pairs("limbs"),
            flip_pairs=pairs("flip_pairs"),
            colours=tuple((int(r), int(g), int(b)) for r, g, b in data["colours"]),
            head=None if data["head"] is None else (int(data["head"][0]), int(data["head"][1])),
            torso=None if data["torso"] is None else (int(data["torso"][0]), int(data["torso"][1])),
        )
        segments = [pair for pair in (skeleton.head, skeleton.torso) if pair is not None]
        for pair in (*skeleton.limbs, *skeleton.flip_pairs, *segments):
            if not all(0 <= joint < skeleton.num_joints for joint in pair):
                raise InputError(
                    f"Expected joint indices from 0 to {skeleton.num_joints - 1}, found {pair}; "
                    "correct the skeleton's limbs, flip_pairs, head or torso."
                )
        if len(skeleton.colours) != len(skeleton.limbs):
            raise InputError(
                f"Expected one colour for each of {len(skeleton.limbs)} limbs, found "
                f"{len(skeleton.colours)}; correct the skeleton's colours."
            )
        return skeleton


_RIGHT, _LEFT, _MIDDLE = (230, 90, 60), (60, 140, 230), (240, 200, 60)

LSP14 = Skeleton(
    names=(
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "neck",
        "head_top",
    ),
    limbs=(
        (0, 1),
        (1, 2),
        (3, 4),
        (4, 5),
        (6, 7),
        (7, 8),
        (9, 10),
        (10, 11),
        (8, 12),
        (9, 12),
        (2, 8),
        (3, 9),
        (2, 3),
        (12, 13),
    ),
    flip_pairs=((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9)),
    colours=(
        _RIGHT,
        _RIGHT,
        _LEFT,
        _LEFT,
        _RIGHT,
        _RIGHT,
        _LEFT,
        _LEFT,
        _RIGHT,
        _LEFT,
        _RIGHT,
        _LEFT,
        _MIDDLE,
        _MIDDLE,
    ),
    head=(12, 13),
    torso=(8, 3),
)
"""The 14 joints of Leeds Sports Pose (Johnson and Everingham, 2010), in the dataset's order.

Its usual torso runs from the right shoulder to the left hip, its head from the neck to the top.
"""
