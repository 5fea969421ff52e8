"""Whether every head learns as well in half precision as in float32.

    python benchmarks/precision.py [--heads NAME ...] [--people 4000] [--steps 400] [--seeds 3]

Trains each head alone on a small U-Net and synthetic people at 64 x 64 pixels, in float32, in
bfloat16 and, on a GPU, in float16 with scaled losses, with several seeds, which choose the initial
weights and the order of the batches. Prints, for each head, the mean over seeds of its first metric
on other people and its standard deviation, in float32 and in half precision, and their difference
with an interval of 95 % (Welch's), which says what so few seeds can say. Higher is better for all
metrics: those where lower is better are negated. A difference that is significant after a
correction for all of them (Bonferroni) is marked as real.

The classes of `class` are people with their head above or below their hips, and the number of
`value` is the height of the joints' box in pixels.
"""

import argparse
import statistics
from collections.abc import Callable
from typing import cast

import scipy.stats
import torch

from lightning_pose import heads
from lightning_pose.backbones import UNet
from lightning_pose.batch import Batch
from lightning_pose.datamodules import SyntheticDataModule
from lightning_pose.evaluation import Evaluation
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.schedules import WarmupCosine
from lightning_pose.skeletons import LSP14

SIZE = (64, 64)
LABELS: dict[str, list[str]] = {"upright": ["no", "yes"], "height": []}
LEVEL = 0.05

HEADS: dict[str, Callable[[], heads.Head]] = {
    "mask": heads.MaskHead,
    "heatmap": lambda: heads.HeatmapHead(sigma=2.0),
    "heatmap_mse": lambda: heads.HeatmapHead(sigma=2.0, criterion="mse"),
    "shared_heatmap": heads.SharedHeatmapHead,
    "softmax_joint": heads.SoftmaxJointHead,
    "integral": heads.IntegralHead,
    "simcc": heads.SimCCHead,
    "regression": heads.RegressionHead,
    "fully_connected": lambda: heads.FullyConnectedHead([256]),
    "lstm": lambda: heads.LSTMHead(fully_connected=[256], hidden=128),
    "attention_lstm": lambda: heads.AttentionLSTMHead(hidden=128, attention=64),
    "refinement": lambda: heads.RefinementHead(heads.RegressionHead(), 24.0, 16, 8),
    "class": lambda: heads.ClassHead("upright"),
    "value": lambda: heads.ValueHead("height", mean=40.0, std=10.0),
}


def add_labels(batch: Batch) -> Batch:
    """Add labels of the whole image that follow from the joints."""
    hips = batch.keypoints[:, [LSP14.names.index(f"{side}_hip") for side in ("left", "right")]]
    head = batch.keypoints[:, LSP14.names.index("head_top")]
    known = batch.labelled.all(dim=1)
    upright = (head[:, 1] < hips[:, :, 1].mean(dim=1)).long()
    height = batch.keypoints[..., 1].amax(dim=1) - batch.keypoints[..., 1].amin(dim=1)
    batch.labels = {"upright": upright.where(known, -1), "height": height.where(known, torch.nan)}
    return batch


def batches_of(split: str, people: int) -> list[Batch]:
    """All batches of synthetic people, which every training shares."""
    data = SyntheticDataModule(
        people, people, image_size=80, batch_size=32, num_workers=0, input_spec=InputSpec(SIZE)
    )
    data.setup("fit")
    loader = data.train_dataloader() if split == "train" else data.val_dataloader()
    return [add_labels(batch) for batch in loader]


class Training:
    """The training of one head in one precision.

    Args:
        name: A key of `HEADS`.
        dtype: The type in which autocast computes; float32 is without autocast.
        seed: Chooses the initial weights and the order of the batches.
        device: Where it runs.
    """

    def __init__(self, name: str, dtype: torch.dtype, seed: int, device: str) -> None:
        self.seed = seed
        self.device = device
        self.dtype = dtype
        torch.manual_seed(seed)
        backbone = UNet(width=8, dropout=0.0)
        head = {name: HEADS[name]()}
        model = PoseModule(backbone, head, LSP14, InputSpec(SIZE), LABELS)
        self.model = model.to(device)

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device, self.dtype, enabled=self.dtype != torch.float32)

    def train(self, batches: list[Batch], steps: int) -> None:
        """Make some optimiser steps, on each batch in turn before any is repeated."""
        model = self.model.train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
        schedule = WarmupCosine(optimizer, total_steps=steps)
        scaler = torch.amp.GradScaler(self.device, enabled=self.dtype == torch.float16)
        generator = torch.Generator().manual_seed(self.seed)
        order: list[int] = []
        for _ in range(steps):
            order = order or torch.randperm(len(batches), generator=generator).tolist()
            batch = batches[order.pop()].to(self.device)
            with self.autocast():
                (terms,) = model.network.losses(model(batch.image), batch).values()
                loss = terms.mean()
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            scaler.step(optimizer)
            scaler.update()
            schedule.step()

    @torch.no_grad()
    def score(self, batches: list[Batch]) -> tuple[str, float]:
        """The name of the head's first metric, or of its loss, and its value: higher is better."""
        model = self.model.eval()
        evaluation = cast("Evaluation", model.evaluations["val"])
        with self.autocast():
            for batch in batches:
                evaluation.step(model.network, batch.to(self.device), False, ())
        _, figures = evaluation.compute(model.weighting, ())
        name = next((key.split("/")[1] for key in figures if key != "main"), "loss")
        return name, float(figures["main"])


def difference(half: list[float], full: list[float], count: int) -> str:
    """The difference of two means, its interval, and whether it is real among some others."""
    found = scipy.stats.ttest_ind(half, full, equal_var=False)
    interval = found.confidence_interval(1 - LEVEL)
    verdict = "real" if found.pvalue * count < LEVEL else ""
    between = f"[{interval.low:+.4f}, {interval.high:+.4f}]"
    return f"{statistics.mean(half) - statistics.mean(full):+9.4f} {between:>20} {verdict}".rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=list(HEADS))
    parser.add_argument("--people", type=int, default=4000, help="to train on; a tenth to score")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    halves = [torch.bfloat16, *([torch.float16] if device == "cuda" else [])]
    train, val = batches_of("train", options.people), batches_of("val", options.people // 10)
    print(f"{device}, {options.people} people, {options.steps} steps, {options.seeds} seeds")
    print(
        f"{'head':16}{'metric':9}{'float32':>18} {'':9}{'half':>18}{'difference':>11}{'95 %':>21}"
    )
    for name in options.heads:
        scores: dict[torch.dtype, list[float]] = {}
        for dtype in (torch.float32, *halves):
            for seed in range(options.seeds):
                training = Training(name, dtype, seed, device)
                training.train(train, options.steps)
                metric, value = training.score(val)
                scores.setdefault(dtype, []).append(value)
        means = {
            dtype: f"{statistics.mean(values):9.4f} ({statistics.stdev(values):.4f})"
            for dtype, values in scores.items()
        }
        full = scores[torch.float32]
        for dtype in halves:
            apart = difference(scores[dtype], full, len(options.heads) * len(halves))
            kind = str(dtype).removeprefix("torch.")
            line = f"{name:16}{metric:9}{means[torch.float32]} {kind:9}{means[dtype]}"
            print(f"{line}  {apart}", flush=True)


if __name__ == "__main__":
    main()
