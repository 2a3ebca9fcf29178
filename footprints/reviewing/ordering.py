"""In which order rows are looked at, and how fast that goes. Pure functions on columns."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from footprints.trust.score_bins import bin_of, score_bins

ORDERS = ("score", "-score", "uncertainty", "random", "bins", "time")
_PAUSE_S = 60.0  # longer between two decisions: the reviewer was away
_FEWEST_PACES = 5


def ranked(
    order: str,
    seed: int,
    ids: np.ndarray,
    classes: np.ndarray,
    scores: np.ndarray,
    natural: np.ndarray,
) -> np.ndarray:
    """Return places in columns in an order; rows without a score come last.

    Args:
        order: One of ``ORDERS``.
        seed: For ``random`` and ``bins``; another number, another order.
        ids: Numbers of the rows, shape ``(row,)``.
        classes: A number for each class; -1: none.
        scores: 0 to 1; NaN: none.
        natural: Places by time, for that order.
    """
    if order == "score":
        return np.lexsort((ids, scores))
    if order == "-score":
        return np.lexsort((ids, -scores))
    if order == "uncertainty":
        return np.lexsort((ids, np.abs(scores - 0.5)))
    if order == "random":
        return np.argsort(_mixed(ids, seed), kind="stable")
    if order == "bins":
        return _by_bins(seed, ids, classes, scores)
    return natural


def _by_bins(seed: int, ids: np.ndarray, classes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Take one of each class and bin in turn, in each at random; the best bins first."""
    turn = np.full(len(ids), len(ids))
    rank = np.zeros(len(ids), np.int64)
    for code in np.unique(classes).tolist():
        own = np.flatnonzero((classes == code) & np.isfinite(scores))
        bins = bin_of(scores[own], score_bins(scores[own]))
        # As trust.sampling draws.
        drawn = np.lexsort((np.random.default_rng(seed).random(len(own)), bins))
        in_order = bins[drawn]
        starts = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]])[: len(own)]
        lengths = np.diff(np.r_[starts, len(own)])
        turn[own[drawn]] = np.arange(len(own)) - np.repeat(starts, lengths)
        rank[own] = -bins
    return np.lexsort((ids, classes, rank, turn))


def _mixed(ids: np.ndarray, seed: int) -> np.ndarray:
    """Return numbers that look random, the same for a detection and a seed (SplitMix64)."""
    with np.errstate(over="ignore"):
        x = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(seed % 2**32 + 1)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def seconds_each(decided_at: Sequence[datetime]) -> float | None:
    """Return how long a decision takes: the median of the last, without pauses; None: too few."""
    moments = sorted(decided_at)
    paces = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(moments)]
    paces = [pace for pace in paces if pace <= _PAUSE_S]
    return round(float(np.median(paces)), 2) if len(paces) >= _FEWEST_PACES else None
