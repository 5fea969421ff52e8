"""Skeletons: which joints a person has, how they are connected, and which ones a flip swaps."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from lightning_pose.errors import ConfigError

__all__ = ["LSP14", "Skeleton"]


@dataclass(frozen=True)
class Skeleton:
    """The joints of a dataset, in its order; left and right are the person's own.

    Args:
        names: One snake_case name per joint, in the order of the keypoints' K axis; the joints of
            a side start with "left_" and "right_". A name means the same joint in every skeleton:
            weights and mixed datasets are matched by it.
        limbs: Pairs of joint indices that a drawing connects with a line.
        flip_pairs: Pairs of joint indices that are swapped when an image is mirrored.
        colours: One (red, green, blue) per limb, 0 to 255.
        head: The two joints from which a dataset without head boxes computes `head_size`; with
            them, PCKh is among the default metrics.
        torso: The two joints from which a dataset computes `torso_size`; with them, PCK is among
            the default metrics.

    Raises:
        ConfigError: A name is given twice, a joint index is out of range, a joint has two mirror
            images, or a limb has no colour.

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

    def __post_init__(self) -> None:
        """Check the values, wherever they come from."""
        if len(set(self.names)) != self.num_joints:
            raise ConfigError(
                f"Expected every joint of a skeleton to have its own name, found {self.names}; "
                "correct the names."
            )
        segments = [pair for pair in (self.head, self.torso) if pair is not None]
        for pair in (*self.limbs, *self.flip_pairs, *segments):
            if not all(0 <= joint < self.num_joints for joint in pair):
                raise ConfigError(
                    f"Expected joint indices from 0 to {self.num_joints - 1}, found {pair}; "
                    "correct the skeleton's limbs, flip_pairs, head or torso."
                )
        mirrored = [joint for pair in self.flip_pairs for joint in pair]
        if len(set(mirrored)) != len(mirrored):
            raise ConfigError(
                "Expected every joint at most once among a skeleton's flip_pairs, found "
                f"{self.flip_pairs}; correct them."
            )
        if len(self.colours) != len(self.limbs):
            raise ConfigError(
                f"Expected one colour for each of {len(self.limbs)} limbs, found "
                f"{len(self.colours)}; correct the skeleton's colours."
            )

    @property
    def num_joints(self) -> int:
        """K, the number of joints."""
        return len(self.names)

    @property
    def flip_order(self) -> list[int]:
        """The joint at each place after a flip, so that `points[flip_order]` swaps left and right.

        Example:
            >>> LSP14.flip_order[:6]
            [5, 4, 3, 2, 1, 0]
        """
        order = list(range(self.num_joints))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return order

    def to_dict(self) -> dict[str, Any]:
        """The skeleton as plain data, with lists in place of tuples, as stored in checkpoints."""
        return {key: _change(tuple, list, value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Skeleton":
        """Read a skeleton from the plain data that `to_dict` writes.

        Args:
            data: The arguments of this class, with lists in place of tuples.

        Returns:
            The skeleton.

        Raises:
            ConfigError: A key is missing or unknown, or the values do not make a skeleton.
        """
        keys = {field.name for field in fields(cls)}
        if set(data) != keys:
            raise ConfigError(
                f"Expected a skeleton with the keys {sorted(keys)}, found {sorted(data)}; "
                "take it from Skeleton.to_dict()."
            )
        return cls(**{key: _change(list, tuple, value) for key, value in data.items()})


def _change(before: type[Any], after: Callable[[Iterable[Any]], Any], value: Any) -> Any:
    """Replace one kind of sequence by another, at every depth."""
    if isinstance(value, before):
        return after(_change(before, after, item) for item in value)
    return value


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

The usual torso runs from the right shoulder to the left hip, the head from the neck to its top.
"""
