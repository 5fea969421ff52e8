"""What our EMA adds to Lightning's; tests/commands/test_fit_ema.py runs it in `fit`."""

import math
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import pytorch_lightning as pl
import torch

from lightning_pose.callbacks import EMA, LastCheckpoint
from lightning_pose.errors import ConfigError
from tests.batches import make_batch
from tests.callbacks.model import StubModel, loader, make_trainer


@pytest.mark.parametrize("limit", [{"max_steps": 3}, {"max_epochs": 1}])
def test_the_end_of_training_keeps_the_trained_weights(
    limit: dict[str, int], tmp_path: Path
) -> None:
    model = StubModel()
    trainer = make_trainer(EMA(decay=0.5), LastCheckpoint(tmp_path), limit_val_batches=0, **limit)
    people = loader(*[make_batch(1)] * 4)
    trainer.fit(model, people, people)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    trained, average = saved["current_model_state"], saved["state_dict"]
    assert torch.equal(trained["layer.bias"], model.layer.bias)
    # The gradient is always 1, so each step of SGD subtracts 0.1.
    behind = 0.0
    for _ in range(1, trainer.global_step):
        behind = 0.5 * (behind + 0.1)
    found = average["layer.bias"] - trained["layer.bias"]
    torch.testing.assert_close(found, torch.tensor([behind]))


def test_the_average_is_kept_where_the_training_is() -> None:
    ema, model = EMA(), StubModel()
    elsewhere = MagicMock(spec=pl.Trainer)
    elsewhere.strategy = SimpleNamespace(root_device=torch.device("meta"))
    ema.setup(elsewhere, model, "fit")
    assert {value.device.type for value in ema._average_model.parameters()} == {"meta"}
    assert {value.device.type for value in model.parameters()} == {"cpu"}


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1, math.nan])
def test_a_bad_decay_is_refused(decay: float) -> None:
    with pytest.raises(ConfigError, match=r"EMA\.decay above 0 and below 1, found"):
        EMA(decay)
