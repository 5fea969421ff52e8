import pytest
import torch

from lightning_pose.heads import MaskHead
from tests.heads.labels import build, make_labels, perfect_output


@pytest.mark.parametrize(("size", "stride"), [((48, 64), 2), ((33, 49), 4), ((65, 71), 8)])
def test_a_perfect_output_decodes_to_a_straight_edge(size, stride):
    head, batch = build(MaskHead(), size, stride), make_labels(size)
    # The person is everything from a cell's border to the right; the edge is found there again.
    edge = 3 * stride
    batch.mask[:] = (torch.arange(size[1]) >= edge).to(torch.int8)
    shape = torch.Size((3, 2, -(-size[0] // stride), -(-size[1] // stride)))
    mask = head.decode(perfect_output(head, batch, shape), size).mask
    assert mask.shape == (3, *size)
    assert torch.equal(mask > 0.5, batch.mask == 1)


def test_the_softmax_of_two_channels():
    head = build(MaskHead(), (4, 4), stride=1)
    output = torch.randn(2, 2, 4, 4)
    torch.testing.assert_close(head.decode(output, (4, 4)).mask, output.softmax(dim=1)[:, 1])


def test_a_picture_weighs_the_same_whatever_the_size_of_its_person():
    size = (64, 64)
    head, batch = build(MaskHead(), size), make_labels(size, count=2)
    batch.mask.zero_()
    batch.mask[0, :, :32] = 1
    batch.mask[1, 24:40, 24:40] = 1
    shape = torch.Size((2, 2, 16, 16))
    target = head.encode(batch, shape)
    perfect = perfect_output(head, batch, shape)
    wrong = -perfect
    first = head.loss(torch.stack((wrong[0], perfect[1])), target)
    second = head.loss(torch.stack((perfect[0], wrong[1])), target)
    assert float(first) == pytest.approx(0.5, abs=0.01)
    assert float(second) == pytest.approx(0.5, abs=0.01)
