"""The stacked hourglass: its size, its levels, its stages, and where its cells lie."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_pose.backbones import Hourglass
from lightning_pose.backbones.hourglass import _OneHourglass
from lightning_pose.errors import ConfigError
from tests.backbones.written_out import close, max_pool, normalise, randomise, relu


def residual(x: Tensor, layer: nn.Module) -> Tensor:
    """A residual block written out: batch norm and ReLU come before each convolution."""
    shortcut = x if isinstance(layer.shortcut, nn.Identity) else layer.shortcut(x)
    for number, padding in ((0, 0), (3, 1), (6, 0)):
        x = relu(normalise(x, layer.layers[number]))
        x = F.conv2d(x, layer.layers[number + 2].weight, padding=padding)
    return shortcut + x


def test_it_computes_what_its_operations_written_out_compute() -> None:
    backbone = randomise(Hourglass(stacks=2, channels=8, depth=1))
    stem, image = backbone.stem, torch.randn(2, 3, 32, 24)
    x = relu(normalise(F.conv2d(image, stem[0].weight, stride=2, padding=3), stem[1]))
    x = residual(residual(max_pool(residual(x, stem[3])), stem[5]), stem[6])
    maps = []
    for stack in range(2):
        hourglass, output = backbone.hourglasses[stack], backbone.outputs[stack]
        deep = residual(residual(max_pool(x), hourglass.down[0]), hourglass.bottom)
        up = residual(deep, hourglass.up[0]).repeat_interleave(2, 2).repeat_interleave(2, 3)
        inner = residual(up + residual(x, hourglass.across[0]), output[0])
        maps.append(relu(normalise(F.conv2d(inner, output[1].weight), output[2])))
        if stack == 0:
            x = x + backbone.remaps[0](maps[0])
    features = backbone(image)
    close(features.aux[0], maps[0])
    close(features.dense, maps[1])
    close(features.deep, deep)


@pytest.mark.parametrize(("stacks", "channels", "depth"), [(8, 256, 4), (2, 64, 3)])
def test_number_of_parameters(stacks: int, channels: int, depth: int) -> None:
    # Counted by hand; batch norm has two numbers per channel.
    def residual(before: int, after: int) -> int:
        half = after // 2
        convolutions = before * half + 9 * half * half + half * after
        shortcut = 0 if before == after else before * after
        return convolutions + shortcut + 2 * (before + half + half)

    whole, half, quarter = channels, channels // 2, channels // 4
    stem = 7 * 7 * 3 * quarter + 2 * quarter
    stem += residual(quarter, half) + residual(half, half) + residual(half, whole)
    same = residual(whole, whole)
    stack = (3 * depth + 1) * same + same + whole * whole + 2 * whole
    remap = whole * whole + whole
    with torch.device("meta"):
        backbone = Hourglass(stacks, channels, depth)
    expected = stem + stacks * stack + (stacks - 1) * remap
    assert sum(parameter.numel() for parameter in backbone.parameters()) == expected


@pytest.mark.parametrize(("size", "depth"), [((1, 1), 2), ((65, 100), 4), ((96, 64), 1)])
def test_any_size(size: tuple[int, int], depth: int) -> None:
    features = Hourglass(3, 8, depth).eval()(torch.rand(2, 3, *size))
    cells = [-(-side // 4) for side in size]
    assert features.dense.shape == (2, 8, *cells)
    assert [value.shape for value in features.aux] == [(2, 8, *cells)] * 2
    assert features.deep.shape == (2, 8, *(-(-side // (4 * 2**depth)) for side in size))


def test_an_hourglass_is_the_recursion_of_the_paper() -> None:
    torch.manual_seed(0)
    hourglass = _OneHourglass(4, depth=3).eval()
    x = torch.rand(1, 4, 16, 24)

    def recurse(x: Tensor, level: int) -> Tensor:
        if level == 3:
            return hourglass.bottom(x)
        low = recurse(hourglass.down[level](F.max_pool2d(x, 2)), level + 1)
        up = hourglass.up[2 - level](low).repeat_interleave(2, 2).repeat_interleave(2, 3)
        return hourglass.across[level](x) + up

    whole, bottom = hourglass(x)
    torch.testing.assert_close(whole, recurse(x, 0))
    assert bottom.shape == (1, 4, 2, 3)


def test_mirrored_kernels_give_mirrored_maps() -> None:
    torch.manual_seed(0)
    hourglass = _OneHourglass(4, depth=2).eval().double()
    x = torch.rand(1, 4, 16, 24, dtype=torch.float64)
    before = hourglass(x)
    for layer in hourglass.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.flip(3)
    for one, other in zip(hourglass(x.flip(3)), before, strict=True):
        torch.testing.assert_close(one.flip(3), other)


def test_each_stage_starts_from_the_one_before() -> None:
    torch.manual_seed(0)
    backbone = Hourglass(3, 8, 2).eval()
    image = torch.rand(1, 3, 32, 32)
    before = backbone(image)
    with torch.no_grad():
        for parameter in backbone.remaps[1].parameters():
            parameter.add_(1)
    after = backbone(image)
    assert all(torch.equal(a, b) for a, b in zip(before.aux, after.aux, strict=True))
    assert not torch.allclose(before.dense, after.dense)
    assert not torch.allclose(before.deep, after.deep)


def test_a_stage_adds_the_map_of_the_one_before_to_its_input() -> None:
    torch.manual_seed(0)
    backbone = Hourglass(2, 8, 2).eval()
    image = torch.rand(1, 3, 32, 32)
    stem = backbone.stem(image)
    first = backbone.outputs[0](backbone.hourglasses[0](stem)[0])
    second = backbone.hourglasses[1](stem + backbone.remaps[0](first))
    found = backbone(image)
    torch.testing.assert_close(found.aux[0], first)
    torch.testing.assert_close(found.dense, backbone.outputs[1](second[0]))
    torch.testing.assert_close(found.deep, second[1])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"stacks": 0}, r"Hourglass\.stacks from 1 to 100, found 0"),
        ({"depth": 5}, r"Hourglass\.depth from 1 to 4, found 5"),
        ({"depth": 0}, r"Hourglass\.depth from 1 to 4, found 0"),
        ({"channels": 7}, r"Hourglass\.channels as an even number above 0, found 7"),
        ({"channels": 0}, r"Hourglass\.channels as an even number above 0, found 0"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, int], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Hourglass(**settings)
