"""How fast a network trains on the CPU in each precision, memory layout and way to run it.

    python benchmarks/cpu_speed.py [--networks resnet18@128 resnet50@256] [--batch_size 16]
        [--steps 5] [--repeats 5] [--no_compile]

Trains `DeconvolutionBackbone` with a heatmap head on random images, in float32 and with bfloat16
autocast, with weights and images in channels-first or channels-last memory, as it is and compiled
by torch.compile. The ways take turns. Prints the median over repeats of images per second, their
ratio to float32 in channels-first memory as it is, and the share of the processor's own peak that a
step reaches: its floating-point operations, as PyTorch counts them, per second, divided by those of
the fastest product of two large matrices in the same precision, in the same run. The last column is
how long the first step takes, which compiles.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product

import torch
from torch.utils.flop_counter import FlopCounterMode

from lightning_pose.backbones import DeconvolutionBackbone
from lightning_pose.batch import Batch
from lightning_pose.heads import HeatmapHead
from lightning_pose.network import PoseNetwork
from lightning_pose.prediction import Output
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task

SIDE = 2048
"""Rows and columns of the matrices that are multiplied for the peak."""


def random_batch(people: int, side: int) -> Batch:
    """People of random pixels, with all joints labelled."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (people, side, side, 3), dtype=torch.uint8, generator=generator)
    keypoints = torch.rand(people, LSP14.num_joints, 2, generator=generator) * (side - 1)
    visibility = torch.full((people, LSP14.num_joints), 2, dtype=torch.uint8)
    box = torch.tensor([[0.0, 0.0, side, side]]).expand(people, 4)
    ones = torch.ones(people)
    return Batch(
        image=pixels.permute(0, 3, 1, 2),
        keypoints=keypoints,
        visibility=visibility,
        mask=(pixels[..., 0] > 127).to(torch.int8),
        valid=torch.ones(people, side, side, dtype=torch.bool),
        crop=torch.eye(2, 3).expand(people, 2, 3),
        source_keypoints=keypoints,
        source_visibility=visibility,
        box=box,
        head_size=ones,
        torso_size=ones,
        area=ones,
        labels={},
        image_size=torch.full((people, 2), side),
        person_id=torch.arange(people),
        image_id=[str(person) for person in range(people)],
    )


class Training:
    """A network that makes optimiser steps on one batch.

    Args:
        network: The network.
        batch: The people.
        dtype: The type in which autocast computes; float32 is without autocast.
        forward: Runs the network, such as a compiled one; by default the network itself.
    """

    def __init__(
        self,
        network: PoseNetwork,
        batch: Batch,
        dtype: torch.dtype = torch.float32,
        forward: Callable[..., Mapping[str, Output]] | None = None,
    ) -> None:
        self.network = network.train()
        self.batch = batch
        self.dtype = dtype
        self.forward = network if forward is None else forward
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step(self) -> torch.Tensor:
        """Make one optimiser step, and return the loss before it."""
        self.optimizer.zero_grad()
        device = self.batch.image.device.type
        with torch.autocast(device, self.dtype, enabled=self.dtype != torch.float32):
            losses = self.network.losses(self.forward(self.batch.image), self.batch)
            loss = torch.stack([terms.mean() for terms in losses.values()]).sum()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


@dataclass
class Way:
    """One way to train, and what was measured of it.

    Attributes:
        training: What makes the steps.
        names: Precision, memory layout, and how it is run.
        first: Seconds of the first step.
        seconds: Seconds per step in each repeat.
    """

    training: Training
    names: tuple[str, str, str]
    first: float = 0.0
    seconds: list[float] = field(default_factory=list)


def ways_of(encoder: str, side: int, people: int, compiled: tuple[bool, ...]) -> list[Way]:
    """All ways to train a network; the first is float32 in channels-first memory as it is."""
    layouts = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
    batch = random_batch(people, side)
    ways = []
    for compiling, dtype, (name, layout) in product(
        compiled, (torch.float32, torch.bfloat16), layouts.items()
    ):
        torch.manual_seed(0)
        head = {"heatmap": HeatmapHead(sigma=4.0)}
        backbone = DeconvolutionBackbone(encoder)
        network = PoseNetwork(backbone, head, Task(LSP14), backbone.mean, backbone.std)
        network.to(memory_format=layout)
        images = batch.image.contiguous(memory_format=layout)
        own = batch.select(list(range(people)))
        own.image = images
        names = (str(dtype).removeprefix("torch."), name, "compiled" if compiling else "as it is")
        # Otherwise, torch would compile the networks of the second size for images of any size.
        forward = torch.compile(network, dynamic=False) if compiling else None
        ways.append(Way(Training(network, own, dtype, forward), names))
    return ways


def peak(dtype: torch.dtype, repeats: int = 5) -> float:
    """Floating-point operations per second of the fastest product of two large matrices."""
    one, other = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
    fastest = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        one @ other
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * SIDE**3 / fastest


def operations(training: Training) -> int:
    """Floating-point operations per step, counting matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        training.step()
    return counter.get_total_flops()


def measure(ways: list[Way], steps: int, repeats: int) -> dict[torch.dtype, float]:
    """Time all ways in turn, and return the peak of each precision."""
    for way in ways:
        start = time.perf_counter()
        way.training.step()
        way.first = time.perf_counter() - start
    peaks: dict[torch.dtype, float] = {}
    for _ in range(repeats):
        for way in ways:
            start = time.perf_counter()
            for _step in range(steps):
                way.training.step()
            way.seconds.append((time.perf_counter() - start) / steps)
        for dtype in {way.training.dtype for way in ways}:
            peaks[dtype] = max(peaks.get(dtype, 0.0), peak(dtype))
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = ["resnet18@128", "resnet50@256"]
    parser.add_argument(
        "--networks", nargs="+", default=default, help="encoders of timm, each with an input size"
    )
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5, help="steps of each way per repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no_compile", action="store_true", help="leave torch.compile out")
    options = parser.parse_args()
    compiled = (False,) if options.no_compile else (False, True)
    for network in options.networks:
        encoder, _, side = network.partition("@")
        ways = ways_of(encoder, int(side), options.batch_size, compiled)
        work = operations(ways[0].training)
        peaks = measure(ways, options.steps, options.repeats)
        rates = ", ".join(
            f"{str(dtype).removeprefix('torch.')} {rate / 1e9:.0f}" for dtype, rate in peaks.items()
        )
        print(
            f"{encoder} at {side} px, {options.batch_size} images per step, "
            f"{work / 1e9:.0f} billion operations; peak in billions per second: {rates}"
        )
        print(f"{'':36} {'images/s':>9} {'of the first':>13} {'of peak':>8} {'first step':>11}")
        for way in ways:
            seconds = statistics.median(way.seconds)
            ratio = statistics.median(
                a / b for a, b in zip(ways[0].seconds, way.seconds, strict=True)
            )
            share = work / seconds / peaks[way.training.dtype]
            rate = options.batch_size / seconds
            line = f"{rate:9.1f} {ratio:13.2f} {share:8.2f} {way.first:9.1f} s"
            print(f"{' '.join(f'{n:<11}' for n in way.names)} {line}", flush=True)


if __name__ == "__main__":
    main()
