"""How fast a network trains on a GPU: precision, compilation, data, and two processes.

    python benchmarks/gpu.py [--width 32] [--size 128] [--batch_size 64] [--steps 20] [--repeats 5]
        [--workers 8]

Trains a `UNet` with a heatmap and a mask head on random images. Prints images per second, the
median over repeats in which the ways take turns, of

- float32 in channels-first memory, bfloat16 in channels-last memory, and the latter compiled by
  torch.compile; the ratio is to the first;
- bfloat16 in channels-last memory with batches that workers collate from crops in memory, as they
  come from `--data.cache` but without the warp of the augmentation; the ratio is to the same on one
  batch that stays on the GPU;
- two processes that share the GPU by DDP (gloo) with synchronised batch norm, and how far their
  losses are from those of one process with the whole batch; these two rates are one measurement
  each, without repeats.

It uses only those parts of this package that do not need Lightning, OpenCV, timm or torchmetrics.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from cpu_speed import Training, random_batch
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from lightning_pose.backbones import UNet
from lightning_pose.batch import Batch, collate
from lightning_pose.heads import HeatmapHead, MaskHead
from lightning_pose.network import PoseNetwork
from lightning_pose.sample import Annotation, CroppedSample
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task


class Crops(Dataset[CroppedSample]):
    """Crops of random pixels in memory.

    Args:
        length: How many people there are, most of which share their pixels.
        side: Height and width of a crop.
    """

    def __init__(self, length: int, side: int) -> None:
        rng = np.random.default_rng(0)
        self.length = length
        self.images = rng.integers(0, 256, (32, side, side, 3), dtype=np.uint8)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> CroppedSample:
        image = self.images[index % len(self.images)]
        side = len(image)
        keypoints = np.full((LSP14.num_joints, 2), side / 2, dtype=np.float32)
        visibility = np.full(LSP14.num_joints, 2, dtype=np.uint8)
        box = np.array([0, 0, side, side], dtype=np.float32)
        person = Annotation(keypoints, visibility, box, 1.0, 1.0, 1.0, {}, index, str(index))
        return CroppedSample(
            image=image.copy(),
            keypoints=keypoints,
            visibility=visibility,
            mask=(image[..., 0] > 127).astype(np.int8),
            crop=np.eye(2, 3, dtype=np.float32),
            image_size=(side, side),
            annotation=person,
        )


def network_of(width: int, layout: torch.memory_format) -> PoseNetwork:
    """The network, with the same initial weights each time."""
    torch.manual_seed(0)
    backbone = UNet(width=width, dropout=0.0)
    heads = {"heatmap": HeatmapHead(sigma=4.0), "mask": MaskHead()}
    network = PoseNetwork(backbone, heads, Task(LSP14), backbone.mean, backbone.std)
    return network.to("cuda", memory_format=layout)


def batch_of(people: int, side: int, layout: torch.memory_format) -> Batch:
    """One batch that stays on the GPU."""
    batch = random_batch(people, side).to("cuda")
    batch.image = batch.image.contiguous(memory_format=layout)
    return batch


def rate(step: Callable[[], object], people: int, steps: int) -> float:
    """Images per second."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    torch.cuda.synchronize()
    return people * steps / (time.perf_counter() - start)


def rates(ways: dict[str, Callable[[], object]], options: argparse.Namespace) -> list[list[float]]:
    """Images per second of each way in each repeat, after a few steps that warm up."""
    for way in ways.values():
        rate(way, options.batch_size, 5)
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(options.repeats):
        for values, way in zip(found, ways.values(), strict=True):
            values.append(rate(way, options.batch_size, options.steps))
    return found


def show(names: list[str], found: list[list[float]], reference: list[float]) -> None:
    """Print one line per way."""
    for name, values in zip(names, found, strict=True):
        ratio = statistics.median(a / b for a, b in zip(values, reference, strict=True))
        print(f"{name:44}{statistics.median(values):10.0f}{ratio:8.2f}", flush=True)


def endless(loader: DataLoader[CroppedSample]) -> Iterator[Batch]:
    """The batches of a loader, again and again."""
    while True:
        yield from loader


def train_share(rank: int, options: argparse.Namespace, folder: str) -> None:
    """Train one of two processes on its half of the batch, and write its losses and its rate."""
    store = f"file://{folder}/store"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    network = network_of(options.width, torch.channels_last)
    network.backbone = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network.backbone)
    whole = batch_of(options.batch_size, options.size, torch.channels_last)
    own = whole.select(list(range(rank, options.batch_size, 2)))
    training = Training(network, own, forward=DistributedDataParallel(network))
    losses = []
    for _ in range(options.steps):
        loss = training.step()
        distributed.all_reduce(loss)
        losses.append(loss.item() / 2)
    found = rate(training.step, options.batch_size, options.steps)
    if rank == 0:
        torch.save({"losses": losses, "rate": found}, Path(folder) / "found.pt")
    distributed.destroy_process_group()


def two_processes(options: argparse.Namespace) -> None:
    """Print the rate of two processes, and their losses beside those of one.

    Each rate is one measurement, where the other ways have medians over repeats.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            multiprocessing.spawn(train_share, (options, folder), nprocs=2)
        except multiprocessing.ProcessRaisedException as error:
            reason = str(error).strip().splitlines()[-1]
            print(f"Two processes on one GPU are not possible here: {reason}")
            return
        found = torch.load(Path(folder) / "found.pt", weights_only=True)
    layout = torch.channels_last
    batch = batch_of(options.batch_size, options.size, layout)
    alone = Training(network_of(options.width, layout), batch)
    losses = [alone.step().item() for _ in range(options.steps)]
    reference = rate(alone.step, options.batch_size, options.steps)
    pair = ["float32, one process", "float32, two processes"]
    show(pair, [[reference], [found["rate"]]], [reference])
    apart = max(abs(a / b - 1) for a, b in zip(found["losses"], losses, strict=True))
    print(f"Over {options.steps} steps, their losses differ by at most {apart:.1e} of the loss.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, default=32, help="of the U-Net")
    parser.add_argument("--size", type=int, default=128, help="pixels along each side")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20, help="steps of each way per repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("Expected a GPU with CUDA, found none; run this benchmark where there is one.")
    first, last = torch.contiguous_format, torch.channels_last
    people, half = options.batch_size, torch.bfloat16
    networks = [network_of(options.width, layout) for layout in (first, last, last, last)]
    batches = {layout: batch_of(people, options.size, layout) for layout in (first, last)}
    compiled = torch.compile(networks[2])
    kept = Training(networks[1], batches[last], half)
    ways = {
        "float32, channels first": Training(networks[0], batches[first]).step,
        "bfloat16, channels last": kept.step,
        "bfloat16, channels last, compiled": Training(
            networks[2], batches[last], half, compiled
        ).step,
    }
    print(f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, torch {torch.__version__}")
    print(f"{'':44}{'images/s':>10}{'ratio':>8}")
    found = rates(ways, options)
    show(list(ways), found, found[0])
    loader = DataLoader(
        Crops(1000 * people, options.size),
        people,
        num_workers=options.workers,
        collate_fn=collate,
        pin_memory=True,
    )
    arriving, fed = endless(loader), Training(networks[3], batches[last], half)

    def feed() -> None:
        fed.batch = next(arriving).to("cuda", non_blocking=True)
        fed.step()

    found = rates({"one batch on the GPU": kept.step, "batches of workers": feed}, options)
    show(["one batch on the GPU", "batches of workers"], found, found[0])
    two_processes(options)


if __name__ == "__main__":
    main()
