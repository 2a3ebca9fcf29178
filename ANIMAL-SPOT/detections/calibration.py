"""Probabilities that mean what they say, and thresholds for a wanted precision. Pure functions.

A network's probabilities are usually too sure. Dividing its logits by one number, the temperature,
puts that right and changes no decision between classes (Guo, Pleiss, Sun & Weinberger, On
calibration of modern neural networks, ICML 2017).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from animal_spot.detections.decisions import winner_and_score
from animal_spot.detections.event_settings import EventSettings

N_BINS = 15
TEMPERATURES = (0.1, 10.0)  # that are looked through
FEW_WRONG = 10  # a temperature found on fewer wrong clips is rough
MIN_RIGHT = 20  # clips of a class; of fewer nobody knows which scores its calls have
MAX_NUMBER = 1e6  # NaN is not below it, nor infinity
_EDGES = np.linspace(0, 1, N_BINS + 1)
# Why a class has no threshold.
UNREACHABLE, TOO_FEW = "precision not reached", "too few detections"


@dataclass(frozen=True)
class Calibration:
    """What a model file holds of its calibration.

    Attributes:
        temperature: That logits are divided by; None: not calibrated.
        thresholds: Least probability of a detection of single classes.
        precision: That these were chosen for.
        clips: Validation clips that reached each threshold; none in older files.
        decoder: How windows become events; None: by the original's rule.
    """

    temperature: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    precision: float | None = None
    clips: Mapping[str, int] = field(default_factory=dict)
    decoder: EventSettings | None = None

    def entries(self) -> dict[str, Any]:
        """Return the keys of a model file; none if nothing was calibrated."""
        decoder = {} if self.decoder is None else {"decoder": self.decoder.entries()}
        if self.temperature is None and not self.thresholds:
            return decoder
        return decoder | {
            "temperature": self.temperature,
            "thresholds": dict(self.thresholds),
            "calibration_precision": self.precision,
            **({"threshold_clips": dict(self.clips)} if self.clips else {}),
        }

    @classmethod
    def from_entries(cls, content: Mapping[str, Any], names: Sequence[str]) -> Calibration:
        """Read the keys of a model file with these classes.

        Raises:
            ValueError: If they cannot be meant.
        """
        temperature = content.get("temperature")
        thresholds = content.get("thresholds") or {}
        if temperature is not None and not (_is_number(temperature) and temperature > 0):
            raise ValueError(f"its temperature must be a number above 0, got {temperature!r}")
        if not isinstance(thresholds, Mapping):
            raise ValueError(f"its thresholds must be a dictionary, got {thresholds!r}")
        for name, value in thresholds.items():
            if name not in names or not (_is_number(value) and 0 <= value <= 1):
                raise ValueError(f"it has a threshold {name!r}={value!r}: not a class, or not 0..1")
        precision, clips = content.get("calibration_precision"), content.get("threshold_clips")
        if precision is not None and not (_is_number(precision) and 0 < precision <= 1):
            raise ValueError(f"its calibration precision must be in 0..1, got {precision!r}")
        clips = {} if clips is None else clips
        if not isinstance(clips, Mapping) or not all(
            name in thresholds and type(n) is int and n >= 0 for name, n in clips.items()
        ):
            raise ValueError(f"its threshold_clips must be numbers of clips, got {clips!r}")
        decoder = content.get("decoder")
        if decoder is not None:
            decoder = EventSettings.from_entries(decoder)
        return cls(temperature, dict(thresholds), precision, dict(clips), decoder)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) < MAX_NUMBER


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return log probabilities of ``logits / temperature``; ``(clip, class)``, float64."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = scaled - scaled.max(1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(1, keepdims=True))


def log_mean(log_probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """Return the log of the mean of probabilities, each ``(clip, class)`` as logs.

    These are logits of the mean too: their softmax is the mean itself.
    """
    stacked = np.stack(list(log_probabilities))
    highest = stacked.max(0)
    return highest + np.log(np.exp(stacked - highest).mean(0))


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Apply a temperature to probabilities that have no logits, such as an average.

    Args:
        probabilities: Shape ``(window, class)``, each row with sum 1.
        temperature: Above 0.

    Returns:
        ``softmax(log(p) / temperature)``, of the same shape and kind.
    """
    # The highest of each row is taken for 1, so that no power of it vanishes.
    powers = (probabilities / probabilities.max(1, keepdims=True)) ** (1 / temperature)
    return (powers / powers.sum(1, keepdims=True)).astype(probabilities.dtype)


