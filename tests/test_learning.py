"""Learning works: a few steps lower every loss, and a few people can be memorised."""

import pytest
import torch

from lightning_pose.backbones import SMPBackbone, UNet
from lightning_pose.batch import Batch, collate
from lightning_pose.datamodules import SyntheticDataModule
from lightning_pose.heads import Head, HeatmapHead, MaskHead, RegressionHead, SoftmaxJointHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.prediction import Target
from lightning_pose.schedules import WarmupCosine
from lightning_pose.skeletons import LSP14
from tests.batches import make_batch

pytestmark = pytest.mark.drill  # Each trains for half a minute.

HEADS = {
    "coordinates": RegressionHead,
    "heatmap": lambda: HeatmapHead(sigma=4.0),
    "squared": lambda: HeatmapHead(sigma=4.0, criterion="mse"),
    "mask": MaskHead,
    "joints": lambda: SoftmaxJointHead(sigma=2.0),
}
CASES = [*([name] for name in HEADS), list(HEADS)]
NARROW = {
    "decoder_pyramid_channels": 32,
    "decoder_segmentation_channels": 32,
    "decoder_dropout": 0.0,
}


@pytest.fixture(scope="module")
def four_people() -> tuple[SyntheticDataModule, Batch]:
    """Synthetic people whose joints are all in the crop and visible."""
    data = SyntheticDataModule(num_workers=0, batch_size=32)
    data.setup("fit")
    crops = data.val_dataloader().dataset
    whole = [e for e in (crops[0, index, 0] for index in range(60)) if (e.visibility == 2).all()]
    return data, collate(whole[:4])


def floor(head: Head, target: Target) -> float:
    """The smallest loss that a target allows: the entropy of a Gaussian, and 0 elsewhere."""
    if isinstance(head, HeatmapHead) and head.criterion == "cross_entropy":
        return head.loss(target.value.clamp(min=1e-30).log(), target).mean().item()
    return 0.0


def losses_of(model: PoseModule, batch: Batch) -> dict[str, torch.Tensor]:
    terms = model.network.losses(model(batch.image), batch)
    return {name: one.mean() for name, one in terms.items()}


def memorise(model: PoseModule, batch: Batch, learning_rate: float) -> dict[str, float]:
    """Train on one batch for 200 steps; check the losses; return each head's largest error."""
    heads = dict(model.heads.items())
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = WarmupCosine(optimizer, warmup=0.3, total_steps=200)
    floors = {
        name: floor(head, head.encode(batch, model(batch.image)[name]))
        for name, head in heads.items()
    }
    history = []
    for _ in range(200):
        losses = losses_of(model, batch)
        history.append({name: loss.item() - floors[name] for name, loss in losses.items()})
        optimizer.zero_grad()
        model.weighting(losses).backward()
        optimizer.step()
        schedule.step()
    # In evaluation mode, as predict uses it, not with the statistics of this one batch.
    model.eval()
    with torch.no_grad():
        losses = losses_of(model, batch)
    for name in heads:
        assert history[20][name] < history[0][name], name
        assert losses[name].item() - floors[name] < 0.1 * history[0][name], name
    errors = {}
    for name, prediction in model.predict(batch.image).items():
        if prediction.keypoints is not None:
            error = torch.linalg.vector_norm(prediction.keypoints - batch.keypoints, dim=-1)
            errors[name] = error.max().item()
        else:
            assert prediction.mask is not None
            assert ((prediction.mask > 0.5) == (batch.mask == 1)).float().mean() > 0.98
    return errors


@pytest.mark.parametrize("names", CASES, ids=lambda names: "+".join(names))
def test_steps_lower_every_loss_and_four_people_are_memorised(
    names: list[str], four_people: tuple[SyntheticDataModule, Batch]
) -> None:
    data, batch = four_people
    heads = {name: HEADS[name]() for name in names}
    backbone = SMPBackbone("FPN", "tu-resnet10t", options=NARROW)
    model = PoseModule(backbone, heads, data.skeleton, data.input_spec)
    for name, error in memorise(model, batch, learning_rate=5e-3).items():
        # Classes of cells have no sub-pixel precision: where discs overlap, half a cell of 4 pixels
        # and a bit.
        assert error < (2.4 if name == "joints" else 1.0), name


@pytest.mark.parametrize(
    "names",
    [["joints"], ["coordinates", "heatmap", "mask", "joints"]],  # The four of combined.yaml.
    ids=lambda names: "+".join(names),
)
def test_joints_as_classes_are_exact_on_a_fine_grid(names: list[str]) -> None:
    heads = {name: HEADS[name]() for name in names}
    for head in heads.values():
        if hasattr(head, "sigma"):
            head.sigma /= 4  # On a grid four times as fine.
    model = PoseModule(UNet(width=24, dropout=0.0), heads, LSP14, InputSpec((64, 64)))
    errors = memorise(model, make_batch(4, (64, 64)), learning_rate=3e-3)
    assert max(errors.values()) < 1, errors
