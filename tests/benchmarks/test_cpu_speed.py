"""The trainings whose speed is compared are the same but for what is compared."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import cpu_speed


@pytest.fixture(scope="module")
def ways():
    return cpu_speed.ways_of("test_resnet", 32, 2, (False,))


def test_every_way_trains_the_same_network_on_the_same_people(ways):
    assert [way.names[:2] for way in ways] == [
        ("float32", "channels first"),
        ("float32", "channels last"),
        ("bfloat16", "channels first"),
        ("bfloat16", "channels last"),
    ]
    reference = ways[0].training
    for way in ways:
        for name, value in way.training.network.state_dict().items():
            assert torch.equal(value, reference.network.state_dict()[name]), name
    losses = [way.training.step() for way in ways]
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(torch.stack(losses[2:]), losses[0].expand(2), rtol=0.05, atol=0)


def test_weights_images_and_maps_have_the_memory_layout_that_is_named(ways):
    for way in ways:
        layout = torch.channels_last
        if way.names[1] == "channels first":
            layout = torch.contiguous_format
        training = way.training
        assert training.batch.image.is_contiguous(memory_format=layout)
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        layers = [one for one in training.network.modules() if isinstance(one, kinds)]
        assert len(layers) > 5
        assert all(one.weight.is_contiguous(memory_format=layout) for one in layers)
        features = training.network.features(training.batch.image)
        assert features.dense.is_contiguous(memory_format=layout)


def test_the_operations_are_those_of_forward_and_backward(ways):
    # One layer of known size: each of 2 x 8 x 8 outputs of 4 channels sums 3 x 9 products.
    layer = nn.Conv2d(3, 4, 3, padding=1)

    class Step:
        def step(self):
            layer(torch.ones(2, 3, 8, 8, requires_grad=True)).sum().backward()

    forward = 2 * 2 * 8 * 8 * 4 * 3 * 9
    assert cpu_speed.operations(Step()) == 3 * forward
    assert cpu_speed.operations(ways[0].training) > 0


def test_every_network_is_compiled_for_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def note(network: nn.Module, **options: object) -> nn.Module:
        asked.append(options)
        return network

    monkeypatch.setattr(torch, "compile", note)
    cpu_speed.ways_of("test_resnet", 32, 2, (True,))
    assert asked == [{"dynamic": False}] * 4


def test_a_compiled_way_runs_the_compiled_network():
    # Nothing is compiled before the first step.
    for way in cpu_speed.ways_of("test_resnet", 32, 2, (True,)):
        assert way.names[2] == "compiled"
        assert isinstance(way.training.forward, torch._dynamo.OptimizedModule)
        assert way.training.forward._orig_mod is way.training.network
