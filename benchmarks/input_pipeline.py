"""How fast one core turns people in image files into crops of 256 x 256 pixels.

    python benchmarks/input_pipeline.py [--root FOLDER_OF_LSPE] [--count 100] [--repeats 7]

Every way reads the same files, in one process and one thread, and crops with random rotation, scale
and flip:

- our dataset: `CropDataset`, which checks what it reads and leaves targets to the network's device;
- our dataset, cached: the same, but from a `CachedDataset` that has been written before;
- our dataset with targets: also batches of 32, normalised, with a heatmap per joint;
- the floor: decoding with Pillow and one warp with OpenCV, each alone and both together;
- Simple Baselines: as published by Xiao et al. (ECCV 2018), with OpenCV, one warp, one Gaussian per
  joint at stride 4 in a loop, and a normalised float tensor;
- albumentations: Affine, Resize, HorizontalFlip, Normalize and ToTensorV2 of the person's square,
  with keypoints, and all heatmaps by an outer product.

Each comes once with images and joints alone, and once with masks as well, which every way then
decodes and warps. The images are synthetic people drawn into JPEGs of 640 x 480 pixels, a usual
size in COCO, and with --root photographs of Leeds Sports Pose Extended. Prints medians over repeats
that are run in turn, and the median of how many times as fast our dataset is, both by CPU time,
which other programs disturb less.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import scipy.io
import torch
from input_references import (
    CELLS,
    ENLARGE,
    FLIP,
    ROTATION,
    SCALE,
    SIGMA,
    SIZE,
    STRIDE,
    Files,
    albumentations_chain,
    normalised,
    simple_baselines,
)
from PIL import Image

from lightning_pose.batch import collate
from lightning_pose.codecs import encode_gaussian
from lightning_pose.datamodules.cache import CachedDataset
from lightning_pose.datamodules.loaders import CropDataset
from lightning_pose.datasets import LSPExtendedDataset, SyntheticDataset
from lightning_pose.datasets.subset import Subset
from lightning_pose.geometry import to_grid
from lightning_pose.input_spec import InputSpec
from lightning_pose.skeletons import LSP14
from lightning_pose.transforms import PersonCrop

BATCH_SIZE = 32


def files_of(people: LSPExtendedDataset, indices: list[int], with_masks: bool) -> Files:
    names = [people.annotations[index].image_id for index in indices]
    masks = [str((people.root / "masks" / name).with_suffix(".png")) for name in names]
    return Files(
        images=[str(people.root / "images" / name) for name in names],
        masks=masks if with_masks else None,
        keypoints=people.annotations.keypoints[indices],
        visible=people.annotations.visibility[indices] > 0,
        boxes=people.annotations.box[indices],
    )


def write_drawings(root: Path, count: int) -> None:
    """Write synthetic people in images of 640 x 480 pixels, in the layout of LSPE."""
    joints = np.ones((14, 3, count))
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    people = SyntheticDataset("train", count, size=480)
    for index in range(count):
        sample, name = people[index], f"im{index + 1:05d}"
        # Widen the square drawing by mirroring its background.
        image = np.pad(sample.image, ((0, 0), (80, 80), (0, 0)), mode="reflect")
        mask = np.pad(sample.mask == 1, ((0, 0), (80, 80)))
        Image.fromarray(image).save(root / "images" / f"{name}.jpg", quality=95)
        Image.fromarray(mask.astype(np.uint8) * 255).save(root / "masks" / f"{name}.png")
        joints[:, :2, index] = sample.keypoints + np.array((80, 0))
    scipy.io.savemat(root / "joints.mat", {"joints": joints})


def decode(path: str, mode: str) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file if file.mode == mode else file.convert(mode))


def ways_of(
    people: LSPExtendedDataset, indices: list[int], with_masks: bool, cache: Path
) -> dict[str, Callable[[], object]]:
    """Every way by its name, each as a function that reads all people once."""
    crop = PersonCrop(InputSpec((SIZE, SIZE), enlarge=ENLARGE), LSP14, ROTATION, SCALE, FLIP)
    crops, files = CropDataset(people, crop), files_of(people, indices, with_masks)
    cached = CropDataset(CachedDataset(Subset(people, np.array(indices)), crop, cache), crop)
    decoded = [(decode(path, "RGB"), None) for path in files.images]
    if files.masks is not None:
        masks = [decode(path, "L") for path in files.masks]
        decoded = [(image, mask) for (image, _), mask in zip(decoded, masks, strict=True)]
    matrices = [crops[0, index, 0].crop for index in indices]

    def ours(person: int) -> object:
        return crops[0, indices[person], 0]

    def ours_with_targets() -> None:
        for start in range(0, len(indices), BATCH_SIZE):
            batch = collate([crops[0, index, 0] for index in indices[start : start + BATCH_SIZE]])
            normalised(batch.image)
            encode_gaussian(to_grid(batch.keypoints, STRIDE), (CELLS, CELLS), SIGMA)

    def floor_decode(person: int) -> tuple[np.ndarray, np.ndarray | None]:
        mask = None if files.masks is None else decode(files.masks[person], "L")
        return decode(files.images[person], "RGB"), mask

    def floor_warp(person: int, pixels: tuple[np.ndarray, np.ndarray | None]) -> None:
        image, mask = pixels
        cv2.warpAffine(image, matrices[person], (SIZE, SIZE), flags=cv2.INTER_LINEAR)
        if mask is not None:
            cv2.warpAffine(mask, matrices[person], (SIZE, SIZE), flags=cv2.INTER_NEAREST)

    def everyone(one: Callable[[int], object]) -> Callable[[], None]:
        def read() -> None:
            for person in range(len(indices)):
                one(person)

        return read

    return {
        "our dataset": everyone(ours),
        "our dataset, cached": everyone(lambda person: cached[0, person, 0]),
        "our dataset with targets": ours_with_targets,
        "floor: decode alone": everyone(floor_decode),
        "floor: one warp alone": everyone(lambda person: floor_warp(person, decoded[person])),
        "floor: decode and one warp": everyone(lambda p: floor_warp(p, floor_decode(p))),
        "Simple Baselines": everyone(simple_baselines(files)),
        "albumentations": everyone(albumentations_chain(files)),
    }


def measure(ways: dict[str, Callable[[], object]], count: int, repeats: int) -> None:
    """Print the rate of each way, and how many times as fast the first one is."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            start = time.process_time()
            way()
            if repeat:  # The first round only warms up.
                rates[name].append(count / (time.process_time() - start))
    ours = next(iter(rates.values()))
    for name, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(ours, values, strict=True))
        print(f"  {name:28}{statistics.median(values):10.0f}{ratio:12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--root", type=Path, help="folder of Leeds Sports Pose Extended, with masks"
    )
    parser.add_argument("--count", type=int, default=100, help="people per repeat")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "drawn"
        drawn.mkdir()
        write_drawings(drawn, options.count)
        sets = {"drawn people, 640 x 480": LSPExtendedDataset(drawn, 1, options.count)}
        if options.root is not None:
            last = len(list((options.root / "images").glob("im*.jpg")))
            sets["Leeds Sports Pose Extended"] = LSPExtendedDataset(options.root, 1, last)
        print(f"{'':30}{'images/s':>10}{'ours / this':>12}")
        for name, people in sets.items():
            known = np.flatnonzero(people.has_mask)
            indices = known[:: max(1, len(known) // options.count)][: options.count].tolist()
            for with_masks in (True, False):
                if not with_masks:
                    people.images.has_mask = np.zeros_like(people.images.has_mask)
                print(f"{name}, {'joints and masks' if with_masks else 'joints'}")
                ways = ways_of(people, indices, with_masks, Path(folder) / "cache")
                measure(ways, len(indices), options.repeats)


if __name__ == "__main__":
    main()
