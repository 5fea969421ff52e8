"""A backbone that is frozen for the first epochs: nothing in it changes, and then it trains."""

from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_pose.backbones import VGG, DeconvolutionBackbone
from lightning_pose.batch import collate
from lightning_pose.callbacks import FreezeBackbone
from lightning_pose.errors import ConfigError
from lightning_pose.heads import HeatmapHead, RegressionHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import make_sample
from tests.callbacks.model import make_trainer


class Recorder(pl.Callback):
    """Keeps the state of the model after every epoch."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.states.append({k: v.clone() for k, v in pl_module.state_dict().items()})


def people() -> DataLoader:
    return DataLoader([make_sample(n) for n in range(4)], batch_size=2, collate_fn=collate)


def model(frozen_stride: int | None = None) -> PoseModule:
    torch.manual_seed(0)
    backbone = DeconvolutionBackbone("test_resnet", [8], frozen_stride=frozen_stride)
    # Weight decay would change weights even with gradients of 0.
    decaying = partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1)
    heads = {"heatmap": HeatmapHead(sigma=16.0)}
    return PoseModule(backbone, heads, LSP14, InputSpec((64, 64)), optimizer=decaying)


def fit(
    module: PoseModule, epochs: int, total: int, resume: Path | None = None, **settings: object
) -> tuple[list[dict[str, Tensor]], pl.Trainer]:
    recorder = Recorder()
    trainer = make_trainer(
        FreezeBackbone(epochs), recorder, max_epochs=total, enable_checkpointing=False, **settings
    )
    trainer.fit(module, people(), people(), ckpt_path=resume, weights_only=True)
    return recorder.states, trainer


def changed(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    """Whether weights and statistics differ in the backbone, and in the heads."""
    names = [name for name, value in one.items() if not torch.equal(value, other[name])]
    return {name.split(".")[1] for name in names if name.startswith("network.")}


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("epochs", [1, 2])
def test_weights_and_statistics_stay_for_the_first_epochs(epochs: int, accumulated: int) -> None:
    module = model()
    states = [{k: v.clone() for k, v in module.state_dict().items()}]
    states += fit(module, epochs, 3, accumulate_grad_batches=accumulated)[0]
    for number, (before, after) in enumerate(pairwise(states)):
        expected = {"heads"} if number < epochs else {"heads", "backbone"}
        assert changed(before, after) == expected, number
        means = [name for name in before if name.endswith("running_mean")]
        moved = [not torch.equal(before[name], after[name]) for name in means]
        assert moved == [number >= epochs] * len(means)


@pytest.mark.filterwarnings("ignore:Found .* module.* in eval mode")  # As it should be.
def test_what_the_backbone_keeps_frozen_stays_frozen() -> None:
    module = model(frozen_stride=8)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    after = fit(module, 1, 2)[0][-1]
    encoder = module.network.backbone.encoder_layers
    frozen = [name for name, value in encoder.named_parameters() if not value.requires_grad]
    assert frozen
    prefix = "network.backbone.encoder_layers."
    names = {name.removeprefix(prefix).rpartition(".")[0] for name in frozen}
    kept = [k for k in before if k.removeprefix(prefix).rpartition(".")[0] in names]
    assert any(name.endswith("running_mean") for name in kept)
    assert all(torch.equal(before[name], after[name]) for name in kept)
    assert changed(before, after) == {"heads", "backbone"}


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_resumes_in_any_epoch(stop: int, tmp_path: Path) -> None:
    expected = fit(model(), 2, 4)[0][-1]
    trainer = fit(model(), 2, stop)[1]
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    found = fit(model(), 2, 4, resume=tmp_path / "last.ckpt")[0][-1]
    assert all(torch.equal(found[name], value) for name, value in expected.items())


# The list of people here is not resumed at the person where it stopped, which does not matter.
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch")
def test_it_resumes_within_a_frozen_epoch(tmp_path: Path) -> None:
    class Stop(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.global_step == 1:
                trainer.save_checkpoint(tmp_path / "within.ckpt")

    module = model()
    trainer = make_trainer(
        FreezeBackbone(1), Stop(), max_epochs=1, enable_checkpointing=False, val_check_interval=1
    )
    trainer.fit(module, people(), people())
    start = model()
    before = {k: v.clone() for k, v in start.state_dict().items()}
    after = fit(start, 1, 1, resume=tmp_path / "within.ckpt")[0][-1]
    assert changed(before, after) == {"heads"}


def test_no_stage_is_refused() -> None:
    with pytest.raises(ConfigError, match="to name modules of the backbone, found none; leave it"):
        FreezeBackbone(1, [])


def test_some_stages_can_be_frozen_alone() -> None:
    torch.manual_seed(0)
    module = PoseModule(
        VGG([[4], [6], [8]]), {"coordinates": RegressionHead()}, LSP14, InputSpec((64, 64))
    )
    states = [{k: v.clone() for k, v in module.state_dict().items()}]
    recorder, callback = Recorder(), FreezeBackbone(1, ["layers.0", "layers.2"])
    make_trainer(callback, recorder, max_epochs=2, enable_checkpointing=False).fit(
        module, people(), people()
    )
    found = []
    for before, after in pairwise([*states, *recorder.states]):
        names = [name for name in before if name.startswith("network.backbone.layers.")]
        assert any(name.endswith("running_mean") for name in names)
        found.append({name.split(".")[3] for name in names if (before[name] != after[name]).any()})
    assert found == [{"1"}, {"0", "1", "2"}]
    wrong = make_trainer(
        FreezeBackbone(1, ["layers.0", "stages.1"]), max_epochs=1, enable_checkpointing=False
    )
    with pytest.raises(
        ConfigError, match=r"such as layers, layers\.0, .* found 'stages\.1'; correct"
    ):
        wrong.fit(module, people(), people())


def test_dropout_of_a_frozen_backbone_is_that_of_training() -> None:
    module = PoseModule(
        VGG([[4]], dropout=0.5), {"coordinates": RegressionHead()}, LSP14, InputSpec((64, 64))
    )
    seen = []

    class Look(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
            seen.append(module.network.backbone.training)

    fit_with = make_trainer(FreezeBackbone(1), Look(), max_epochs=2, enable_checkpointing=False)
    fit_with.fit(module, people(), people())
    assert seen == [True] * 4


def test_no_epoch_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"FreezeBackbone\.epochs of 1 or more, found 0"):
        FreezeBackbone(0)
