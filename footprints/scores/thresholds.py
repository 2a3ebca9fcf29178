"""How probable an answer must be: chosen on validation for a wanted precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from footprints.scores.calibration import LEAST_PHOTOS, least_threshold
from footprints.scores.intervals import wilson_interval

WANTED_PRECISION = 0.8
LEAST_ANSWERS = 20  # of validation, at or above a threshold: fewer say little of its precision
RULES = ("wanted precision", "best precision", "floor")


@dataclass(frozen=True)
class Threshold:
    """A least probability of answers, and how it was found.

    Attributes:
        value: It; None where the floor rule holds, see ``calibration.threshold_in_use``.
        rule: Of ``RULES``: ``wanted precision`` reached; ``best precision``, as no threshold
            reached the wanted one; ``floor``, as there were too few photos or answers to choose.
        floor: It is never lower; a quarter of the way from chance to certainty.
        wanted: The precision that was asked for, 0 to 1.
        precision: Share of right answers among those of validation that reach it; None for the
            floor rule.
        answered: How many of validation reach it; None for the floor rule.
        photos: Of validation.
    """

    value: float | None
    rule: str
    floor: float
    wanted: float
    precision: float | None
    answered: int | None
    photos: int

    def record(self) -> dict[str, Any]:
        """Return how it was found, for JSON."""
        found: dict[str, Any] = {
            "rule": self.rule,
            "floor": self.floor,
            "wanted_precision": self.wanted,
            "photos": self.photos,
        }
        if self.precision is not None and self.answered is not None:
            ends = wilson_interval(self.precision * self.answered, self.answered)
            found |= {
                "precision": self.precision,
                "precision_interval": list(ends),
                "answered": self.answered,
            }
        return found

    def in_words(self) -> str:
        """Say how it was found, in one clause."""
        if self.precision is None:
            return (
                f"floor rule: of {self.photos} validation photos too few could be answered to "
                "choose one"
            )
        found = f"{self.precision:.0%} of {self.answered} validation answers above it are right"
        if self.rule == RULES[0]:
            return f"{found}, wanted were {self.wanted:.0%}"
        return f"{found}, the most that any threshold reaches; wanted were {self.wanted:.0%}"


def choose_threshold(
    probabilities: np.ndarray, labels: np.ndarray, wanted: float = WANTED_PRECISION
) -> Threshold:
    """Choose the least probability of an answer.

    It is the lowest one, but no lower than the floor, at which the wanted share of the answers
    that reach it is right. If there is none, it is the one with the largest share.

    Args:
        probabilities: Calibrated ones of validation photos, shape ``(photos, classes)``.
        labels: Their true classes as numbers, shape ``(photos,)``.
        wanted: Precision of the answers, 0 to 1.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    best = probabilities.max(axis=1) if len(probabilities) else np.zeros(0)
    right = probabilities.argmax(axis=1) == np.asarray(labels) if len(best) else np.zeros(0, bool)
    floor = least_threshold(probabilities.shape[1])

    def found(value: float | None, rule: str, precision: float | None, answered: int | None):
        return Threshold(value, rule, floor, wanted, precision, answered, len(best))

    # The floor itself, and every probability above it: equal ones are kept together.
    cuts = np.unique(np.append(best[best > floor], floor))
    answered = np.array([int((best >= cut).sum()) for cut in cuts])
    if len(best) < LEAST_PHOTOS or answered[0] < LEAST_ANSWERS:
        return found(None, "floor", None, None)
    cuts, answered = cuts[answered >= LEAST_ANSWERS], answered[answered >= LEAST_ANSWERS]
    precision = np.array([right[best >= cut].mean() for cut in cuts])
    reached = np.flatnonzero(precision >= wanted)
    at = int(reached[0]) if len(reached) else int(precision.argmax())
    rule = RULES[0] if len(reached) else RULES[1]
    value = max(_between(cuts[at], best), floor)
    return found(value, rule, float(precision[at]), int(answered[at]))


def _between(cut: float, best: np.ndarray) -> float:
    """Return the middle between a cut and the next probability below it, where there is one."""
    below = best[best < cut]
    return float((cut + below.max()) / 2) if len(below) else float(cut)
