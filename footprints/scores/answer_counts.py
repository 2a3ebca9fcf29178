"""How many answers name the species, the right group, something wrong, or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from footprints.scores.calibration import UNKNOWN
from footprints.scores.groups import Groups
from footprints.scores.intervals import wilson_interval
from footprints.scores.judging import GROUP, Judgement, Rules, judge

KINDS = ("right_species", "right_group", "wrong_species", "wrong_group", "unknown")


def answer_counts(found: Sequence[Judgement], labels: np.ndarray, rules: Rules) -> dict[str, Any]:
    """Count answers by what they are worth.

    Args:
        found: Of ``judging.judge``.
        labels: True classes as numbers, ``(photos,)``.
        rules: That they were judged by.

    Returns:
        For each of ``KINDS`` the number, its share and the share's 95 % interval.
    """
    true = [rules.classes[label] for label in labels]
    counts = Counter(_kind(one, name, rules) for one, name in zip(found, true, strict=True))
    n = len(true)
    return {
        kind: {
            "photos": counts[kind],
            "share": counts[kind] / n,
            "share_interval": wilson_interval(counts[kind], n),
        }
        for kind in KINDS
    }


def counts_with_and_without(
    probabilities: np.ndarray, labels: np.ndarray, rules: Rules
) -> dict[str, Any]:
    """Return the counts of a model's answers, and what they were if it knew no groups.

    Args:
        probabilities: Calibrated, ``(photos, classes)``.
        labels: True classes as numbers, ``(photos,)``.
        rules: With groups.
    """
    plain = replace(rules, groups=Groups())
    of = {
        name: answer_counts([judge(row, used) for row in probabilities], labels, used)
        for name, used in (("with_groups", rules), ("without_groups", plain))
    }
    return {"group_threshold": rules.groups.threshold_in_use, **rules.groups.facts(), **of}


def counts_table(counts: dict[str, Any]) -> list[str]:
    """Return such counts as lines for the screen."""
    lines = ["", "answers            with groups                without"]
    for kind in KINDS:
        cells = [_cell(counts[name][kind]) for name in ("with_groups", "without_groups")]
        lines.append(f"{kind.replace('_', ' '):17}  {cells[0]:25}  {cells[1]}")
    return lines


def _cell(one: dict[str, Any]) -> str:
    low, high = one["share_interval"]
    return f"{one['photos']:4}  {one['share']:.3f} ({low:.3f} to {high:.3f})"


def _kind(one: Judgement, true: str, rules: Rules) -> str:
    if one.level == UNKNOWN:
        return UNKNOWN
    meant = rules.groups.of(true) if one.level == GROUP else true
    return f"{'right' if one.answer == meant else 'wrong'}_{one.level}"