def negative_log_likelihood(
    logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0
) -> float:
    """Return the mean cross entropy of ``logits / temperature``, in nats.

    Args:
        logits: Shape ``(clip, class)``.
        labels: Class index of each clip.
        temperature: Above 0.
    """
    rows = np.arange(len(labels))
    return float(-log_softmax(logits, temperature)[rows, labels].mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature with the least negative log-likelihood (Guo et al. 2017).

    Where all clips are right there is none: the likelihood grows for ever as the answers become
    surer, so any number found, 0.2 as well as 0.05, would be the end of the search and not of the
    data, and would make the answers surer than what was seen of them. Then it is 1, which changes
    nothing; and where nothing is better.

    Args:
        logits: Shape ``(clip, class)``.
        labels: Class index of each clip.

    Returns:
        A number within ``TEMPERATURES``.

    Raises:
        ValueError: If there is no clip, or a logit is not finite.
    """
    from scipy.optimize import minimize_scalar

    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if len(labels) == 0 or not np.isfinite(logits).all():
        raise ValueError("a temperature needs at least one clip, and logits that are finite")
    if (logits.argmax(1) == labels).all():
        return 1.0
    # In 1/T it is convex, so in log T it has one minimum too.
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits, labels, math.exp(log_t)),
        bounds=tuple(math.log(t) for t in TEMPERATURES),
        method="bounded",
        options={"xatol": 1e-6},
    )
    better = found.fun < negative_log_likelihood(logits, labels)
    return math.exp(found.x) if better else 1.0


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    """Count how often answers of each confidence are right, in ``N_BINS`` bins of equal width.

    A confidence on an edge belongs to the bin below it.

    Args:
        probabilities: Shape ``(clip, class)``.
        labels: Class index of each clip.

    Returns:
        For each bin ``low``, ``high``, ``clips``, ``confidence`` (mean probability of the answers)
        and ``accuracy``; the last two None for an empty bin.
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    place = np.clip(np.searchsorted(_EDGES, confidence, side="left") - 1, 0, N_BINS - 1)
    bins = []
    for i in range(N_BINS):
        chosen = place == i
        n = int(chosen.sum())
        bins.append(
            {
                "low": float(_EDGES[i]),
                "high": float(_EDGES[i + 1]),
                "clips": n,
                "confidence": float(confidence[chosen].mean()) if n else None,
                "accuracy": float(right[chosen].mean()) if n else None,
            }
        )
    return bins


def expected_calibration_error(bins: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean distance of confidence and accuracy over all clips, 0..1.

    Naeini, Cooper & Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning,
    AAAI 2015.
    """
    total = sum(part["clips"] for part in bins)
    gaps = (p["clips"] * abs(p["confidence"] - p["accuracy"]) for p in bins if p["clips"])
    return sum(gaps) / total if total else math.nan


def precision_threshold(scores: np.ndarray, right: np.ndarray, precision: float) -> float | None:
    """Return the lowest score from which on at least that share is right; None if there is none.

    Args:
        scores: Shape ``(clip,)``.
        right: Whether each clip is what it is taken for.
        precision: Wanted share, 0..1.
    """
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], right[order]
    shares = np.cumsum(right) / np.arange(1, len(right) + 1)
    last_of_equals = np.append(scores[1:] != scores[:-1], True)[: len(scores)]
    enough = np.flatnonzero((shares >= precision) & last_of_equals)
    return float(scores[enough[-1]]) if len(enough) else None


def class_thresholds(
    probabilities: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    precision: float,
    noise: str | None,
) -> dict[str, dict[str, Any]]:
    """Find for each class the lowest threshold that reaches a precision, if that can be known.

    Two rules keep a threshold within what validation can tell. At least ``MIN_RIGHT`` clips of the
    class must reach it. And from ``n`` clips nobody can tell an error rate below ``1 /
    n``, so no threshold is above ``1 - 1 / n``: it is lowered to that if the very same clips reach
    it then, else there is none.

    Detections are counted as prediction counts them: a clip is of the class that won if that
    reaches its threshold, and with two classes of class 1 if that does. Noise is no detection and
    gets no threshold, nor does class 0 of two.

    Args:
        probabilities: Shape ``(clip, class)``.
        labels: Class index of each clip.
        names: Classes in index order.
        precision: Wanted share of the detections that are right.
        noise: The class that is no call, or None.

    Returns:
        For each class ``threshold`` or None, ``precision`` and ``recall`` at it, ``detections``
        (clips that reach it, or all clips taken for the class), ``clips`` of the class, and
        ``reason`` why there is no threshold.
    """
    winner, score = winner_and_score(probabilities)
    found = {}
    for index, name in enumerate(names):
        taken = np.full(len(labels), index == 1) if len(names) == 2 else winner == index
        if name == noise or (len(names) == 2 and index == 0):
            continue
        is_it = labels == index
        threshold, reason = known_threshold(score[taken], is_it[taken], precision)
        entry = {"threshold": threshold, "precision": None, "recall": None}
        detected = taken if threshold is None else taken & (score >= threshold)
        if threshold is not None:
            entry["precision"] = float(is_it[detected].mean())
            entry["recall"] = float(detected[is_it].mean()) if is_it.any() else None
        counts = {"detections": int(detected.sum()), "clips": int(is_it.sum())}
        found[name] = entry | counts | {"reason": reason}
    return found


def known_threshold(
    scores: np.ndarray, right: np.ndarray, precision: float
) -> tuple[float | None, str | None]:
    """Return the threshold of a class by the rules of ``class_thresholds``, or why there is none.

    Args:
        scores: Of the clips taken for it, shape ``(clip,)``.
        right: Whether each of them is of the class.
        precision: Wanted share, 0..1.
    """
    lowest = precision_threshold(scores, right, precision)
    if lowest is None:
        return None, UNREACHABLE
    n = int((scores >= lowest).sum())
    if right[scores >= lowest].sum() < MIN_RIGHT:
        return None, TOO_FEW
    highest = 1 - 1 / n
    if lowest <= highest:
        return lowest, None
    if (scores >= highest).sum() > n:
        return None, UNREACHABLE
    return highest, None


def calibrate(
    logits: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    precision: float,
    noise: str | None,
) -> tuple[Calibration, dict[str, Any]]:
    """Fit temperature and thresholds on validation clips.

    Args:
        logits: Shape ``(clip, class)``.
        labels: Class index of each clip.
        names: Classes in index order.
        precision: That the thresholds shall reach.
        noise: The class that is no call, or None.

    Returns:
        What the model file keeps, and a report: ``temperature``, ``wrong_clips``, ``precision``
        and ``thresholds``, see ``class_thresholds``.
    """
    temperature = fit_temperature(logits, labels)
    probabilities = np.exp(log_softmax(logits, temperature))
    rows = class_thresholds(probabilities, labels, names, precision, noise)
    reached = {n: row["threshold"] for n, row in rows.items() if row["threshold"] is not None}
    report = {
        "temperature": temperature,
        "wrong_clips": int((logits.argmax(1) != labels).sum()),
        "precision": precision,
        "thresholds": rows,
    }
    clips = {n: rows[n]["detections"] for n in reached}
    return Calibration(temperature, reached, precision, clips), report


def before_and_after(
    logits: np.ndarray, labels: np.ndarray, temperature: float
) -> dict[str, dict[str, Any]]:
    """Return loss, calibration error and bins, ``before`` the temperature and ``after``."""
    entry = {}
    for name, t in (("before", 1.0), ("after", temperature)):
        bins = reliability(np.exp(log_softmax(logits, t)), labels)
        entry[name] = {
            "loss": negative_log_likelihood(logits, labels, t),
            "expected_calibration_error": expected_calibration_error(bins),
            "bins": bins,
        }
    return entry


def report_lines(report: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return what the log says of a calibration, and what it warns of.

    Args:
        report: Of ``calibrate``, with what ``before_and_after`` says of each partition under
            ``partitions``.
    """
    lines, warnings = [f"temperature {report['temperature']:.3f}"], []
    n_wrong = report["wrong_clips"]
    if n_wrong == 0:
        warnings.append(
            "no clip of validation is wrong, so no temperature can be found: it stays 1"
        )
    elif n_wrong < FEW_WRONG:
        warnings.append(
            f"only {n_wrong} clips of validation are wrong: the temperature is rough; more "
            "validation clips would make it better"
        )
    for name, entry in report["partitions"].items():
        before, after = entry["before"], entry["after"]
        lines.append(
            f"{name}: expected calibration error {before['expected_calibration_error']:.1%} before "
            f"and {after['expected_calibration_error']:.1%} after, loss {before['loss']:.3f} "
            f"before and {after['loss']:.3f} after"
        )
    rows = report["thresholds"]
    width = max(len(name) for name in [*rows, "class"])
    lines.append(f"thresholds for a precision of {report['precision']:g} on val")
    columns = f"{'threshold':>9} {'precision':>9} {'recall':>7} {'clips':>6} {'reached by':>11}"
    lines.append(f"{'class':<{width}} {columns}")
    for name, row in rows.items():
        if row["threshold"] is None:
            lines.append(
                f"{name:<{width}} {'none':>9} {'':>9} {'':>7} {row['clips']:>6}   {row['reason']}"
            )
            continue
        lines.append(
            f"{name:<{width}} {row['threshold']:>9.3f} {row['precision']:>9.1%} "
            f"{row['recall']:>7.1%} {row['clips']:>6} {row['detections']:>11}"
        )
    for reason, text in (
        (UNREACHABLE, f"no threshold reaches a precision of {report['precision']:g} for"),
        (TOO_FEW, f"under {MIN_RIGHT} validation clips of the class would reach a threshold for"),
    ):
        missing = [name for name, row in rows.items() if row["reason"] == reason]
        if missing:
            warnings.append(f"{text} {', '.join(missing)}: the default threshold is used there")
    return lines, warnings
