import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_pose.codecs.joint_labels import (
    decode_joint_labels,
    encode_joint_labels,
    joint_radius,
)


def encode_by_loops(points, labelled, shape, sigma, threshold):
    """Each cell's largest Gaussian, if it exceeds the threshold."""
    labels = np.zeros((len(points), *shape), dtype=np.int64)
    for person, row, column in np.ndindex(labels.shape):
        best = threshold
        for joint, (x, y) in enumerate(points[person]):
            height = np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2))
            if labelled[person, joint] and height > best:
                best, labels[person, row, column] = height, joint + 1
    return labels


def one_hot(labels, joints):
    return torch.nn.functional.one_hot(labels, joints + 1).movedim(-1, 1).float()


@pytest.mark.parametrize(("sigma", "threshold"), [(1.0, 0.01), (2.0, 0.01), (1.5, 0.3)])
def test_labels_are_those_of_the_definition(sigma, threshold):
    points = torch.rand(3, 5, 2) * 18 - 1
    labelled = torch.rand(3, 5) < 0.7
    labels = encode_joint_labels(points, labelled, (15, 17), joint_radius(sigma, threshold))
    expected = encode_by_loops(points.double().numpy(), labelled, (15, 17), sigma, threshold)
    np.testing.assert_array_equal(labels, expected)
    assert set(labels.unique().tolist()) > {0, 1, 2}


@settings(max_examples=100, deadline=None)
@given(
    sigma=st.sampled_from([0.5, 0.7, 1.0, 2.0]),
    shape=st.tuples(st.integers(16, 30), st.integers(16, 30)),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    confidence=st.floats(0.1, 1),
    elsewhere=st.floats(0, 0.5),
)
def test_a_disc_has_its_centre_where_it_was_put_also_at_the_edge_and_in_doubt(
    sigma, shape, place, confidence, elsewhere
):
    point = torch.tensor(place) * torch.tensor([shape[1], shape[0]]) - 0.5
    radius = joint_radius(sigma, 0.01)
    labels = encode_joint_labels(point[None, None], torch.tensor([[True]]), shape, radius)
    disc = one_hot(labels, 1)[:, 1]
    joint = confidence * (disc + elsewhere * (1 - disc))
    points, scores = decode_joint_labels(torch.stack((1 - joint, joint), dim=1), radius)
    # The smallest discs have only seven cells.
    assert (points[0, 0] - point).abs().max() < (0.75 if sigma < 0.7 else 0.55)
    assert ((points[0, 0] > -0.5) & (points[0, 0] < torch.tensor(shape).flip(0) - 0.5)).all()
    torch.testing.assert_close(scores[0, 0], torch.tensor(confidence))


@pytest.mark.parametrize("distance", [1.5, 3.0, 5.0])
def test_a_disc_cut_by_a_neighbour_keeps_its_centre(distance):
    angle = torch.linspace(0, 6, 40)
    first = torch.rand(40, 2) * 8 + 10
    second = first + distance * torch.stack((angle.cos(), angle.sin()), dim=1)
    points = torch.stack((first, second), dim=1)
    radius = joint_radius(1.0, 0.01)
    labels = encode_joint_labels(points, torch.ones(40, 2).bool(), (28, 28), radius)
    decoded, _ = decode_joint_labels(one_hot(labels, 2), radius)
    assert (decoded - points).abs().max() < 0.5


def test_maps_without_a_joint_decode_to_finite_points():
    probability = torch.zeros(1, 3, 9, 9)
    probability[:, 0] = 1
    points, scores = decode_joint_labels(probability, radius=3.0)
    assert points.isfinite().all()
    assert not scores.any()
