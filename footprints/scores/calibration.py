"""What a probability is worth: temperature scaling, and when to say "unknown"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from footprints.scores.intervals import wilson_interval
from footprints.system.typed import as_number, as_whole

UNKNOWN = "unknown"
WEAK = "weak model"  # in tables and pictures, where there is no room for the whole sentence
DEFAULT_THRESHOLD = 0.5  # where a calibrated answer is as likely right as wrong
_MOST_PHOTOS = 10**9  # that a validation can have had
LEAST_PHOTOS = 50  # of validation; fewer say little of a model
WEAK_MACRO_F1 = 0.5  # of validation; below it a model is called weak
WEAK_CALIBRATION = 0.15  # calibration error of validation; above it a model is called weak


def least_threshold(n_classes: int) -> float:
    """Return the least sensible threshold: a quarter of the way from chance to certainty.

    By chance a class has the probability ``1 / n_classes``; an answer little above it is a guess,
    whatever validation made of it.
    """
    chance = 1 / n_classes
    return chance + (1 - chance) / 4


def threshold_in_use(metadata: Mapping[str, Any]) -> float:
    """Return the threshold of a model: the one in its file, but no guess is certain.

    Where validation could choose none (the floor rule) it is ``DEFAULT_THRESHOLD``, or
    ``least_threshold`` if that is higher.

    Args:
        metadata: What the model's file says: ``classes``, ``threshold``.
    """
    chosen = metadata.get("threshold")
    chosen = DEFAULT_THRESHOLD if chosen is None else float(chosen)
    return max(chosen, least_threshold(len(metadata["classes"])))


def weakness(metadata: Mapping[str, Any]) -> str | None:
    """Say in one sentence why little is to be made of a model's answers, or None.

    A model is weak if in validation

    * the share of right answers is below ``least_threshold``, or might be, at the lower end of its
      95 % interval,
    * macro F1 is below ``WEAK_MACRO_F1``,
    * the calibration error is above ``WEAK_CALIBRATION``,
    * or there are fewer than ``LEAST_PHOTOS`` photos to tell.

    Args:
        metadata: What the model's file says: ``classes`` and ``validation`` with ``photos`` and
            ``accuracy``, and where known ``macro_f1`` and
            ``expected_calibration_error_calibrated``. Files without it are not judged.
    """
    validation = metadata.get("validation")
    if not isinstance(validation, Mapping):
        return None
    try:
        n = as_whole(validation.get("photos"), 1, _MOST_PHOTOS)
        share = as_number(validation.get("accuracy"), 0, 1)
        macro_f1, error = (
            None if validation.get(key) is None else as_number(validation[key], 0, 1)
            for key in ("macro_f1", "expected_calibration_error_calibrated")
        )
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
    if macro_f1 is not None and macro_f1 < WEAK_MACRO_F1:
        return (
            f"weak model: macro F1 {macro_f1:.2f} on {n} validation photos, below "
            f"{WEAK_MACRO_F1:.2f}; check its answers"
        )
    if error is not None and error > WEAK_CALIBRATION:
        return (
            f"weak model: its probabilities are off by {error:.2f} in the mean on {n} validation "
            f"photos, more than {WEAK_CALIBRATION:.2f}; do not trust them"
        )
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
