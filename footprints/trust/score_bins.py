"""Bins of scores that hold about equally many detections. Pure functions.

Bins of equal number, not of equal width: as many reviewed rows in each bin are then a sample in
proportion, in which no row counts for many times more detections than another. Of strata that are
all equally easy to review none does better for the whole (Cochran, Sampling Techniques, 3rd
edition, 1977, chapter 5), and networks' scores crowd near 1, where bins of equal width say little.
"""

from __future__ import annotations

import numpy as np

MOST_BINS = 10
LEAST_DETECTIONS = 6  # in a bin


def score_bins(scores: np.ndarray, threshold: float | None = None) -> np.ndarray:
    """Return the lowest score of each bin, ascending; the first is the lowest of all.

    Equal scores are in one bin, so there may be fewer bins than ``MOST_BINS``.

    Args:
        scores: Of all detections of a class, shape ``(detection,)``, 0..1.
        threshold: A score at which a bin shall begin, if detections lie on both sides.
    """
    scores = np.sort(np.asarray(scores, np.float64))
    if len(scores) == 0:
        return scores
    n_bins = max(1, min(MOST_BINS, len(scores) // LEAST_DETECTIONS))
    lows = scores[np.arange(n_bins) * len(scores) // n_bins]
    if threshold is not None and scores[0] < threshold <= scores[-1]:
        lows = np.append(lows, scores[np.searchsorted(scores, threshold)])
    return np.unique(lows)


def bin_of(scores: np.ndarray, lows: np.ndarray) -> np.ndarray:
    """Return the index of each score's bin; shape ``(detection,)``.

    Args:
        scores: None below the lowest bin.
        lows: Of ``score_bins``.
    """
    return np.searchsorted(lows, scores, side="right") - 1
