"""CONTRIBUTING.md has a head of the package as it is, and a weighting that is complete."""

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
from lightning_pose.heads import coordinates, integral
from lightning_pose.input_spec import InputSpec
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import make_batch, make_sample, training_step
from tests.weightings import test_contract as weightings

DOCUMENT = Path(__file__).parent.parent / "CONTRIBUTING.md"


def blocks() -> list[str]:
    """The document's Python blocks: a head, its base class, and a weighting."""
    found = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 3
    return found


def load(folder: Path, name: str):
    """The weighting, as a module."""
    path = folder / f"{name}.py"
    path.write_text(blocks()[2])
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def equal_norm(tmp_path_factory):
    yield load(tmp_path_factory.mktemp("weighting"), "equal_norm")
    del sys.modules["equal_norm"]


def test_the_head_is_that_of_the_package():
    files = [Path(module.__file__).read_text() for module in (integral, coordinates)]
    assert blocks()[:2] == files


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


def test_the_parts_train_together(equal_norm):
    head = {"joints": integral.IntegralHead()}
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


def test_the_document_names_what_is_there():
    text = DOCUMENT.read_text()
    root = DOCUMENT.parent
    paths = re.findall(r"`((?:lightning_pose|tests|configs)/[\w/.]+)`", text)
    for path in paths:
        if not re.search("foo|equal_norm|report", path):
            assert (root / path).exists(), f"CONTRIBUTING.md names {path}, which is not there"
    for name, path in (
        ("HEADS", "tests/test_contract.py"),
        ("BACKBONES", "tests/test_contract.py"),
        ("WEIGHTINGS", "tests/weightings/test_contract.py"),
        ("METRICS", "tests/metrics/test_contract.py"),
        ("COMMANDS", "lightning_pose/cli.py"),
    ):
        assert re.search(rf"^{name}\b.*= {{$", (root / path).read_text(), re.MULTILINE), name
