"""All that a reviewed sample tells of a class, as one dictionary for JSON, and as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm, rankdata

from footprints.trust.answers import RIGHT, SKIP, UNSURE, WRONG
from footprints.trust.precision import CONFIDENCE, reviews_to_halve, stratified_interval
from footprints.trust.sampling import LEAST_DECIDED
from footprints.trust.score_bins import bin_of, score_bins
from footprints.trust.score_curve import (
    ScoreCurve,
    Threshold,
    fit_score_curve,
    precision_threshold,
    probability_threshold,
)

WANTED = (0.9, 0.95, 0.99)  # precisions
NO_PROBABILITY = "scores are not in 0..1"  # those of other programs
N_CURVE_POINTS = 41
CHOSEN = 0.001  # probability of a random sample whose scores differ that much from the others'


class Row(NamedTuple):
    """A detection that prediction made.

    Attributes:
        name: Its class.
        score: Of whatever scale; None or NaN if nobody knows it. Of scores in 0..1 there are
            thresholds too.
        answer: One of ``answers.ANSWERS``; None: not seen by anybody.
    """

    name: str
    score: float | None
    answer: str | None


def summary(
    rows: Iterable[Row | tuple[str, float | None, str | None]],
    *,
    wanted: Sequence[float] = WANTED,
    thresholds: Mapping[str, float] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Say for each class how far its detections can be trusted.

    Args:
        rows: All detections that prediction made, reviewed or not, in an order that stays. Calls
            that people added (missed ones) are not among them.
        wanted: Precisions, and probabilities of being right, for which thresholds are looked for.
        thresholds: Least score of a detection in present use, for single classes; all others use
            their lowest score.
        seed: Of what is drawn.

    Returns:
        ``confidence``, and under ``classes`` what ``class_summary`` says of each class, by name.
        Numbers that are not known are None.

    Raises:
        ValueError: If a number is out of its range.
    """
    for value in wanted:
        if not 0 < value < 1:
            raise ValueError(f"a wanted precision must be above 0 and below 1, got {value:g}")
    by_class: dict[str, list[tuple[float | None, str | None]]] = {}
    for name, score, answer in rows:
        by_class.setdefault(name, []).append((score, answer))
    given = thresholds or {}
    return {
        "confidence": CONFIDENCE,
        "classes": [
            {"class": name} | class_summary(by_class[name], wanted, given.get(name), seed)
            for name in sorted(by_class)
        ],
    }


