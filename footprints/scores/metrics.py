"""How good are the answers? Counts, scores, intervals, calibration; NumPy (and SciPy for a fit).

A confusion matrix has one row per true class and one column per predicted class. Macro figures are
means over the classes that have photos in the part looked at; the figures of a class without
photos are NaN, which is ``null`` in JSON.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from footprints.scores.calibration import calibrated

TEMPERATURE_RANGE = (0.1, 10.0)  # that are looked through
_TINY = 1e-12


@dataclass(frozen=True)
class ClassScores:
    """Figures per class, each an array ``(classes,)``; NaN where a ratio has no denominator.

    Precision is 0 for a class with photos that is never predicted, as in scikit-learn with
    ``zero_division=0``.
    """

    support: np.ndarray
    predicted: np.ndarray
    correct: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


@dataclass(frozen=True)
class Bin:
    """Answers of about one probability.

    Attributes:
        low: Lower end of the range of their probabilities, not included.
        high: Upper end, included.
        photos: How many there are.
        right: How many of them are right.
        mean_probability: Of them; NaN if there are none.
    """

    low: float
    high: float
    photos: int
    right: int
    mean_probability: float


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Count ``(true, predicted)`` pairs.

    Args:
        labels: True class of each photo, integers ``(n,)`` from 0 to ``n_classes - 1``.
        predicted: Predicted class of each photo, the same shape.
        n_classes: Number of classes.

    Returns:
        Integers ``(n_classes, n_classes)``; rows are true classes.

    Raises:
        ValueError: If the shapes differ, or a class is not in the range.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    if labels.shape != predicted.shape or labels.ndim != 1:
        raise ValueError(
            f"labels and predictions need one shape (n,), got {labels.shape} and {predicted.shape}"
        )
    for name, values in (("labels", labels), ("predictions", predicted)):
        if values.size and (values.min() < 0 or values.max() >= n_classes):
            raise ValueError(
                f"{name} must lie in 0..{n_classes - 1}, got {values.min()}..{values.max()}"
            )
    pairs = labels.astype(np.int64) * n_classes + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def class_scores(matrix: np.ndarray) -> ClassScores:
    """Return support, precision, recall and F1 of each class.

    Args:
        matrix: Counts ``(..., classes, classes)``; leading axes are kept.
    """
    matrix = np.asarray(matrix)
    support, predicted = matrix.sum(-1), matrix.sum(-2)
    correct = np.diagonal(matrix, axis1=-2, axis2=-1)
    present = support > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.where(present, correct / support, np.nan)
        precision = np.where(present, np.where(predicted > 0, correct / predicted, 0.0), np.nan)
        f1 = np.where(present, 2 * correct / (support + predicted), np.nan)
    return ClassScores(support, predicted, correct, precision, recall, f1)


def accuracy(matrix: np.ndarray) -> float:
    """Return the share of photos that were named rightly; NaN without photos."""
    n = int(np.sum(matrix))
    return float(np.trace(matrix)) / n if n else math.nan


def macro(values: np.ndarray) -> float:
    """Return the mean over the classes with photos (not NaN); NaN if there is none."""
    values = np.asarray(values, dtype=float)
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def macro_f1(matrix: np.ndarray) -> float:
    """Return the mean F1 of the classes that have photos."""
    return macro(class_scores(matrix).f1)


def bootstrap_intervals(
    matrix: np.ndarray, n_resamples: int = 2000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return 95 % percentile intervals of macro F1 and macro recall (Efron and Tibshirani 1993).

    Photos are drawn again with replacement within each true class (stratified). The predictions of
    such a class are a multinomial draw from its row of the confusion matrix, so rows are drawn
    instead of photos.

    Args:
        matrix: Counts ``(classes, classes)``.
        n_resamples: How many new sets of photos are drawn.
        seed: Seed of the draws.
    """
    matrix = np.asarray(matrix)
    rows = matrix[matrix.sum(1) > 0]
    present = np.flatnonzero(matrix.sum(1) > 0)
    if not len(rows):
        return {"macro_f1": (math.nan, math.nan), "macro_recall": (math.nan, math.nan)}
    rng = np.random.default_rng(seed)
    drawn = np.zeros((n_resamples, *matrix.shape), dtype=np.int64)
    for index, row in zip(present, rows, strict=True):
        drawn[:, index] = rng.multinomial(row.sum(), row / row.sum(), size=n_resamples)
    scores = class_scores(drawn)
    result = {}
    for name, values in (("macro_f1", scores.f1), ("macro_recall", scores.recall)):
        low, high = np.quantile(np.nanmean(values[:, present], axis=1), [0.025, 0.975])
        result[name] = (float(low), float(high))
    return result


