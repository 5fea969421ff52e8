import numpy as np
import pytest
import scipy.ndimage
import torch

from lightning_pose.codecs import encode_shared_heatmap


def random_points(count, joints, shape):
    points = torch.rand(count, joints, 2) * torch.tensor([shape[1], shape[0]]) - 0.5
    return points, torch.rand(count, joints) < 0.7


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_it_is_ones_at_the_joints_filtered_and_normalised(sigma):
    points, labelled = random_points(4, 14, (20, 31))
    found = encode_shared_heatmap(points, labelled, (20, 31), sigma)
    assert found.shape == (4, 1, 20, 31)
    for person in range(4):
        ones = np.zeros((20, 31))
        for (x, y), known in zip(points[person].numpy(), labelled[person], strict=True):
            if known:
                ones[round(float(y)), round(float(x))] = 1
        # Far enough that nothing is cut off.
        filtered = scipy.ndimage.gaussian_filter(ones, sigma, mode="constant", truncate=12)
        np.testing.assert_allclose(found[person, 0], filtered / filtered.max(), atol=1e-5)


def test_joints_in_one_cell_count_once_and_neighbours_add_up():
    points = torch.tensor(
        [[[5.2, 5.0], [4.8, 5.1], [15.0, 5.0]], [[5.0, 5.0], [6.0, 5.0], [15, 5]]]
    )
    found = encode_shared_heatmap(points, torch.ones(2, 3).bool(), (11, 21), sigma=1.0)
    together, beside = found[:, 0, 5, 5].tolist(), found[:, 0, 5, 15].tolist()
    assert together == pytest.approx([1.0, 1.0])
    assert beside == pytest.approx([1.0, 1 / (1 + np.exp(-0.5))])


def test_an_unlabelled_joint_changes_nothing_wherever_it_is():
    points, labelled = random_points(3, 14, (16, 16))
    labelled[2] = False
    found = encode_shared_heatmap(points, labelled, (16, 16), sigma=1.0)
    # Also in the cell of a labelled joint.
    points[~labelled] = points[0, labelled[0]][0]
    assert torch.equal(encode_shared_heatmap(points, labelled, (16, 16), sigma=1.0), found)
    assert not found[2].any()


@pytest.mark.parametrize(("x", "y"), [(-0.5, -0.5), (7.5, 5.5), (7.49, 0.0)])
def test_a_joint_at_the_outer_edge_is_in_the_last_cell(x, y):
    points, labelled = torch.tensor([[[x, y]]]), torch.ones(1, 1).bool()
    found = encode_shared_heatmap(points, labelled, (6, 8), sigma=0.3)[0, 0]
    row, column = divmod(int(found.argmax()), 8)
    assert abs(row - y) <= 0.5
    assert abs(column - x) <= 0.5
