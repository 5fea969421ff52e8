"""The U-Net: its levels, its size, and where its cells lie."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_pose.backbones import UNet
from lightning_pose.errors import InputError
from tests.backbones.written_out import close, max_pool, normalise, randomise, relu


def test_full_width_has_64_to_1024_channels() -> None:
    with torch.device("meta"):
        unet = UNet()
    down = [level[0].out_channels for level in unet.down]
    up = [level[0].out_channels for level in unet.up]
    assert down == [64, 128, 256, 512, 1024]
    assert up == [512, 256, 128, 64]
    assert not any(isinstance(module, nn.ConvTranspose2d) for module in unet.modules())


@pytest.mark.parametrize("batch_norm", [True, False])
def test_number_of_parameters(batch_norm: bool) -> None:
    # Counted by hand: a level of two 3x3 convolutions, each with two numbers per channel for the
    # batch norm or one for the bias.
    def level(before: int, after: int) -> int:
        return 9 * (before + after) * after + 2 * after * (2 if batch_norm else 1)

    expected = (
        level(3, 4) + level(4, 8) + level(8, 16) + level(16, 32) + level(32, 64)
        + level(96, 32) + level(48, 16) + level(24, 8) + level(12, 4)
    )  # fmt: skip
    unet = UNet(width=4, batch_norm=batch_norm)
    assert sum(parameter.numel() for parameter in unet.parameters()) == expected


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("upsampling", ["bilinear", "nearest"])
def test_it_computes_what_its_operations_written_out_compute(
    upsampling: str, batch_norm: bool
) -> None:
    unet = randomise(UNet(width=2, upsampling=upsampling, batch_norm=batch_norm))

    def level(x: Tensor, layers: nn.Sequential) -> Tensor:
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
        for number, convolution in enumerate(convolutions):
            x = F.conv2d(x, convolution.weight, convolution.bias, padding=1)
            x = relu(normalise(x, norms[number]) if batch_norm else x)
        return x

    x = image = torch.randn(2, 3, 32, 16)
    skips = []
    for number, layers in enumerate(unet.down):
        x = level(x if number == 0 else max_pool(x), layers)
        skips.append(x)
    deep = skips.pop()
    for layers in unet.up:
        x = F.interpolate(x, scale_factor=2, mode=upsampling)
        x = level(torch.cat((skips.pop(), x), dim=1), layers)
    features = unet(image)
    close(features.dense, x)
    close(features.deep, deep)


@pytest.mark.parametrize("upsampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(1, 1), (17, 50), (48, 32)])
def test_any_size(upsampling: str, size: tuple[int, int]) -> None:
    features = UNet(width=2, upsampling=upsampling).eval()(torch.rand(2, 3, *size))
    assert features.dense.shape == (2, 2, *size)
    assert features.deep.shape == (2, 32, -(-size[0] // 16), -(-size[1] // 16))
    assert features.aux == ()


@pytest.mark.parametrize("upsampling", ["bilinear", "nearest"])
def test_a_shift_by_a_whole_cell_shifts_the_features(upsampling: str) -> None:
    torch.manual_seed(0)
    unet = UNet(width=2, upsampling=upsampling).eval().double()
    # The receptive field of the bottom reaches 70 px to each side, that of the full map 140.
    picture = torch.zeros(1, 3, 416, 416, dtype=torch.float64)
    picture[..., 200:216, 200:216] = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    before, after = unet(picture), unet(picture.roll((16, 32), dims=(2, 3)))
    inner = (slice(None), slice(None), slice(180, 250), slice(180, 250))
    assert before.dense[inner].std() > 0
    assert_close = torch.testing.assert_close
    assert_close(after.dense.roll((-16, -32), dims=(2, 3))[inner], before.dense[inner])
    inner = (slice(None), slice(None), slice(11, 15), slice(11, 15))
    assert_close(after.deep.roll((-1, -2), dims=(2, 3))[inner], before.deep[inner])


@pytest.mark.parametrize("upsampling", ["bilinear", "nearest"])
def test_a_mirrored_network_gives_mirrored_features(upsampling: str) -> None:
    # A network with mirrored kernels must give mirrored maps for a mirrored image: maps that are
    # off by half a cell to one side would not match.
    torch.manual_seed(0)
    unet = UNet(width=2, upsampling=upsampling).eval().double()
    picture = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    before = unet(picture)
    for module in unet.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.flip(3)
    after = unet(picture.flip(3))
    torch.testing.assert_close(after.dense.flip(3), before.dense)
    torch.testing.assert_close(after.deep.flip(3), before.deep)


def test_up_sampling_keeps_to_the_grid() -> None:
    # With all convolutions reduced to the identity, the map of the second level is resized to full
    # size as by align_corners=False.
    unet = UNet(width=1, batch_norm=False).eval()
    for module in unet.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    with torch.no_grad():
        for level in unet.down:
            for convolution in (level[0], level[2]):
                convolution.weight[0, 0, 1, 1] = 1
        for level in unet.up:
            # The first channel of the map from below, after those of the skip.
            skip = level[0].in_channels // 3
            level[0].weight[0, skip, 1, 1] = 1
            level[2].weight[0, 0, 1, 1] = 1
    picture = torch.rand(1, 3, 64, 64)
    expected = F.max_pool2d(picture[:, :1], 16)
    for _ in range(4):
        expected = F.interpolate(expected, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(unet(picture).dense, expected)


def test_dropout_acts_in_training_between_down_and_up_only() -> None:
    torch.manual_seed(0)
    unet = UNet(width=2, dropout=0.5, batch_norm=False).train()
    picture = torch.rand(1, 3, 32, 32)
    first, second = unet(picture), unet(picture)
    assert torch.equal(first.deep, second.deep)
    assert not torch.equal(first.dense, second.dense)
    still = UNet(width=2, dropout=0.0, batch_norm=False).train()
    assert torch.equal(still(picture).dense, still(picture).dense)


def test_dropout_leaves_out_single_numbers_at_its_rate() -> None:
    torch.manual_seed(0)
    unet = UNet(width=4, upsampling="nearest", dropout=0.75, batch_norm=False).train()
    seen = []
    unet.up[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    deep = unet(torch.rand(2, 3, 128, 128)).deep
    dropped = seen[0][:, -deep.shape[1] :, ::2, ::2]  # Beside the skip, and twice as large.
    present, kept = deep != 0, dropped != 0
    assert 0.2 < kept.sum() / present.sum() < 0.3
    torch.testing.assert_close(dropped[kept], 4 * deep[kept])
    lost = present & ~kept
    assert (kept.any(dim=(2, 3)) & lost.any(dim=(2, 3))).any(), "and not whole channels"


@pytest.mark.parametrize("batch_norm", [True, False])
def test_initial_weights_keep_the_signal(batch_norm: bool) -> None:
    torch.manual_seed(0)
    features = UNet(width=8, batch_norm=batch_norm).train()(torch.randn(2, 3, 64, 64))
    assert 0.1 < features.deep.std() < 10
    assert 0.1 < features.dense.std() < 10


@pytest.mark.parametrize("arguments", [{"width": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_bad_settings_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(InputError, match="Expected"):
        UNet(**arguments)