def top_k_accuracy(probabilities: np.ndarray, labels: np.ndarray, k: int = 3) -> float:
    """Return the share of photos whose true class is among the ``k`` likeliest.

    Of classes with exactly equal probability the one that comes first in the list counts as
    likelier, as in ``argmax``.
    """
    if not len(labels):
        return math.nan
    best = np.argsort(-np.asarray(probabilities), axis=1, kind="stable")[:, :k]
    return float((best == np.asarray(labels)[:, None]).any(1).mean())


def most_confused(
    matrix: np.ndarray, classes: Sequence[str], n_pairs: int = 10
) -> list[tuple[str, str, int, float]]:
    """Return ``(true, predicted, photos, share of the true class)``, the most frequent first."""
    wrong = np.array(matrix)
    np.fill_diagonal(wrong, 0)
    support = np.asarray(matrix).sum(1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:n_pairs]
    pairs = [np.unravel_index(index, wrong.shape) for index in order]
    return [
        (classes[i], classes[j], int(wrong[i, j]), float(wrong[i, j] / support[i]))
        for i, j in pairs
        if wrong[i, j] > 0
    ]


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, n_bins: int = 15
) -> float:
    """Return how far confidence and accuracy are apart (Guo et al. 2017, equation 3).

    The confidence of a photo is its largest probability. The range 0..1 is cut into equal bins
    that contain their upper end; the gaps between mean confidence and accuracy are averaged over
    the bins, weighted by their photos.

    Args:
        probabilities: ``(n, classes)``, rows add up to 1.
        labels: True classes ``(n,)``.
        n_bins: Number of bins.
    """
    if not len(labels):
        return math.nan
    probabilities = np.asarray(probabilities, dtype=float)
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == np.asarray(labels)
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    gap = np.bincount(bins, weights=right - confidence, minlength=n_bins)
    return float(np.abs(gap).sum() / len(labels))


def calibration_bins(best: np.ndarray, right: np.ndarray, n_bins: int = 10) -> list[Bin]:
    """Count answers, and right ones, by their probability, in bins as those of the error above.

    Args:
        best: Probability of the best class of each photo, ``(n,)``, 0 to 1.
        right: Whether it is the true one, ``(n,)``.
        n_bins: Number of equal bins.
    """
    best, right = np.asarray(best, dtype=float), np.asarray(right, dtype=bool)
    number = np.clip(np.ceil(best * n_bins).astype(int) - 1, 0, n_bins - 1)
    made = []
    for i in range(n_bins):
        inside = number == i
        n = int(inside.sum())
        mean = float(best[inside].mean()) if n else math.nan
        made.append(Bin(i / n_bins, (i + 1) / n_bins, n, int(right[inside].sum()), mean))
    return made


def negative_log_likelihood(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of ``-log p(true class)`` in nats; p below 1e-12 counts as 1e-12."""
    if not len(labels):
        return math.nan
    of_truth = np.asarray(probabilities, dtype=float)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(of_truth, _TINY)).mean())


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature with the least negative log likelihood (Guo et al. 2017).

    Where all photos are right there is none: the surer the better, for ever. Then, and where
    nothing is better, it is 1. ``scores.calibration.calibrated`` applies it.

    Args:
        probabilities: ``(n, classes)`` of validation photos, uncalibrated.
        labels: Their true classes ``(n,)``.

    Returns:
        A temperature within ``TEMPERATURE_RANGE``; 1.0 if there are no photos.
    """
    from scipy.optimize import minimize_scalar

    labels = np.asarray(labels)
    if not len(labels) or (np.asarray(probabilities).argmax(1) == labels).all():
        return 1.0
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(calibrated(probabilities, math.exp(log_t)), labels),
        bounds=tuple(math.log(t) for t in TEMPERATURE_RANGE),
        method="bounded",
        options={"xatol": 1e-6},
    )
    better = found.fun < negative_log_likelihood(probabilities, labels)
    return math.exp(float(found.x)) if better else 1.0


def baselines(support: np.ndarray) -> dict[str, dict[str, float]]:
    """Return what can be reached without looking at the photos.

    ``chance`` draws each class with equal probability (expected figures; F1 from expected
    precision and recall), ``majority`` always names the most frequent class of this part.

    Args:
        support: Photos per class ``(classes,)``.
    """
    support = np.asarray(support, dtype=float)
    n_classes, present = len(support), support > 0
    share = support[present] / support.sum()
    largest = float(share.max())
    n_present = int(present.sum())
    return {
        "chance": {
            "accuracy": 1 / n_classes,
            "macro_recall": 1 / n_classes,
            "macro_f1": float(np.mean(2 * share / (n_classes * share + 1))),
        },
        "majority": {
            "accuracy": largest,
            "macro_recall": 1 / n_present,
            "macro_f1": 2 * largest / (1 + largest) / n_present,
        },
    }
