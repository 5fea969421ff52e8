"""Pictures inside a page: people with their labels as JPEG, and the poses of a split as SVG."""

import base64
from io import BytesIO

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from lightning_pose.diagnosis.people import People
from lightning_pose.errors import DataError
from lightning_pose.geometry import transform_points
from lightning_pose.input_spec import InputSpec
from lightning_pose.transforms import PersonCrop
from lightning_pose.visualization import draw_mask, draw_skeleton

__all__ = ["person_picture", "pose_plot"]

_SIDE = 224
_MOST_POSES = 300
_UNITS = 500  # Of the plot, per extent of a person.


def person_picture(people: People, index: int) -> str | None:
    """Crop one person generously, and draw the labels over it.

    Args:
        people: The people.
        index: Which of them.

    Returns:
        A JPEG of 224 x 224 pixels as a data URI; filled joints are visible, rings are occluded.
        None for a person who cannot be read.
    """
    crop = PersonCrop(InputSpec(size=(_SIDE, _SIDE), enlarge=1.6))
    try:
        sample = crop(people.dataset, index, np.random.default_rng(0))
    except DataError:
        return None
    image, annotation = sample.image, sample.annotation
    if (sample.mask == 1).any():
        image = draw_mask(image, sample.mask == 1)
    # Those of the crop leave out joints beyond its edges, to which limbs lead.
    points = transform_points(sample.crop, annotation.keypoints)
    visible = annotation.visibility == 2
    image = draw_skeleton(
        image, points, annotation.visibility > 0, people.dataset.skeleton, certain=visible
    )
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def pose_plot(people: People) -> str:
    """Draw where the joints of many people are, and their median pose.

    Everyone is moved and scaled so that the box around the joints has its middle at the centre and
    its longer side is of one length. People with all joints are preferred.

    Args:
        people: The people.

    Returns:
        An SVG element, whose colours the classes "left", "right" and "middle" set.
    """
    skeleton = people.dataset.skeleton
    chosen = _complete_first(people)
    boxes = people.joint_boxes[chosen]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    points = (people.table.keypoints[chosen] - middle[:, None]) / people.extent[chosen, None, None]
    labelled = people.labelled[chosen]
    sides = ["left" if n[:5] == "left_" else "right" if n[:6] == "right_" else "middle"
             for n in skeleton.names]  # fmt: skip
    dots = []
    for joint, side in enumerate(sides):
        places = np.rint(points[labelled[:, joint], joint] * _UNITS).astype(int)
        path = "".join(f"M{x} {y}h0" for x, y in places.tolist())
        dots.append(f'<path class="dots {side}" d="{path}"/>')
    median, known = _median(points, labelled)
    lines = []
    for first, second in skeleton.limbs:
        if known[first] and known[second]:
            (x0, y0), (x1, y1) = (median[[first, second]] * _UNITS).round().astype(int).tolist()
            ends = {sides[first], sides[second]} - {"middle"}
            side = ends.pop() if len(ends) == 1 else "middle"
            lines.append(f'<path class="limb {side}" d="M{x0} {y0}L{x1} {y1}"/>')
    reach = round(0.55 * _UNITS)
    return (
        f'<svg viewBox="{-reach} {-reach} {2 * reach} {2 * reach}" role="img" '
        f'aria-label="Joints of {len(chosen)} people and their median pose">'
        f"{''.join(dots)}{''.join(lines)}</svg>"
    )


def _complete_first(people: People) -> np.ndarray:
    """The people to plot: by the number of labelled joints, and at random among equals."""
    counts = people.labelled.sum(axis=1)
    order = np.random.default_rng(0).permutation(len(people))
    order = order[np.argsort(-counts[order], kind="stable")]
    chosen: np.ndarray = order[counts[order] > 1][:_MOST_POSES]
    return chosen


def _median(
    points: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"]
) -> tuple[Float[np.ndarray, "K 2"], Bool[np.ndarray, " K"]]:
    """The median place of each joint, and for which joints there is one."""
    known = np.any(labelled, axis=0)
    # A column without any number would warn.
    filled = np.where((labelled | ~known)[:, :, None], points, np.nan)
    if not len(filled):
        return np.zeros(points.shape[1:]), known
    return np.nanmedian(filled, axis=0), known
