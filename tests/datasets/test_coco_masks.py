import hypothesis
import hypothesis.extra.numpy
import numpy as np
import pycocotools.mask as coco
import pytest
from hypothesis import strategies as st

from lightning_pose.datasets.coco_masks import COCOMasks

SIZE = (6, 8)  # height and width

MASKS = hypothesis.extra.numpy.arrays(
    np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1)
)


def run_lengths(mask: np.ndarray) -> list[int]:
    """Runs of 0 and 1 in turn down the columns, counted one pixel at a time."""
    runs, current = [0], 0
    for pixel in mask.T.ravel():
        if pixel != current:
            runs.append(0)
            current = pixel
        runs[-1] += 1
    return runs


def read(segmentation: object, size: tuple[int, int] = SIZE) -> np.ndarray | None:
    masks = COCOMasks()
    masks.append(segmentation, size)
    assert len(masks) == 1
    return masks.read(0, size)


@hypothesis.given(MASKS)
def test_run_lengths_are_the_mask_in_both_forms(mask: np.ndarray) -> None:
    size = mask.shape
    packed = coco.encode(np.asfortranarray(mask))["counts"].decode()
    for counts in (packed, run_lengths(mask)):
        found = read({"size": list(size), "counts": counts}, size)
        np.testing.assert_array_equal(found, mask)
        assert found.dtype == np.int8


@pytest.mark.parametrize("size", [(3000, 2000), (1, 5_000_000)])
def test_run_lengths_of_millions_are_read(size: tuple[int, int]) -> None:
    mask = np.zeros(size, dtype=np.uint8, order="F")
    mask.ravel("K")[100:4_000_000] = 1
    packed = coco.encode(mask)["counts"].decode()
    np.testing.assert_array_equal(read({"size": list(size), "counts": packed}, size), mask)


@hypothesis.given(st.integers(0, 7), st.integers(0, 5), st.integers(1, 8), st.integers(1, 6))
def test_a_polygon_covers_the_pixels_between_its_edges(x: int, y: int, w: int, h: int) -> None:
    """The rectangle from 2 to 5 has the pixels 2, 3 and 4, for 0 is the edge of the first pixel."""
    expected = np.zeros(SIZE)
    expected[y : y + h, x : x + w] = 1
    polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
    np.testing.assert_array_equal(read([polygon]), expected)


def test_polygons_are_drawn_as_a_whole() -> None:
    left, right = [0, 0, 3, 0, 3, 6, 0, 6], [2, 0, 5, 0, 5, 6, 2, 6]
    apart = [7, 0, 8, 0, 8, 1]
    expected = np.zeros(SIZE)
    expected[:, :5] = 1
    np.testing.assert_array_equal(read([left, right]), expected)
    # A line encloses nothing, and what is beyond the image is cut off.
    np.testing.assert_array_equal(read([left, right, [7, 0, 7, 5]]), expected)
    np.testing.assert_array_equal(read([[-9, -9, 5, -9, 5, 99, -9, 99]]), expected)
    assert read([left, right, apart]).sum() == expected.sum() + read([apart]).sum()


def test_each_person_keeps_its_own_mask() -> None:
    polygon, runs = [[0, 0, 8, 0, 8, 6]], {"size": [6, 8], "counts": [7, 20, 21]}
    forms = [polygon, runs, None, polygon * 2, [], runs, [[1, 1, 4, 4]]]
    masks = COCOMasks()
    for form in forms:
        masks.append(form, SIZE)
    assert len(masks) == len(forms)
    for index, form in enumerate(forms):
        np.testing.assert_array_equal(masks.read(index, SIZE), read(form))
    assert [masks.read(index, SIZE) is None for index in (2, 4, 6)] == [True] * 3
    assert masks.read(1, SIZE).sum() == 20


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("segmentation", "found"),
    [
        (7, "^7$"),
        ("52203", "^'52203'$"),
        ([7], "no list of x, y"),
        ([[0, 0, 8, 0, 8, 6, 1]], "no list of x, y"),
        ([[0, 0, 8, 0, 8, "6"]], "no number"),
        ([[0, 0, 8, 0, 8, [6]]], "no number"),
        ([[0, 0, 8, 0, 8, 10**400]], "no number"),
        ([[0, 0, 8, 0, 8, NAN]], "not finite"),
        ([[INF, 0, INF, 0, 8, 6]], "not finite"),
        ([[0, 0, 8, 0, 8, 1e39]], "not finite"),
        ([[1e7, 0, 1e7, 1, 1e7, 2]], "longer than 1000000 pixels"),
        ([[0, 0, 600, 600] * 1000], "longer than 1000000 pixels"),
        ({"counts": [48]}, "run lengths for the size None"),
        ({"size": [8, 6], "counts": [48]}, r"run lengths for the size \[8, 6\]"),
        ({"size": [6, 8]}, "neither a list nor a string"),
        ({"size": [6, 8], "counts": 48}, "neither a list nor a string"),
        ({"size": [6, 8], "counts": [40, 8.0]}, "no whole numbers"),
        ({"size": [6, 8], "counts": [10**30]}, "no whole numbers"),
        ({"size": [6, 8], "counts": [40, 7]}, "do not add up"),
        ({"size": [6, 8], "counts": [40, 9]}, "do not add up"),
        ({"size": [6, 8], "counts": [50, -2]}, "do not add up"),
        ({"size": [6, 8], "counts": [20, -2, 30]}, "do not add up"),
        ({"size": [6, 8], "counts": [2**62, 2**62, 2**62, 2**62, 48]}, "do not add up"),
        ({"size": [6, 8], "counts": []}, "do not add up"),
        ({"size": [6, 8], "counts": "0"}, "do not add up"),
        ({"size": [6, 8], "counts": ""}, "cut off or damaged"),
        ({"size": [6, 8], "counts": "P"}, "cut off or damaged"),
        ({"size": [6, 8], "counts": "`1 "}, "cut off or damaged"),
        ({"size": [6, 8], "counts": "`1é"}, "cut off or damaged"),
        ({"size": [6, 8], "counts": "`1\ud800"}, "cut off or damaged"),
        ({"size": [6, 8], "counts": "PPPPPP0"}, "larger than any image"),
    ],
)
def test_what_is_no_mask_is_refused(segmentation: object, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        COCOMasks().append(segmentation, SIZE)


@hypothesis.given(MASKS, st.data())
def test_a_damaged_string_is_refused_or_a_whole_mask(mask: np.ndarray, data) -> None:
    """pycocotools would read and return memory that is not its own."""
    packed = bytearray(coco.encode(np.asfortranarray(mask))["counts"])
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    counts = packed.decode("latin-1")
    try:
        found = read({"size": list(mask.shape), "counts": counts}, mask.shape)
    except ValueError:
        return
    assert found.shape == mask.shape
    assert np.isin(found, (0, 1)).all()
