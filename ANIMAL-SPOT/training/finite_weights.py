"""Weights that are no numbers: such a network is never kept."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from animal_spot.training.training_error import TrainingError


def require_finite_weights(state: Mapping[str, Tensor]) -> None:
    """Make sure that a network can be kept.

    Args:
        state: Its state dict.

    Raises:
        TrainingError: If a value is no number, naming the layer.
    """
    for name, values in state.items():
        if not values.isfinite().all():
            raise TrainingError(
                f"the network has values in {name} that are no numbers, so it is not kept: train "
                "with --precision fp32, lower --lr or set --gradient_clip_norm 1; what was kept "
                "before stays"
            )
