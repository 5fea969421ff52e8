"""The head that CONTRIBUTING.md shows is complete: it keeps the contract and it learns."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch

from lightning_pose.backbones import UNet
from lightning_pose.batch import Features, FeatureSpec, MapSpec
from lightning_pose.errors import InputError
from lightning_pose.module import PoseModule
from lightning_pose.skeletons import LSP14
from tests.batches import make_batch, training_step

DOCUMENT = Path(__file__).parent.parent / "CONTRIBUTING.md"


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The document's one block of Python, as a module."""
    (code,) = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path_factory.mktemp("example") / "integral.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("integral", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["integral"] = module
    yield spec.loader.exec_module(module) or module
    del sys.modules["integral"]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_it_works_in_a_module(example, precision):
    size = (64, 49)
    model = PoseModule(UNet(width=4), {"joints": example.IntegralHead()}, LSP14.to_dict(), size)
    batch = make_batch(2, size)
    with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
        total = training_step(model, batch)
    total.backward()
    assert total.isfinite()
    assert all(parameter.grad is not None for parameter in model.parameters())
    prediction = model.eval().predict(batch.image)["joints"]
    assert prediction.keypoints.shape == (2, LSP14.num_joints, 2)
    assert prediction.keypoints.isfinite().all()


def test_a_sharp_map_decodes_to_the_centre_of_its_cell(example):
    head = example.IntegralHead(temperature=0.01)
    spec = MapSpec(channels=LSP14.num_joints, stride=4, height=8, width=6)
    head.build(FeatureSpec(spec, spec), LSP14, (32, 24))
    torch.nn.init.dirac_(head.layer.weight)
    torch.nn.init.zeros_(head.layer.bias)
    dense = torch.zeros(1, LSP14.num_joints, 8, 6)
    dense[:, :, 5, 2] = 1
    keypoints = head.decode(head(Features(dense, dense)), (32, 24)).keypoints
    torch.testing.assert_close(keypoints, torch.tensor([9.5, 21.5]).expand_as(keypoints))


def test_a_perfect_output_costs_nothing_and_decodes_to_the_truth(example):
    head = example.IntegralHead()
    batch = make_batch(2)
    target = head.encode(batch, torch.Size((2, LSP14.num_joints, 2)))
    assert head.loss(target.value, target) == 0
    torch.testing.assert_close(head.decode(target.value, (64, 64)).keypoints, batch.keypoints)


def test_unlabelled_joints_add_nothing(example):
    head = example.IntegralHead()
    batch = make_batch(2)
    batch.visibility[:, 3:] = 0
    output = torch.zeros(2, LSP14.num_joints, 2, requires_grad=True)
    head.loss(output, head.encode(batch, output.shape)).backward()
    assert output.grad[:, :3].any()
    assert not output.grad[:, 3:].any()


def test_a_bad_temperature_is_refused(example):
    with pytest.raises(InputError, match="above 0, found 0"):
        example.IntegralHead(temperature=0)


def test_the_document_names_what_is_there():
    text = DOCUMENT.read_text()
    root = DOCUMENT.parent
    paths = re.findall(r"`((?:lightning_pose|tests|configs)/[\w/.]+)`", text)
    for path in paths:
        if not re.search("foo|integral", path):
            assert (root / path).exists(), f"CONTRIBUTING.md names {path}, which is not there"
    contract = (root / "tests/test_contract.py").read_text()
    for name in ("HEADS", "BACKBONES"):
        assert re.search(rf"^{name}\b.*= {{$", contract, re.MULTILINE)
