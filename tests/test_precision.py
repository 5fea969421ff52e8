"""The precision that suits a device."""

import copy
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_pose import precision
from lightning_pose.errors import ConfigError
from lightning_pose.precision import AutoPrecision, choose_precision


class Probe(pl.LightningModule):
    """Records the type in which its layer computes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.seen: list[torch.dtype] = []

    def _loss(self, batch: Tensor) -> Tensor:
        output = self.layer(batch)
        self.seen.append(output.dtype)
        return output.float().square().mean()

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self._loss(batch)

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self._loss(batch)

    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self._loss(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(plugin: AutoPrecision) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        plugins=[plugin],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def loader() -> DataLoader[Any]:
    return DataLoader([torch.ones(4)] * 4, batch_size=2)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6.6 on torch 2.15.
@pytest.mark.parametrize(
    ("choice", "dtype"), [("bf16-mixed", torch.bfloat16), ("32-true", torch.float32)]
)
def test_the_device_decides_for_fit_and_test(
    monkeypatch: pytest.MonkeyPatch, choice: str, dtype: torch.dtype
) -> None:
    asked = []

    def decide(device: torch.device) -> str:
        asked.append(device)
        return choice

    monkeypatch.setattr(precision, "choose_precision", decide)
    plugin, probe = AutoPrecision(), Probe()
    assert asked == []
    run = trainer(plugin)
    run.fit(probe, loader(), loader())
    run.test(probe, loader(), verbose=False)
    assert set(asked) == {torch.device("cpu")}
    assert set(probe.seen) == {dtype}
    assert len(probe.seen) >= 6
    assert run.precision == choice
    assert plugin.scaler is None
    assert plugin.state_dict() == {}
    assert probe.layer.weight.dtype == torch.float32


def test_float16_scales_losses_and_keeps_its_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "choose_precision", lambda device: "16-mixed")
    plugin = AutoPrecision()
    plugin.connect(nn.Linear(1, 1), [], [])
    assert plugin.autocast_context_manager().fast_dtype == torch.float16
    assert isinstance(plugin.scaler, torch.amp.GradScaler)
    scaler = plugin.scaler
    # The next fit, validate or test of the same trainer connects it again.
    plugin.connect(nn.Linear(1, 1), [], [])
    assert plugin.scaler is scaler


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("chosen", ["bf16-mixed", "16-mixed"])
def test_a_fused_optimizer_clips_unless_losses_are_scaled(
    monkeypatch: pytest.MonkeyPatch, chosen: str, fused: bool
) -> None:
    monkeypatch.setattr(precision, "choose_precision", lambda device: chosen)
    plugin = AutoPrecision()
    layer = nn.Linear(4, 1, bias=False)
    plugin.connect(layer, [], [])
    optimizer = torch.optim.AdamW(layer.parameters(), fused=fused)
    layer.weight.grad = torch.full((1, 4), 3.0)
    if fused and chosen == "16-mixed":
        with pytest.raises(ConfigError, match="found a fused AdamW; set"):
            plugin.clip_gradients(optimizer, 1.5)
        plugin.clip_gradients(optimizer, 0.0)
        assert layer.weight.grad.norm() == 6
    else:
        plugin.clip_gradients(optimizer, 1.5)
        assert layer.weight.grad.norm().item() == pytest.approx(1.5)


@pytest.mark.parametrize(("avx512", "amx"), [(True, False), (False, True), (False, False)])
def test_a_processor_needs_bfloat16_instructions(
    monkeypatch: pytest.MonkeyPatch, avx512: bool, amx: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    expected = "bf16-mixed" if avx512 or amx else "32-true"
    assert choose_precision(torch.device("cpu")) == expected


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_a_gpu_without_bfloat16_takes_float16(
    monkeypatch: pytest.MonkeyPatch, native: bool, expected: str
) -> None:
    class NoDevice:
        def __init__(self, device: torch.device) -> None: ...

        def __enter__(self) -> None: ...

        def __exit__(self, *args: object) -> None: ...

    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or native

    monkeypatch.setattr(torch.cuda, "device", NoDevice)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert choose_precision(torch.device("cuda", 0)) == expected


def test_other_devices_keep_float32() -> None:
    assert choose_precision(torch.device("mps")) == "32-true"


def test_slow_depthwise_layers_run_in_float32_on_a_processor(monkeypatch):
    monkeypatch.setattr(precision, "choose_precision", lambda device: "bf16-mixed")
    model = nn.Sequential(
        nn.Conv2d(4, 4, 5, padding=2, groups=4),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 5, padding=2),
        nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=4),
        nn.Conv2d(4, 4, 3, stride=2, padding=1),
    )
    names = list(model.state_dict())
    plugin = AutoPrecision()
    plugin.connect(model, [], [])
    plugin.connect(model, [], [])
    seen = []
    for layer in model:
        layer.register_forward_hook(lambda layer, inputs, output: seen.append(output.dtype))
    value = torch.randn(1, 4, 8, 8)
    with plugin.forward_context():
        output = model(value)
    output.float().sum().backward()
    full, half = torch.float32, torch.bfloat16
    assert seen == [full, half, half, full, half]
    assert list(model.state_dict()) == names
    # A copy runs its own weights, not those of the original.
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin[0].weight.zero_()
        twin[0].bias.zero_()
    assert not twin[0](value).any()
    assert model[0](value).any()
