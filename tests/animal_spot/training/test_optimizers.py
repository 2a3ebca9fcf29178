from __future__ import annotations

import math
from collections import OrderedDict

import pytest
import torch
from torch import nn

from animal_spot.training.config import TrainConfig
from animal_spot.training.optimizers import WarmupCosine, build_optimizer, build_scheduler


def network() -> nn.Sequential:
    encoder = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4))
    return nn.Sequential(OrderedDict(encoder=encoder, classifier=nn.Linear(4, 2)))


def rates(scheduler, n_steps: int) -> list[list[float]]:
    """Return the rate of each group in each step, then go on."""
    found = []
    for _ in range(n_steps):
        found.append([group["lr"] for group in scheduler.optimizer.param_groups])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def test_cosine_rises_in_a_line_and_falls_along_a_cosine():
    config = TrainConfig(
        lr=1e-3, batch_size=4, scheduler="cosine", warmup_epochs=1.5, max_train_epochs=5
    )
    model = network()
    optimizer = build_optimizer(config, model, fused=False)
    found = rates(build_scheduler(config, optimizer, steps_per_epoch=6), 30)
    rise = [4e-3 * (step + 1) / 10 for step in range(9)]
    fall = [4e-3 * 0.5 * (1 + math.cos(math.pi * k / 21)) for k in range(21)]
    assert [rate for (rate,) in found] == pytest.approx(rise + fall)
    assert max(found) == [4e-3], "--lr times --batch_size"
    assert 0 < found[-1][0] < 4e-5


def test_cosine_is_that_of_torch_where_there_is_no_rise():
    def optimizer() -> torch.optim.Optimizer:
        return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)

    torch_cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer(), T_max=12)
    expected = rates(torch_cosine, 12)
    found = rates(WarmupCosine(optimizer(), total_steps=12), 12)
    assert [f for (f,) in found] == pytest.approx([e for (e,) in expected])


def test_cosine_that_was_kept_goes_on():
    def scheduler() -> WarmupCosine:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
        return WarmupCosine(optimizer, total_steps=12, warmup_steps=3)

    unbroken, first, second = scheduler(), scheduler(), scheduler()
    expected = rates(unbroken, 12)
    rates(first, 5)
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert rates(second, 7) == expected[5:]


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize(
    ("scheduler", "highest"), [("plateau", 8e-3), ("cosine", 8e-3), ("onecycle", 1e-2)]
)
def test_encoder_has_its_own_rate_with_every_schedule(optimizer, scheduler, highest):
    """The highest rate is 10 times --lr with onecycle, else --lr times the batch size."""
    config = TrainConfig(
        lr=1e-3,
        batch_size=8,
        optimizer=optimizer,
        scheduler=scheduler,
        backbone_lr_factor=0.1,
        max_train_epochs=10,
    )
    model = network()
    built = build_optimizer(config, model, fused=False)
    schedule = build_scheduler(config, built, steps_per_epoch=10)
    encoder = {id(p) for p in model.encoder.parameters()}
    is_encoder = [{id(p) in encoder for p in group["params"]} for group in built.param_groups]
    assert all(len(kinds) == 1 for kinds in is_encoder), "no group is mixed"
    factors = [0.1 if kinds == {True} else 1.0 for kinds in is_encoder]
    assert factors[0] == 1, "the log shows the rate of the first group"
    assert sum(len(g["params"]) for g in built.param_groups) == len(list(model.parameters()))
    if scheduler == "plateau":
        found = [[group["lr"] for group in built.param_groups]]
    else:
        found = rates(schedule, 100)
    for step in found:
        assert step == pytest.approx([step[0] * factor for factor in factors])
    assert max(step[0] for step in found) == pytest.approx(highest)


def test_without_a_factor_there_is_one_group_in_the_order_of_the_network():
    model = network()
    built = build_optimizer(TrainConfig(lr=1e-3, batch_size=8), model, fused=False)
    (group,) = built.param_groups
    torch_adam = torch.optim.Adam(model.parameters(), lr=8e-3, betas=(0.5, 0.999), fused=False)
    (expected,) = torch_adam.param_groups
    parameters = zip(group.pop("params"), expected.pop("params"), strict=True)
    assert all(a is b for a, b in parameters)
    assert group == expected


def test_norms_and_biases_of_either_part_do_not_decay():
    config = TrainConfig(optimizer="adamw", weight_decay=0.1, backbone_lr_factor=0.5)
    built = build_optimizer(config, network(), fused=False)
    for group in built.param_groups:
        decays = {p.ndim > 1 for p in group["params"]}
        assert decays == {group["weight_decay"] == 0.1}
    assert len(built.param_groups) == 4
