"""Predictions of images of different sizes, joined in the order of the batch."""

import torch

from lightning_pose.prediction import Prediction


def test_parts_are_joined_in_the_order_of_the_batch_and_padded_below_and_on_the_right() -> None:
    # The sizes are A B A B B A. Two exchanges of neighbours would undo themselves.
    parts = []
    for places, (height, width) in (([0, 2, 5], (2, 3)), ([1, 3, 4], (4, 2))):
        people = torch.tensor(places, dtype=torch.float32)
        maps = people[:, None, None].expand(-1, height, width) + 1
        parts.append(
            (places, Prediction(keypoints=people[:, None, None].expand(-1, 14, 2), mask=maps))
        )
    joined = Prediction.join(parts)
    assert joined.keypoints is not None
    assert joined.mask is not None
    assert joined.keypoints[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    for person, (height, width) in enumerate([(2, 3), (4, 2), (2, 3), (4, 2), (4, 2), (2, 3)]):
        expected = torch.zeros(4, 3)
        expected[:height, :width] = person + 1
        assert torch.equal(joined.mask[person], expected)
