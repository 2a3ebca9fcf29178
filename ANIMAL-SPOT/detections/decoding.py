"""From probabilities of overlapping windows to events: one call, one row, one name.

A window of a few seconds that a call only touches is taken for a call too, and often for one of
another class. So the classes do not compete window by window, but event by event: an event is a
stretch in which something, whatever its class, stands against the background, and the windows that
hold most of it give it one name. Begin and end come from where the evidence rises and falls: the
time between two windows is interpolated, and how much of a call a window needs is known.

Pure functions and values; without PyTorch.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from animal_spot.detections.annotations import Annotation
from animal_spot.detections.decisions import Thresholds
from animal_spot.detections.event_settings import EventSettings
from animal_spot.detections.events import Event

_MS = 3  # decimals of a time in seconds
_SHORTEST = 1 / 60  # of a window: no event is shorter, whatever its windows say
_TINY = 1e-6
_QUIET = 1e-9
_CLEAR = 1.5  # times the level that the windows of a second class reach


@dataclass(frozen=True)
class EventDecoder:
    """Turns the windows of a recording into events.

    Attributes:
        names: Classes in index order.
        noise: The class that is no call.
        settings: How.
        thresholds: Least confidences; None: that of the settings.
    """

    names: tuple[str, ...]
    noise: str
    settings: EventSettings = field(default_factory=EventSettings)
    thresholds: Thresholds | None = None

    def __post_init__(self) -> None:
        if self.noise not in self.names:
            raise ValueError(
                "events are told from the background, so the decoder needs a background class: "
                "name it with --noise_class, or use --decoder original"
            )

    def annotations(
        self, batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]
    ) -> list[Annotation]:
        """Return the rows of a recording in the order of time.

        Args:
            batches: Starts and ends of windows in seconds, each ``(window,)``, and probabilities
                ``(window, class)``; in the order of time.
        """
        thresholds = self.thresholds or Thresholds(self.settings.threshold)
        rows = []
        for event in self.events(batches):
            name = self.names[event.label]
            confidence = self.confidence(event)
            if confidence >= thresholds.of(name):
                begin = round(event.begin_s, _MS)
                end = max(round(event.end_s, _MS), round(begin + 10**-_MS, _MS))
                rows.append(Annotation(begin, end, name, confidence))
        return sorted(rows, key=lambda row: row[:3])

    def confidence(self, event: Event) -> float:
        """Return how likely an event is right."""
        if self.settings.confidence is None:
            return event.peak * event.share
        return self.settings.confidence.of(event)

    def events(
        self, batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]
    ) -> Iterator[Event]:
        """Yield the events of a recording; neither sorted nor kept in memory together."""
        for starts, ends, probabilities in self._stretches(batches):
            for labels in self._rivals:
                yield from self._decode(starts, ends, probabilities, labels)

    @functools.cached_property
    def _rivals(self) -> list[list[int]]:
        """Groups of classes that compete, by index."""
        alone = [i for i, n in enumerate(self.names) if n in self.settings.together]
        noise = self.names.index(self.noise)
        others = [i for i in range(len(self.names)) if i not in (noise, *alone)]
        return [labels for labels in [others, *([i] for i in alone)] if labels]

    def _evidence(self, probabilities: np.ndarray, labels: Sequence[int]) -> np.ndarray:
        """Return how much some classes stand against the background, shape ``(window,)``."""
        total = probabilities[:, labels].sum(1, dtype=np.float64)
        background = probabilities[:, self.names.index(self.noise)]
        return total / np.maximum(total + background, _QUIET)

    def _stretches(
        self, batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Join batches, and part them where it is quiet for so long that no event knows of it."""
        waiting: list[tuple[np.ndarray, ...]] = []
        for batch in batches:
            waiting.append(tuple(map(np.asarray, batch)))
            joined = _joined(waiting)
            cut = self._quiet_window(*joined)
            if cut:
                yield tuple(x[:cut] for x in joined)
                joined = tuple(x[cut:] for x in joined)
            waiting = [joined]
        if waiting and len(waiting[0][0]):
            yield _joined(waiting)

    def _quiet_window(
        self, starts: np.ndarray, ends: np.ndarray, probabilities: np.ndarray
    ) -> int | None:
        """Return the last window with nothing but quiet ones near it; None if there is none."""
        if len(starts) < 2:
            return None
        is_quiet = np.ones(len(starts), bool)
        for labels in self._rivals:
            is_quiet &= self._evidence(probabilities, labels) < self.settings.stay
        reach = _reach((starts + ends) / 2, self.settings.smoothing_s)
        n_near = 4 * reach + 3  # what smoothing mixes on both sides, and what is beside that
        if len(starts) < n_near:
            return None
        n_quiet = np.convolve(is_quiet, np.ones(n_near, int), mode="valid")
        found = np.flatnonzero(n_quiet == n_near)
        return int(found[-1]) + n_near // 2 if len(found) else None

    def _decode(
        self,
        starts: np.ndarray,
        ends: np.ndarray,
        probabilities: np.ndarray,
        labels: Sequence[int],
    ) -> Iterator[Event]:
        """Yield the events of classes that compete."""
        settings = self.settings
        centres = (starts + ends) / 2
        evidence = smoothed(self._evidence(probabilities, labels), centres, settings.smoothing_s)
        calls = probabilities[:, labels]
        for first, last in runs(evidence, settings.stay, settings.start):
            found = []
            for stretch in cut_at_valleys(evidence, first, last, settings.valley):
                whole = self._event(evidence, starts, ends, calls, stretch, labels)
                if self._heard_s(whole) < -settings.slack_s:
                    continue
                for part in self._shortened(evidence, centres, *stretch):
                    event = whole
                    if part != stretch:
                        event = self._event(evidence, starts, ends, calls, part, labels)
                    found += self._of_each_class(event, evidence, starts, ends, calls, part, labels)
            for event in without_overlap(found):
                if event.end_s - event.begin_s >= max(settings.min_duration_s, _TINY):
                    yield event

    def _heard_s(self, event: Event) -> float:
        """Return how long a call its windows say, seconds; below 0 where they are too few."""
        first, last = event.crossings
        return last + self.settings.end_s - (first - self.settings.begin_s)

    def _shortened(
        self, evidence: np.ndarray, centres: np.ndarray, first: int, last: int
    ) -> list[tuple[int, int]]:
        """Cut a stretch until no part is too long."""
        longest = self.settings.max_duration_s
        if not math.isfinite(longest) or len(centres) < 2:
            return [(first, last)]
        return list(shortened(evidence, first, last, max(1, int(longest / _step(centres)) + 1)))

    def _of_each_class(
        self,
        event: Event,
        evidence: np.ndarray,
        starts: np.ndarray,
        ends: np.ndarray,
        calls: np.ndarray,
        part: tuple[int, int],
        labels: Sequence[int],
    ) -> list[Event]:
        """Part an event in which calls of several classes lie one beside the other.

        While a window holds two calls its evidence does not fall, but each class has windows of its
        own, and these say from when to when its call is. A class that only the windows at an edge
        are named after would have a call that ends before it begins.
        """
        level, first, last = self.settings.second, *part
        if level >= 1 or calls.shape[1] < 2:
            return [event]
        settings, near = self.settings, slice(max(0, part[0] - 1), part[1] + 2)
        starts, ends, calls, evidence = (x[near] for x in (starts, ends, calls, evidence))
        first, last = first - near.start, last - near.start
        found: list[tuple[float, Event]] = []
        for column in np.flatnonzero(calls[first : last + 1].max(0) >= _CLEAR * level):
            own = smoothed(calls[:, column], (starts + ends) / 2, settings.smoothing_s)
            for a, b in runs(own[first : last + 1], level, min(1.0, _CLEAR * level)):
                a, b = a + first, b + first
                begin = _crossing(own, ends, a, -1, level) if a else float(starts[a])
                end = _crossing(own, starts, b, 1, level) if b + 1 < len(own) else float(ends[b])
                begin, end = begin - settings.begin_s, end + settings.end_s
                sums = calls[a : b + 1].sum(0, dtype=np.float64)
                share = float(sums[column] / max(sums.sum(), _QUIET))
                peak = float(evidence[a : b + 1].max())
                if end > begin:
                    one = Event(begin, end, labels[column], peak, share, (begin, end))
                    found.append((float(own[a : b + 1].max()), one))
        apart: list[Event] = []
        for _, one in sorted(found, key=lambda pair: -pair[0]):
            if all(_lie_apart(one, other, settings.apart_s) for other in apart):
                apart.append(one)
        if len(apart) < 2:
            return [event]
        apart.sort(key=lambda one: one.begin_s)
        shortest = _shortest_s(starts, ends)
        apart[0] = dataclasses.replace(
            apart[0], begin_s=min(event.begin_s, apart[0].end_s - shortest)
        )
        apart[-1] = dataclasses.replace(
            apart[-1], end_s=max(event.end_s, apart[-1].begin_s + shortest)
        )
        return apart

    def _event(
        self,
        evidence: np.ndarray,
        starts: np.ndarray,
        ends: np.ndarray,
        calls: np.ndarray,
        part: tuple[int, int],
        labels: Sequence[int],
    ) -> Event:
        """Return the event of windows ``first`` to ``last`` (included)."""
        first, last = part
        settings = self.settings
        stay = settings.stay
        # Where the evidence crosses ``stay``, as if there were a window at every moment. Of what
        # is heard from the first window on nobody knows when in it that began, so with the last.
        begin, end = float(starts[first]), float(ends[last])
        crossings = [begin + settings.begin_s, end - settings.end_s]
        if first > 0:
            crossings[0] = _crossing(evidence, ends, first, -1, stay)
        if last + 1 < len(evidence):
            crossings[1] = _crossing(evidence, starts, last, 1, stay)
        begin = max(begin, crossings[0] - settings.begin_s)
        end = min(end, crossings[1] + settings.end_s)
        shortest = _shortest_s(starts, ends)
        if end - begin < shortest:
            middle = (begin + end) / 2
            begin = max(float(starts[first]), middle - shortest / 2)
            end = min(float(ends[last]), middle + shortest / 2)
        centres = (starts[first : last + 1] + ends[first : last + 1]) / 2
        within = (centres >= begin - settings.begin_s) & (centres <= end + settings.end_s)
        if not within.any():
            distance = np.abs(centres - (begin + end) / 2)
            within = distance <= distance.min() + _TINY
        sums = calls[first : last + 1][within].sum(0, dtype=np.float64)
        best = int(sums.argmax())
        share = float(sums[best] / max(sums.sum(), _QUIET))
        peak = float(evidence[first : last + 1].max())
        return Event(begin, end, labels[best], peak, share, tuple(crossings))


