from dataclasses import replace

import pytest
import torch
from torchjd import aggregation

from lightning_pose.errors import ConfigError
from lightning_pose.weightings import TorchJDWeighting, Weighting, torchjd
from tests.batches import make_batch
from tests.weightings.steps import make_step
from tests.weightings.test_contract import build, step_of

# Two gradients in conflict, and one in conflict with neither.
JACOBIAN = torch.tensor([[1.0, 0.2, 0.0], [-0.9, 0.8, 0.1], [0.1, 0.5, 2.0]])


def make(aggregator, names="abc", **options):
    weighting = TorchJDWeighting(aggregator, options)
    weighting.build(names)
    return weighting


def observe(weighting, jacobian, step=0):
    weighting.observe(make_step([1.0] * len(jacobian), jacobian, step))
    return weighting.current_weights


def feature_jacobian(module, batch):
    """Each head's gradient at the features, the plain way: by one backward pass per head."""
    features = module.network.features(batch.image)
    rows = []
    for head in module.heads.values():
        maps = [value.detach().requires_grad_() for value in features.maps]
        own = replace(features, dense=maps[0], deep=maps[1], aux=tuple(maps[2:]))
        output = head(own)
        head.loss(output, head.encode(batch, output)).mean().backward()
        grads = [torch.zeros_like(m) if m.grad is None else m.grad for m in maps]
        rows.append(torch.cat([grad.flatten() for grad in grads]))
    return torch.stack(rows)


@pytest.mark.parametrize("name", ["MGDA", "IMTLG", "AlignedMTL"])
def test_the_features_get_the_gradient_that_torchjd_aggregates(name):
    module = build("fixed")
    batch = make_batch(3)
    weighting = make(name, names=list(module.heads))
    step = step_of(module, batch)
    weighting.observe(step)
    jacobian = feature_jacobian(module, batch)
    torch.testing.assert_close(step.gramian(), jacobian @ jacobian.T, rtol=1e-3, atol=1e-7)
    assert weighting.current_weights.std() > 0.01, "a case in which the weights are unequal"
    expected = getattr(aggregation, name)()(jacobian)
    found = weighting.current_weights @ jacobian
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-5)


def test_pcgrad_projects_gradients_that_are_in_conflict():
    one, two, three = JACOBIAN
    projected = one - (one @ two) / (two @ two) * two, two - (two @ one) / (one @ one) * one
    weights = observe(make("PCGrad"), JACOBIAN)
    torch.testing.assert_close(weights @ JACOBIAN, projected[0] + projected[1] + three)


def test_upgrad_gives_the_weights_that_torchjd_documents():
    jacobian = torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
    weights = observe(make("UPGrad", names="ab"), jacobian)
    assert weights.tolist() == pytest.approx([1.1109, 0.7894], abs=1e-3)


@pytest.mark.parametrize("name", ["UPGrad", "DualProj"])
def test_a_projection_is_the_closest_that_makes_no_loss_larger(name):
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        jacobian = torch.randn(4, 6, generator=generator)
        gramian = jacobian @ jacobian.T
        start = torch.full((4,), 0.25)
        found = torchjd._project(start, gramian)
        # The conditions of Karush, Kuhn and Tucker for the smallest v^T G v with v >= start.
        slopes = gramian @ found
        assert (found >= start - 1e-6).all()
        assert (slopes >= -0.01).all()
        assert ((found - start) * slopes).abs().max() < 0.02
        # Which conflict least with every gradient.
        weights = observe(make(name, names="abcd"), jacobian)
        assert (jacobian @ (weights @ jacobian) >= -0.01).all()


def test_an_order_that_is_drawn_depends_on_the_step_alone():
    generator = torch.Generator().manual_seed(1)
    jacobian = torch.randn(5, 3, generator=generator)
    weighting = make("PCGrad", names="abcde")

    def weights(step):
        return observe(weighting, jacobian, step).clone()

    torch.manual_seed(0)
    first = weights(3)
    drawn = torch.rand(4)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(4), drawn), "the generator of the training is left alone"
    assert torch.equal(weights(3), first)
    assert any(not torch.equal(weights(step), first) for step in range(10))


@pytest.mark.parametrize("name", ["MGDA", "PCGrad", "UPGrad", "IMTLG"])
def test_heads_without_labels_are_left_out_and_keep_their_weights(name):
    weighting = make(name)
    before = observe(weighting, JACOBIAN).clone()
    rows = JACOBIAN * torch.tensor([[1.0], [1.0], [0.0]])
    found = observe(weighting, rows)
    alone = observe(make(name, names="ab"), JACOBIAN[:2])
    assert torch.equal(found[:2], alone)
    assert found[2] == before[2]


@pytest.mark.parametrize("value", [0.0, torch.inf, torch.nan])
def test_without_usable_gradients_the_weights_stay(value, monkeypatch):
    weighting = make("PCGrad")
    before = observe(weighting, JACOBIAN).clone()
    step = make_step([1.0, 1.0, 1.0])
    monkeypatch.setattr(step, "gramian", lambda: torch.full((3, 3), value))
    weighting.observe(step)
    assert torch.equal(weighting.current_weights, before)


@pytest.mark.parametrize(
    "name",
    ["ConFIG", "GradDrop", "Mean", "GradVac", "NashMTL", "FAMO", "GramianWeightedAggregator"],
)
def test_an_aggregator_that_cannot_be_used_is_refused_beside_those_that_can(name):
    with pytest.raises(ConfigError, match=rf"IMTLG, .*UPGrad\), found '{name}'"):
        TorchJDWeighting(name)


@pytest.mark.parametrize(
    ("name", "options"),
    [("MGDA", {"epsilom": 1}), ("MGDA", {"epsilon": -1.0}), ("UPGrad", {"pref_vector": [1, 2]})],
)
def test_bad_options_are_refused(name, options):
    with pytest.raises(ConfigError, match=rf"that torchjd's {name} takes, found .*options\.$"):
        TorchJDWeighting(name, options)


def test_too_few_heads_for_a_method_are_refused():
    with pytest.raises(ConfigError, match="weights from Krum for 3 heads, found none"):
        observe(make("Krum", n_byzantine=1), JACOBIAN)


def test_without_torchjd_a_model_is_built_but_not_trained(monkeypatch):
    weighting = make("PCGrad")
    monkeypatch.setattr(torchjd, "find_spec", lambda name: None)
    loaded = TorchJDWeighting("PCGrad")
    loaded.build(weighting.head_names)
    loaded.load_state_dict(weighting.state_dict())
    losses = dict.fromkeys(weighting.head_names, torch.tensor(2.0))
    assert loaded(losses) == Weighting.forward(weighting, losses)
    with pytest.raises(ConfigError, match="run `pip install torchjd`"):
        observe(loaded, JACOBIAN)
