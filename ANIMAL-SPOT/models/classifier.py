"""Pooling over time and frequency, then one linear layer."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn


class Classifier(nn.Module):
    """Feature maps ``(batch, input_channels, t, f)`` to logits ``(batch, num_classes)``.

    Raises:
        ValueError: If ``pooling`` is neither ``avg`` nor ``max``, or there are no classes.
    """

    def __init__(
        self,
        input_channels: int = 512,
        pooling: Literal["avg", "max"] = "avg",
        num_classes: int = 2,
    ) -> None:
        super().__init__()
        if pooling not in ("avg", "max"):
            raise ValueError(f"pooling must be 'avg' or 'max', got {pooling!r}")
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}")
        self.pooling = pooling
        self.linear = nn.Linear(input_channels, num_classes)

    def embed(self, features: Tensor) -> Tensor:
        """Pool feature maps to ``(batch, input_channels)``."""
        flat = features.flatten(2)
        return flat.mean(-1) if self.pooling == "avg" else flat.amax(-1)

    def forward(self, features: Tensor) -> Tensor:
        """Apply the layers."""
        return self.linear(self.embed(features))
