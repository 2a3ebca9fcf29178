"""All that a reviewed sample tells of a class, as one dictionary for JSON, and as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm, rankdata

from animal_spot.trust.answers import RIGHT, SKIP, UNSURE, WRONG
from animal_spot.trust.precision import CONFIDENCE, reviews_to_halve, stratified_interval
from animal_spot.trust.sampling import LEAST_DECIDED
from animal_spot.trust.score_bins import bin_of, score_bins
from animal_spot.trust.score_curve import (
    ScoreCurve,
    Threshold,
    fit_score_curve,
    precision_threshold,
    probability_threshold,
)

N_CURVE_POINTS = 41
CHOSEN = 0.001  # probability of a random sample whose scores differ that much from the others'


class Row(NamedTuple):
    """A detection that prediction made.

    Attributes:
        name: Its class.
        score: 0..1; None or NaN if nobody knows it.
        answer: One of ``answers.ANSWERS``; None: not seen by anybody.
    """

    name: str
    score: float | None
    answer: str | None


def summary(
    rows: Iterable[Row | tuple[str, float | None, str | None]],
    *,
    wanted: float = 0.9,
    thresholds: Mapping[str, float] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Say for each class how far its detections can be trusted.

    Args:
        rows: All detections that prediction made, reviewed or not, in an order that stays. Calls
            that people added (missed ones) are not among them.
        wanted: Precision, and probability of being right, for which thresholds are looked for.
        thresholds: Least score of a detection in present use, for single classes; all others use
            their lowest score.
        seed: Of what is drawn.

    Returns:
        ``confidence``, ``wanted`` and under ``classes`` for each class, by name, what
        ``class_summary`` says. Numbers that are not known are None.

    Raises:
        ValueError: If a number is out of its range.
    """
    if not 0 < wanted < 1:
        raise ValueError(f"the wanted precision must be above 0 and below 1, got {wanted:g}")
    by_class: dict[str, list[tuple[float | None, str | None]]] = {}
    for name, score, answer in rows:
        by_class.setdefault(name, []).append((score, answer))
    given = thresholds or {}
    return {
        "confidence": CONFIDENCE,
        "wanted": wanted,
        "classes": {
            name: class_summary(by_class[name], wanted, given.get(name), seed)
            for name in sorted(by_class)
        },
    }


