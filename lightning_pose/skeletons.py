"""Skeletons: which joints a person has, how they are connected, and which ones a flip swaps."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from lightning_pose.errors import ConfigError

__all__ = ["BODY25", "COCO17", "LSP14", "MPII16", "Skeleton"]

_RIGHT, _LEFT, _MIDDLE = (230, 90, 60), (60, 140, 230), (240, 200, 60)


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

    @classmethod
    def from_names(
        cls,
        names: Sequence[str],
        limbs: Sequence[Sequence[str]] = (),
        head: Sequence[str] | None = None,
        torso: Sequence[str] | None = None,
    ) -> "Skeleton":
        """Make a skeleton in which sides and colours follow from the names.

        Args:
            names: One name per joint; "left_knee" and "right_knee" are a flip pair.
            limbs: Pairs of names; a limb of one side has the colour of that side.
            head: The names of the two ends of the head.
            torso: The names of the two ends of the torso.

        Returns:
            The skeleton.

        Raises:
            ConfigError: A pair names a joint that the skeleton does not have.

        Example:
            >>> Skeleton.from_names(["left_hand", "neck", "right_hand"]).flip_pairs
            ((2, 0),)
        """
        place = {name: joint for joint, name in enumerate(names)}

        def joints(pair: Sequence[str]) -> tuple[int, int]:
            if len(pair) != 2 or not set(pair) <= set(place):
                raise ConfigError(
                    f"Expected pairs of the joints {', '.join(names)}, found {list(pair)}; correct "
                    "the skeleton's limbs, head or torso."
                )
            return place[pair[0]], place[pair[1]]

        mirrored = [
            (joint, place[name.replace("right_", "left_", 1)])
            for name, joint in place.items()
            if name.startswith("right_") and name.replace("right_", "left_", 1) in place
        ]
        return cls(
            names=tuple(names),
            limbs=tuple(joints(limb) for limb in limbs),
            flip_pairs=tuple(mirrored),
            colours=tuple(_colour(limb) for limb in limbs),
            head=None if head is None else joints(head),
            torso=None if torso is None else joints(torso),
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


def _colour(limb: Sequence[str]) -> tuple[int, int, int]:
    """The colour of a side for a limb that belongs to it at one end at least."""
    is_left, is_right = (any(n.startswith(side) for n in limb) for side in ("left_", "right_"))
    if is_left == is_right:
        return _MIDDLE
    return _LEFT if is_left else _RIGHT


_LEGS = (
    ("right_ankle", "right_knee"), ("right_knee", "right_hip"),
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
)  # fmt: skip
_ARMS = (
    ("right_wrist", "right_elbow"), ("right_elbow", "right_shoulder"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
)  # fmt: skip
_SIDES = (("right_hip", "right_shoulder"), ("left_hip", "left_shoulder"))
_FACE = (
    ("nose", "right_eye"), ("nose", "left_eye"),
    ("right_eye", "right_ear"), ("left_eye", "left_ear"),
)  # fmt: skip
_TORSO = ("right_shoulder", "left_hip")

LSP14 = Skeleton.from_names(
    (
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
        "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
        "neck", "head_top",
    ),
    limbs=(
        *_LEGS,
        *_ARMS,
        ("right_shoulder", "neck"),
        ("left_shoulder", "neck"),
        *_SIDES,
        ("right_hip", "left_hip"),
        ("neck", "head_top"),
    ),
    head=("neck", "head_top"),
    torso=_TORSO,
)  # fmt: skip
"""The 14 joints of Leeds Sports Pose (Johnson and Everingham, 2010), in the dataset's order.

The usual torso runs from the right shoulder to the left hip, the head from the neck to its top.
"""

MPII16 = Skeleton.from_names(
    (
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
        "pelvis", "thorax", "neck", "head_top",
        "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    ),
    limbs=(
        *_LEGS,
        *_ARMS,
        ("right_hip", "pelvis"),
        ("left_hip", "pelvis"),
        ("right_shoulder", "thorax"),
        ("left_shoulder", "thorax"),
        ("pelvis", "thorax"),
        ("thorax", "neck"),
        ("neck", "head_top"),
    ),
    head=("neck", "head_top"),
    torso=_TORSO,
)  # fmt: skip
"""The 16 joints of MPII Human Pose (Andriluka et al., CVPR 2014), in the dataset's order.

The neck is MPII's "upper neck", the place that Leeds Sports Pose calls neck. Where a file has head
boxes, the head size comes from them, not from the two joints.
"""

COCO17 = Skeleton.from_names(
    (
        "nose", "left_eye", "right_eye", "left_ear", "right_ear",
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    limbs=(
        *_LEGS,
        *_ARMS,
        *_SIDES,
        ("right_hip", "left_hip"),
        ("right_shoulder", "left_shoulder"),
        *_FACE,
        ("right_ear", "right_shoulder"),
        ("left_ear", "left_shoulder"),
    ),
    torso=_TORSO,
)  # fmt: skip
"""The 17 joints of COCO (Lin et al., ECCV 2014), in the order of its annotation files.

None of them bounds the head, so that there is no PCKh.
"""

BODY25 = Skeleton.from_names(
    (
        "nose", "mid_shoulder",
        "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
        "mid_hip",
        "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "right_eye", "left_eye", "right_ear", "left_ear",
        "left_big_toe", "left_small_toe", "left_heel",
        "right_big_toe", "right_small_toe", "right_heel",
    ),
    limbs=(
        *_LEGS,
        *_ARMS,
        ("mid_shoulder", "mid_hip"),
        ("mid_shoulder", "right_shoulder"),
        ("mid_shoulder", "left_shoulder"),
        ("mid_hip", "right_hip"),
        ("mid_hip", "left_hip"),
        ("mid_shoulder", "nose"),
        *_FACE,
        *((f"{side}_ankle", f"{side}_heel") for side in ("right", "left")),
        *((f"{side}_ankle", f"{side}_big_toe") for side in ("right", "left")),
        *((f"{side}_big_toe", f"{side}_small_toe") for side in ("right", "left")),
    ),
    torso=_TORSO,
)  # fmt: skip
"""The 25 joints of OpenPose's BODY_25 (Cao et al., TPAMI 2019), in the order of its JSON files.

OpenPose calls the point between the shoulders "Neck"; here it has a name of its own, because other
datasets call a higher point neck.
"""
