"""A head without a metric is judged by its loss, over all people and for each of them."""

import pytest
import torch

from lightning_pose.backbones import UNet
from lightning_pose.heads import MaskHead, RegressionHead, SharedHeatmapHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import make_batch


def make(unlabelled: str = "zero") -> PoseModule:
    torch.manual_seed(0)
    heads = {"mask": MaskHead(), "heatmap": SharedHeatmapHead(unlabelled=unlabelled)}
    return PoseModule(UNet(width=4), heads, LSP14, InputSpec((64, 64))).eval()


def test_the_loss_of_all_is_the_mean_of_the_losses_of_each() -> None:
    module, batch = make(), make_batch(5)
    batch.visibility[3] = 0  # Nothing is known about this person.
    found = module.validation_step(batch, 0)
    assert list(found["values"]["mask"]) == ["Dice"]
    alone = found["values"]["heatmap"]["loss"]
    assert alone.isnan().tolist() == [False, False, False, True, False]
    losses, _ = module.evaluations["val"].compute(module.weighting, ())
    assert alone.nanmean().item() == pytest.approx(losses["heatmap"].item(), rel=1e-5)
    assert alone.nan_to_num().unique().numel() == 5
    # Nobody else in the batch changes it.
    one = module.validation_step(batch.select([1]), 0)["values"]["heatmap"]["loss"]
    torch.testing.assert_close(one, alone[1:2])


def test_images_of_other_sizes_keep_their_places() -> None:
    module, batch = make(), make_batch(3)
    alone = module.validation_step(batch, 0)["values"]["heatmap"]["loss"]
    batch.valid[0, :, 32:] = False
    batch.mask[0, :, 32:] = -1
    found = module.validation_step(batch, 0)["values"]["heatmap"]["loss"]
    torch.testing.assert_close(found[1:], alone[1:])
    assert not torch.isclose(found[0], alone[0])


def test_a_head_that_was_not_trained_has_none() -> None:
    module = make()
    module.assume_trained(["mask"])
    assert list(module.validation_step(make_batch(2), 0)["values"]) == ["mask"]


def test_a_head_that_diverged_scores_badly_and_does_not_stop_the_others() -> None:
    torch.manual_seed(0)
    heads = {"mask": MaskHead(), "coordinates": RegressionHead()}
    module = PoseModule(UNet(width=4), heads, LSP14, InputSpec((64, 64))).eval()
    for parameter in module.heads["coordinates"].parameters():
        parameter.data.fill_(torch.nan)
    found = module.validation_step(make_batch(2), 0)["values"]
    # Not NaN, which a mean over people would leave out.
    assert (found["coordinates"]["RMSE"] > 1e5).all()
    assert (found["coordinates"]["PCKh"] == 0).all()
    assert found["mask"]["Dice"].isfinite().all()
