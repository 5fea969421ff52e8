"""Exchanging the layers of batch norm changes nothing but whose statistics they use."""

import pytest
import torch
from pytorch_lightning.plugins.layer_sync import TorchSyncBatchNorm
from torch import nn

from lightning_pose.backbones import SMPBackbone, UNet
from lightning_pose.heads import HeatmapHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from lightning_pose.sync_batch_norm import TimmSyncBatchNorm

BACKBONES = {
    "timm": lambda: SMPBackbone("FPN", "tu-regnetx_002"),
    "own": lambda: UNet(width=4),
}


def make(backbone: str) -> PoseModule:
    torch.manual_seed(0)
    model = PoseModule(
        BACKBONES[backbone](), {"heatmap": HeatmapHead()}, LSP14, InputSpec((64, 64))
    )
    for _ in range(3):  # Statistics of their own.
        model.network(torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8))
    return model.eval()


def outputs(model: PoseModule) -> torch.Tensor:
    images = torch.randint(
        256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    with torch.no_grad():
        return model.network(images)["heatmap"]


@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_a_network_computes_the_same_with_exchanged_layers(backbone: str) -> None:
    model, sync = make(backbone), TimmSyncBatchNorm()
    before, names = outputs(model), list(model.state_dict())
    kinds = [type(layer) for layer in model.modules()]
    model = sync.apply(model)
    assert any(isinstance(layer, nn.SyncBatchNorm) for layer in model.modules())
    torch.testing.assert_close(outputs(model), before)
    assert list(model.state_dict()) == names
    # What is trained meanwhile stays.
    with torch.no_grad():
        for number in model.state_dict().values():
            number.add_(number / 10 if number.is_floating_point() else 1)
    changed = outputs(model)
    model = sync.revert(model)
    assert [type(layer) for layer in model.modules()] == kinds
    assert not any(layer.training for layer in model.modules())
    torch.testing.assert_close(outputs(model), changed)
    assert not torch.equal(changed, before)


def test_the_conversion_of_pytorch_loses_activations() -> None:
    """Why there is one of our own; once this fails, it can go."""
    model = make("timm")
    before = outputs(model)
    assert (outputs(TorchSyncBatchNorm().apply(model)) - before).abs().max() > 1e-3
