"""Properties that every backbone has."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_pose.backbones import (
    Backbone,
    DeconvolutionBackbone,
    FullyConvolutionalBackbone,
    Hourglass,
    SMPBackbone,
    UNet,
    ViT,
)
from lightning_pose.errors import InputError
from lightning_pose.features import Features, MapSpec

OPTIONS = {"decoder_pyramid_channels": 8, "decoder_segmentation_channels": 32}

# Each backbone in a narrow variant, with the strides of its dense and deep maps.
TINY = {
    "UNet": (lambda: UNet(width=2), 1, 16),
    "SMPBackbone": (lambda: SMPBackbone("FPN", "tu-mobilenetv3_small_050", options=OPTIONS), 4, 32),
    "HRNet": (
        lambda: SMPBackbone(
            "Segformer", "tu-hrnet_w18_small", options={"decoder_segmentation_channels": 8}
        ),
        4,
        32,
    ),
    "DeconvolutionBackbone": (lambda: DeconvolutionBackbone("test_resnet", [8, 8, 8]), 4, 32),
    "FullyConvolutionalBackbone": (
        lambda: FullyConvolutionalBackbone("test_resnet", [8, 8, 8]),
        4,
        32,
    ),
    "Hourglass": (lambda: Hourglass(stacks=3, channels=8, depth=3), 4, 32),
    "ViT": (lambda: ViT("test_vit", [8, 8]), 4, 16),
}


def tiny(name: str) -> Backbone:
    torch.manual_seed(0)
    return TINY[name][0]()


class Pooling(Backbone):
    """A backbone of a single pooling layer, whose last cells may be cut, as the contract allows."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, image: Tensor) -> Features:
        cells = F.avg_pool2d(image, (self.rows, self.columns), ceil_mode=True) * self.scale
        return Features(dense=cells, deep=cells)


@pytest.mark.parametrize("name", list(TINY))
@pytest.mark.parametrize("size", [(64, 64), (65, 97), (40, 33)])
def test_measure_tells_what_forward_gives(name: str, size: tuple[int, int]) -> None:
    backbone = tiny(name).eval()
    spec = backbone.measure(size)
    features = backbone(torch.rand(2, 3, *size))
    specs = (spec.dense, spec.deep, *spec.aux)
    for map_spec, feature_map in zip(specs, features.maps, strict=True):
        cells = [-(-side // map_spec.stride) for side in size]
        assert [map_spec.height, map_spec.width] == cells
        assert list(feature_map.shape) == [2, map_spec.channels, *cells]
    assert (spec.dense.stride, spec.deep.stride) == TINY[name][1:]
    assert all(earlier.stride == spec.dense.stride for earlier in spec.aux)


@pytest.mark.parametrize("name", list(TINY))
def test_measure_changes_nothing(name: str) -> None:
    backbone = tiny(name).train()
    frozen = next(module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d))
    frozen.eval()
    modes = [module.training for module in backbone.modules()]
    state = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone.measure((64, 64))
    assert [module.training for module in backbone.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in backbone.state_dict().items())
    assert all(parameter.grad is None for parameter in backbone.parameters())


@pytest.mark.parametrize("name", list(TINY))
def test_evaluation_is_deterministic_and_by_picture(name: str) -> None:
    # In float64, because convolutions round differently for other sizes of a batch.
    backbone = tiny(name).eval().double()
    pictures = torch.rand(2, 3, 48, 64, dtype=torch.float64)
    both, first = backbone(pictures), backbone(pictures[:1])
    again = backbone(pictures)
    assert torch.equal(both.dense, again.dense)
    torch.testing.assert_close(both.dense[:1], first.dense)
    torch.testing.assert_close(both.deep[:1], first.deep)


@pytest.mark.parametrize("name", list(TINY))
def test_padding_is_at_the_right_and_below_only(name: str) -> None:
    # To the network, an image of odd size and the same image with a border of 0 on the right and
    # bottom are the same; with a border on the left or top they would not be.
    backbone = tiny(name).eval()
    picture = torch.rand(1, 3, 50, 70)
    multiple = TINY[name][2]
    border = (0, -70 % multiple, 0, -50 % multiple)
    cut, whole = backbone(picture), backbone(F.pad(picture, border))
    for one, other in zip(cut.maps, whole.maps, strict=True):
        rows, columns = one.shape[-2:]
        assert other.shape[-1] >= columns
        torch.testing.assert_close(one, other[..., :rows, :columns])


@pytest.mark.parametrize("name", list(TINY))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_reach_every_parameter(name: str, dtype: torch.dtype) -> None:
    backbone = tiny(name).train()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        features = backbone(torch.rand(2, 3, 64, 64))
        sum(value.float().square().mean() for value in features.maps).backward()
    for key, parameter in backbone.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize("stride", [1, 4, 32])
@pytest.mark.parametrize("size", [(64, 48), (33, 100), (7, 5)])
def test_stride_of_maps_whose_last_cells_are_cut(stride: int, size: tuple[int, int]) -> None:
    cells = [-(-side // stride) for side in size]
    assert Pooling(stride, stride).measure(size).dense == MapSpec(3, stride, *cells)


@pytest.mark.parametrize("strides", [(4, 8), (3, 3)])
def test_maps_without_one_whole_stride_are_refused(strides: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="one whole stride"):
        Pooling(*strides).measure((64, 64))
