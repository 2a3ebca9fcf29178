"""How well reviewers agree where they judged the same detections."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

from animal_spot.reviewing.verdicts import KNOWN

_WRONG = "\0wrong"  # no class is called so
_Z = 1.959964  # of 95 %


def agreement(decisions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compare each pair of reviewers.

    Args:
        decisions: The last of each reviewer on each detection, with ``detection_id``, ``reviewer``,
            ``verdict``, ``class`` (that of another) and ``predicted``.

    Returns:
        For each pair ``a`` and ``b`` the number of detections that ``both`` judged, of those of
        which they say the ``same``, Cohen's ``kappa`` with ``low`` and ``high`` ends of a 95 %
        interval (None where both say the same one thing of all, and so nothing can be told), and
        those in which they ``differ``. Who is unsure or skips does not judge.
    """
    said: dict[str, dict[int, str]] = {}
    for row in decisions:
        if row["verdict"] in KNOWN:
            said.setdefault(row["reviewer"], {})[row["detection_id"]] = _label(row)
    found = []
    for one, other in itertools.combinations(sorted(said), 2):
        both = sorted(said[one].keys() & said[other].keys())
        if both:
            first, second = ([said[who][number] for number in both] for who in (one, other))
            differ = [n for n, a, b in zip(both, first, second, strict=True) if a != b]
            n_same = len(both) - len(differ)
            counts = {"a": one, "b": other, "both": len(both), "same": n_same}
            found.append(counts | _kappa(first, second, n_same) | {"differ": differ})
    return found


def _label(row: Mapping[str, Any]) -> str:
    if row["verdict"] == "wrong":
        return _WRONG
    return row["class"] if row["verdict"] == "other" else row["predicted"] or ""


def _kappa(first: list[str], second: list[str], n_same: int) -> dict[str, float | None]:
    """Return kappa (Cohen 1960) and its interval: Wilson's of the share that is the same."""
    if len({*first, *second}) < 2:
        return dict.fromkeys(("kappa", "low", "high"))
    n = len(first)
    by_chance = sum(first.count(name) * second.count(name) for name in {*first, *second}) / n**2
    middle, half = _wilson(n_same, n)
    kappa, low, high = (
        (share - by_chance) / (1 - by_chance)
        for share in (n_same / n, middle - half, middle + half)
    )
    return {"kappa": kappa, "low": low, "high": high}


def _wilson(n_same: int, n: int) -> tuple[float, float]:
    """Return middle and half width of Wilson's 95 % interval of a share."""
    share, z = n_same / n, _Z
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return middle, half
