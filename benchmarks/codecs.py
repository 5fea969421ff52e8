"""How many times as fast our codecs of heatmaps are as loops over people and joints.

    python benchmarks/codecs.py [--people 64] [--joints 16] [--side 64] [--repeats 15]

The loops follow the published algorithms, in NumPy and OpenCV:

- the targets of Simple Baselines (Xiao et al., ECCV 2018): each joint is rounded to a cell, and a
  Gaussian that ends at three sigma is copied into its map;
- the quarter offset of stacked hourglasses (Newell et al., ECCV 2016): a quarter of a cell towards
  the larger neighbour of the largest cell;
- DARK (Zhang et al., CVPR 2020): each map is blurred with zeros around it and scaled back to its
  largest value, and a Taylor expansion of its logarithm at the largest cell gives the offset.

Before anything is timed, both ways are compared: targets at the centres of cells, and points
decoded from Gaussians at any place, with noise. Each way then runs on its own, in one thread.
Prints medians of the CPU time, which other programs disturb less than the time by the clock; but
they still share the memory and its caches, so run it where nothing else runs.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from lightning_pose.codecs import decode_dark, decode_quarter, encode_gaussian
from lightning_pose.geometry import from_grid, to_grid

# Calls until a result of 17 MB is in the processor's cache; before, it takes up to twice as long.
_WARM_UP = 6

SIGMA, STRIDE = 2.0, 4  # In cells, and in pixels of the input per cell.

Maps = Float32[np.ndarray, "B K h w"]
Points = Float32[np.ndarray, "B K 2"]


def loop_encode(points: Points, side: int) -> Maps:
    """One Gaussian per joint, rounded to a cell and cut off at three sigma."""
    reach = 3 * SIGMA
    stride = np.array((STRIDE * side, STRIDE * side)) / np.array((side, side))
    maps = np.zeros((*points.shape[:2], side, side), dtype=np.float32)
    for person, joints in enumerate(points):
        for joint, (x, y) in enumerate(joints):
            column, row = int(x / stride[0] + 0.5), int(y / stride[1] + 0.5)
            left, top = int(column - reach), int(row - reach)
            right, bottom = int(column + reach + 1), int(row + reach + 1)
            if left >= side or top >= side or right < 0 or bottom < 0:
                continue
            size = 2 * reach + 1
            across = np.arange(0, size, 1, np.float32)
            down = across[:, np.newaxis]
            middle = size // 2
            gaussian = np.exp(-((across - middle) ** 2 + (down - middle) ** 2) / (2 * SIGMA**2))
            from_x, to_x = max(0, -left), min(right, side) - left
            from_y, to_y = max(0, -top), min(bottom, side) - top
            maps[
                person, joint, max(0, top) : min(bottom, side), max(0, left) : min(right, side)
            ] = gaussian[from_y:to_y, from_x:to_x]
    return maps


def largest(maps: Maps) -> Points:
    """(x, y) of the largest cell of each map, (0, 0) where it is not above 0."""
    count, joints, _, width = maps.shape
    flat = maps.reshape(count, joints, -1)
    index, value = flat.argmax(axis=2), flat.max(axis=2)
    points = np.tile(index[..., None], (1, 1, 2)).astype(np.float32)
    points[..., 0] = points[..., 0] % width
    points[..., 1] = np.floor(points[..., 1] / width)
    return points * (value > 0)[..., None].astype(np.float32)


def loop_quarter(maps: Maps) -> Points:
    """A quarter of a cell towards the larger neighbour, one joint after another."""
    points = largest(maps)
    height, width = maps.shape[2:]
    for person in range(maps.shape[0]):
        for joint in range(maps.shape[1]):
            heatmap = maps[person, joint]
            x, y = int(points[person, joint, 0]), int(points[person, joint, 1])
            if 1 < x < width - 1 and 1 < y < height - 1:
                slope = np.array(
                    [
                        heatmap[y, x + 1] - heatmap[y, x - 1],
                        heatmap[y + 1, x] - heatmap[y - 1, x],
                    ]
                )
                points[person, joint] += np.sign(slope) * 0.25
    return points


def loop_dark(maps: Maps) -> Points:
    """Blur each map, take its logarithm, and solve for the top of a parabola around its peak."""
    points = largest(maps)
    height, width = maps.shape[2:]
    kernel = 2 * round(2.5 * SIGMA) + 1
    border = kernel // 2
    for person in range(maps.shape[0]):
        for joint in range(maps.shape[1]):
            heatmap = maps[person, joint]
            padded = np.zeros((height + 2 * border, width + 2 * border), dtype=np.float32)
            padded[border:-border, border:-border] = heatmap
            blurred = cv2.GaussianBlur(padded, (kernel, kernel), SIGMA)[
                border:-border, border:-border
            ]
            blurred = blurred * (heatmap.max() / blurred.max())
            log = np.log(np.maximum(blurred, 1e-10))
            points[person, joint] += taylor(log, points[person, joint])
    return points


def taylor(log: Float32[np.ndarray, "h w"], point: Float32[np.ndarray, " 2"]) -> np.ndarray:
    """The offset from a cell to the top of the parabola around it, 0 beside the edge."""
    height, width = log.shape
    x, y = int(point[0]), int(point[1])
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return np.zeros(2)
    dx = 0.5 * (log[y, x + 1] - log[y, x - 1])
    dy = 0.5 * (log[y + 1, x] - log[y - 1, x])
    dxx = 0.25 * (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2])
    dyy = 0.25 * (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x])
    dxy = 0.25 * (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1])
    if dxx * dyy - dxy**2 == 0:
        return np.zeros(2)
    hessian = np.array([[dxx, dxy], [dxy, dyy]])
    return -np.linalg.inv(hessian) @ np.array([dx, dy])


@dataclass
class Pair:
    """The same result in two ways."""

    name: str
    loop: Callable[[], np.ndarray]
    ours: Callable[[], Tensor]
    tolerance: float


def make_pairs(people: int, joints: int, side: int) -> tuple[list[Pair], list[Pair]]:
    """What is timed, and what is compared before: the same with points where both agree."""
    generator = torch.Generator().manual_seed(0)
    margin = 4 * SIGMA  # The loops treat peaks beside the edge differently.
    points = torch.rand(people, joints, 2, generator=generator) * (side - 1 - 2 * margin) + margin
    maps = encode_gaussian(points, (side, side), SIGMA)
    maps = maps + 0.01 * torch.rand(maps.shape, generator=generator)
    # A loop over torch tensors would be slower than the published ones.
    centres, arrays = points.round(), maps.numpy()

    def targets(cells: Tensor) -> Pair:
        pixels = from_grid(cells, STRIDE)
        # The published loop takes pixel 0 as the centre of cell 0.
        looped = (STRIDE * cells).numpy()
        # Beyond three sigma the loop has 0, and a Gaussian at most exp(-4.5).
        return Pair(
            "Gaussian targets",
            lambda: loop_encode(looped, side),
            lambda: encode_gaussian(to_grid(pixels, STRIDE), (side, side), SIGMA),
            tolerance=0.0112,
        )

    decoders = [
        Pair("quarter offset", lambda: loop_quarter(arrays), lambda: decode_quarter(maps), 1e-6),
        Pair("DARK", lambda: loop_dark(arrays), lambda: decode_dark(maps, SIGMA), 0.05),
    ]
    return [targets(points), *decoders], [targets(centres), *decoders]


def check(pairs: list[Pair]) -> None:
    """Refuse to compare the speed of what does not agree."""
    for pair in pairs:
        error = float(np.abs(pair.loop() - pair.ours().numpy()).max())
        if not error <= pair.tolerance:
            raise AssertionError(f"{pair.name}: both ways differ by {error:g}")


def measure(way: Callable[[], object], repeats: int) -> float:
    """The median of milliseconds over calls in a row."""
    times = []
    for call in range(_WARM_UP + repeats):
        start = time.process_time()
        way()
        if call >= _WARM_UP:
            times.append(1e3 * (time.process_time() - start))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, default=64)
    parser.add_argument("--joints", type=int, default=16)
    parser.add_argument("--side", type=int, default=64, help="height and width of the heatmaps")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    timed, compared = make_pairs(options.people, options.joints, options.side)
    check(compared)
    print(f"{'':20}{'loop, ms':>10}{'ours, ms':>10}{'times as fast':>15}")
    for pair in timed:
        loop, ours = (measure(way, options.repeats) for way in (pair.loop, pair.ours))
        print(f"{pair.name:20}{loop:10.2f}{ours:10.2f}{loop / ours:15.1f}")


if __name__ == "__main__":
    main()
