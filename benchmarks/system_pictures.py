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

import pytorch_lightning as pl
from PIL import Image

from lightning_pose.callbacks import AttentionSheet, ContactSheet
from lightning_pose.datamodules import SyntheticDataModule
from lightning_pose.module import PoseModule
from lightning_pose.runs import LAST

PEOPLE = 2


def picture(checkpoint: Path) -> Image.Image:
    """The sheets of a model's predictions, below each other."""
    model = PoseModule.load_from_checkpoint(checkpoint)
    data = SyntheticDataModule(
        input_spec=model.input_spec, val_size=PEOPLE, batch_size=PEOPLE, num_workers=0
    )
    with tempfile.TemporaryDirectory() as folder:
        sheets, attention = Path(folder) / "sheets", Path(folder) / "attention"
        pl.Trainer(
            accelerator="cpu",
            logger=False,
            callbacks=[ContactSheet(sheets, PEOPLE), AttentionSheet(attention, 1)],
            use_distributed_sampler=False,
        ).validate(model, data, verbose=False)
        parts = [Image.open(path).convert("RGB") for path in sheets.iterdir()]
        if attention.is_dir():
            parts += [Image.open(path).convert("RGB") for path in attention.iterdir()]
    whole = Image.new(
        "RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white"
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
