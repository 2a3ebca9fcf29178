"""A running mean of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """Exponential moving average of all weights and of the batch normalisation's statistics.

    After step ``n`` (from 0) the average is ``d * average + (1 - d) * weights`` with
    ``d = min(decay, (1 + n) / (10 + n))``, so that the start is soon forgotten. Whole numbers,
    such as the count of batches, are taken over. (PyTorch's ``AveragedModel`` begins with the
    weights of the first step as they are, and averages whole numbers too.)

    Attributes:
        model: The averaged network, in evaluation mode.
        n_updates: Steps so far.

    Args:
        model: Network that is trained; its weights are the first average.
        decay: What the old average counts, in 0..1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.n_updates = 0
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights of ``model`` after an optimiser step."""
        decay = min(self._decay, (1 + self.n_updates) / (10 + self.n_updates))
        self.n_updates += 1
        averages: list[Tensor] = []
        news: list[Tensor] = []
        pairs = zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        for average, new in pairs:
            if average.is_floating_point():
                averages.append(average)
                news.append(new)
            else:
                average.copy_(new)
        # One kernel for all, where there is one.
        get_ema_multi_avg_fn(decay)(averages, news, self.n_updates)

    def load(self, state: dict[str, Tensor], n_updates: int) -> None:
        """Go on from an average that was kept."""
        self.model.load_state_dict(state)
        self.n_updates = n_updates
