"""Choose the settings of the decoder by what it finds in recordings whose calls are known."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from animal_spot.detections.annotations import Annotation, found_windows, merge_windows
from animal_spot.detections.decisions import DecisionRule, Thresholds
from animal_spot.detections.decoding import EventDecoder
from animal_spot.detections.event_settings import EventSettings
from animal_spot.detections.events import Event, EventConfidence, confidence_features
from animal_spot.evaluation.event_scores import (
    Counts,
    count_detection,
    count_events,
    macro,
    match_events,
    per_hour,
)

log = logging.getLogger(__name__)

# What is tried; times in windows. The first of each is the default.
_TRIED = {
    # Not much lower than the default: what is gained so on validation is lost to sounds that
    # validation does not have.
    "start": (0.8, 0.7, 0.9, 0.95),
    "stay": (0.5, 0.4, 0.6),
    "smoothing_s": (0.25, 0.0, 0.35, 0.5),
    "valley": (0.1, 0.05, 0.2, 0.4),
    "second": (0.25, 0.2, 0.35, 1.0),
    "min_duration_s": (0.0, 0.03, 0.06, 0.1),
}
# What only leaves out or joins events. It is taken if it costs nothing: what it is against, a call
# with more sounds around it than mixtures have, hardly shows on validation.
_PRUNING = {"slack_s": 0.15, "apart_s": 0.5}
_NOTHING = 0.003  # in the mean of both F1; about half a call
_IN_WINDOWS = ("smoothing_s", "min_duration_s")
_THRESHOLDS = tuple(round(0.1 + 0.02 * i, 2) for i in range(21))  # none above one half
_LEAST_GAIN = 0.01  # in the mean of both F1; less is chance
_FEWEST = 8  # right and wrong events each, from which a confidence is learned
_ROUNDS = 2


@dataclass(frozen=True)
class Heard:
    """What a network said of a recording, and what is in it.

    Attributes:
        start_s: Of each window, shape ``(window,)``.
        end_s: The same.
        probabilities: Shape ``(window, class)``.
        truth: Its calls.
    """

    start_s: np.ndarray
    end_s: np.ndarray
    probabilities: np.ndarray
    truth: Sequence[Annotation]

    @property
    def duration_s(self) -> float:
        """End of the last window."""
        return float(self.end_s[-1])


def fit_decoder(recordings: Sequence[Heard], names: tuple[str, ...], noise: str) -> EventSettings:
    """Choose settings, edges, confidence and threshold, in this order.

    Each setting is changed alone, twice in turn; a change is kept if it gains more than chance
    would. What is gained is the mean of two F1: of the classes, and whatever the class.

    Args:
        recordings: At least one with calls.
        names: Classes in index order.
        noise: The class that is no call.

    Returns:
        With the figures that they reach under ``found``.
    """
    window_s = float(np.median(recordings[0].end_s - recordings[0].start_s))
    settings = dataclasses.replace(EventSettings.for_windows(window_s), threshold=0.0)

    def gain(tried: EventSettings) -> float:
        found = _figures(tried, recordings, names, noise)
        return (found["f1"] + found["f1_whatever_class"]) / 2

    settings = _with_edges(settings, recordings, names, noise, window_s)
    best = gain(settings)
    for _ in range(_ROUNDS):
        for name, values in _TRIED.items():
            for value in values:
                number = value * window_s if name in _IN_WINDOWS else value
                changed = {name: round(number, 4)}
                if name == "stay" and number > settings.start:
                    continue
                if name == "start" and number < settings.stay:
                    continue
                tried = dataclasses.replace(settings, **changed)
                if (reached := gain(tried)) > best + _LEAST_GAIN:
                    settings, best = tried, reached
        settings = _with_edges(settings, recordings, names, noise, window_s)
        best = gain(settings)
    for name, value in _PRUNING.items():
        tried = dataclasses.replace(settings, **{name: round(value * window_s, 4)})
        if (reached := gain(tried)) >= best - _NOTHING:
            settings, best = tried, reached
    settings = dataclasses.replace(
        settings, confidence=_confidence(settings, recordings, names, noise)
    )
    settings = dataclasses.replace(
        settings, threshold=_threshold(settings, recordings, names, noise)
    )
    return dataclasses.replace(settings, found=_figures(settings, recordings, names, noise))


def _figures(
    settings: EventSettings, recordings: Sequence[Heard], names: tuple[str, ...], noise: str
) -> dict[str, Any]:
    decoder = EventDecoder(names, noise, settings)
    rows = [decoder.annotations([(r.start_s, r.end_s, r.probabilities)]) for r in recordings]
    return figures_of(rows, recordings, names, noise)


def figures_of(
    rows: Sequence[Sequence[Annotation]],
    recordings: Sequence[Heard],
    names: Sequence[str],
    noise: str,
) -> dict[str, Any]:
    """Return how well rows of recordings agree with the truth, rounded for a model file."""
    calls = [name for name in names if name != noise]
    total, single, errors, hours = Counts(), dict.fromkeys(calls, Counts()), [], 0.0
    for recording, found in zip(recordings, rows, strict=True):
        total += count_detection(recording.truth, found)
        for name, counts in count_events(recording.truth, found, calls).items():
            single[name] += counts
        for i, j in match_events(recording.truth, found):
            true, row = recording.truth[i], found[j]
            errors.append((abs(row.begin_s - true.begin_s), abs(row.end_s - true.end_s)))
        hours += recording.duration_s
    in_truth = [single[name] for name in calls if single[name].tp + single[name].fn]
    begin, end = np.median(errors, axis=0).tolist() if errors else (None, None)
    return {
        "f1": round(macro(in_truth, "f1") or 0.0, 4),
        "f1_whatever_class": round(total.f1 or 0.0, 4),
        "recall_whatever_class": round(total.recall or 0.0, 4),
        "false_per_hour": round(per_hour(total.fp, hours) or 0.0, 2),
        "begin_error_s": None if begin is None else round(begin, 3),
        "end_error_s": None if end is None else round(end, 3),
    }


def original_rows_of(
    recordings: Sequence[Heard], names: tuple[str, ...], noise: str
) -> list[list[Annotation]]:
    """Return what the original's rule makes of the same windows."""
    rule = DecisionRule(names, Thresholds(), noise)
    return [
        list(
            merge_windows(
                found_windows(r.start_s, r.end_s, rule.decide(r.probabilities), list(names))
            )
        )
        for r in recordings
    ]


