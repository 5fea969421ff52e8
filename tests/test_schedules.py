"""The learning rate over a training run."""

import io
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lightning_pose.errors import InputError
from lightning_pose.schedules import WarmupCosine, configure, step_plateau


def make(
    rate: float = 1.0, warmup: float = 0.1, total: int | None = None
) -> tuple[torch.optim.Optimizer, WarmupCosine]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate)
    return optimizer, WarmupCosine(optimizer, warmup=warmup, total_steps=total)


def walk(optimizer: torch.optim.Optimizer, schedule: WarmupCosine, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@settings(deadline=None, max_examples=50)
@given(warmup=st.floats(0, 0.9), total=st.integers(1, 200), rate=st.floats(1e-6, 10))
def test_rises_then_falls_and_is_never_above_the_peak_nor_zero(
    warmup: float, total: int, rate: float
) -> None:
    rates = walk(*make(rate, warmup, total), total)
    assert all(0 < value <= rate * (1 + 1e-9) for value in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert abs(top + 0.5 - warmup * total) <= 1


@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.5])
def test_area_is_that_of_the_curve(warmup: float) -> None:
    # Half of the peak on average, under the line as well as under the cosine.
    rates = walk(*make(2.0, warmup, 1000), 1000)
    assert math.isclose(sum(rates) / 1000, 1.0, rel_tol=1e-3)
    assert math.isclose(max(rates), 2.0, rel_tol=1e-2)


def test_cosine_agrees_with_torch() -> None:
    # Torch takes the rate at the start of a step: with twice the steps, every midpoint is a start.
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    expected = []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert walk(*make(1.0, 0.0, 10), 10) == pytest.approx(expected[1::2])


def test_total_may_come_later() -> None:
    expected = walk(*make(0.5, 0.3, 20), 20)
    optimizer, schedule = make(0.5, 0.3)
    schedule.set_total_steps(20)
    assert schedule.get_last_lr() == expected[:1]
    assert walk(optimizer, schedule, 20) == expected


def test_a_total_that_was_given_stays() -> None:
    _, schedule = make(total=10)
    schedule.set_total_steps(20)
    assert schedule.total_steps == 10


def test_after_the_end_the_rate_is_zero() -> None:
    rates = walk(*make(1.0, 0.1, 10), 25)
    assert rates[9] > 0
    assert rates[10:] == [0.0] * 15


def test_every_group_keeps_its_own_peak() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (1.0, 0.1)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    schedule = WarmupCosine(optimizer, warmup=0.0)
    schedule.set_total_steps(4)
    first, second = (group["lr"] for group in optimizer.param_groups)
    assert first == pytest.approx(10 * second)


@pytest.mark.parametrize("stop", [0, 1, 7, 19])
def test_resumes_where_it_stopped_from_plain_data(stop: int) -> None:
    expected = walk(*make(total=20), 20)
    optimizer, schedule = make(total=20)
    walk(optimizer, schedule, stop)
    saved = io.BytesIO()
    torch.save({"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, saved)
    saved.seek(0)
    state = torch.load(saved, weights_only=True)
    optimizer, schedule = make(total=20)
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    assert walk(optimizer, schedule, 20 - stop) == expected[stop:]


@pytest.mark.parametrize("stop", [10, 20])
def test_resumed_with_more_steps_it_follows_the_longer_curve(stop: int) -> None:
    optimizer, schedule = make(total=20)
    walk(optimizer, schedule, stop)
    longer, resumed = make(total=40)
    longer.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    assert resumed.total_steps == 40
    expected = walk(*make(total=40), 40)[stop:]
    assert resumed.get_last_lr() == expected[:1]
    assert walk(longer, resumed, 40 - stop) == expected


@pytest.mark.parametrize(
    ("warmup", "total"), [(1.0, 10), (-0.1, 10), (math.nan, 10), (0.1, 0), (0.1, -1)]
)
def test_bad_settings_are_refused(warmup: float, total: int) -> None:
    with pytest.raises(InputError, match="Expected"):
        make(warmup=warmup, total=total)


def configured(backbone_lr: float, learnt: bool = False, **settings: object) -> tuple:
    """Heads, backbone and weighting of at most one layer, and what is configured for them."""
    modules = (nn.Linear(2, 2), nn.Linear(3, 3), nn.Linear(1, 1) if learnt else nn.Identity())
    make = {"optimizer": partial(torch.optim.AdamW, lr=0.5), "lr_scheduler": None, **settings}
    return modules, configure(modules, backbone_lr, **make, interval="epoch", trainer=None)


def test_by_default_heads_and_backbone_are_one_group() -> None:
    (heads, backbone, _), optimizer = configured(1.0)
    (group,) = optimizer.param_groups
    assert group["lr"] == 0.5
    expected = [*backbone.parameters(), *heads.parameters()]
    assert [id(one) for one in group["params"]] == [id(one) for one in expected]


@pytest.mark.parametrize("learnt", [False, True])
def test_the_backbone_has_its_own_rate_and_the_weighting_no_decay(learnt: bool) -> None:
    modules, optimizer = configured(0.1, learnt)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.5, 0.05, 0.5] if learnt else [0.5, 0.05])
    for module, group in zip(modules[: len(rates)], optimizer.param_groups, strict=True):
        assert [id(one) for one in group["params"]] == [id(one) for one in module.parameters()]
    if learnt:
        assert optimizer.param_groups[2]["weight_decay"] == 0


def test_a_schedule_keeps_the_ratio() -> None:
    _, made = configured(0.1, lr_scheduler=partial(WarmupCosine, warmup=0.3, total_steps=10))
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    for _ in range(10):
        heads, backbone = (group["lr"] for group in optimizer.param_groups)
        assert backbone == pytest.approx(0.1 * heads)
        optimizer.step()
        scheduler.step()


def test_frozen_parameters_are_left_out() -> None:
    modules = (nn.Linear(2, 2), nn.Linear(3, 3).requires_grad_(False), nn.Identity())
    for factor in (1.0, 0.1):
        made = configure(modules, factor, torch.optim.SGD, None, "epoch", None)
        found = [one for group in made.param_groups for one in group["params"]]
        assert [id(one) for one in found] == [id(one) for one in modules[0].parameters()]


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_a_bad_rate_of_the_backbone_is_refused(factor: float) -> None:
    with pytest.raises(InputError, match=r"model\.backbone_lr above 0, found"):
        configured(factor)


@pytest.mark.parametrize(("mode", "better"), [("max", {"main": 2.0}), ("min", {"loss": 0.5})])
def test_a_plateau_watches_what_its_mode_says(mode: str, better: dict[str, float]) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, patience=0, factor=0.5)
    step_plateau(plateau, main=1.0, loss=1.0)
    step_plateau(plateau, **{"main": 1.0, "loss": 1.0, **better})
    assert optimizer.param_groups[0]["lr"] == 1.0
    step_plateau(plateau, main=1.0, loss=1.0)
    assert optimizer.param_groups[0]["lr"] == 0.5
    step_plateau(None, main=1.0, loss=1.0)
