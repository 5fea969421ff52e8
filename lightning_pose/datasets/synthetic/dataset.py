"""Drawn people as a dataset."""

import cv2
import numpy as np

from lightning_pose.batch import Sample
from lightning_pose.datasets.base import PoseDataset
from lightning_pose.datasets.synthetic.brush import Brush, Canvas
from lightning_pose.datasets.synthetic.colours import any_colour
from lightning_pose.datasets.synthetic.draws import Draws
from lightning_pose.datasets.synthetic.figure import Figure, draw_figure
from lightning_pose.datasets.synthetic.person import dress
from lightning_pose.datasets.synthetic.scene import add_occluder, draw_background, expose
from lightning_pose.errors import InputError
from lightning_pose.skeletons import LSP14

__all__ = ["SyntheticDataset"]

_SPLITS = ("train", "val", "test")
_PEOPLE_PER_SPLIT = 10**9
_SIZES = (64, 1024)


class SyntheticDataset(PoseDataset):
    """Articulated, clothed people drawn on the fly, with exact joints and masks.

    A person is a function of its number alone: the same index of the same split is the same
    picture in every process, in any order, and no two splits share a person. Each picture shows one
    labelled person in a pose from standing to upside down, seen from any side; left and right are
    the person's own. Things and other people may stand in front of it: a joint under them is
    labelled with visibility 1 and their pixels are not in the mask. A joint that the person's own
    body hides counts as visible.

    Args:
        split: Which people: "train", "val" or "test".
        length: How many of them.
        size: Height and width of a picture in pixels. At the default the usual crop of 128 pixels
            takes the person at about the size in which it is drawn.

    Raises:
        InputError: There is no such split, the length is not from 1 to a thousand million, or the
            size is not from 64 to 1024.

    Example:
        >>> people = SyntheticDataset("val", length=100)
        >>> sample = people[99]
        >>> sample.image.shape, sample.keypoints.shape, sample.image_id
        ((160, 160, 3), (14, 2), 'synthetic/val/000000099')
    """

    def __init__(self, split: str, length: int, size: int = 160) -> None:
        if split not in _SPLITS:
            raise InputError(f"Expected split to be one of {_SPLITS}, found {split!r}; name one.")
        if not 1 <= length <= _PEOPLE_PER_SPLIT:
            raise InputError(
                f"Expected a length from 1 to {_PEOPLE_PER_SPLIT}, found {length}; "
                "ask for fewer or more people."
            )
        if not _SIZES[0] <= size <= _SIZES[1]:
            raise InputError(
                f"Expected a size from {_SIZES[0]} to {_SIZES[1]} pixels, found {size}; "
                "choose another."
            )
        self.split, self.length, self.size = split, length, size
        self.skeleton = LSP14
        self.person_ids = np.arange(length, dtype=np.int64)
        self.person_ids += _SPLITS.index(split) * _PEOPLE_PER_SPLIT

    def __getitem__(self, index: int) -> Sample:
        """Draw one person.

        Args:
            index: Which, from 0 to N - 1.

        Returns:
            The person; its box is that of its joints, and all of them are labelled.

        Raises:
            IndexError: There is no such person.
        """
        if not 0 <= index < self.length:
            raise IndexError(f"Expected an index from 0 to {self.length - 1}, found {index}.")
        person_id = int(self.person_ids[index])
        draws = Draws(person_id)
        figure = _placed(_seen_well(draws), self.size, draws)
        canvas = _draw(figure, self.size, draws)
        keypoints = figure.joints[:, :2].astype(np.float32)
        mask = (canvas[..., 3] > 127).astype(np.int8)
        columns, rows = np.rint(keypoints).astype(np.int64).T
        neck, head_top = keypoints[list(LSP14.head or ())]
        shoulder, hip = keypoints[list(LSP14.torso or ())]
        return Sample(
            image=expose(canvas, draws),
            keypoints=keypoints,
            visibility=(1 + mask[rows, columns]).astype(np.uint8),
            mask=mask,
            box=np.concatenate([keypoints.min(axis=0), keypoints.max(axis=0)]),
            head_size=float(np.hypot(*(neck - head_top))),
            torso_size=float(np.hypot(*(shoulder - hip))),
            area=float(mask.sum()),
            person_id=person_id,
            image_id=f"synthetic/{self.split}/{index:09d}",
        )


def _seen_well(draws: Draws) -> Figure:
    """A figure that is seldom seen from the soles or curled up: nobody could tell its joints."""
    for _ in range(4):
        figure = draw_figure(draws)
        low, high = figure.extent()
        if float((high - low).max()) > 0.6:
            break
    return figure


def _placed(figure: Figure, size: int, draws: Draws) -> Figure:
    """Give the person a size and a place such that every joint is in the picture."""
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
    """Paint background, the person, and who and what is behind and before it."""
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
    """Paint another person beside the labelled one, partly out of the picture or behind it."""
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