def _with_edges(
    settings: EventSettings,
    recordings: Sequence[Heard],
    names: tuple[str, ...],
    noise: str,
    window_s: float,
) -> EventSettings:
    """Return settings whose events begin and end, in the median, where calls do."""
    decoder = EventDecoder(names, noise, settings)
    early, late = [], []
    for recording in recordings:
        batch = [(recording.start_s, recording.end_s, recording.probabilities)]
        events = list(decoder.events(batch))
        rows = [Annotation(e.begin_s, e.end_s, names[e.label], e.peak) for e in events]
        for i, j in match_events(recording.truth, rows):
            early.append(events[j].crossings[0] - recording.truth[i].begin_s)
            late.append(recording.truth[i].end_s - events[j].crossings[1])
    if len(early) < _FEWEST:
        return settings
    return dataclasses.replace(
        settings,
        begin_s=round(float(np.clip(np.median(early), -window_s, window_s)), 3),
        end_s=round(float(np.clip(np.median(late), -window_s, window_s)), 3),
    )


def _events(
    settings: EventSettings, recordings: Sequence[Heard], names: tuple[str, ...], noise: str
) -> tuple[list[Event], np.ndarray]:
    """Return the events of all recordings, and whether each is right."""
    decoder = EventDecoder(names, noise, settings)
    every, right = [], []
    for recording in recordings:
        events = list(
            decoder.events([(recording.start_s, recording.end_s, recording.probabilities)])
        )
        rows = [Annotation(e.begin_s, e.end_s, names[e.label], e.peak) for e in events]
        hits = {
            j
            for i, j in match_events(recording.truth, rows)
            if recording.truth[i].name == rows[j].name
        }
        every += events
        right += [j in hits for j in range(len(events))]
    return every, np.array(right, bool)


def _confidence(
    settings: EventSettings, recordings: Sequence[Heard], names: tuple[str, ...], noise: str
) -> EventConfidence | None:
    """Learn how likely events are right; None from too few of them.

    No weight is below 0: that surer, clearer or longer events are less often right was chance.
    """
    from sklearn.linear_model import LogisticRegression  # slow to import

    events, right = _events(settings, recordings, names, noise)
    if min(right.sum(), (~right).sum()) < _FEWEST:
        return None
    features = confidence_features(events)
    used = np.ones(features.shape[1])
    while True:
        curve = LogisticRegression(C=1.0).fit(features * used, right)
        weights = curve.coef_[0] * used
        if (weights >= 0).all():
            break
        used[weights.argmin()] = 0
    return EventConfidence(*(round(float(x), 3) for x in (curve.intercept_[0], *weights)))


def _threshold(
    settings: EventSettings, recordings: Sequence[Heard], names: tuple[str, ...], noise: str
) -> float:
    """Return the least threshold with the highest mean of both F1, but for chance."""
    reached = []
    for threshold in _THRESHOLDS:
        figures = _figures(
            dataclasses.replace(settings, threshold=threshold), recordings, names, noise
        )
        reached.append((figures["f1"] + figures["f1_whatever_class"]) / 2)
    best = max(reached)
    return next(t for t, r in zip(_THRESHOLDS, reached, strict=True) if r >= best - _LEAST_GAIN)
