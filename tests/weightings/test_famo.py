import pytest
import torch
from torchjd import scalarization

from lightning_pose.backbones import UNet
from lightning_pose.errors import ConfigError
from lightning_pose.heads import HeatmapHead, MaskHead
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from lightning_pose.weightings import FAMOWeighting, FixedWeighting
from tests.batches import make_batch
from tests.weightings.steps import make_step
from tests.weightings.test_contract import fit

# Losses before each step and after it, on the same batch.
LOSSES = [
    ([4.0, 1.0, 0.5], [3.0, 0.99, 0.5]),
    ([3.5, 0.8, 0.6], [3.4, 0.9, 0.3]),
    ([2.0, 0.9, 0.4], [1.9, 0.7, 0.39]),
]


def make(names="abc", **settings):
    weighting = FAMOWeighting(**settings)
    weighting.build(names)
    return weighting


def test_it_is_that_of_torchjd():
    if not hasattr(scalarization, "FAMO"):
        pytest.skip("torchjd has FAMO from 0.15 on")
    theirs = scalarization.FAMO(3, lr=0.1, weight_decay=0.2)
    ours = make(lr=0.1, weight_decay=0.2)
    for before, after in LOSSES:
        losses = torch.tensor(before, requires_grad=True)
        (expected,) = torch.autograd.grad(theirs(losses), losses)
        ours.observe(make_step(before))
        torch.testing.assert_close(ours.current_weights, expected)
        theirs.update(torch.tensor(after))
        ours.after_step(torch.tensor(after))
    torch.testing.assert_close(ours.logits, next(theirs.parameters()).detach())
    assert ours.logits.std() > 0.1


def test_a_loss_that_falls_slowly_gets_a_larger_share():
    weighting = make("ab")
    for _ in range(20):
        weighting.observe(make_step([1.0, 1.0]))
        weighting.after_step(torch.tensor([0.9, 0.99]))
    weighting.observe(make_step([1.0, 1.0]))
    slower = weighting.current_weights[1]
    assert slower > 0.6
    assert weighting.current_weights.sum() == pytest.approx(1)
    # A loss that is ten times as large has a tenth of the weight.
    weighting.observe(make_step([1.0, 10.0]))
    ratio = weighting.current_weights[1] / weighting.current_weights[0]
    assert ratio == pytest.approx(float(slower / (1 - slower)) / 10)


def test_two_tasks_with_one_minimum_fall_at_the_same_rate():
    # The gradient of the first is a hundred times that of the second.
    x = torch.tensor([1.0, 1.0], requires_grad=True)
    weighting = make("ab")
    optimizer = torch.optim.SGD([x], lr=0.05)

    def losses():
        return {"a": 100 * x[0] ** 2, "b": x[1] ** 2}

    for _ in range(50):
        before = losses()
        weighting.observe(make_step([value.item() for value in before.values()]))
        optimizer.zero_grad()
        weighting(before).backward()
        optimizer.step()
        weighting.after_step(torch.stack(list(losses().values())).detach())
    first, second = (value.item() for value in losses().values())
    assert first / 100 == pytest.approx(second, rel=0.05)
    assert second < 1


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_head_without_a_label_keeps_its_weight_and_its_logit(place):
    weighting, alone = make(), make("ab")
    for before, after in LOSSES:
        first = weighting.logits.clone(), weighting.current_weights.clone()
        weighting.observe(make_step([*before[:2], 0.0 if place == "before" else 1.0]))
        weighting.after_step(torch.tensor([*after[:2], 0.0]))
        assert weighting.logits[2] == first[0][2]
        if place == "before":
            assert weighting.current_weights[2] == first[1][2]
        alone.observe(make_step(before[:2]))
        alone.after_step(torch.tensor(after[:2]))
    if place == "before":
        torch.testing.assert_close(
            weighting.logits[:2].diff(), alone.logits.diff(), rtol=0.1, atol=0
        )


def network(weighting) -> PoseModule:
    torch.manual_seed(0)
    heads = {"mask": MaskHead(), "heatmap": HeatmapHead()}
    backbone = UNet(width=4, dropout=0.5, batch_norm=True)
    return PoseModule(backbone, heads, LSP14, InputSpec((64, 64)), weighting=weighting)


BATCHES = [make_batch(2), make_batch(2, seed=2)]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_same_batch_is_looked_at_again_with_the_same_dropout(precision, monkeypatch):
    seen = []
    monkeypatch.setattr(
        FAMOWeighting, "after_step", lambda self, losses: seen.append((self.before, losses))
    )
    # Steps that change nothing.
    looked, other = network(FAMOWeighting()), network(FixedWeighting())
    for module in (looked, other):
        torch.manual_seed(1)
        fit(module, BATCHES, max_epochs=2, precision=precision, lr=0.0)
    assert len(seen) == 4
    for before, after in seen:
        assert before.all()
        assert torch.equal(before, after)
    # The dropout of the next step is the same as without the look, and batch norm has counted each
    # batch once.
    expected = dict(other.network.named_buffers())
    for key, value in looked.network.named_buffers():
        assert torch.equal(value, expected[key]), key


def test_what_is_seen_is_after_the_step():
    module = network(FAMOWeighting())
    fit(module, BATCHES, max_steps=2)
    # Both losses have fallen, and the shares follow the difference.
    assert module.weighting.steps.tolist() == [2, 2]
    assert module.weighting.logits.std() > 0.01


@pytest.mark.parametrize("settings", [{"lr": 0.0}, {"lr": torch.inf}, {"weight_decay": -1.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=r"Expected FAMOWeighting\.lr above 0 and weight_decay"):
        FAMOWeighting(**settings)


def test_the_first_change_of_a_head_has_the_same_size_whenever_it_is_first_labelled():
    late, early = (FAMOWeighting(lr=0.1, weight_decay=0.0) for _ in range(2))
    for weighting in (late, early):
        weighting.build(["mask", "joints"])
    before, after = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 1.9])
    for _ in range(50):  # The joints have no label yet, so their loss is 0.
        late.before = torch.tensor([1.0, 0.0])
        late.after_step(torch.tensor([0.5, 0.0]))
    assert late.logits[1] == 0
    for weighting in (late, early):
        weighting.before = before
        weighting.after_step(after)
    torch.testing.assert_close(late.logits[1].abs(), early.logits[1].abs(), rtol=1e-3, atol=0)


def test_the_mean_fall_is_that_of_the_heads_with_labels():
    weighting = make("abc", lr=0.1, weight_decay=0.0)
    weighting.observe(make_step([1.0, 1.0, 0.0]))
    # Both have fallen, the first by more than the mean of the two.
    weighting.after_step(torch.tensor([0.5, 0.6, 0.0]))
    assert weighting.logits.tolist() == pytest.approx([-0.1, 0.1, 0.0], rel=1e-4)
