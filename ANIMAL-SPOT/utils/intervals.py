"""Intervals of shares. Pure functions."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """Return the interval of a proportion (Wilson, J. Am. Stat. Assoc. 22, 1927).

    Returns:
        Lower and upper limit in 0..1; ``(0, 1)`` without any trial.
    """
    if total == 0:
        return 0.0, 1.0
    share, z = correct / total, Z_95
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
