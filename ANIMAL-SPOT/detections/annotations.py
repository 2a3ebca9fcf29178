"""From classified windows to annotations: thresholds, merging, noise rows. Pure functions."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

_MS = 3  # decimals of a time in seconds


class Window(NamedTuple):
    """What was found in a stretch of a recording.

    Attributes:
        start_s: Begin in seconds.
        end_s: End in seconds.
        name: Class that was found; None for nothing: noise, or a score below the threshold.
        score: Probability of the class that won.
        is_noise: Noise won and reached its threshold.
    """

    start_s: float
    end_s: float
    name: str | None
    score: float
    is_noise: bool = False


class Annotation(NamedTuple):
    """A row of an annotation table; ``score`` is the highest of its windows, NaN for none."""

    begin_s: float
    end_s: float
    name: str
    score: float


@dataclass(frozen=True)
class Thresholds:
    """Least probability of a detection, for all classes or for some of them."""

    default: float = 0.5
    by_class: Mapping[str, float] = field(default_factory=dict)

    def of(self, name: str) -> float:
        """Return the threshold of a class."""
        return self.by_class.get(name, self.default)


def decide(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the most probable class of each window; the first one if several are.

    Args:
        probabilities: Shape ``(window, class)``, at least two classes.

    Returns:
        Class index, and score: the winner's probability, but that of class 1 if there are two
        classes. Each of shape ``(window,)``.
    """
    winner = probabilities.argmax(axis=1)
    if probabilities.shape[1] == 2:
        return winner, probabilities[:, 1]
    return winner, np.take_along_axis(probabilities, winner[:, None], axis=1)[:, 0]


def label_windows(
    start_s: np.ndarray,
    end_s: np.ndarray,
    winner: np.ndarray,
    score: np.ndarray,
    names: Sequence[str],
    thresholds: Thresholds,
    *,
    noise: str | None,
    skip_empty: bool = False,
) -> Iterator[Window]:
    """Apply the thresholds.

    With more than two classes a window is of the class that won if that reaches its threshold.
    With two it is of class 1 if that reaches its threshold, else of class 0; if class 0 has a
    threshold of its own, it must reach that too. If class 1 is the noise, class 0 is tested.

    Args:
        start_s: Shape ``(window,)``, like the next three, which ``decide`` returns.
        end_s: Seconds.
        winner: Class index.
        score: Probability.
        names: Classes in index order.
        thresholds: Least probabilities.
        noise: The class that is no call; None: there is none.
        skip_empty: Leave out windows without a class that was found, except noise.
    """
    label, probability, found = _labels(winner, score, names, thresholds, noise)
    of_noise = np.array([name == noise for name in names])
    columns = (start_s, end_s, label, probability, found, found & of_noise[label])
    if skip_empty:
        columns = tuple(column[found] for column in columns)
    lists = (column.tolist() for column in columns)
    for start, end, index, p, is_found, is_noise in zip(*lists, strict=True):
        name = names[index] if is_found and not is_noise else None
        yield Window(start, end, name, p, is_noise)


