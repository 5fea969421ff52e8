"""Synthetic people with one fault each, as files or readers have them."""

from dataclasses import replace

import cv2
import numpy as np

from lightning_pose.skeletons import LSP14, Skeleton
from tests.diagnosis.drawn import Planted, drawn, measured, mirror, move


def skeleton_with(skeleton: Skeleton) -> Planted:
    return Planted(
        train=[measured(s, skeleton) for s in drawn()],
        val=[measured(s, skeleton) for s in drawn("val")],
        skeleton=skeleton,
    )


def swapped_flip_pair() -> Planted:
    return Planted(skeleton=replace(LSP14, flip_pairs=((0, 4), (1, 5), *LSP14.flip_pairs[2:])))


def joints_in_another_order() -> Planted:
    order = [0, 1, 2, 3, 5, 4, *range(6, 14)]  # The left knee and the left ankle.
    return Planted(
        train=[
            measured(replace(s, keypoints=s.keypoints[order], visibility=s.visibility[order]))
            for s in drawn()
        ]
    )


def counted_from_one() -> Planted:
    return Planted(train=move(drawn(), lambda points, _: points + 1))


def inverted_flags() -> Planted:
    train = [replace(s, visibility=(3 - s.visibility).astype(np.uint8)) for s in drawn()]
    return Planted(train=train)


def mirrored_images() -> Planted:
    train = drawn()
    for sample in train:
        sample.image, sample.mask = sample.image[:, ::-1].copy(), sample.mask[:, ::-1].copy()
    return Planted(train=train)


def mirrored_copies() -> Planted:
    copies = [
        replace(
            mirror(s, range(14)), person_id=s.person_id + 500, image_id=f"{s.image_id}-mirrored"
        )
        for s in drawn()[:20]
    ]
    return Planted(train=[*drawn(), *copies])


def head_at_the_shoulder() -> Planted:
    return skeleton_with(replace(LSP14, head=(8, 12)))


def head_in_another_unit() -> Planted:
    return Planted(train=[replace(s, head_size=3 * s.head_size) for s in drawn()])


def exchanged_x_and_y() -> Planted:
    return Planted(train=move(drawn(), lambda points, _: points[:, ::-1]))


def boxes_with_width_and_height() -> Planted:
    train = [replace(s, box=np.concatenate((s.box[:2], s.box[2:] - s.box[:2]))) for s in drawn()]
    return Planted(train=train)


def boxes_with_the_corner_added() -> Planted:
    train = [replace(s, box=np.concatenate((s.box[:2], s.box[2:] + s.box[:2]))) for s in drawn()]
    return Planted(train=train)


def masks_of_others() -> Planted:
    train = drawn()
    masks = [sample.mask for sample in train]
    return Planted(
        train=[replace(s, mask=m) for s, m in zip(train, masks[1:] + masks[:1], strict=True)]
    )


def empty_masks() -> Planted:
    train = [
        replace(s, mask=np.zeros_like(s.mask)) if n % 9 == 0 else s for n, s in enumerate(drawn())
    ]
    return Planted(train=train)


def full_masks() -> Planted:
    return Planted(train=[replace(s, mask=np.ones_like(s.mask)) for s in drawn()])


def moved_masks(right: int, down: int) -> Planted:
    return Planted(
        train=[replace(s, mask=np.roll(s.mask, (down, right), axis=(0, 1))) for s in drawn()]
    )


def half_the_scale() -> Planted:
    return Planted(train=move(drawn(), lambda points, _: points / 2))


def twice_the_scale() -> Planted:
    return Planted(train=move(drawn(), lambda points, _: points * 2))


def fractions_of_the_image() -> Planted:
    return Planted(train=move(drawn(), lambda points, s: points / s.image.shape[0]))


def shared_photograph() -> Planted:
    first = drawn()[3]
    small = cv2.resize(first.image, (120, 120), interpolation=cv2.INTER_AREA)
    mask = cv2.resize(first.mask, (120, 120), interpolation=cv2.INTER_NEAREST)
    points = ((first.keypoints + 0.5) * 0.75 - 0.5).astype(np.float32)
    copy = replace(
        first, image=small, mask=mask, keypoints=points, person_id=10**10, image_id="copy"
    )
    return Planted(val=[*drawn("val"), measured(copy)])


def shared_people() -> Planted:
    return Planted(val=[*drawn("val"), *drawn()[:4]])


def placeholders() -> Planted:
    train = drawn()
    for sample in train:
        sample.keypoints[0] = 0
    return Planted(train=[measured(sample) for sample in train])


def not_a_number() -> Planted:
    train = drawn()
    train[7].keypoints[2] = np.nan
    return Planted(train=train)
