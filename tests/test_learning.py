"""Learning works: a few steps lower every loss, and a few people can be memorised."""

import pytest
import torch

from lightning_pose.backbones import SMPBackbone
from lightning_pose.batch import Batch, Target, collate
from lightning_pose.datamodules import SyntheticDataModule
from lightning_pose.heads import Head, HeatmapHead, MaskHead, RegressionHead, SoftmaxJointHead
from lightning_pose.module import PoseModule

HEADS = {
    "coordinates": RegressionHead,
    "heatmap": lambda: HeatmapHead(sigma=1.0),
    "squared": lambda: HeatmapHead(sigma=1.0, criterion="mse"),
    "mask": MaskHead,
    "joints": lambda: SoftmaxJointHead(sigma=0.5),
}
CASES = [[name] for name in HEADS] + [list(HEADS)]
NARROW = {
    "decoder_pyramid_channels": 32,
    "decoder_segmentation_channels": 32,
    "decoder_dropout": 0.0,
}


@pytest.fixture(scope="module")
def four_people() -> tuple[SyntheticDataModule, Batch]:
    """Drawn people whose joints are all in the crop and in sight."""
    data = SyntheticDataModule(num_workers=0, batch_size=32)
    data.setup("fit")
    crops = data.val_dataloader().dataset
    whole = [e for e in (crops[0, index] for index in range(60)) if (e.visibility == 2).all()]
    return data, collate(whole[:4])


def floor(head: Head, target: Target) -> float:
    """The least loss that a target allows: the entropy of a Gaussian, and 0 elsewhere."""
    if isinstance(head, HeatmapHead) and head.criterion == "cross_entropy":
        return head.loss(target.value.clamp(min=1e-30).log(), target).item()
    return 0.0


@pytest.mark.parametrize("names", CASES, ids=lambda names: "+".join(names))
def test_steps_lower_every_loss_and_four_people_are_memorised(
    names: list[str], four_people: tuple[SyntheticDataModule, Batch]
) -> None:
    data, batch = four_people
    heads = {name: HEADS[name]() for name in names}
    backbone = SMPBackbone("FPN", "tu-resnet10t", options=NARROW)
    model = PoseModule(backbone, heads, data.skeleton, data.input_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
    floors = {
        name: floor(head, head.encode(batch, model(batch.image)[name].shape))
        for name, head in heads.items()
    }
    history = []
    for _ in range(200):
        losses = model.losses(model(batch.image), batch)
        history.append({name: loss.item() - floors[name] for name, loss in losses.items()})
        optimizer.zero_grad()
        model.weighting(losses).backward()
        optimizer.step()
        schedule.step()
    # In evaluation mode, as predict uses it, not with the statistics of this one batch.
    model.eval()
    with torch.no_grad():
        losses = model.losses(model(batch.image), batch)
    for name in names:
        assert history[20][name] < history[0][name]
        assert losses[name].item() - floors[name] < 0.1 * history[0][name], name
    predictions = model.predict(batch.image)
    for name, prediction in predictions.items():
        if prediction.keypoints is not None:
            error = torch.linalg.vector_norm(prediction.keypoints - batch.keypoints, dim=-1)
            assert error.max() < 1, name
        else:
            assert prediction.mask is not None
            assert ((prediction.mask > 0.5) == (batch.mask == 1)).float().mean() > 0.98
