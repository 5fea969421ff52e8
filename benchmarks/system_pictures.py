"""Draw what each system of a study predicts for two drawn people, for docs/systems.md.

    lightning study --study studies/reproduction.yaml --data SyntheticDataModule \
      --trainer.max_time 00:00:05:00 --output checkpoints/drawn
    python benchmarks/system_pictures.py [--runs checkpoints/drawn] [--output docs/systems]

Writes one picture per arm that has a last.ckpt with the first seed: the truth and each head's
prediction, and the attention map of each step for a head with attention.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from typing_extensions import override

from lightning_pose.callbacks import AttentionSheet, ContactSheet
from lightning_pose.datamodules import PoseDataModule
from lightning_pose.datamodules.base import Split
from lightning_pose.datasets import SyntheticDataset
from lightning_pose.datasets.subset import Subset
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.runs import LAST
from lightning_pose.skeletons import LSP14

PEOPLE = (8, 10)
"""Two of the validation's drawn people, who stand."""


class TwoPeople(PoseDataModule):
    """Those two people alone."""

    def __init__(self, input_spec: InputSpec) -> None:
        super().__init__(LSP14, input_spec=input_spec, batch_size=len(PEOPLE), num_workers=0)

    @override
    def make_dataset(self, split: Split) -> Subset:
        return Subset(SyntheticDataset("val", max(PEOPLE) + 1), np.array(PEOPLE))


def picture(checkpoint: Path) -> Image.Image:
    """The sheets of a model's predictions, below each other."""
    model = PoseModule.load_from_checkpoint(checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        sheets, attention = Path(folder) / "sheets", Path(folder) / "attention"
        pl.Trainer(
            accelerator="cpu",
            logger=False,
            callbacks=[ContactSheet(sheets, len(PEOPLE)), AttentionSheet(attention, 1)],
            use_distributed_sampler=False,
        ).validate(model, TwoPeople(model.input_spec), verbose=False)
        parts = [Image.open(path).convert("RGB") for path in sheets.iterdir()]
        if attention.is_dir():
            parts += [Image.open(path).convert("RGB") for path in attention.iterdir()]
    whole = Image.new(
        "RGB",
        (max(part.width for part in parts), sum(part.height for part in parts)),
        parts[0].getpixel((0, 0)),  # The background of the sheets.
    )
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("checkpoints/drawn"))
    parser.add_argument("--output", type=Path, default=Path("docs/systems"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for checkpoint in sorted(options.runs.glob(f"*/seed_0/{LAST}")):
        path = options.output / f"{checkpoint.parent.parent.name}.jpg"
        picture(checkpoint).save(path, quality=85)
        print(f"{path}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
