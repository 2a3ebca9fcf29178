"""How sure a share is. Pure functions."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054  # two-sided 95 % point of the normal distribution


def wilson_interval(n_right: float, n: float) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927).

    Args:
        n_right: How many of the ``n`` were right.
        n: Of how many.

    Returns:
        Lower and upper end in 0..1; two NaN for ``n == 0``.
    """
    if n == 0:
        return math.nan, math.nan
    share, z = n_right / n, Z_95
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
