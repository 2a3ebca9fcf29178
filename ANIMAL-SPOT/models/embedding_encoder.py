"""What a network has in the place of convolutions where its input is an embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EmbeddingEncoder(nn.Module):
    """Standardised embeddings, and a hidden layer if wanted; ``Classifier`` adds the last one.

    Input ``(batch, 1, windows, dim)``, averaged over windows; output ``(batch, channels, 1, 1)``.

    Args:
        dim: Numbers of an embedding.
        hidden: Units of a hidden layer with ReLU; 0: none.

    Attributes:
        out_channels: ``hidden``, or ``dim`` without a hidden layer.
        mean: Of each number over the training clips.
        std: Standard deviation of each; 1 where all are equal.
    """

    def __init__(self, dim: int, hidden: int = 0) -> None:
        super().__init__()
        if dim < 1 or hidden < 0:
            raise ValueError(f"dim must be at least 1 and hidden at least 0, got {dim}, {hidden}")
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.hidden = nn.Linear(dim, hidden) if hidden else None
        self.out_channels = hidden or dim

    def forward(self, features: Tensor) -> Tensor:
        """Apply the layers."""
        standardised = (features.mean((1, 2)) - self.mean) / self.std
        if self.hidden is not None:
            standardised = self.hidden(standardised).relu()
        return standardised[:, :, None, None]
