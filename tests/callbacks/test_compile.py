"""The compiled backbone; the compiler itself runs in a process without checks of shapes."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

import lightning_pose as lp
from lightning_pose.callbacks import Compile
from lightning_pose.cli import main
from tests.callbacks.model import make_trainer
from tests.commands.project import CONFIG
from tests.data.lspet import write_lspet


def start(network: nn.Module, trainer: pl.Trainer) -> None:
    module = pl.LightningModule()
    module.network = network
    Compile().on_fit_start(trainer, module)


class Backbone(nn.Linear):
    """A class of its own, because torch 2.8 does not compile one that it defines itself."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images)


@pytest.fixture
def network() -> nn.Module:
    found = nn.Module()
    found.backbone = Backbone(2, 2)
    found.head = nn.Linear(2, 1)
    return found


def test_the_backbone_runs_compiled_under_its_old_names(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []

    def note(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        """A compiler that only notes when its code runs."""
        return lambda *values: ran.append(values[-1].shape[0]) or graph.forward(*values)

    before = list(network.state_dict())
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=note))
    start(network, make_trainer())
    assert list(network.state_dict()) == before
    expected = nn.functional.linear(torch.ones(3, 2), network.backbone.weight)
    ran.clear()  # What found out whether torch can compile.
    found = network.backbone(torch.ones(3, 2)) - network.backbone.bias
    torch.testing.assert_close(found, expected)
    assert len(ran) == 1
    network.head(torch.ones(3, 2))
    assert len(ran) == 1


def test_without_a_compiler_the_network_trains_as_it_is(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_nothing(function: object) -> object:
        raise RuntimeError("no C++ compiler\nand a long report")

    monkeypatch.setattr(torch, "compile", compile_nothing)
    trainer = make_trainer()  # Which may warn of its own.
    with pytest.warns(UserWarning, match=r"does not \(no C\+\+ compiler\); the network") as caught:
        start(network, trainer)
    assert len(caught) == 1
    assert network.backbone(torch.ones(1, 2)).shape == (1, 2)


@pytest.mark.drill
def test_a_compiled_run_is_that_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lspet(tmp_path / "lspet", count=12)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    words = ["fit", "--config", "tiny.yaml", "--trainer.max_epochs", "1", "--run", "0"]
    # Compiled dropout draws other numbers, and Adam enlarges rounding where gradients are small.
    words += ["--model.backbone.dropout", "0.0", "--model.optimizer", "torch.optim.SGD"]
    words += ["--model.optimizer.lr", "0.01", "--trainer.precision", "32-true"]
    assert main(words) == 0
    words += ["--config", "trainer/compile.yaml"]
    command = [sys.executable, "-m", "lightning_pose", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "torch.compile to work" not in done.stderr
    plain, compiled = (
        tmp_path / "checkpoints" / name / "0" / "best.ckpt" for name in ("tiny", "tiny-compile")
    )
    found, expected = (
        torch.load(path, weights_only=True)["state_dict"] for path in (compiled, plain)
    )
    assert list(found) == list(expected)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    lp.load(compiled)
