"""The harmonic U-Net: its levels, its size, and features that rotate with the image."""

from unittest.mock import Mock

import pytest
import torch
from torch.nn import functional as F

from lightning_pose.backbones import HarmonicUNet, UNet
from lightning_pose.backbones.harmonic import magnitudes
from lightning_pose.errors import ConfigError
from tests.backbones.rotation import blobs, difference, rotated


def test_full_width_has_32_and_32_maps_where_the_u_net_has_64() -> None:
    with torch.device("meta"):
        network, plain = HarmonicUNet(), UNet()
    for ours, theirs in ((network.down, plain.down), (network.up, plain.up)):
        widths = [level[1].norm.num_features for level in ours]
        assert widths == [level[0].out_channels for level in theirs]


def test_number_of_parameters() -> None:
    # Counted by hand. Two of the four filters between a pair of maps have three numbers in their
    # profile and two have two, and each has a phase; the batch norm has two numbers per magnitude.
    def convolution(before: int, after: int) -> int:
        return (2 * 4 + 2 * 3) * before * after + 4 * after

    def level(before: int, after: int) -> int:
        return convolution(before, after) + convolution(after, after)

    # The image has order 0 alone: one filter to each order.
    image = (4 + 3) * 3 * 2 + 4 * 2 + convolution(2, 2)
    expected = (
        image + level(2, 4) + level(4, 8) + level(8, 16) + level(16, 32)
        + level(48, 16) + level(24, 8) + level(12, 4) + level(6, 2)
    )  # fmt: skip
    network = HarmonicUNet(width=4)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize("size", [(1, 1), (17, 50), (48, 32)])
def test_any_size(size: tuple[int, int]) -> None:
    features = HarmonicUNet(width=2).eval()(torch.rand(2, 3, *size))
    assert features.dense.shape == (2, 2, *size)
    assert features.deep.shape == (2, 32, -(-size[0] // 16), -(-size[1] // 16))
    assert features.aux == ()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_of_the_image_rotate_the_features_exactly(quarters: int) -> None:
    image = torch.rand(1, 3, 64, 48, dtype=torch.float64)
    turned = image.rot90(quarters, dims=(2, 3))
    for kind, rotates in ((HarmonicUNet, True), (UNet, False)):
        network = kind(width=8, dropout=0.0).double()
        before, after = network(image), network(turned)
        for one, other in ((before.dense, after.dense), (before.deep, after.deep)):
            expected = one.rot90(quarters, dims=(2, 3))
            assert one.std() > 0
            assert torch.allclose(other, expected, rtol=1e-9, atol=1e-9) == rotates


def test_other_turns_rotate_the_full_map_roughly_and_that_of_a_u_net_much_less() -> None:
    found = {}
    for name, kind in (("harmonic", HarmonicUNet), ("plain", UNet)):
        torch.manual_seed(0)
        # In training mode, in which new weights are normalised.
        settings = {"batch_norm": True} if kind is UNet else {}
        network = kind(width=16, dropout=0.0, **settings).double()
        with torch.no_grad():
            before, after = network(blobs(0.0)), network(blobs(30.0))
        found[name] = [
            difference(rotated(one, 30.0), other)
            for one, other in ((before.dense, after.dense), (before.deep, after.deep))
        ]
    assert found["harmonic"][0] < 0.3 < 0.6 < found["plain"][0]


def test_maps_grow_bilinearly_on_the_way_up(monkeypatch: pytest.MonkeyPatch) -> None:
    enlarge = Mock(wraps=F.interpolate)
    monkeypatch.setattr(F, "interpolate", enlarge)
    HarmonicUNet(width=2)(torch.rand(2, 3, 32, 32))
    settings = [call.kwargs for call in enlarge.call_args_list]
    assert settings == [{"scale_factor": 2, "mode": "bilinear"}] * 4


def test_dropout_leaves_out_single_complex_numbers_at_its_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    enlarge = Mock(wraps=F.interpolate)
    monkeypatch.setattr(F, "interpolate", enlarge)
    deep = HarmonicUNet(width=4, dropout=0.75).train()(torch.rand(2, 3, 128, 128)).deep
    # The magnitude of 0 is 0.01, see `magnitudes`.
    (dropped,) = enlarge.call_args_list[0].args
    before, after = ((value.square() - 1e-4) for value in (deep, magnitudes(dropped)))
    present, kept = before > 1e-3, after > 1e-3
    assert 0.2 < kept.sum() / present.sum() < 0.3
    torch.testing.assert_close(after[kept], 4**2 * before[kept], rtol=1e-4, atol=1e-4)
    assert (kept.any(dim=(2, 3)) & (present & ~kept).any(dim=(2, 3))).any(), "and not whole maps"


def test_training_keeps_what_rotates() -> None:
    torch.manual_seed(0)
    network = HarmonicUNet(width=4, dropout=0.0).double()
    image = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (network(image).dense[:, 0] - image[:, 0]).square().mean().backward()
        optimizer.step()
    network.eval()
    dense, turned = (network(each).dense for each in (image, image.rot90(1, dims=(2, 3))))
    torch.testing.assert_close(turned, dense.rot90(1, dims=(2, 3)))


def test_dropout_leaves_out_whole_complex_numbers_before_the_way_up_only() -> None:
    torch.manual_seed(0)
    network = HarmonicUNet(width=2, dropout=0.5).train()
    image = torch.rand(2, 3, 32, 32)
    seen = []
    network.up[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    first, second = network(image), network(image)
    assert torch.equal(first.deep, second.deep)
    assert not torch.equal(first.dense, second.dense)
    # The channels from below come after those of the skip, in each of the four parts.
    parts = [part[:, 8:] == 0 for part in seen[0].chunk(4, dim=1)]
    assert torch.equal(parts[0], parts[2])
    assert torch.equal(parts[1], parts[3])
    assert not torch.equal(parts[0], parts[1])
    still = HarmonicUNet(width=2, dropout=0.0).train()
    assert torch.equal(still(image).dense, still(image).dense)


def test_initial_weights_keep_the_signal() -> None:
    torch.manual_seed(0)
    features = HarmonicUNet(width=8).train()(torch.randn(2, 3, 64, 64))
    assert 0.1 < features.deep.std() < 10
    assert 0.1 < features.dense.std() < 10


@pytest.mark.parametrize(
    "arguments", [{"width": 0}, {"width": 5}, {"dropout": 1.0}, {"dropout": -0.1}]
)
def test_bad_settings_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        HarmonicUNet(**arguments)
