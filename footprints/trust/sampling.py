"""Which detections to review next, so that the reviewed ones stand for all. Pure functions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from footprints.trust.answers import RIGHT, SKIP, UNSURE, WRONG
from footprints.trust.score_bins import bin_of, score_bins

LEAST_DECIDED = 3  # in each bin, before its share of right ones says much


def next_to_review(
    scores: np.ndarray,
    answers: Sequence[str | None],
    n: int,
    *,
    threshold: float | None = None,
    seed: int = 0,
) -> list[int]:
    """Choose detections of a class at random, the same number in each score bin.

    The next one always comes from the bin with the fewest decided rows, whoever chose those; of
    equals from the bin of higher scores. Within a bin the order is drawn once from the seed, so a
    decision changes none of what comes later. Unsure ones do not fill their bin and do not come
    again; skipped ones come when their bin has no other.

    Args:
        scores: Of all detections of the class, in an order that stays (by id), shape
            ``(detection,)``.
        answers: For each detection one of ``ANSWERS``, or None.
        n: How many are wanted.
        threshold: Of ``score_bins``.
        seed: Of the order.

    Returns:
        Positions in ``scores``, at most ``n``; fewer if all have been seen.
    """
    scores = np.asarray(scores, np.float64)
    if len(answers) != len(scores):
        raise ValueError(f"{len(scores)} scores need as many answers, got {len(answers)}")
    if len(scores) == 0 or n <= 0:
        return []
    lows = score_bins(scores, threshold)
    where, given = bin_of(scores, lows), np.array(answers, dtype=object)
    decided = (given == RIGHT) | (given == WRONG)
    filled = np.bincount(where[decided], minlength=len(lows))
    skipped = given == SKIP
    order = np.lexsort((np.random.default_rng(seed).random(len(scores)), skipped))
    order = order[~(decided | (given == UNSURE))[order]]
    waiting = [order[where[order] == i][:n].tolist()[::-1] for i in range(len(lows))]
    chosen: list[int] = []
    while len(chosen) < n and any(waiting):
        fewest = min((i for i in range(len(lows)) if waiting[i]), key=lambda i: (filled[i], -i))
        chosen.append(waiting[fewest].pop())
        filled[fewest] += 1
    return chosen


def filled_evenly(decided: np.ndarray, detections: np.ndarray, more: int) -> np.ndarray:
    """Return how many are decided in each bin after so many more of ``next_to_review``.

    Args:
        decided: Rows decided in each bin, shape ``(bin,)``.
        detections: Rows in each bin.
        more: Further decisions; those beyond the last detection are left out.
    """

    def filled_to(level: int) -> np.ndarray:
        return np.clip(level, decided, detections)

    levels = range(int(detections.max(initial=0)) + 1)
    level = bisect_right(levels, more, key=lambda n: int((filled_to(n) - decided).sum())) - 1
    after = filled_to(level)
    left = more - int((after - decided).sum())
    for i in reversed(range(len(after))):
        if left > 0 and after[i] == level < detections[i]:
            after[i] += 1
            left -= 1
    return after