def _labels(
    winner: np.ndarray,
    score: np.ndarray,
    names: Sequence[str],
    thresholds: Thresholds,
    noise: str | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return class index, its probability, and whether it counts, for each window."""
    limits = np.array([thresholds.of(name) for name in names])
    if len(names) > 2:
        return winner, score, score >= limits[winner]
    if names[1] == noise:
        label = np.where(1 - score >= limits[0], 0, 1)
    else:
        label = np.where(score >= limits[1], 1, 0)
    probability = np.where(label == 1, score, 1 - score)
    # Of two classes one is always said; only a threshold of its own, or noise, can refuse it.
    needed = [
        thresholds.of(name) if name == noise else thresholds.by_class.get(name, 0.0)
        for name in names
    ]
    return label, probability, probability >= np.array(needed)[label]


def merge_windows(windows: Iterable[Window]) -> Iterator[Annotation]:
    """Join windows of one class that touch or overlap; an earlier class keeps the overlap.

    This is the rule of the original. Windows without a name are passed over: they cut nothing.

    Args:
        windows: In the order of time; read one by one.

    Yields:
        Annotations in the order of time, without overlap, times to the millisecond.
    """
    last: Annotation | None = None
    for window in windows:
        if window.name is None:
            continue
        start, end = round(window.start_s, _MS), round(window.end_s, _MS)
        if last is not None and last.end_s >= start:
            if last.name == window.name:
                last = Annotation(last.begin_s, end, last.name, max(last.score, window.score))
                continue
            start = last.end_s
        if last is not None:
            yield last
        last = Annotation(start, end, window.name, window.score)
    if last is not None:
        yield last


def merge_by_priority(
    windows: Iterable[Window], *, merge_gap: float = 0.15, min_duration: float = 0.1
) -> list[Annotation]:
    """Give each moment to the most probable window that covers it, then join and filter.

    Windows of noise compete too; where they win, there is no annotation. Of equal scores the
    earlier window wins. Then neighbours of one class that are closer than ``merge_gap`` are
    joined, rows shorter than ``min_duration`` are dropped, and neighbours that have become so by
    that are joined.

    Args:
        windows: In any order.
        merge_gap: Seconds; 0 joins only what touches.
        min_duration: Seconds; 0 keeps everything.
    """
    rows = _join(_winners(windows), merge_gap)
    rows = [row for row in rows if round(row.end_s - row.begin_s, _MS) >= min_duration]
    return _join(rows, merge_gap)


def _winners(windows: Iterable[Window]) -> list[Annotation]:
    """Sweep over the edges of all windows; between two edges the best open window wins.

    The best is on top of a heap, which is cleared of closed windows only when they get there:
    O(n log n).
    """
    competing = [
        (round(w.start_s, _MS), round(w.end_s, _MS), w.score, w.name)
        for w in windows
        if w.name is not None or w.is_noise
    ]
    competing.sort(key=lambda window: window[0])
    edges = sorted({edge for window in competing for edge in window[:2]})
    rows: list[Annotation] = []
    heap: list[tuple[float, int]] = []
    n_open = 0
    for begin, end in itertools.pairwise(edges):
        while n_open < len(competing) and competing[n_open][0] <= begin:
            heapq.heappush(heap, (-competing[n_open][2], n_open))
            n_open += 1
        while heap and competing[heap[0][1]][1] <= begin:
            heapq.heappop(heap)
        if not heap:
            continue
        _, _, score, name = competing[heap[0][1]]
        if name is None:
            continue
        if rows and rows[-1].name == name and rows[-1].end_s == begin:
            rows[-1] = Annotation(rows[-1].begin_s, end, name, max(rows[-1].score, score))
        else:
            rows.append(Annotation(begin, end, name, score))
    return rows


def _join(rows: Iterable[Annotation], merge_gap: float) -> list[Annotation]:
    joined: list[Annotation] = []
    for row in rows:
        last = joined[-1] if joined else None
        if last is not None and last.name == row.name:
            gap = round(row.begin_s - last.end_s, _MS)
            if gap < merge_gap or gap <= 0:
                score = max(last.score, row.score)
                joined[-1] = Annotation(last.begin_s, row.end_s, row.name, score)
                continue
        joined.append(row)
    return joined


def add_noise_rows(
    annotations: Iterable[Annotation], duration_s: float, name: str
) -> Iterator[Annotation]:
    """Fill everything between annotations with rows of noise, without a score.

    Args:
        annotations: In the order of time.
        duration_s: End of the last row.
        name: What to call noise.
    """
    end = 0.0
    for row in annotations:
        if row.begin_s > end:
            yield Annotation(end, row.begin_s, name, math.nan)
        yield row
        end = row.end_s
    duration_s = round(duration_s, _MS)
    if duration_s > end:
        yield Annotation(end, duration_s, name, math.nan)
