"""How many people one core draws and crops to 128 pixels per second.

Run `python benchmarks/synthetic.py`. A machine's speed drifts under load, so the same run also
times a fixed reference; the ratio of the two is more reliable than the rate.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from lightning_pose.datasets import SyntheticDataset
from lightning_pose.geometry import crop_matrix


def _rate(work: Callable[[int], object], indices: range) -> float:
    start = time.perf_counter()
    for index in indices:
        work(index)
    return len(indices) / (time.perf_counter() - start)


def main() -> None:
    """Print the median rate over several repeats, and its median ratio to the reference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="images per repeat")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    people = SyntheticDataset("train", length=10**6)
    image = people[0].image  # Also builds the textures, once per process.

    def draw(index: int) -> np.ndarray:
        sample = people[index]
        matrix = crop_matrix(sample.box, size=(128, 128))
        return cv2.warpAffine(sample.image, matrix, (128, 128))

    def blur(_: int) -> np.ndarray:
        return cv2.GaussianBlur(image, (31, 31), 5.0)

    rates = []
    for repeat in range(arguments.repeats):
        indices = range(repeat * arguments.count, (repeat + 1) * arguments.count)
        rates.append((_rate(draw, indices), _rate(blur, indices)))
    drawn = statistics.median(rate for rate, _ in rates)
    ratio = statistics.median(rate / reference for rate, reference in rates)
    print(f"{drawn:.0f} people per second on one core, drawn and cropped to 128 px")
    print(f"{ratio:.3f} of the rate of a 31 x 31 Gaussian blur of one image")


if __name__ == "__main__":
    main()
