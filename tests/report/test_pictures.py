import base64
import re
from dataclasses import replace
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from lightning_pose.report.pictures import person_picture, pose_plot
from lightning_pose.skeletons import LSP14
from tests.diagnosis.drawn import drawn, table


def test_a_picture_shows_the_person_and_the_labels():
    bare = replace(drawn()[0], visibility=np.zeros(14, np.uint8), mask=drawn()[0].mask * 0)
    people = table([drawn()[0], bare])
    images = []
    for index in (0, 1):
        kind, _, data = person_picture(people, index).partition(",")
        assert kind == "data:image/jpeg;base64"
        images.append(Image.open(BytesIO(base64.b64decode(data))))
    assert [image.size for image in images] == [(224, 224)] * 2
    assert np.abs(np.subtract(*(np.asarray(i, dtype=int) for i in images))).max() > 50


def test_a_person_who_cannot_be_used_has_no_picture():
    sample = drawn()[0]
    sample.keypoints[0] = np.nan
    assert person_picture(table([sample]), 0) is None


def numbers(path: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", path)]


def test_the_plot_has_every_labelled_joint_and_the_limbs():
    samples = drawn()[:5]
    samples[0].visibility[13] = 0
    plot = ElementTree.fromstring(pose_plot(table(samples)))
    dots = [path for path in plot if path.get("class").startswith("dots")]
    assert [path.get("d").count("M") for path in dots] == [5] * 13 + [4]
    assert [path.get("class") for path in dots[:4:3]] == ["dots right", "dots left"]
    assert sum(path.get("class").startswith("limb") for path in plot) == len(LSP14.limbs)
    # The longer side of everyone's box is 500 units.
    assert max(abs(n) for path in dots for n in numbers(path.get("d"))) == 250


def test_the_median_pose_is_that_of_one_person():
    plot = ElementTree.fromstring(pose_plot(table([drawn()[0]] * 3)))
    dots = [numbers(p.get("d"))[:2] for p in plot if p.get("class").startswith("dots")]
    limbs = [numbers(p.get("d")) for p in plot if p.get("class").startswith("limb")]
    for (first, second), found in zip(LSP14.limbs, limbs, strict=True):
        assert np.abs(np.subtract(found, [*dots[first], *dots[second]])).max() <= 1


def test_nobody_with_joints_makes_an_empty_plot():
    sample = drawn()[0]
    sample.visibility[:] = 0
    plot = ElementTree.fromstring(pose_plot(table([sample])))
    assert not [path for path in plot if path.get("d")]
