"""Learning works: a few steps lower every loss, and a few people can be memorised."""

import pytest
import torch

from lightning_pose.backbones import UNet
from lightning_pose.batch import Target
from lightning_pose.heads import Head, HeatmapHead, MaskHead, RegressionHead, SoftmaxJointHead
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import make_batch

SIZE = (64, 64)
HEADS = {
    "coordinates": RegressionHead,
    "heatmap": HeatmapHead,
    "squared": lambda: HeatmapHead(criterion="mse"),
    "mask": MaskHead,
    "joints": SoftmaxJointHead,
}
CASES = [[name] for name in HEADS] + [list(HEADS)]


def floor(head: Head, target: Target) -> float:
    """The least loss that a target allows: the entropy of a Gaussian, and 0 elsewhere."""
    if isinstance(head, HeatmapHead) and head.criterion == "cross_entropy":
        return float(head.loss(target.value.clamp(min=1e-30).log(), target))
    return 0.0


@pytest.mark.parametrize("names", CASES, ids=lambda names: "+".join(names))
def test_twenty_steps_lower_every_loss_and_two_hundred_memorise_four_people(
    names: list[str],
) -> None:
    torch.manual_seed(0)
    heads = {name: HEADS[name]() for name in names}
    model = PoseModule(UNet(width=8, dropout=0.0), heads, LSP14.to_dict(), SIZE)
    batch = make_batch(4, SIZE)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
    floors = {
        name: floor(head, head.encode(batch, model(batch.image)[name].shape))
        for name, head in heads.items()
    }
    history = []
    for _ in range(200):
        losses = model.losses(model(batch.image), batch)
        history.append({name: float(loss) - floors[name] for name, loss in losses.items()})
        optimizer.zero_grad()
        model.weighting(losses).backward()
        optimizer.step()
        scheduler.step()
    # In evaluation mode, as predict uses it, not with the statistics of this one batch.
    model.eval()
    with torch.no_grad():
        losses = model.losses(model(batch.image), batch)
    for name in names:
        assert history[20][name] < history[0][name]
        assert float(losses[name]) - floors[name] < 0.1 * history[0][name], name
    predictions = model.predict(batch.image)
    for name, prediction in predictions.items():
        if prediction.keypoints is not None:
            error = torch.linalg.vector_norm(prediction.keypoints - batch.keypoints, dim=-1)
            assert error.max() < 1, name
        else:
            assert prediction.mask is not None
            assert ((prediction.mask > 0.5) == (batch.mask == 1)).float().mean() > 0.99
