"""A model without a network, whose predictions change with each validation."""

from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_pose.batch import Batch
from lightning_pose.metrics import Judgement, Scores, default_metrics
from lightning_pose.prediction import Prediction
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests.metrics.people import predict

HEADS = {
    "joints": ("keypoints", "scores", "heatmap"),
    "mask": ("mask",),
    "sport": ("probabilities",),
    "age": ("value",),
}
TASK = Task(LSP14, labels={"sport": ["judo", "golf", "polo"], "age": []})
LABELS = {"sport": "sport", "age": "age"}


def answers(batch: Batch, number: int) -> dict[str, Prediction]:
    """The predictions of each head in validation `number`, the same whatever the batches."""
    whole = predict(batch, error=12.0, seed=number)
    cells = torch.arange(20.0).view(1, 1, 4, 5).repeat(len(batch), 1, 1, 1)
    person = batch.person_id.float()[:, None]
    return {
        "joints": Prediction(keypoints=whole.keypoints, scores=whole.scores, heatmap=cells),
        "mask": Prediction(mask=whole.mask),
        "sport": Prediction(probabilities=(person * torch.arange(1, 4)).softmax(1)),
        "age": Prediction(value=person[:, 0] / 3),
    }


class StubModel(pl.LightningModule):
    """Logs what PoseModule logs; its n-th `val/main` is `mains[n]`."""

    def __init__(self, mains: Sequence[float] = (0.5,)) -> None:
        super().__init__()
        self.skeleton = LSP14
        self.layer = nn.Linear(1, 1)
        self.scores = Scores(HEADS, default_metrics(LSP14), TASK, "joints", labels=LABELS)
        self.mains = mains
        # Checkpoints record after which validation they were written.
        self.register_buffer("number", torch.tensor(-1))
        self.history: list[dict[str, float]] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.layer(torch.ones(1, 1)).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_validation_epoch_start(self) -> None:
        self.scores.reset()
        if not self.trainer.sanity_checking:
            self.number += 1

    def validation_step(self, batch: Batch, batch_idx: int) -> Judgement:
        return self.scores.update(answers(batch, int(self.number)), batch)

    def on_validation_epoch_end(self) -> None:
        if self.trainer.sanity_checking:
            return
        figures = self.scores.compute(dict.fromkeys(("", *HEADS), 0.0))
        figures["main"] = torch.tensor(self.mains[int(self.number)])
        figures["loss/joints"] = torch.tensor(1.0)
        self.log_dict({f"val/{key}": value for key, value in figures.items()})
        self.history.append({key: value.item() for key, value in figures.items()})


def loader(*batches: Batch) -> DataLoader:
    """A loader that passes on batches unchanged."""
    return DataLoader(list(batches), batch_size=None)


def make_trainer(*callbacks: pl.Callback, **settings: object) -> pl.Trainer:
    """A trainer that writes nothing of its own."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    return pl.Trainer(accelerator="cpu", callbacks=list(callbacks), **{**quiet, **settings})


def validate(*callbacks: pl.Callback, batches: Sequence[Batch], **settings: object) -> StubModel:
    """Run one `trainer.validate` over the batches."""
    model = StubModel()
    trainer = make_trainer(*callbacks, enable_checkpointing=False, **settings)
    trainer.validate(model, loader(*batches), verbose=False)
    return model
