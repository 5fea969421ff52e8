"""How much a model loses on boxes around the silhouette, as a detector gives them.

    python benchmarks/boxes.py CKPT [--root FOLDER_OF_LSPE]

Runs a model on validation people through `Predictor`, as `lightning predict --boxes` does, once
with the boxes of their joints, which training uses, and once with those of their masks. Prints
PCK@0.2 and PCKh@0.5 of both, and the difference. The people are the 500 synthetic ones of
combined.yaml, or with --root the 750 of Leeds Sports Pose Extended; people without a mask are left
out.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from lightning_pose.datasets import LSPExtendedDataset, PoseDataset, SyntheticDataset
from lightning_pose.inference import load
from lightning_pose.input_spec import BoxAround
from lightning_pose.metrics import keypoint_pck
from lightning_pose.person import Person
from lightning_pose.sample import Sample


def silhouette(sample: Sample) -> Float32[np.ndarray, " 4"]:
    """The box xyxy around a person's mask, from edge to edge of its outermost pixels."""
    rows, columns = np.nonzero(sample.mask == 1)
    edges = (columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5)
    return np.array(edges, dtype=np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ckpt_path", type=Path, help="checkpoint of a run")
    parser.add_argument("--root", type=Path, help="folder of Leeds Sports Pose Extended")
    options = parser.parse_args()
    predictor = load(options.ckpt_path)
    dataset: PoseDataset = SyntheticDataset("val", 500, 160)
    if options.root is not None:
        dataset = LSPExtendedDataset(options.root, 8501, 9250)

    def samples() -> Iterator[Sample]:
        return (s for s in (dataset[index] for index in range(len(dataset))) if (s.mask == 1).any())

    truth = list(samples())
    keypoints = torch.from_numpy(np.stack([sample.keypoints for sample in truth]))
    labelled = torch.from_numpy(np.stack([sample.visibility for sample in truth])) > 0
    sizes = {
        "PCK@0.2": (0.2, torch.tensor([sample.torso_size for sample in truth])),
        "PCKh@0.5": (0.5, torch.tensor([sample.head_size for sample in truth])),
    }
    figures: dict[str, list[float]] = {name: [] for name in sizes}
    kinds: list[tuple[BoxAround, Callable[[Sample], Float32[np.ndarray, " 4"]]]] = [
        ("joints", lambda sample: sample.box),
        ("silhouette", silhouette),
    ]
    for around, box in kinds:
        people = (Person(s.image, box(s), s.image_id, around) for s in truth)
        found = np.stack([one.keypoints for one in predictor.stream(people)])
        for name, (threshold, size) in sizes.items():
            value = keypoint_pck(torch.from_numpy(found), keypoints, labelled, size, threshold)
            figures[name].append(float(value))
    print(f"{len(truth):4} people {'joints':>11} {'silhouette':>11} {'lost':>7}")
    for name, (joints, outline) in figures.items():
        print(f"{name:11} {joints:11.4f} {outline:11.4f} {joints - outline:7.4f}")


if __name__ == "__main__":
    main()
