from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from animal_spot.training.weight_average import WeightAverage


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def move(model: nn.Module, step: int) -> None:
    """Change weights and statistics as a training step may."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.randn(value.shape, generator=generator))
            else:
                value.add_(1)


@pytest.mark.parametrize("decay", [0.05, 0.3, 0.999], ids=str)
def test_average_follows_its_recurrence(decay):
    model = network()
    average = WeightAverage(model, decay)
    expected = {k: v.double().numpy().copy() for k, v in model.state_dict().items()}
    for n in range(20):
        move(model, n)
        average.update(model)
        d = min(decay, (1 + n) / (10 + n))
        for name, new in model.state_dict().items():
            expected[name] = d * expected[name] + (1 - d) * new.double().numpy()
    state = average.model.state_dict()
    assert "1.running_var" in state, "the statistics are averaged too"
    for name, value in state.items():
        if name == "1.num_batches_tracked":
            assert int(value) == 20
        else:
            assert np.allclose(value.numpy(), expected[name], rtol=1e-4, atol=1e-5), name
    assert average.n_updates == 20


def test_weights_that_stand_still_are_the_average_to_the_bit():
    model = network()
    average = WeightAverage(model, 0.99)
    for _ in range(30):
        average.update(model)
    for name, value in model.state_dict().items():
        assert torch.equal(average.model.state_dict()[name], value), name


def test_network_that_is_trained_is_left_alone():
    model = network().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    average = WeightAverage(model, 0.9)
    move(average.model, 1)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    assert not average.model.training


def test_average_that_was_kept_goes_on_with_the_same_bits():
    model = network()
    unbroken = WeightAverage(model, 0.99)
    for n in range(4):
        move(model, n)
        unbroken.update(model)
    resumed = WeightAverage(network(), 0.99)
    resumed.load({k: v.clone() for k, v in unbroken.model.state_dict().items()}, 4)
    for n in range(4, 8):
        move(model, n)
        unbroken.update(model)
        resumed.update(model)
    for name, value in unbroken.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
