import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonargparse import ArgumentParser

from lightning_pose.errors import ConfigError
from lightning_pose.geometry import crop_matrix, image_box, transform_points
from lightning_pose.input_spec import InputSpec

BOX = np.array([10, 20, 50, 100], dtype=np.float32)

SPECS = [
    InputSpec(),
    InputSpec((96, 64), fit="stretch", enlarge=1.0, interpolation="cubic"),
    InputSpec(size=None, short_side=64, multiple=16, subject="image", fit="cover"),
]


@pytest.mark.parametrize("spec", SPECS)
def test_plain_data_and_back(spec: InputSpec) -> None:
    data = spec.to_dict()
    assert json.loads(json.dumps(data)) == data
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--input_spec", type=InputSpec)
    found = parser.instantiate_classes(parser.parse_object({"input_spec": data})).input_spec
    assert found == spec
    assert hash(found) == hash(spec)
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_a_line_of_a_config_leaves_the_defaults() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--input_spec", type=InputSpec, default=InputSpec())
    config = parser.parse_object({"input_spec": {"size": [64, 48]}})
    assert parser.instantiate_classes(config).input_spec == InputSpec((64, 48))
    command = ["--input_spec.size", "[64, 48]", "--input_spec.subject", "image"]
    config = parser.parse_args(command)
    expected = InputSpec((64, 48), subject="image")
    assert parser.instantiate_classes(config).input_spec == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": None}, "either size or short_side, found size None and short_side None"),
        ({"short_side": 64}, r"found size \(128, 128\) and short_side 64"),
        ({"size": (15, 64)}, r"size of 16 to 4096 pixels, found \[15, 64\]"),
        ({"size": None, "short_side": 8}, "short_side of 16 to 4096 pixels, found 8"),
        ({"size": (200_000, 64)}, r"16 to 4096 pixels, found \[200000, 64\]"),
        ({"size": None, "short_side": 64, "multiple": 48}, "found 48 with short_side 64"),
        ({"multiple": 0}, "multiple of 1 or more.*found 0"),
        ({"enlarge": 0.0}, "enlarge of 0.1 or more, found 0.0"),
        ({"enlarge": float("nan")}, "enlarge of 0.1 or more, found nan"),
        ({"enlarge": float("inf")}, "enlarge of 0.1 or more, found inf"),
    ],
)
def test_values_that_contradict_each_other_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        InputSpec(**settings)


def test_a_fixed_size_is_everyones() -> None:
    spec = InputSpec((96, 64))
    assert spec.nominal_size == (96, 64)
    for box in (BOX, None):
        assert spec.input_size(box, (300, 200)) == (96, 64)


@given(
    st.tuples(st.floats(1, 900), st.floats(1, 900)),
    st.sampled_from([16, 64, 96]),
    st.sampled_from([1, 8, 16]),
)
def test_a_short_side_decides_the_size_by_the_aspect_ratio(
    extent: tuple[float, float], short: int, multiple: int
) -> None:
    width, height = extent
    spec = InputSpec(size=None, short_side=short, multiple=multiple)
    box = np.array([5, 7, 5 + width, 7 + height], dtype=np.float32)
    found = spec.input_size(box, None)
    assert spec.nominal_size == (short, short)
    assert min(found) == short
    assert max(found) <= 4 * short
    assert all(side % multiple == 0 for side in found)
    tall = float(box[3] - box[1]) / float(box[2] - box[0])
    wanted = short * min(max(tall, 1 / tall), 4)
    assert abs(max(found) - wanted) <= multiple / 2 + 1e-6
    if max(found) > short:
        assert (found[0] > found[1]) == (tall > 1)


def test_a_point_for_a_box_is_a_square() -> None:
    spec = InputSpec(size=None, short_side=32)
    assert spec.input_size(np.array([7, 9, 7, 9], np.float32), None) == (32, 32)


@pytest.mark.parametrize("fit", ["contain", "cover", "stretch"])
def test_a_crop_is_that_of_geometry(fit: str) -> None:
    spec = InputSpec((64, 48), fit=fit, enlarge=1.1)
    chance = {"rotation": 20.0, "scale": 1.2, "flip": True}
    matrix, size = spec.crop(BOX, None, **chance)
    assert size == (64, 48)
    np.testing.assert_array_equal(matrix, crop_matrix(BOX, size, 1.1, fit=fit, **chance))


@pytest.mark.parametrize("box", [BOX, None])
def test_a_whole_image_is_not_enlarged(box: np.ndarray | None) -> None:
    spec = InputSpec((60, 40), subject="image", enlarge=1.5)
    matrix, _ = spec.crop(box, (120, 80))
    np.testing.assert_array_equal(matrix, crop_matrix(image_box((120, 80)), (60, 40), 1.0))
    corners = transform_points(matrix, np.array([[-0.5, -0.5], [79.5, 119.5]], np.float32))
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [39.5, 59.5]], atol=1e-4)
    # The same holds for a person without a box, for whom the image is used.
    no_box, _ = InputSpec((60, 40), enlarge=1.5).crop(None, (120, 80))
    np.testing.assert_array_equal(no_box, matrix)


def test_a_size_that_follows_from_the_subject_shows_all_of_it() -> None:
    spec = InputSpec(size=None, short_side=32, enlarge=1.0)
    matrix, size = spec.crop(BOX, None)
    assert size == (64, 32)
    (left, top), (right, bottom) = transform_points(matrix, BOX.reshape(2, 2))
    assert (left, top, right, bottom) == pytest.approx((-0.5, -0.5, 31.5, 63.5), abs=1e-4)
