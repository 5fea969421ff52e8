"""Sheets keep image, points and mask together, whatever the sizes."""

import numpy as np
import pytest

from lightning_pose.skeletons import LSP14
from lightning_pose.visualization import Tile, contact_sheet

GAP, CAPTION = 8, 22


def blank(height=64, width=48):
    return np.zeros((height, width, 3), dtype=np.uint8)


def inside(sheet, height=256):
    return sheet[GAP + CAPTION : GAP + CAPTION + height, GAP:]


def centre(part):
    light = part[:, : round(48 * part.shape[0] / 64)].astype(float).sum(axis=2)
    rows, columns = np.indices(light.shape)
    return (columns * light).sum() / light.sum(), (rows * light).sum() / light.sum()


@pytest.mark.parametrize("height", [64, 100, 256])
@pytest.mark.parametrize("point", [(20.0, 30.0), (20.5, 30.25)])
def test_a_point_stays_on_what_it_marks(point, height):
    # A bright square around the point, drawn with sub-pixel coverage, shows where it is in the
    # image.
    columns, rows = np.meshgrid(np.arange(48), np.arange(64))
    cover = [np.clip(4 - np.abs(g - p), 0, 1) for g, p in zip((columns, rows), point, strict=True)]
    marked = (cover[0] * cover[1] * 255).round().astype(np.uint8)
    image = np.repeat(marked[..., None], 3, axis=2)
    points = np.zeros((14, 2), dtype=np.float32)
    points[13] = point
    drawn = np.arange(14) == 13
    shown = centre(inside(contact_sheet([[Tile(image, "")]], LSP14, height), height))
    tile = Tile(blank(), "", keypoints=points, drawn=drawn)
    joint = centre(inside(contact_sheet([[tile]], LSP14, height), height))
    assert joint == pytest.approx(shown, abs=0.2)


def test_a_mask_covers_the_same_part_of_the_tile():
    mask = np.zeros((64, 48), dtype=bool)
    mask[16:32, 12:24] = True
    tinted = inside(contact_sheet([[Tile(blank(), "", mask=mask)]], LSP14))[:, :192].any(axis=2)
    rows, columns = np.nonzero(tinted)
    assert (rows.min(), rows.max()) == pytest.approx((64, 127), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((48, 95), abs=1)


@pytest.mark.parametrize("field", ["heatmap", "saliency"])
def test_a_map_covers_the_same_part_of_the_tile(field):
    values = np.zeros((64, 48), dtype=np.float32)
    values[16:32, 12:24] = 0.3
    tile = Tile(blank(), "", **{field: values})
    covered = inside(contact_sheet([[tile]], LSP14))[:, :192, 0]
    rows, columns = np.nonzero(covered > covered.max() / 2)
    assert (rows.min(), rows.max()) == pytest.approx((64, 127), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((48, 95), abs=1)


def test_rows_may_differ_in_length_and_images_in_size():
    tiles = [Tile(blank(), "a"), Tile(blank(128, 128), "b"), Tile(blank(99, 51), "c")]
    sheet = contact_sheet([tiles, tiles[:1]], LSP14)
    widths = [192, 256, round(51 * 256 / 99)]
    assert sheet.shape == (2 * (256 + CAPTION + GAP) + GAP, sum(widths) + 4 * GAP, 3)
    assert (sheet[-GAP - 256 : -GAP, GAP + 192 + GAP :] == sheet[0, 0]).all()


def test_a_caption_is_written_above_its_tile_and_cut_where_it_is_too_long():
    short, long, none = (
        contact_sheet([[Tile(blank(), text)]], LSP14) for text in ("mask", "mask " * 40, "")
    )
    assert (short != none)[:, :, 0].any(axis=1).nonzero()[0].max() < GAP + CAPTION
    assert (long[:, 200:] == none[:, 200:]).all()
    assert (short != long).any()


def test_a_tile_narrower_than_its_caption_keeps_the_blank():
    sheet = contact_sheet([[Tile(blank(256, 5), "heatmap")]], LSP14)
    assert sheet.shape[1] == 5 + 2 * GAP


def test_without_a_tile_there_is_no_sheet():
    for rows in ([], [[]]):
        with pytest.raises(ValueError, match="at least one tile"):
            contact_sheet(rows, LSP14)
