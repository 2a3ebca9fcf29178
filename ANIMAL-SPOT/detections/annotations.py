"""From decided windows to annotations: merging, noise rows. Pure functions."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from animal_spot.detections.decisions import Decisions

_MS = 3  # decimals of a time in seconds


class Window(NamedTuple):
    """What was found in a stretch of a recording.

    Attributes:
        start_s: Begin in seconds.
        end_s: End in seconds.
        name: Class that was found; None: noise.
        score: Its probability.
    """

    start_s: float
    end_s: float
    name: str | None
    score: float


class Annotation(NamedTuple):
    """A row of an annotation table; ``score`` is the highest of its windows, NaN for none."""

    begin_s: float
    end_s: float
    name: str
    score: float


def found_windows(
    start_s: Sequence[float] | np.ndarray,
    end_s: Sequence[float] | np.ndarray,
    decisions: Decisions,
    names: Sequence[str],
) -> Iterator[Window]:
    """Yield the windows in which a class or noise was found.

    Args:
        start_s: Shape ``(window,)``, like the next one.
        end_s: Seconds.
        decisions: Of the windows.
        names: Classes in index order.
    """
    label, found = decisions.label, decisions.counts
    times = np.asarray(start_s), np.asarray(end_s)
    columns = (*times, label, decisions.probability, decisions.is_noise)
    lists = (column[found].tolist() for column in columns)
    for start, end, index, probability, is_noise in zip(*lists, strict=True):
        yield Window(start, end, None if is_noise else names[index], probability)


def merge_windows(windows: Iterable[Window]) -> Iterator[Annotation]:
    """Join windows of one class that touch or overlap; an earlier class keeps the overlap.

    This is the rule of the original. Windows of noise are passed over: they cut nothing.

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
    competing = [(round(w.start_s, _MS), round(w.end_s, _MS), w.score, w.name) for w in windows]
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
