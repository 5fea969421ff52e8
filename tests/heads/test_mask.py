import pytest
import torch

from lightning_pose.errors import ConfigError
from lightning_pose.features import Features
from lightning_pose.heads import MaskHead
from tests.heads.labels import build, make_features, make_labels, perfect_output


@pytest.mark.parametrize(("size", "stride"), [((48, 64), 2), ((33, 49), 4), ((65, 71), 8)])
def test_a_perfect_output_decodes_to_a_straight_edge(size, stride):
    head, batch = build(MaskHead(), size, stride), make_labels(size)
    # The person is everything to the right of a cell's border; decoding finds the edge there.
    edge = 3 * stride
    batch.mask[:] = (torch.arange(size[1]) >= edge).to(torch.int8)
    output = head(make_features(size, 3, stride))
    mask = head.decode(perfect_output(head, batch, output), size).mask
    assert mask.shape == (3, *size)
    assert torch.equal(mask > 0.5, batch.mask == 1)


@pytest.mark.parametrize(("stride", "expected"), [(1, 1), (2, 2), (4, 2), (8, 2)])
def test_a_coarse_map_is_refined_and_a_fine_one_stays(stride, expected):
    size = (33, 50)
    head, batch = build(MaskHead(max_stride=2), size, stride), make_labels(size)
    output = head(make_features(size, 3, stride))
    assert head.stride == expected
    assert output.shape == (3, 2, *(-(-side // stride) * stride // expected for side in size))
    assert head.encode(batch, output).value.shape == output[:, 0].shape
    assert head.decode(output, size).mask.shape == (3, *size)


def test_the_cells_of_a_refined_map_lie_where_their_pixels_are():
    head = build(MaskHead(max_stride=2), (16, 16), stride=4, channels=1)
    with torch.no_grad():
        head.layer.weight.zero_()
        # Channels of the person: upper left, upper right, lower left, lower right of each cell.
        head.layer.bias.copy_(torch.tensor([0, 0, 0, 0, -9, 9, -9, -9]))
    features = Features(*[torch.ones(1, 1, 4, 4)] * 2)
    mask = head.decode(head(features), (16, 16)).mask[0] > 0.5
    assert not mask[2:].any(dim=1)[::4].any()
    assert mask[:2, 2:4].all()
    assert mask[4:6, 6:8].all()
    assert not mask[:, 0].any()


def test_a_convolution_sees_the_cells_around():
    size = (32, 32)
    for head, reaches in ((MaskHead(), 0), (MaskHead(channels=4), 1)):
        build(head, size).eval()
        maps = torch.randn(1, 8, 8, 8, requires_grad=True)
        head(Features(maps, maps))[0, 1, 4, 4].backward()
        rows, columns = maps.grad[0].abs().sum(dim=0).nonzero().unbind(dim=1)
        assert (rows - 4).abs().max() == (columns - 4).abs().max() == reaches


@pytest.mark.parametrize("settings", [{"channels": 0}, {"max_stride": 0}])
def test_settings_below_one_are_refused(settings):
    with pytest.raises(ConfigError, match="1 or more, found 0"):
        MaskHead(**settings)


def test_a_stride_that_does_not_divide_the_maps_is_refused():
    with pytest.raises(ConfigError, match="stride of 4 pixels, found 3"):
        build(MaskHead(max_stride=3), (16, 16), stride=4)


def test_the_softmax_of_two_channels():
    head = build(MaskHead(), (16, 16), stride=1)
    output = torch.randn(2, 2, 16, 16)
    torch.testing.assert_close(head.decode(output, (16, 16)).mask, output.softmax(dim=1)[:, 1])


def test_an_image_weighs_the_same_whatever_the_size_of_its_person():
    size = (64, 64)
    head, batch = build(MaskHead(), size), make_labels(size, count=2)
    batch.mask.zero_()
    batch.mask[0, :, :32] = 1
    batch.mask[1, 24:40, 24:40] = 1
    output = torch.zeros(2, 2, 16, 16)
    target = head.encode(batch, output)
    perfect = perfect_output(head, batch, output)
    wrong = -perfect
    first = head.loss(torch.stack((wrong[0], perfect[1])), target).mean()
    second = head.loss(torch.stack((perfect[0], wrong[1])), target).mean()
    assert float(first) == pytest.approx(0.5, abs=0.01)
    assert float(second) == pytest.approx(0.5, abs=0.01)


def test_the_convolution_ends_in_a_relu():
    head = build(MaskHead(channels=4), (32, 32))
    found = head.stem(make_features((32, 32), 2).dense)
    assert (found >= 0).all()
    assert (found == 0).any()
    assert (found > 0).any()


def test_channels_in_half_precision_are_subtracted_in_single_precision():
    head = build(MaskHead(), (32, 32))
    output = torch.randn(2, 2, 8, 8).bfloat16()
    found, expected = (head.decode(one, (32, 32)).mask for one in (output, output.float()))
    assert torch.equal(found, expected)