def class_summary(
    rows: Sequence[tuple[float | None, str | None]],
    wanted: float,
    threshold: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Say how far the detections of one class can be trusted; see ``summary``.

    Returns:
        * counts: ``detections``, ``reviewed`` (those with an answer of right or wrong), ``right``,
          ``wrong``, ``unsure``, ``skipped``, ``without_score`` (which count nowhere else)
        * ``threshold`` in present use; ``precision`` from it on, ``true_calls`` among all
          detections and ``true_calls_at_threshold``: ``estimate``, ``low``, ``high``
        * ``curve``: precision from the score of each bin on; ``bins``: counts of each
        * ``if_unsure``: ends of the interval of ``precision`` if all unsure ones were wrong, and if
          all were right; None without any
        * ``score_curve``: ``intercept``, ``slope`` and ``points``, or None
        * ``score_for_probability``, ``score_for_precision``: ``score``, ``low``, ``high``,
          ``reason`` (why there is no score)
        * ``reviews_to_halve``: further reviews for half the interval of ``precision``
        * ``notes``: what a reader of these numbers must know
    """
    all_scores = np.array([math.nan if s is None else s for s, _ in rows], np.float64)
    has_score = np.isfinite(all_scores)
    scores = all_scores[has_score]
    if ((scores < 0) | (scores > 1)).any():
        raise ValueError(f"scores must be in 0..1, got {scores.min():g} to {scores.max():g}")
    answers = np.array([a for _, a in rows], dtype=object)[has_score]
    right, decided = answers == RIGHT, (answers == RIGHT) | (answers == WRONG)
    unsure = answers == UNSURE
    counts = {
        "detections": len(scores),
        "reviewed": int(decided.sum()),
        "right": int(right.sum()),
        "wrong": int((answers == WRONG).sum()),
        "unsure": int(unsure.sum()),
        "skipped": int((answers == SKIP).sum()),
        "without_score": int((~has_score).sum()),
    }
    if len(scores) == 0:
        return counts | _nothing(threshold)
    lows = score_bins(scores, threshold)
    where = bin_of(scores, lows)
    bins = _Bins(
        lows,
        *(
            np.bincount(where[w], minlength=len(lows))
            for w in (np.ones(len(scores), bool), decided, right, unsure)
        ),
    )
    first = 0 if threshold is None else int(np.searchsorted(lows, threshold))
    fitted = fit_score_curve(scores[decided], right[decided])
    by_probability = probability_threshold(fitted, wanted)
    by_precision = precision_threshold(fitted, scores, wanted, seed)
    return counts | {
        "threshold": float(lows[0]) if threshold is None else threshold,
        "precision": bins.shares(first),
        "true_calls": bins.calls(0),
        "true_calls_at_threshold": bins.calls(first),
        "curve": [
            {
                "threshold": float(low),
                "detections": int(bins.detections[i:].sum()),
                "reviewed": int(bins.decided[i:].sum()),
                **bins.shares(i),
            }
            for i, low in enumerate(lows)
        ],
        "bins": bins.rows(scores, where),
        "if_unsure": bins.if_unsure(first),
        "score_curve": _curve_points(fitted, scores),
        "score_for_probability": vars(by_probability),
        "score_for_precision": vars(by_precision),
        "reviews_to_halve": bins.to_halve(first),
        "notes": _notes(counts, bins, by_precision, _is_chosen(scores, where, decided)),
    }


@dataclass(frozen=True)
class _Bins:
    """Lowest score and counts of each bin, shape ``(bin,)``, and what follows from them."""

    lows: np.ndarray
    detections: np.ndarray
    decided: np.ndarray
    right: np.ndarray
    unsure: np.ndarray

    def shares(self, first: int) -> dict[str, float | None]:
        """Return the share of right ones from a bin on."""
        return self._shares(first, self.right, self.decided)

    def _shares(
        self, first: int, right: np.ndarray, decided: np.ndarray
    ) -> dict[str, float | None]:
        if first >= len(self.lows):
            return {"estimate": None, "low": None, "high": None}
        found = stratified_interval(right[first:], decided[first:], self.detections[first:])
        estimate, low, high = (float(x) for x in found)
        return {"estimate": None if math.isnan(estimate) else estimate, "low": low, "high": high}

    def calls(self, first: int) -> dict[str, float | None]:
        """Return the number of right ones from a bin on; ends are whole numbers."""
        n = int(self.detections[first:].sum())
        share = self.shares(first)
        return {end: None if share[end] is None else _whole(share[end] * n, end) for end in share}

    def if_unsure(self, first: int) -> dict[str, float | None] | None:
        """Return the low end with all unsure ones wrong, and the high end with all right."""
        if not self.unsure[first:].any():
            return None
        decided = self.decided + self.unsure
        wrong = self._shares(first, self.right, decided)
        right = self._shares(first, self.right + self.unsure, decided)
        return {"low": wrong["low"], "high": right["high"]}

    def to_halve(self, first: int) -> int | None:
        """Return how many reviews halve the interval from a bin on."""
        return reviews_to_halve(self.right[first:], self.decided[first:], self.detections[first:])

    def rows(self, scores: np.ndarray, where: np.ndarray) -> list[dict[str, Any]]:
        """Return the counts of each bin with its lowest and highest score."""
        return [
            {
                "low": float(low),
                "high": float(scores[where == i].max()),
                "detections": int(self.detections[i]),
                "reviewed": int(self.decided[i]),
                "right": int(self.right[i]),
                "unsure": int(self.unsure[i]),
            }
            for i, low in enumerate(self.lows)
        ]


def _whole(number: float, end: str) -> float:
    """Round the ends of an interval of a count to the nearest whole number."""
    return number if end == "estimate" else float(round(number))


def _curve_points(fitted: ScoreCurve | str, scores: np.ndarray) -> dict[str, Any] | None:
    if isinstance(fitted, str):
        return None
    at = np.linspace(scores.min(), scores.max(), N_CURVE_POINTS)
    rows = zip(at, *fitted.at(at), strict=True)
    names = ("score", "probability", "low", "high")
    return {
        "intercept": float(fitted.intercept),
        "slope": float(fitted.slope),
        "points": [dict(zip(names, map(float, row), strict=True)) for row in rows],
    }


def _is_chosen(scores: np.ndarray, where: np.ndarray, decided: np.ndarray) -> bool:
    """Say whether decided rows have other scores than the rest of their bins, as if chosen by it.

    The sum over bins of the ranks of decided rows, against what a random sample has (van Elteren,
    1960).
    """
    distance = variance = 0.0
    for i in np.unique(where[decided]):
        ranks, taken = rankdata(scores[where == i]), decided[where == i]
        n, total = int(taken.sum()), len(taken)
        if n < total:
            distance += ranks[taken].sum() - n * (total + 1) / 2
            variance += n * (1 - n / total) * ranks.var(ddof=1)
    return variance > 0 and 2 * norm.sf(abs(distance) / math.sqrt(variance)) < CHOSEN


def _notes(counts: dict[str, int], bins: _Bins, found: Threshold, chosen: bool) -> list[str]:
    notes = []
    empty = int((bins.decided == 0).sum())
    few = int(
        ((bins.decided > 0) & (bins.decided < np.minimum(LEAST_DECIDED, bins.detections))).sum()
    )
    if empty:
        share = bins.detections[bins.decided == 0].sum() / bins.detections.sum()
        notes.append(
            f"nothing is reviewed in {empty} of {len(bins.lows)} score bins ({share:.0%} of the "
            "detections), which may be all right or all wrong; review by sample"
        )
    if few:
        notes.append(f"{few} score bins have under {LEAST_DECIDED} reviewed rows: still rough")
    if chosen:
        notes.append(
            "the reviewed rows have other scores than the rest of their score bins, as if they had "
            "been chosen by score: the precision may be off; review by sample"
        )
    if counts["unsure"]:
        notes.append(
            f"{counts['unsure']} unsure rows are left out, as if they were as often right as the "
            "others of their score"
        )
    if counts["without_score"]:
        notes.append(f"{counts['without_score']} rows without a score are left out")
    if found.reason:
        notes.append(f"no score for the wanted precision: {found.reason}")
    return notes


def _nothing(threshold: float | None) -> dict[str, Any]:
    """Return what is said of a class without any detection that has a score."""
    unknown = {"estimate": None, "low": None, "high": None}
    none = vars(Threshold(reason="no detection with a score"))
    return {
        "threshold": threshold,
        "precision": unknown,
        "true_calls": unknown,
        "true_calls_at_threshold": unknown,
        "curve": [],
        "bins": [],
        "if_unsure": None,
        "score_curve": None,
        "score_for_probability": none,
        "score_for_precision": none,
        "reviews_to_halve": None,
        "notes": ["no detection has a score"],
    }


def summary_lines(found: Mapping[str, Any]) -> list[str]:
    """Return a summary as lines of text: a table with a line for each class, then notes."""
    classes = found["classes"]
    width = max(len(name) for name in [*classes, "class"])
    wanted = f"score for {found['wanted']:.0%}"
    lines = [
        f"{'class':<{width}} {'detections':>10} {'reviewed':>8} {'right':>6} "
        f"{'precision (95 %)':>22} {'true calls (95 %)':>22} {wanted:>22} {'reviews to halve':>16}"
    ]
    for name, row in classes.items():
        more = "" if row["reviews_to_halve"] is None else row["reviews_to_halve"]
        lines.append(
            f"{name:<{width}} {row['detections']:>10} {row['reviewed']:>8} {row['right']:>6} "
            f"{_between(row['precision'], '.1%'):>22} {_between(row['true_calls'], '.0f'):>22} "
            f"{_between(row['score_for_precision'], '.3f', 'score'):>22} {more:>16}"
        )
    lines += [f"{name}: {note}" for name, row in classes.items() for note in row["notes"]]
    return lines


def _between(values: Mapping[str, Any], form: str, middle: str = "estimate") -> str:
    if values[middle] is None and values["low"] is None and values["high"] is None:
        return "none" if middle == "score" else "unknown"
    middle_, low, high = (
        "?" if values[key] is None else format(values[key], form) for key in (middle, "low", "high")
    )
    return f"{middle_} ({low} to {high})"
