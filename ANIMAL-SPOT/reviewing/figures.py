"""How far the numbers of a review can be trusted, in the form in which the page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from animal_spot.trust.summary import summary


def figures(
    rows: Sequence[tuple[str, float | None, str | None]],
    *,
    wanted: float,
    threshold: float | None,
    seed: int,
) -> list[dict[str, Any]]:
    """Estimate precision and true calls of each class from what was decided.

    Args:
        rows: Class, score and joint verdict of all that the model found, see ``trust.summary``.
        wanted: Precision for which a threshold is looked for.
        threshold: That in use; None: the lowest score.
        seed: Of what is drawn.

    Returns:
        For each class its counts, ``threshold``, ``precision``, ``true_calls``, ``curve``,
        ``logistic``, ``wanted``, ``more`` (reviews that halve the interval) and ``reasons``.

    Raises:
        ValueError: If a number is out of its range.
    """
    names = {name for name, _, _ in rows}
    thresholds = {} if threshold is None else dict.fromkeys(names, threshold)
    found = summary(rows, wanted=wanted, thresholds=thresholds, seed=seed)
    return [_shown(name, of, wanted) for name, of in found["classes"].items()]


def _shown(name: str, found: Mapping[str, Any], wanted: float) -> dict[str, Any]:
    counts = ("detections", "reviewed", "right", "wrong", "unsure", "skipped", "threshold")
    at = found["score_for_precision"]
    curve = found["score_curve"]
    return {
        "class": name,
        **{key: found[key] for key in counts},
        "precision": _interval(found["precision"]),
        "true_calls": _interval(found["true_calls"]),
        "if_unsure": found["if_unsure"],
        "bins": found["bins"],
        "curve": [
            {"threshold": row["threshold"], "detections": row["detections"], **_interval(row)}
            for row in found["curve"]
        ],
        "logistic": [
            _interval(point, "probability") | {"score": point["score"]}
            for point in (curve["points"] if curve else ())
        ],
        "wanted": [
            {"precision": wanted, "threshold": at["score"], "low": at["low"], "high": at["high"]}
        ],
        "more": found["reviews_to_halve"],
        "reasons": found["notes"],
    }


def _interval(found: Mapping[str, Any], middle: str = "estimate") -> dict[str, float | None]:
    return {"value": found[middle], "low": found["low"], "high": found["high"]}
