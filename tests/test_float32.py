"""Layers that keep single precision under autocast."""

import pytest
import torch

from lightning_pose.float32 import in_float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, value = torch.nn.Conv2d(3, 2, 1), torch.randn(2, 3, 5, 5)
    expected = layer(value)
    with torch.autocast("cpu", dtype):
        found = in_float32(layer, value)
        assert layer(value).dtype == dtype
        assert torch.is_autocast_enabled("cpu")
    assert torch.equal(found, expected)


def test_a_half_input_is_taken_as_it_is_and_gets_its_gradient() -> None:
    layer = torch.nn.Linear(3, 1)
    value = torch.randn(2, 3).bfloat16().requires_grad_()
    in_float32(layer, value).sum().backward()
    assert value.grad.dtype == torch.bfloat16
    assert torch.equal(value.grad, layer.weight.detach().expand(2, 3).bfloat16())
