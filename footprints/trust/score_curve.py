"""How probably a detection of a score is right: a logistic curve, and thresholds. Pure functions.

Wood & Kahl, Guidelines for appropriate use of BirdNET scores and other detector outputs, Journal of
Ornithology 165, 2024: logistic regression of right or wrong on the logit of the score, and the
score at which the probability is the wanted one. Fitted by Firth's penalised likelihood (Bias
reduction of maximum likelihood estimates, Biometrika 80, 1993), which stays finite where scores
part right from wrong ones without an overlap (Heinze & Schemper, Statistics in Medicine 21, 2002).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit, logit
from scipy.stats import norm

LEAST_REVIEWED = 20  # of a class; fewer give no threshold
NEAREST = 1e-6  # to 0 and 1 that scores count, since tables have both; least spread of logits
Z = float(norm.ppf(0.975))
N_DRAWS, N_POINTS = 1000, 200
STEPS, HALVINGS, SMALLEST_STEP = 100, 30, 1e-8
# Why there is no threshold.
TOO_FEW = f"under {LEAST_REVIEWED} reviewed rows"
ALL_RIGHT = "all reviewed rows are right, so no score is known to be too low"
ALL_WRONG = "all reviewed rows are wrong"
NO_SLOPE = "scores do not tell right from wrong rows"
NOT_REACHED = "not reached by the highest reviewed scores"
REACHED = "reached by the lowest reviewed scores already"


@dataclass(frozen=True)
class ScoreCurve:
    """``expit(intercept + slope * logit(score))``, the probability of being right.

    Attributes:
        intercept: At score 0.5.
        slope: For each unit of the score's logit.
        covariance: Of both, shape ``(2, 2)``.
        lowest: Least reviewed score, below which nothing is known.
        highest: Greatest reviewed score.
    """

    intercept: float
    slope: float
    covariance: np.ndarray
    lowest: float
    highest: float

    def at(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the probability at scores, with the ends of its 95 % interval."""
        x = score_logits(scores)
        (a, c), (_, b) = self.covariance
        variance = np.maximum(a + 2 * c * x + b * x * x, 0)  # rounding may go below
        middle, error = self.intercept + self.slope * x, Z * np.sqrt(variance)
        return expit(middle), expit(middle - error), expit(middle + error)


@dataclass(frozen=True)
class Threshold:
    """A score with its 95 % interval, or why there is none.

    Attributes:
        score: None if ``reason`` says why.
        low: Lower end; None if it lies below the reviewed scores.
        high: Upper end; None if it lies above the reviewed scores.
        reason: One of this module's texts, or None.
    """

    score: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def score_logits(scores: np.ndarray) -> np.ndarray:
    """Return ``log(score / (1 - score))``, finite for 0 and 1 too."""
    return logit(np.clip(np.asarray(scores, np.float64), NEAREST, 1 - NEAREST))


def fit_score_curve(scores: np.ndarray, right: np.ndarray) -> ScoreCurve | str:
    """Fit the curve on reviewed rows, or say why that cannot be.

    Args:
        scores: Shape ``(row,)``, 0..1.
        right: Whether each row is right.
    """
    scores, right = np.asarray(scores, np.float64), np.asarray(right, bool)
    if len(scores) < LEAST_REVIEWED:
        return TOO_FEW
    if right.all() or not right.any():
        return ALL_RIGHT if right.all() else ALL_WRONG
    x = score_logits(scores)
    if np.ptp(x) < NEAREST:
        return NO_SLOPE
    coefficients, covariance = firth_logistic(x, right)
    return ScoreCurve(*coefficients, covariance, float(scores.min()), float(scores.max()))


