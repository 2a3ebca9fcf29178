"""How much a class counts, by how rare it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

STRATEGIES = ("inverse_freq", "sqrt_inverse_freq", "effective_num")  # of drawing clips
# How classes count in a loss, and the strategy that each is.
STRATEGY_OF_WEIGHTING = {
    "inverse": "inverse_freq",
    "sqrt_inverse": "sqrt_inverse_freq",
    "effective": "effective_num",
}
EFFECTIVE_BETA = 0.9999


def balance_factors(counts: np.ndarray, strategy: str) -> np.ndarray:
    """Return a factor for each class that is larger for rarer classes.

    With ``n`` clips of a class, ``N`` in all and ``K`` classes:

    * ``inverse_freq``: ``N / (K n)``
    * ``sqrt_inverse_freq``: ``sqrt(N / n)``
    * ``effective_num``: ``(1 - b) / (1 - b^n)`` with ``b = 0.9999`` (Cui et al., Class-Balanced
      Loss Based on Effective Number of Samples, CVPR 2019)

    Args:
        counts: Clips of each class, shape ``(classes,)``, not necessarily whole; below 1 counts
            as 1.
        strategy: One of ``STRATEGIES``.

    Raises:
        ValueError: If the strategy is unknown.
    """
    import numpy as np  # command lines need the names alone

    present = np.maximum(np.asarray(counts, dtype=float), 1.0)
    total = float(np.sum(counts))
    if strategy == "inverse_freq":
        return total / (len(present) * present)
    if strategy == "sqrt_inverse_freq":
        return np.sqrt(total / present)
    if strategy == "effective_num":
        return (1.0 - EFFECTIVE_BETA) / (1.0 - EFFECTIVE_BETA**present)
    raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
