"""Intervals of accuracies, by drawing whole tapes again and again.

Clips of one tape are right or wrong together, so intervals that count clips one by one are too
short. Here tapes are drawn with replacement, as many as there are, each with all its clips; the
interval is that of the middle 95 % of what the draws give (percentile bootstrap: Efron &
Tibshirani, An introduction to the bootstrap, 1993; of whole groups: Field & Welsh, J. R. Stat.
Soc. B 69, 2007).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

N_DRAWS = 10_000
Interval = tuple[float, float] | None


@dataclass(frozen=True)
class TapeDraws:
    """Accuracies of many draws of tapes.

    Attributes:
        accuracy: Share of clips that are right, shape ``(draws,)``.
        per_class: Share of each class, shape ``(draws, classes)``; NaN where a draw has none of it.
        macro: Mean of the classes, shape ``(draws,)``. A class that a draw has none of counts with
            its share in all clips, so that the mean is always of the same classes.
    """

    accuracy: np.ndarray
    per_class: np.ndarray
    macro: np.ndarray


def draw_tapes(
    labels: Sequence[int],
    predictions: Sequence[int],
    tapes: Sequence[str],
    n_classes: int,
    *,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> TapeDraws:
    """Draw tapes with replacement and count what is right in each draw.

    Results of several networks on the same clips share their draws, so that they may be compared
    draw by draw.

    Args:
        labels: True class index of each clip.
        predictions: Predicted index of each clip.
        tapes: Tape of each clip.
        n_classes: Number of classes.
        n_draws: Number of draws.
        seed: Same seed and tapes, same draws.

    Raises:
        ValueError: If there is no clip or the lengths differ.
    """
    if not len(labels) == len(predictions) == len(tapes) or not len(labels):
        raise ValueError(
            "labels, predictions and tapes must be as many, and at least one; got "
            f"{len(labels)}, {len(predictions)} and {len(tapes)}"
        )
    names, tape = np.unique(np.asarray(tapes, dtype=str), return_inverse=True)
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    clips = np.zeros((len(names), n_classes))
    right = np.zeros((len(names), n_classes))
    np.add.at(clips, (tape, labels), 1)
    np.add.at(right, (tape, labels), labels == predictions)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_draws)
    drawn, correct = times @ clips, times @ right  # (draws, classes)
    present = drawn > 0
    per_class = np.where(present, correct / np.where(present, drawn, 1), np.nan)
    exists = clips.sum(0) > 0
    share = right.sum(0)[exists] / clips.sum(0)[exists]
    macro = np.where(present[:, exists], per_class[:, exists], share).mean(1)
    return TapeDraws(correct.sum(1) / drawn.sum(1), per_class, macro)


def middle(values: np.ndarray, level: float = 0.95) -> Interval:
    """Return the limits between which the middle share of draws lies; NaN draws do not count.

    Args:
        values: Shape ``(draws,)``.
        level: That share.

    Returns:
        Lower and upper limit; None if no draw counts.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def class_intervals(
    draws: TapeDraws, labels: Sequence[int], tapes: Sequence[str], level: float = 0.95
) -> list[Interval]:
    """Return the interval of each class.

    None for a class of fewer than two tapes: all draws of one tape are the same.
    """
    tapes_of: dict[int, set[str]] = {}
    for label, tape in zip(labels, tapes, strict=True):
        tapes_of.setdefault(int(label), set()).add(tape)
    return [
        middle(draws.per_class[:, index], level) if len(tapes_of.get(index, ())) > 1 else None
        for index in range(draws.per_class.shape[1])
    ]


def accuracies(
    labels: Sequence[int], predictions: Sequence[int], n_classes: int
) -> tuple[list[float | None], float]:
    """Return the accuracy of each class, None for an absent one, and their mean."""
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    per_class = [
        float((predictions[labels == index] == index).mean()) if (labels == index).any() else None
        for index in range(n_classes)
    ]
    present = [value for value in per_class if value is not None]
    return per_class, math.fsum(present) / len(present)


def ratio_intervals(
    parts: np.ndarray,
    wholes: np.ndarray,
    *,
    fewest: int = 2,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> list[Interval]:
    """Return intervals of shares, such as of events that are found, by drawing whole recordings.

    Args:
        parts: Counts of each recording, shape ``(recording, share)``.
        wholes: What they are parts of.
        fewest: Recordings with any of the whole from which there is an interval.
        n_draws: Number of draws.
        seed: Same seed, same draws.

    Returns:
        Of each share; None where too few recordings have any of the whole.
    """
    n = len(parts)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(n, np.full(n, 1 / n), size=n_draws) if n else np.zeros((0, 0))
    drawn = times @ wholes
    shares = np.where(drawn > 0, times @ parts / np.where(drawn > 0, drawn, 1), np.nan)
    return [
        middle(shares[:, column]) if (wholes[:, column] > 0).sum() >= fewest else None
        for column in range(wholes.shape[1])
    ]