def _lie_apart(one: Event, other: Event, least_s: float) -> bool:
    """Tell whether two calls are one after the other, with a time between them.

    Where none is asked for they may overlap by a tenth of the shorter.
    """
    common = min(one.end_s, other.end_s) - max(one.begin_s, other.begin_s)
    if least_s > 0:
        return -common >= least_s
    shorter = min(one.end_s - one.begin_s, other.end_s - other.begin_s)
    return common <= 0.1 * shorter


def without_overlap(events: Sequence[Event]) -> list[Event]:
    """Let events that overlap meet half way; return them in the order of time."""
    apart = sorted(events, key=lambda event: (event.begin_s, event.end_s))
    for i in range(len(apart) - 1):
        one, other = apart[i : i + 2]
        if one.end_s > other.begin_s:
            middle = (other.begin_s + min(one.end_s, other.end_s)) / 2
            apart[i] = dataclasses.replace(one, end_s=middle)
            apart[i + 1] = dataclasses.replace(other, begin_s=middle)
    return apart


def _joined(
    batches: Sequence[tuple[np.ndarray, ...]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    starts, ends, probabilities = (np.concatenate(x) for x in zip(*batches, strict=True))
    return starts.astype(np.float64), ends.astype(np.float64), probabilities


def smoothed(evidence: np.ndarray, centres: np.ndarray, width_s: float) -> np.ndarray:
    """Average neighbouring windows with weights that fall to 0 at a distance of ``width_s``.

    Args:
        evidence: Shape ``(window,)``.
        centres: Of the windows, seconds, ascending.
        width_s: 0 leaves everything as it is.
    """
    reach = _reach(centres, width_s)
    if reach < 1:
        return evidence
    weights = 1 - np.abs(np.arange(-reach, reach + 1)) * _step(centres) / width_s
    padded = np.pad(evidence, reach, mode="edge")
    return np.convolve(padded, weights / weights.sum(), mode="valid")


def _shortest_s(starts: np.ndarray, ends: np.ndarray) -> float:
    return _SHORTEST * float(np.median(ends - starts))


def _step(centres: np.ndarray) -> float:
    return max(float(np.median(np.diff(centres))), _TINY) if len(centres) > 1 else math.inf


def _reach(centres: np.ndarray, width_s: float) -> int:
    """Return how many windows on each side smoothing mixes in."""
    return max(0, math.ceil(round(width_s / _step(centres), 6)) - 1)


def runs(evidence: np.ndarray, stay: float, start: float) -> Iterator[tuple[int, int]]:
    """Yield first and last window of stretches that stay above one level and reach another."""
    above = np.concatenate([[False], evidence >= stay, [False]])
    edges = np.flatnonzero(above[1:] != above[:-1])
    for first, after in edges.reshape(-1, 2):
        if evidence[first:after].max() >= start:
            yield int(first), int(after) - 1


def cut_at_valleys(
    evidence: np.ndarray, first: int, last: int, depth: float
) -> list[tuple[int, int]]:
    """Cut a stretch where the evidence falls by ``depth`` between two peaks.

    Returns:
        First and last window of each part; the window at the bottom belongs to neither.
    """
    parts, begin = [], first
    peak, bottom = evidence[first], first
    for window in range(first + 1, last + 1):
        here = evidence[window]
        if min(peak, here) - evidence[bottom] >= depth > 0:
            parts.append((begin, bottom - 1))
            begin, peak, bottom = bottom + 1, here, window
        elif here >= peak:
            peak, bottom = here, window
        elif here < evidence[bottom]:
            bottom = window
    return [*parts, (begin, last)]


def shortened(
    evidence: np.ndarray, first: int, last: int, longest: int
) -> Iterator[tuple[int, int]]:
    """Cut a part at its lowest inner evidence until none has more windows than allowed."""
    waiting = [(first, last)]
    while waiting:
        first, last = waiting.pop()
        margin = longest // 2
        if last - first + 1 <= longest or last - first + 1 <= 2 * margin + 1:
            yield first, last
            continue
        inner = evidence[first + margin : last - margin + 1]
        cut = first + margin + int(inner.argmin())
        waiting += [part for part in ((cut + 1, last), (first, cut - 1)) if part[0] <= part[1]]


def _crossing(
    evidence: np.ndarray, times: np.ndarray, window: int, step: int, level: float
) -> float:
    """Return when the evidence crosses a level between a window and the one beside it."""
    beside = window + step
    inside = float(times[window])
    high, low = float(evidence[window]), float(evidence[beside])
    if high <= low or high < level or low >= level:  # cut at a valley: half way
        return (inside + float(times[beside])) / 2
    return inside + (high - level) / (high - low) * (float(times[beside]) - inside)
