"""Layers over a batch that is divided, against PyTorch's own over the whole batch."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from animal_spot.data.clip_dataset import share
from animal_spot.models.classifier import Classifier
from animal_spot.models.factory import build_encoder, build_model, encoder_options
from animal_spot.training.config import TrainConfig, as_dict
from animal_spot.training.whole_batch import WholeBatch

N_ROWS, N_PARTS = 7, 3  # shares of 2, 2 and 3 rows


class Threads:
    """Processes that are threads: all hand in a tensor, and all get what is made of them."""

    def __init__(self):
        self._barrier = threading.Barrier(N_PARTS)
        self._given = {}
        self.rank = threading.local()

    def run(self, work: Callable[[int, slice], None]) -> None:
        """Call a function with the number and the rows of each part, in a thread each."""
        done = []

        def begin(rank: int) -> None:
            self.rank.value = rank
            work(rank, share(N_ROWS, rank, N_PARTS))
            done.append(rank)

        threads = [threading.Thread(target=begin, args=(rank,)) for rank in range(N_PARTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(done) == list(range(N_PARTS))

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
    start = network(kind, affine=affine)
    whole = copy.deepcopy(start)
    batch = batch_of(*shape).requires_grad_()
    wanted = whole(batch)
    weighted_loss(wanted, slice(0, N_ROWS)).backward()

    networks = [copy.deepcopy(start) for _ in range(N_PARTS)]
    team, found = Threads(), {}

    def work(rank: int, rows: slice) -> None:
        own = networks[rank]
        features = batch_of(*shape)[rows].requires_grad_()
        with WholeBatch(team, rows, N_ROWS):
            outputs = own(features)
        weighted_loss(outputs, rows).backward()
        found[rank] = outputs.detach(), features.grad

    team.run(work)
    outputs, gradients = zip(*(found[rank] for rank in range(N_PARTS)), strict=True)
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


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["resnet", "efficientnet_lite0"])
def test_networks_learn_from_shares_what_they_learn_from_the_batch(backbone):
    """In float64, where rounding does not grow to anything: four steps at a high rate."""
    if backbone != "resnet":
        pytest.importorskip("timm")
    batches = [torch.rand(N_ROWS, 1, 32, 32, dtype=torch.double) for _ in range(4)]
    targets = torch.arange(N_ROWS) % 3

    def losses_of(rows: slice, team: Threads | None) -> list[float]:
        model = copy.deepcopy(start)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        losses = []
        for batch in batches:
            with WholeBatch(team, rows, N_ROWS) if team else contextlib.nullcontext():
                logits = model(batch[rows])
            loss = F.cross_entropy(logits, targets[rows], reduction="sum") / N_ROWS
            optimizer.zero_grad()
            loss.backward()
            if team:
                for parameter in model.parameters():
                    team.add_up(parameter.grad)
                loss = team.add_up(loss.detach())
            optimizer.step()
            losses.append(loss.item())
        return losses

    torch.manual_seed(0)
    options = encoder_options(backbone, as_dict(TrainConfig(backbone=backbone)), (32, 32))
    encoder = build_encoder(backbone, options)
    start = build_model(encoder, Classifier(encoder.out_channels, "avg", 3)).double().train()
    wanted, team, found = losses_of(slice(0, N_ROWS), None), Threads(), {}
    team.run(lambda rank, rows: found.update({rank: losses_of(rows, team)}))
    assert max(wanted) - min(wanted) > 0.1
    for losses in found.values():
        assert losses == pytest.approx(wanted, rel=0, abs=1e-9)
