"""How many of all detections are right, from a reviewed sample over score bins. Pure functions.

The share of right ones is measured in each bin and weighed with the bin's share of all detections
(post-stratification), so it does not matter how many rows of a bin were reviewed. Its interval is
that of a simple sample of the size that would know as much (effective sample size: Korn & Graubard,
Confidence intervals for proportions with small expected number of positive counts, Survey
Methodology 24, 1998), by Jeffreys' method with exact limits where all are right or all are wrong
(Brown, Cai & DasGupta, Interval estimation for a binomial proportion, Statistical Science 16,
2001). The share that was reviewed has no error (finite population correction). How often these
intervals hold the truth is tested by simulation.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import beta

from footprints.trust.sampling import filled_evenly

CONFIDENCE = 0.95


def stratified_interval(
    right: np.ndarray, decided: np.ndarray, detections: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate the share of right detections, with its 95 % interval.

    A bin in which nothing was decided may be right or wrong as a whole: the interval reaches from
    the one to the other, and there is no estimate.

    Args:
        right: Decided rows that are right, in each bin; shape ``(..., bin)``.
        decided: Decided rows in each bin.
        detections: All rows in each bin, at least one in all.

    Returns:
        Estimate (NaN where a bin is unknown), low and high end, 0..1, each of shape ``(...)``.
    """
    right, decided, detections = np.broadcast_arrays(
        *(np.asarray(a, np.float64) for a in (right, decided, detections))
    )
    total = detections.sum(-1)
    unknown = np.where(decided == 0, detections, 0).sum(-1)
    known = total - unknown
    weight = np.where(decided > 0, detections, 0) / np.where(known > 0, known, 1)[..., None]
    n = np.maximum(decided, 1)
    share = (weight * right / n).sum(-1)
    low, high = _effective_interval(share, right, decided, weight, detections)
    # What was seen is certain, and so are the bounds that follow.
    n_right, n_wrong = right.sum(-1), (decided - right).sum(-1)
    low = np.maximum(low * known, n_right) / total
    high = np.minimum(high * known + unknown, total - n_wrong) / total
    return np.where(unknown > 0, math.nan, share), low, high


def _effective_interval(
    share: np.ndarray,
    right: np.ndarray,
    decided: np.ndarray,
    weight: np.ndarray,
    detections: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the interval of ``share``, over bins with a weight."""
    n = np.maximum(decided, 1)
    # Half a right and half a wrong row more: else a bin of five right ones would have no error.
    smooth = (right + 0.5) / (n + 1)
    left_over = 1 - decided / np.maximum(detections, 1)
    variance = (weight**2 * smooth * (1 - smooth) / n * left_over).sum(-1)
    middle = (weight * smooth).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 where no bin is known
        size = np.minimum(middle * (1 - middle) / variance, 1e12)  # 1e12: all are reviewed
    tail = (1 - CONFIDENCE) / 2
    low = beta.ppf(tail, share * size + 0.5, (1 - share) * size + 0.5)
    high = beta.ppf(1 - tail, share * size + 0.5, (1 - share) * size + 0.5)
    exact = tail ** (1 / np.maximum(size, 1e-9))
    none, every = right.sum(-1) == 0, (decided - right).sum(-1) == 0
    low = np.where(none, 0.0, np.where(every, exact, low))
    high = np.where(every, 1.0, np.where(none, 1 - exact, high))
    return np.where(variance == 0, share, low), np.where(variance == 0, share, high)


def reviews_to_halve(right: np.ndarray, decided: np.ndarray, detections: np.ndarray) -> int | None:
    """Return how many more decisions would make the interval half as wide.

    They are taken as ``next_to_review`` takes them, and as right as those of their bin so far.

    Args:
        right: Decided rows that are right, in each bin; shape ``(bin,)``.
        decided: Decided rows in each bin.
        detections: All rows in each bin.

    Returns:
        None while a bin has no decided row, or where all rows are decided.
    """
    right, decided, detections = (np.asarray(a) for a in (right, decided, detections))
    left = int((detections - decided).sum())
    if (decided == 0).any() or left == 0:
        return None

    def width(more: int) -> float:
        after = filled_evenly(decided, detections, more)
        _, low, high = stratified_interval(right * after / decided, after, detections)
        return float(high - low)

    half, lowest, highest = width(0) / 2, 0, left
    while highest - lowest > 1:
        middle = (lowest + highest) // 2
        lowest, highest = (lowest, middle) if width(middle) <= half else (middle, highest)
    return highest
