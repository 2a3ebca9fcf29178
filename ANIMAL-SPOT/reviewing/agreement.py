"""How well reviewers agree where they judged the same detections."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

_WRONG = "\0wrong"  # no class is called so


def agreement(decisions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compare each pair of reviewers.

    Args:
        decisions: The last of each reviewer on each detection, with ``detection_id``, ``reviewer``,
            ``verdict``, ``class`` (that of another) and ``predicted``.

    Returns:
        For each pair the number of detections that both judged, the share in which they say the
        same, and Cohen's kappa; None where it is not defined, since both always say the same one
        thing. Who is unsure or skips does not judge.
    """
    said: dict[str, dict[int, str]] = {}
    for row in decisions:
        if row["verdict"] in ("right", "wrong", "other"):
            said.setdefault(row["reviewer"], {})[row["detection_id"]] = _label(row)
    found = []
    for one, other in itertools.combinations(sorted(said), 2):
        both = sorted(said[one].keys() & said[other].keys())
        if both:
            labels = [[said[who][number] for number in both] for who in (one, other)]
            share = sum(a == b for a, b in zip(*labels, strict=True)) / len(both)
            found.append(
                {
                    "reviewers": [one, other],
                    "n": len(both),
                    "same": share,
                    "kappa": _kappa(*labels),
                    "differ": [
                        number for number, a, b in zip(both, *labels, strict=True) if a != b
                    ],
                }
            )
    return found


def _label(row: Mapping[str, Any]) -> str:
    if row["verdict"] == "wrong":
        return _WRONG
    return row["class"] if row["verdict"] == "other" else row["predicted"] or ""


def _kappa(first: list[str], second: list[str]) -> float | None:
    if len({*first, *second}) < 2:
        return None
    from sklearn.metrics import cohen_kappa_score  # takes a second

    kappa = float(cohen_kappa_score(first, second))
    return kappa if math.isfinite(kappa) else None