def class_summary(
    rows: Sequence[tuple[float | None, str | None]],
    wanted: Sequence[float] = WANTED,
    threshold: float | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Say how far the detections of one class can be trusted; see ``summary``.

    Returns:
        * counts: ``detections``, ``reviewed`` (those with an answer of right or wrong), ``right``,
          ``wrong``, ``unsure``, ``skipped``, ``without_score`` (which count nowhere else)
        * ``threshold`` in present use, and whether it is ``threshold_given``: else it is the lowest
          score found; ``precision`` from it on, ``true_calls`` among all
          detections and ``true_calls_at_threshold``: ``value``, ``low``, ``high``
        * ``curve``: ``value``, ``low``, ``high`` of the precision from the ``threshold`` of each
          bin on, with its ``detections`` and those ``reviewed``; ``bins``: counts of each
        * ``if_unsure``: ``low`` of ``precision`` if all unsure ones were wrong, ``high`` if all
          were right; None without any
        * ``logistic``: probability of being right at some scores; empty if there is no such curve
        * ``wanted``: for each precision the ``threshold`` from which it is reached, with ``low``
          and ``high``, and ``reason`` why there is none; ``wanted_probability``: the same for the
          probability of the detections at the threshold itself
        * ``more``: further reviews that would halve the interval of ``precision``
        * ``reasons``: what a reader of these numbers must know, a line each
    """
    all_scores = np.array([math.nan if s is None else s for s, _ in rows], np.float64)
    has_score = np.isfinite(all_scores)
    scores = all_scores[has_score]
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
    is_probability = (scores.min() >= 0) & (scores.max() <= 1)
    fitted = fit_score_curve(scores[decided], right[decided]) if is_probability else NO_PROBABILITY
    by_precision = [precision_threshold(fitted, scores, value, seed) for value in wanted]
    by_probability = [probability_threshold(fitted, value) for value in wanted]
    return counts | {
        "threshold": float(lows[0]) if threshold is None else threshold,
        "threshold_given": threshold is not None,
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
        "logistic": _curve_points(fitted, scores),
        "wanted": _thresholds("precision", wanted, by_precision),
        "wanted_probability": _thresholds("probability", wanted, by_probability),
        "more": bins.to_halve(first),
        "reasons": _reasons(counts, bins, fitted, _is_chosen(scores, where, decided)),
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
            return {"value": None, "low": None, "high": None}
        found = stratified_interval(right[first:], decided[first:], self.detections[first:])
        estimate, low, high = (float(x) for x in found)
        return {"value": None if math.isnan(estimate) else estimate, "low": low, "high": high}

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
    return number if end == "value" else float(round(number))


def _thresholds(
    name: str, wanted: Sequence[float], found: Sequence[Threshold]
) -> list[dict[str, Any]]:
    return [
        {
            name: value,
            "threshold": one.score,
            "low": one.low,
            "high": one.high,
            "reason": one.reason,
        }
        for value, one in zip(wanted, found, strict=True)
    ]


def _curve_points(fitted: ScoreCurve | str, scores: np.ndarray) -> list[dict[str, float]]:
    if isinstance(fitted, str):
        return []
    at = np.linspace(scores.min(), scores.max(), N_CURVE_POINTS)
    rows = zip(at, *fitted.at(at), strict=True)
    names = ("score", "value", "low", "high")
    return [dict(zip(names, map(float, row), strict=True)) for row in rows]


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


def _reasons(
    counts: dict[str, int], bins: _Bins, fitted: ScoreCurve | str, chosen: bool
) -> list[str]:
    reasons = []
    empty = int((bins.decided == 0).sum())
    few = int(
        ((bins.decided > 0) & (bins.decided < np.minimum(LEAST_DECIDED, bins.detections))).sum()
    )
    if empty:
        share = bins.detections[bins.decided == 0].sum() / bins.detections.sum()
        reasons.append(
            f"nothing is reviewed in {empty} of {len(bins.lows)} score bins ({share:.0%} of the "
            "detections), which may be all right or all wrong; review by sample"
        )
    if few:
        reasons.append(f"{few} score bins have under {LEAST_DECIDED} reviewed rows: still rough")
    if chosen:
        reasons.append(
            "the reviewed rows have other scores than the rest of their score bins, as if they had "
            "been chosen by score: the precision may be off; review by sample"
        )
    if counts["unsure"]:
        reasons.append(
            f"{counts['unsure']} unsure rows are left out, as if they were as often right as the "
            "others of their score"
        )
    if counts["without_score"]:
        reasons.append(f"{counts['without_score']} rows without a score are left out")
    if isinstance(fitted, str):
        reasons.append(f"no threshold for a wanted precision: {fitted}")
    return reasons


def _nothing(threshold: float | None) -> dict[str, Any]:
    """Return what is said of a class without any detection that has a score."""
    unknown = {"value": None, "low": None, "high": None}
    return {
        "threshold": threshold,
        "threshold_given": threshold is not None,
        "precision": unknown,
        "true_calls": unknown,
        "true_calls_at_threshold": unknown,
        "curve": [],
        "bins": [],
        "if_unsure": None,
        "logistic": [],
        "wanted": [],
        "wanted_probability": [],
        "more": None,
        "reasons": ["no detection has a score"],
    }


def summary_lines(found: Mapping[str, Any], things: str = "calls") -> list[str]:
    """Return a summary as lines of text: a table with a line for each class, then reasons.

    Args:
        found: Of ``summary``.
        things: What the detections are, if they are right.
    """
    rows = found["classes"]
    width = max(len(name) for name in [*(row["class"] for row in rows), "class"])
    lines = [
        f"{'class':<{width}} {'detections':>10} {'reviewed':>8} {'right':>6} "
        f"{'precision (95 %)':>24} {f'true {things} (95 %)':>24} {'more to halve it':>16}"
    ]
    for row in rows:
        more = "" if row["more"] is None else row["more"]
        lines.append(
            f"{row['class']:<{width}} {row['detections']:>10} {row['reviewed']:>8} "
            f"{row['right']:>6} {_between(row['precision'], '.1%'):>24} "
            f"{_between(row['true_calls'], '.0f'):>24} {more:>16}"
        )
    for row in rows:
        lines += [
            f"{row['class']}: a precision of {one['precision']:.0%} from a threshold of "
            f"{_between({'value': one['threshold']} | one, '.3f')}"
            if one["reason"] is None
            else f"{row['class']}: a precision of {one['precision']:.0%}: {one['reason']}"
            for one in row["wanted"]
            if row["logistic"]
        ]
        lines += [f"{row['class']}: {reason}" for reason in row["reasons"]]
    return lines


def _between(values: Mapping[str, Any], form: str) -> str:
    value, low, high = (
        "?" if values[key] is None else format(values[key], form)
        for key in ("value", "low", "high")
    )
    return "unknown" if low == high == value == "?" else f"{value} ({low} to {high})"
