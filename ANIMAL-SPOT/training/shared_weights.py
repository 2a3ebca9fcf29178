"""Weights of a network before and after a training, averaged.

A network that goes on from another one forgets some of what that one knew of sounds that it did not
hear again. A mean of both weights keeps more of it, and nearly all that was learned (Wortsman et
al., Robust fine-tuning of zero-shot models, CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

Weights = Mapping[str, torch.Tensor]


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of the weights and statistics of a network, by name."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def mix_in(model: nn.Module, before: Weights, share: float) -> None:
    """Replace the weights of a network by the mean of them and of others; counters stay.

    Args:
        model: Network.
        before: What ``weights_of`` returned of the same network.
        share: Of ``before``, 0..1.
    """
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.lerp_(before[name].to(value.device), share)
