"""Score detections against the truth, event by event and window by window. Pure functions.

A ratio whose denominator is zero is None: precision without any detection, recall without any
event, F1 without either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from animal_spot.detections.annotations import Annotation

BACKGROUND = "background"
# Thresholds at which precision-recall curves are measured; denser where networks are sure.
SWEEP = (*(round(0.05 * i, 2) for i in range(1, 20)), 0.96, 0.97, 0.98, 0.99, 0.995, 0.999)


@dataclass(frozen=True)
class Counts:
    """True positives, false positives (false alarms) and false negatives (misses)."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float | None:
        """Share of detections that are right; None without a detection."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Share of events that are found; None without an event."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both, 0 if nothing is right; None without detection and event."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def macro(counts: Iterable[Counts], ratio: str) -> float | None:
    """Average ``precision``, ``recall`` or ``f1`` over the classes that have it; None if none."""
    values = [value for value in (getattr(c, ratio) for c in counts) if value is not None]
    return _ratio(sum(values), len(values))


def per_hour(count: int, duration_s: float) -> float | None:
    """Return how often something happens in an hour; None for no time."""
    return _ratio(3600 * count, duration_s)


def match_events(
    truth: Sequence[Annotation], found: Sequence[Annotation], *, iou_threshold: float = 0.0
) -> list[tuple[int, int]]:
    """Pair events with detections that overlap them in time, one to one.

    The pairing has as many pairs as can be; among such, the most whose names agree; among those,
    the greatest sum of overlaps. Names matter for nothing else: to match class by class, pass the
    events of one class.

    Args:
        truth: Events.
        found: Detections.
        iou_threshold: Least overlap (intersection over union); any overlap will do if it is 0.

    Returns:
        Pairs of indices into ``truth`` and ``found``, ascending.
    """
    pairs = []
    for some_truth, some_found in _clusters(truth, found):
        iou = overlap_iou([truth[i] for i in some_truth], [found[j] for j in some_found])
        allowed = (iou > 0) & (iou >= iou_threshold)
        agree = np.array([[truth[i].name == found[j].name for j in some_found] for i in some_truth])
        # At most `scale - 1` pairs: agreement and overlap never weigh up one pair more.
        scale = 1 + min(iou.shape)
        weight = np.where(allowed, 1 + agree / scale + iou / scale**2, 0.0)
        pairs += [(some_truth[i], some_found[j]) for i, j in _assignment(weight) if allowed[i, j]]
    return sorted(pairs)


def overlap_iou(truth: Sequence[Annotation], found: Sequence[Annotation]) -> np.ndarray:
    """Return intersection over union in time, shape ``(truth, found)``."""
    t = np.array([row[:2] for row in truth], dtype=float).reshape(-1, 1, 2)
    f = np.array([row[:2] for row in found], dtype=float).reshape(1, -1, 2)
    common = np.minimum(t[..., 1], f[..., 1]) - np.maximum(t[..., 0], f[..., 0])
    common = common.clip(min=0)
    union = (t[..., 1] - t[..., 0]) + (f[..., 1] - f[..., 0]) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def count_events(
    truth: Sequence[Annotation],
    found: Sequence[Annotation],
    names: Iterable[str],
    *,
    iou_threshold: float = 0.0,
) -> dict[str, Counts]:
    """Count hits, false alarms and misses of each class, matched within the class."""
    counts = {}
    for name in names:
        events = [row for row in truth if row.name == name]
        detections = [row for row in found if row.name == name]
        counts[name] = count_detection(events, detections, iou_threshold=iou_threshold)
    return counts


def count_detection(
    truth: Sequence[Annotation], found: Sequence[Annotation], *, iou_threshold: float = 0.0
) -> Counts:
    """Count hits, false alarms and misses, whatever the class."""
    n = len(match_events(truth, found, iou_threshold=iou_threshold))
    return Counts(n, len(found) - n, len(truth) - n)


def event_confusion(
    truth: Sequence[Annotation],
    found: Sequence[Annotation],
    names: Sequence[str],
    *,
    iou_threshold: float = 0.0,
) -> np.ndarray:
    """Count pairs of events and detections, matched whatever the class.

    Returns:
        Shape ``(true, found)``, both with the background last: misses are in its column, false
        alarms in its row.
    """
    index = {name: i for i, name in enumerate(names)}
    pairs = match_events(truth, found, iou_threshold=iou_threshold)
    confusion = np.zeros((len(names) + 1, len(names) + 1), dtype=np.int64)
    for i, j in pairs:
        confusion[index[truth[i].name], index[found[j].name]] += 1
    for i in set(range(len(truth))) - {i for i, _ in pairs}:
        confusion[index[truth[i].name], -1] += 1
    for j in set(range(len(found))) - {j for _, j in pairs}:
        confusion[-1, index[found[j].name]] += 1
    return confusion


def window_truth(
    start_s: np.ndarray, end_s: np.ndarray, truth: Iterable[Annotation], names: Sequence[str]
) -> np.ndarray:
    """Find what each window should be called.

    A window is of an event's class if the event covers at least half of the window, or lies in it
    with at least half of itself; of several such events the one that covers most of it counts.

    Args:
        start_s: Ascending, shape ``(window,)``.
        end_s: The same, ascending.
        truth: Events, of classes in ``names``.
        names: Classes in index order.

    Returns:
        Class index of each window, ``len(names)`` for background.
    """
    index = {name: i for i, name in enumerate(names)}
    label = np.full(len(start_s), len(names), dtype=np.int64)
    covered = np.zeros(len(start_s))
    for event in truth:
        near = slice(
            np.searchsorted(end_s, event.begin_s), np.searchsorted(start_s, event.end_s, "right")
        )
        start, end = start_s[near], end_s[near]
        common = np.minimum(end, event.end_s) - np.maximum(start, event.begin_s)
        half = 0.5 * np.minimum(end - start, event.end_s - event.begin_s) - 1e-9
        better = (common >= half) & (common > covered[near])
        label[near][better] = index[event.name]
        covered[near][better] = common[better]
    return label


def confusion_of(true: np.ndarray, found: np.ndarray, n: int) -> np.ndarray:
    """Count pairs of class indices, shape ``(true, found)`` of ``n`` classes each."""
    return np.bincount(true * n + found, minlength=n * n).reshape(n, n)


def counts_of(confusion: np.ndarray, names: Sequence[str]) -> dict[str, Counts]:
    """Return the counts of each class but the background, which is last."""
    right = confusion.diagonal()
    fp, fn = confusion.sum(axis=0) - right, confusion.sum(axis=1) - right
    return {name: Counts(int(right[i]), int(fp[i]), int(fn[i])) for i, name in enumerate(names)}


def sweep_thresholds(
    truth: Sequence[Annotation],
    detect: Callable[[float], Sequence[Annotation]],
    names: Sequence[str],
    *,
    thresholds: Iterable[float] = SWEEP,
    iou_threshold: float = 0.0,
) -> dict[str, dict[float, Counts]]:
    """Count events as if each threshold had been chosen for all classes.

    Windows are merged anew for each, so that a point of the curve is what an evaluation with that
    threshold gives.

    Args:
        truth: Events.
        detect: Returns the annotations at a threshold.
        names: Classes.
        thresholds: Where to measure.
        iou_threshold: As for ``match_events``.

    Returns:
        For each class and threshold its counts; add those of several recordings.
    """
    curves: dict[str, dict[float, Counts]] = {name: {} for name in names}
    for threshold in thresholds:
        found = detect(threshold)
        counts = count_events(truth, found, names, iou_threshold=iou_threshold)
        for name in names:
            curves[name][threshold] = counts[name]
    return curves


def best_threshold(curve: dict[float, Counts]) -> tuple[float, float] | None:
    """Return the threshold of the highest F1, the higher one of equals, and that F1.

    None if nothing is ever right, as for a class without events.
    """
    scored = [(c.f1, threshold) for threshold, c in curve.items() if c.tp]
    if not scored:
        return None
    f1, threshold = max(scored)
    return threshold, f1


def _clusters(
    truth: Sequence[Annotation], found: Sequence[Annotation]
) -> Iterable[tuple[list[int], list[int]]]:
    """Split at moments that nothing covers, so that each assignment is small."""
    rows = [(row.begin_s, row.end_s, 0, i) for i, row in enumerate(truth)]
    rows += [(row.begin_s, row.end_s, 1, j) for j, row in enumerate(found)]
    cluster: tuple[list[int], list[int]] = ([], [])
    reach = -np.inf
    for begin, end, kind, index in sorted(rows):
        if begin >= reach:
            if all(cluster):
                yield cluster
            cluster = ([], [])
        cluster[kind].append(index)
        reach = max(reach, end)
    if all(cluster):
        yield cluster


def _assignment(weight: np.ndarray) -> Iterable[tuple[int, int]]:
    if 1 in weight.shape:  # most clusters; no solver is needed
        return [tuple(int(i) for i in np.unravel_index(weight.argmax(), weight.shape))]
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(weight, maximize=True)
    return zip(rows.tolist(), columns.tolist(), strict=True)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