def firth_logistic(x: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit ``expit(a + b x)`` by Firth's penalised likelihood, with Newton's method.

    Args:
        x: Shape ``(row,)``, at least two values.
        right: Outcome of each row.

    Returns:
        ``(a, b)`` and their covariance, ``(2, 2)``.
    """
    middle, deviation = x.mean(), x.std()
    design = np.column_stack([np.ones_like(x), (x - middle) / deviation])
    coefficients, height = np.zeros(2), _penalised_likelihood(design, right, np.zeros(2))
    for _ in range(STEPS):
        p = expit(design @ coefficients)
        weighted = design * (p * (1 - p))[:, None]
        covariance = np.linalg.inv(design.T @ weighted)
        leverage = ((weighted @ covariance) * design).sum(1)
        step = covariance @ (design.T @ (right - p + leverage * (0.5 - p)))
        if np.abs(step).max() < SMALLEST_STEP:
            break
        # Newton's step is too long where the top is far: then half of it, and so on.
        for _ in range(HALVINGS):
            new_height = _penalised_likelihood(design, right, coefficients + step)
            if new_height > height:
                break
            step = step / 2
        else:
            break
        coefficients, height = coefficients + step, new_height
    # Back to x as it was.
    back = np.array([[1.0, -middle / deviation], [0.0, 1 / deviation]])
    return back @ coefficients, back @ covariance @ back.T


def _penalised_likelihood(design: np.ndarray, right: np.ndarray, at: np.ndarray) -> float:
    """Return the log likelihood plus half the log determinant of the information."""
    line = design @ at
    p = expit(line)
    information = design.T @ (design * (p * (1 - p))[:, None])
    sign, log_determinant = np.linalg.slogdet(information)
    likelihood = log_expit(np.where(right, line, -line)).sum()
    return float(likelihood + log_determinant / 2) if sign > 0 else -np.inf


def probability_threshold(curve: ScoreCurve | str, wanted: float) -> Threshold:
    """Return the score whose detections are right with that probability (Wood & Kahl 2024).

    The interval is Fieller's: the scores whose own interval holds the wanted probability.

    Args:
        curve: Of ``fit_score_curve``.
        wanted: Above 0, below 1.
    """
    if isinstance(curve, str):
        return Threshold(reason=curve)
    (a, c), (_, b) = curve.covariance
    distance = curve.intercept - logit(wanted)
    square = curve.slope**2 - Z * Z * b
    if curve.slope <= 0 or square <= 0:
        return Threshold(reason=NO_SLOPE)
    half = distance * curve.slope - Z * Z * c
    # Of the slope's square above its error follow two roots.
    root = np.sqrt(max(half * half - square * (distance**2 - Z * Z * a), 0.0))
    ends = ((-half - root) / square, (-half + root) / square)
    return _within(curve, -distance / curve.slope, *ends)


def precision_threshold(
    curve: ScoreCurve | str, scores: np.ndarray, wanted: float, seed: int = 0
) -> Threshold:
    """Return the lowest score from which on that share of all detections is right.

    The share is the mean of the curve over the detections from there up. Its interval comes of
    curves drawn from the normal distribution of the two coefficients.

    Args:
        curve: Of ``fit_score_curve``.
        scores: Of all detections, shape ``(detection,)``.
        wanted: Above 0, below 1.
        seed: Of the draws.
    """
    if isinstance(curve, str):
        return Threshold(reason=curve)
    if curve.slope <= Z * np.sqrt(curve.covariance[1, 1]):
        return Threshold(reason=NO_SLOPE)
    # Some hundred points, each for as many detections, do for a hundred thousand.
    x = np.quantile(score_logits(scores), (np.arange(N_POINTS) + 0.5) / N_POINTS)
    drawn = np.random.default_rng(seed).multivariate_normal(
        [curve.intercept, curve.slope], curve.covariance, N_DRAWS
    )
    lines = np.vstack([[curve.intercept, curve.slope], drawn])
    right = expit(lines[:, :1] + lines[:, 1:] * x)
    shares = np.cumsum(right[:, ::-1], 1)[:, ::-1] / np.arange(N_POINTS, 0, -1)
    found = _crossings(x, shares, wanted)
    return _within(
        curve, float(found[0]), *np.quantile(found[1:], [0.025, 0.975], method="nearest")
    )


def _crossings(x: np.ndarray, shares: np.ndarray, wanted: float) -> np.ndarray:
    """Return where each row of shares, shape ``(row, point)``, last comes up to the wanted one.

    That is -inf where all of them reach it, inf where the last one does not.
    """
    below = shares < wanted
    last = len(x) - 1 - below[:, ::-1].argmax(1)  # of those below
    i, rows = np.minimum(last, len(x) - 2), np.arange(len(shares))
    rise = shares[rows, i + 1] - shares[rows, i]
    part = (wanted - shares[rows, i]) / np.where(rise > 0, rise, 1)
    found = x[i] + part * (x[i + 1] - x[i])
    return np.where(below.any(1), np.where(last == len(x) - 1, np.inf, found), -np.inf)


def _within(curve: ScoreCurve, value: float, low: float, high: float) -> Threshold:
    """Make a threshold of logits, with nothing beyond the scores that were reviewed."""
    least, most = score_logits(np.array([curve.lowest, curve.highest]))
    ends = (
        float(expit(low)) if low >= least else None,
        float(expit(high)) if high <= most else None,
    )
    if value > most:
        return Threshold(None, *ends, reason=NOT_REACHED)
    if value < least:
        return Threshold(None, *ends, reason=REACHED)
    return Threshold(float(expit(value)), *ends)
