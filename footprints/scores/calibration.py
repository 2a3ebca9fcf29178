"""What a probability is worth: temperature scaling, and when to say "unknown"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from footprints.scores.intervals import wilson_interval
from footprints.system.typed import as_number, as_whole

UNKNOWN = "unknown"
DEFAULT_THRESHOLD = 0.5  # where a calibrated answer is as likely right as wrong
_LEAST = 10  # right answers, and wrong ones, that a threshold of our own choice needs
LEAST_PHOTOS = 50  # of validation; fewer say little of a model


def least_threshold(n_classes: int) -> float:
    """Return the least sensible threshold: a quarter of the way from chance to certainty.

    By chance a class has the probability ``1 / n_classes``; an answer little above it is a guess,
    whatever validation made of it.
    """
    chance = 1 / n_classes
    return chance + (1 - chance) / 4


def threshold_in_use(metadata: Mapping[str, Any]) -> float:
    """Return the threshold of a model: the one in its file, but no guess is certain.

    Args:
        metadata: What the model's file says: ``classes``, ``threshold``.
    """
    chosen = metadata.get("threshold")
    chosen = DEFAULT_THRESHOLD if chosen is None else float(chosen)
    return max(chosen, least_threshold(len(metadata["classes"])))


def weakness(metadata: Mapping[str, Any]) -> str | None:
    """Say in one sentence why little is to be made of a model's answers, or None.

    A model is weak if the share of right answers in validation is below ``least_threshold``, or
    might be, at the lower end of its 95 % interval, or if there are fewer than ``LEAST_PHOTOS``
    photos to tell.

    Args:
        metadata: What the model's file says: ``classes`` and ``validation`` with ``photos`` and
            ``accuracy``. Files without it are not judged.
    """
    validation = metadata.get("validation")
    if not isinstance(validation, Mapping):
        return None
    try:
        n = as_whole(validation.get("photos"), 1)
        share = as_number(validation.get("accuracy"), 0, 1)
    except ValueError:
        return None
    chance = 1 / len(metadata["classes"])
    low, _ = wilson_interval(share * n, n)
    said = f"{share:.0%} of {n} validation photos were right, by chance {chance:.0%} would be"
    least = least_threshold(len(metadata["classes"]))
    if share < least:
        return f"weak model: {said}; take its answers for guesses"
    if low < least or n < LEAST_PHOTOS:
        return f"weak model: {said}, and so few photos tell little; collect more"
    return None


def is_unknown(name: str) -> bool:
    """Tell whether the name of a class reads like the answer "unknown"."""
    return name.strip().casefold() == UNKNOWN


def calibrated(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Soften (or sharpen) softmax probabilities by a temperature fitted on validation.

    With logits z, softmax(z / T) = softmax(log(softmax(z)) / T), so the logits are not needed
    (Guo et al., On calibration of modern neural networks, ICML 2017).

    Args:
        probabilities: Shape ``(photos, classes)``, rows sum to 1.
        temperature: Above 1 softens, below 1 sharpens, 1 changes nothing.

    Returns:
        New array of that shape, float64, rows sum to 1; the order within a row is kept.

    Raises:
        ValueError: If the temperature is not a number above zero, or a probability is no number.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be above 0, not {temperature}")
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if not np.isfinite(probabilities).all():
        raise ValueError("the model's output is not a number; was its training broken off?")
    if probabilities.size == 0:
        return probabilities.copy()
    with np.errstate(divide="ignore"):
        scaled = np.log(probabilities) / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def choose_threshold(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    """Choose the probability below which an answer had better be "unknown".

    It is the one that tells right answers from wrong ones best: the largest difference between the
    share of right answers that are kept and the share of wrong ones that are (Youden, Cancer 1950).

    Args:
        probabilities: Calibrated ones of validation photos, shape ``(photos, classes)``.
        labels: Their true classes as numbers, shape ``(photos,)``.

    Returns:
        A number from ``least_threshold`` to 1; None if there are fewer than 10 right or 10 wrong
        answers, or than ``LEAST_PHOTOS`` photos, to go by.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    best = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == np.asarray(labels)
    if min(right.sum(), (~right).sum()) < _LEAST or len(right) < LEAST_PHOTOS:
        return None
    order = np.argsort(-best, kind="stable")
    kept_right = np.cumsum(right[order]) / right.sum()
    kept_wrong = np.cumsum(~right[order]) / (~right).sum()
    # Equal probabilities are kept together: only the last of them is a possible cut.
    last = np.append(np.diff(best[order]) < 0, True)
    gain = np.where(last, kept_right - kept_wrong, -np.inf)
    at = int(gain.argmax())
    if gain[at] <= 0:  # the probabilities say nothing
        return None
    below = best[order][at + 1] if at + 1 < len(order) else 0.0
    chosen = float((best[order][at] + below) / 2)
    return max(chosen, least_threshold(probabilities.shape[1]))
