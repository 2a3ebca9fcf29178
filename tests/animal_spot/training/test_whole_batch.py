"""Layers over a batch that is divided, against PyTorch's own over the whole batch."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import nn

from animal_spot.data.clip_dataset import share
from animal_spot.training.whole_batch import WholeBatch

N_ROWS, N_PARTS = 7, 3  # shares of 2, 2 and 3 rows


class Threads:
    """Processes that are threads: all hand in a tensor, and all get what is made of them."""

    def __init__(self):
        self._barrier = threading.Barrier(N_PARTS)
        self._given = {}
        self.rank = threading.local()

    def of_all(self, values):
        self._given[self.rank.value] = values.clone()
        self._barrier.wait(20)
        found = torch.stack([self._given[rank] for rank in range(N_PARTS)])
        self._barrier.wait(20)
        return found

    def add_up(self, values):
        return values.copy_(self.of_all(values).sum(0))


def batch_of(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    # Far from 0, where a careless variance loses its digits; each row with a mean of its own.
    rows = torch.arange(N_ROWS).view(-1, *(1 for _ in shape)).float()
    return 30 + rows + torch.randn(N_ROWS, *shape, generator=generator)


def network(kind: type[nn.Module], *, affine: bool) -> nn.Module:
    torch.manual_seed(0)
    first = kind(4, affine=affine, momentum=0.3)
    if affine:
        nn.init.normal_(first.weight)
        nn.init.normal_(first.bias)
    return nn.Sequential(first, nn.ReLU(), kind(4)).train()


def weighted_loss(outputs: torch.Tensor, rows: slice) -> torch.Tensor:
    factors = torch.linspace(-1, 2, outputs[0].numel() * N_ROWS).view(N_ROWS, *outputs.shape[1:])
    return (outputs**2 * factors[rows]).sum() / N_ROWS


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("kind", "shape"), [(nn.BatchNorm2d, (4, 5, 3)), (nn.BatchNorm1d, (4,))], ids=["2d", "1d"]
)
def test_batch_normalisation_and_its_gradients_are_those_of_the_whole_batch(kind, shape, affine):
    whole = network(kind, affine=affine)
    batch = batch_of(*shape).requires_grad_()
    wanted = whole(batch)
    weighted_loss(wanted, slice(0, N_ROWS)).backward()

    team, found = Threads(), {}

    def work(rank: int) -> None:
        team.rank.value = rank
        rows = share(N_ROWS, rank, N_PARTS)
        own = network(kind, affine=affine)
        features = batch_of(*shape)[rows].requires_grad_()
        with WholeBatch(team, rows, N_ROWS):
            outputs = own(features)
        weighted_loss(outputs, rows).backward()
        found[rank] = (outputs.detach(), features.grad, own)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(N_PARTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == N_PARTS
    outputs, gradients, networks = zip(*(found[rank] for rank in range(N_PARTS)), strict=True)
    torch.testing.assert_close(torch.cat(outputs), wanted.detach(), rtol=0, atol=2e-5)
    torch.testing.assert_close(torch.cat(gradients), batch.grad, rtol=0, atol=2e-5)
    for name, parameter in whole.named_parameters():
        summed = sum(dict(own.named_parameters())[name].grad for own in networks)
        torch.testing.assert_close(summed, parameter.grad, rtol=1e-5, atol=2e-5, msg=name)
    for own in networks:
        for name, value in whole.named_buffers():
            torch.testing.assert_close(dict(own.named_buffers())[name], value, msg=name)


def test_frozen_batch_normalisation_asks_nobody():
    frozen = network(nn.BatchNorm2d, affine=True).eval()
    batch = batch_of(4, 5, 3)
    rows = share(N_ROWS, 1, N_PARTS)
    with WholeBatch(None, rows, N_ROWS):
        found = frozen(batch[rows])
    torch.testing.assert_close(found, frozen(batch)[rows], rtol=0, atol=0)


@pytest.mark.parametrize("layer", ["dropout", "stochastic_depth"])
def test_what_is_drawn_for_a_row_is_what_one_process_draws(layer):
    if layer == "dropout":
        chance = nn.Dropout(0.5)
    else:
        chance = pytest.importorskip("torchvision").ops.StochasticDepth(0.5, "row")
    batch = batch_of(4, 5, 3)
    layers = [nn.Sequential(copy.deepcopy(chance), copy.deepcopy(chance)).train() for _ in "ab"]
    torch.manual_seed(3)
    wanted = layers[0](batch)
    after = torch.get_rng_state()
    for rank in range(N_PARTS):
        rows = share(N_ROWS, rank, N_PARTS)
        torch.manual_seed(3)
        with WholeBatch(None, rows, N_ROWS):
            found = layers[1](batch[rows])
        assert torch.equal(found, wanted[rows])
        assert torch.equal(torch.get_rng_state(), after)
    assert not torch.equal(wanted, batch)
