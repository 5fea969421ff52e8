"""The head and the weighting in CONTRIBUTING.md are complete and fulfil their contracts."""

import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lightning_pose.backbones import UNet
from lightning_pose.batch import collate
from lightning_pose.errors import InputError
from lightning_pose.features import Features, FeatureSpec, MapSpec
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from lightning_pose.task import Task
from tests import test_contract as heads
from tests.batches import make_batch, make_sample, training_step
from tests.weightings import test_contract as weightings

DOCUMENT = Path(__file__).parent.parent / "CONTRIBUTING.md"


def load(folder: Path, name: str, number: int):
    """One of the document's Python blocks, as a module."""
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    path = folder / f"{name}.py"
    path.write_text(blocks[number])
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    yield load(tmp_path_factory.mktemp("head"), "integral", 0)
    del sys.modules["integral"]


@pytest.fixture(scope="module")
def equal_norm(tmp_path_factory):
    yield load(tmp_path_factory.mktemp("weighting"), "equal_norm", 1)
    del sys.modules["equal_norm"]


HEAD_LAWS = [
    heads.test_what_is_not_labelled_does_not_teach,
    heads.test_a_person_without_labels_adds_no_gradient_next_to_one_with_them,
    heads.test_rows_of_joints_are_rows_of_its_parameters,
    lambda name: heads.test_a_head_teaches_the_backbone("unet", name),
    lambda name: heads.test_padding_does_not_teach("unet", 48, name),
    lambda name: heads.test_unflipping_twice_is_nothing_and_meets_the_mirrored_target("smp", name),
    lambda name: heads.test_any_head_works_on_any_backbone("smp", [name], torch.bfloat16),
]


@pytest.mark.parametrize("law", HEAD_LAWS)
def test_the_head_keeps_the_contract_of_heads(example, law, monkeypatch):
    monkeypatch.setitem(heads.HEADS, "integral", example.IntegralHead)
    law("integral")


WEIGHTING_LAWS = [
    value
    for name, value in sorted(vars(weightings).items())
    if name.startswith("test_") and inspect.signature(value).parameters
]


@pytest.mark.parametrize("law", WEIGHTING_LAWS, ids=lambda law: law.__name__)
def test_the_weighting_keeps_the_contract_of_weightings(equal_norm, law, monkeypatch):
    monkeypatch.setitem(weightings.WEIGHTINGS, "equal_norm", equal_norm.EqualNormWeighting)
    law("equal_norm")


def test_weighted_gradients_are_of_equal_norm(equal_norm):
    module = weightings.build("fixed")
    weighting = equal_norm.EqualNormWeighting(momentum=0.5)
    weighting.build(list(module.heads))
    step = weightings.step_of(module, make_batch(2))
    weighting.observe(step)
    weights = torch.stack(list(weighting.head_weights().values()))
    norms = step.gramian().diagonal().sqrt() * weights
    torch.testing.assert_close(norms, norms.mean().expand_as(norms))
    # The next step counts half.
    before = weighting.norms.clone()
    other = weightings.step_of(module, make_batch(2, seed=5))
    weighting.observe(other)
    found = other.gramian().diagonal().sqrt()
    torch.testing.assert_close(weighting.norms, (before + found) / 2)


def test_infinite_gradients_leave_the_weights_as_they_were(equal_norm):
    weighting = equal_norm.EqualNormWeighting(momentum=0.5)
    weighting.build(["mask", "joints"])
    for squared in ([4.0, 16.0], [torch.inf, 64.0]):
        weighting.observe(
            SimpleNamespace(gramian=lambda squared=squared: torch.tensor(squared).diag())
        )
    assert weighting.norms.tolist() == [2, 6]


def test_a_bad_momentum_is_refused(equal_norm):
    with pytest.raises(InputError, match="from 0 to below 1, found 1"):
        equal_norm.EqualNormWeighting(momentum=1.0)


def test_the_parts_train_together(example, equal_norm):
    head = {"joints": example.IntegralHead()}
    weighting = equal_norm.EqualNormWeighting()
    module = PoseModule(UNet(width=4), head, LSP14, InputSpec((64, 64)), weighting=weighting)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    batch = collate([make_sample(1), make_sample(2)])
    losses = []
    for _ in range(30):
        loss = training_step(module, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("size", [(32, 24), (30, 22)])
def test_a_sharp_map_decodes_to_the_centre_of_its_cell(example, size):
    head = example.IntegralHead(temperature=0.01)
    spec = MapSpec(channels=LSP14.num_joints, stride=4, height=8, width=6)
    head.build(FeatureSpec(spec, spec), Task(LSP14, InputSpec(size)))
    torch.nn.init.dirac_(head.layer.weight)
    torch.nn.init.zeros_(head.layer.bias)
    dense = torch.zeros(1, LSP14.num_joints, 8, 6)
    dense[:, :, 5, 2] = 1
    features = Features(dense, dense, image=torch.zeros(1, 3, *size))
    keypoints = head.decode(head(features), size).keypoints
    torch.testing.assert_close(keypoints, torch.tensor([9.5, 21.5]).expand_as(keypoints))


def test_a_perfect_output_costs_nothing_and_decodes_to_the_truth(example):
    head = example.IntegralHead()
    batch = make_batch(2)
    target = head.encode(batch, torch.zeros(2, LSP14.num_joints, 2))
    assert head.loss(target.value, target).mean() == 0
    torch.testing.assert_close(head.decode(target.value, (64, 64)).keypoints, batch.keypoints)


def test_unlabelled_joints_add_nothing(example):
    head = example.IntegralHead()
    batch = make_batch(2)
    batch.visibility[:, 3:] = 0
    output = torch.zeros(2, LSP14.num_joints, 2, requires_grad=True)
    head.loss(output, head.encode(batch, output)).mean().backward()
    assert output.grad[:, :3].any()
    assert not output.grad[:, 3:].any()


def test_a_bad_temperature_is_refused(example):
    for temperature in (0.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=f"above 0, found {temperature}"):
            example.IntegralHead(temperature)


def test_the_document_names_what_is_there():
    text = DOCUMENT.read_text()
    root = DOCUMENT.parent
    paths = re.findall(r"`((?:lightning_pose|tests|configs)/[\w/.]+)`", text)
    for path in paths:
        if not re.search("foo|integral|equal_norm|report", path):
            assert (root / path).exists(), f"CONTRIBUTING.md names {path}, which is not there"
    for name, path in (
        ("HEADS", "tests/test_contract.py"),
        ("BACKBONES", "tests/test_contract.py"),
        ("WEIGHTINGS", "tests/weightings/test_contract.py"),
        ("METRICS", "tests/metrics/test_contract.py"),
        ("COMMANDS", "lightning_pose/cli.py"),
    ):
        assert re.search(rf"^{name}\b.*= {{$", (root / path).read_text(), re.MULTILINE), name
