"""Scores of recordings, added up, and written as json, csv, pictures and a short table."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from animal_spot.data.noise_class import is_background
from animal_spot.detections.annotations import Annotation
from animal_spot.detections.decisions import Thresholds
from animal_spot.detections.result_readers import Result
from animal_spot.evaluation.event_scores import (
    BACKGROUND,
    SWEEP,
    Counts,
    best_threshold,
    confusion_of,
    count_detection,
    count_events,
    counts_of,
    event_confusion,
    macro,
    per_hour,
    sweep_thresholds,
    window_truth,
)
from animal_spot.evaluation.scored_events import FILE_NAME as EVENTS_FILE
from animal_spot.evaluation.scored_events import ScoredEvent, scored_text
from animal_spot.utils.csv_cells import csv_text
from animal_spot.utils.names import refuse_look_alikes
from animal_spot.utils.own_files import OwnFiles, keep_copy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger("EVALUATE")

# True and found class; None for background.
Pair = tuple[str | None, str | None]
# Class of the original's two-class models: whatever sounds.
TARGET = "target"
_FIGURES = ("pr_curves", "confusion", "confusion_windows")
SCORE_FILES = (
    *("scores.json", "scores.csv", EVENTS_FILE),
    *(f"{name}.{kind}" for name in _FIGURES for kind in ("png", "svg")),
)
_COLUMNS = (
    *("class", "events", "tp", "fp", "fn", "precision", "recall", "f1"),
    *("false_alarms_per_hour", "best_threshold", "best_f1"),
    *("window_precision", "window_recall", "window_f1"),
)


@dataclass(frozen=True)
class Scores:
    """Counts of one recording, or of several that were added up.

    Attributes:
        names: Classes other than noise, of the model and of the truth.
        duration_s: Length of what was listened to.
        events: Counts of each class, matched within the class.
        detection: Counts of anything found at all, matched whatever the class.
        confusion: Pairs of classes in that matching.
        windows: The same, of windows.
        curves: Counts of each class at each threshold.
    """

    names: tuple[str, ...] = ()
    duration_s: float = 0.0
    events: dict[str, Counts] = field(default_factory=dict)
    detection: Counts = field(default_factory=Counts)
    confusion: Counter[Pair] = field(default_factory=Counter)
    windows: Counter[Pair] = field(default_factory=Counter)
    curves: dict[str, dict[float, Counts]] = field(default_factory=dict)

    def __add__(self, other: Scores) -> Scores:
        return Scores(
            tuple(dict.fromkeys(self.names + other.names)),
            self.duration_s + other.duration_s,
            _add(self.events, other.events),
            self.detection + other.detection,
            self.confusion + other.confusion,
            self.windows + other.windows,
            {
                name: _add(self.curves.get(name, {}), other.curves.get(name, {}))
                for name in {**self.curves, **other.curves}
            },
        )

    def matrix(self, confusion: Counter[Pair]) -> np.ndarray:
        """Lay out pairs as ``(true, found)``, the background last."""
        names = (*self.names, None)
        return np.array([[confusion[true, found] for found in names] for true in names])


def events_for_model(truth: Iterable[Annotation], result: Result) -> list[Annotation]:
    """Return the events that a model is to find.

    Events of the noise class, or called noise, are background. If ``target`` is all that a model
    knows, every other event is one.
    """
    sounds = [name for name in result.names if name != result.noise_class]
    noise = result.noise_class
    events = [row for row in truth if row.name in sounds or not is_background(row.name, noise)]
    if sounds == [TARGET]:
        return [row._replace(name=TARGET) for row in events]
    return events


def score_recording(
    result: Result,
    truth: Sequence[Annotation],
    detect: Callable[[Thresholds], Sequence[Annotation]],
    thresholds: Thresholds,
    *,
    iou_threshold: float = 0.0,
) -> Scores:
    """Score what was found in one recording.

    Args:
        result: Windows of the recording, its noise class settled.
        truth: Events of the recording, of which ``events_for_model`` count.
        detect: Returns the annotations at given thresholds.
        thresholds: Those that were chosen.
        iou_threshold: Least overlap of a hit.
    """
    sounds = [name for name in result.names if name != result.noise_class]
    truth = events_for_model(truth, result)
    names = list(dict.fromkeys([*sounds, *sorted({row.name for row in truth})]))
    refuse_look_alikes(names, "give the calls in the table the name that the class has")
    found = detect(thresholds)
    events = event_confusion(truth, found, names, iou_threshold=iou_threshold)
    return Scores(
        tuple(names),
        result.duration_s,
        count_events(truth, found, names, iou_threshold=iou_threshold),
        count_detection(truth, found, iou_threshold=iou_threshold),
        _pairs(events, names),
        _pairs(_window_confusion(result, truth, thresholds, names), names),
        sweep_thresholds(
            truth,
            lambda threshold: detect(Thresholds(threshold)),
            names,
            thresholds=sorted({*SWEEP, thresholds.default}),
            iou_threshold=iou_threshold,
        ),
    )


def _window_confusion(
    result: Result, truth: Sequence[Annotation], thresholds: Thresholds, names: Sequence[str]
) -> np.ndarray:
    """Count pairs of true and found class of the windows; none where only tables are left."""
    if not len(result.start_s):
        return np.zeros((len(names) + 1, len(names) + 1), np.int64)
    decided = result.rule(thresholds).decide_scores(result.winner, result.score)
    index = {name: i for i, name in enumerate(names)}
    of_class = np.array([index.get(name, len(names)) for name in result.names])
    return confusion_of(
        window_truth(result.start_s, result.end_s, truth, names),
        np.where(decided.counts & ~decided.is_noise, of_class[decided.label], len(names)),
        len(names) + 1,
    )


def report(scores: Scores) -> dict[str, Any]:
    """Return everything as plain values, None for what is undefined."""
    windows = counts_of(scores.matrix(scores.windows), scores.names)
    names = [*scores.names, BACKGROUND]
    return {
        "duration_s": round(scores.duration_s, 3),
        "events": {
            "classes": {
                name: _entry(counts, scores.duration_s) | _best(scores.curves[name])
                for name, counts in scores.events.items()
            },
            "macro": _macro(scores.events.values()),
            "all": _entry(sum(scores.events.values(), Counts()), scores.duration_s),
            "whatever_class": _entry(scores.detection, scores.duration_s),
            "confusion": {"names": names, "counts": scores.matrix(scores.confusion).tolist()},
        },
        "windows": {
            "classes": {name: _entry(counts, None) for name, counts in windows.items()},
            "macro": _macro(windows.values()),
            "confusion": {"names": names, "counts": scores.matrix(scores.windows).tolist()},
        },
        "precision_recall": {
            name: [
                {"threshold": threshold, **_ratios(counts)}
                for threshold, counts in sorted(curve.items())
            ]
            for name, curve in scores.curves.items()
        },
    }


def write_scores(
    own: OwnFiles,
    recordings: dict[str, Scores],
    settings: dict[str, Any],
    not_scored: Sequence[str],
    events: Mapping[str, tuple[str, Iterable[ScoredEvent]]],
) -> dict[str, Any]:
    """Write ``SCORE_FILES``, but for those that were edited; return the report of all.

    Args:
        own: The output folder.
        recordings: Scores of each by its name.
        settings: What the scores were made with.
        not_scored: Names of recordings without a table.
        events: Of each its file, and what is there and was found.

    Raises:
        OSError: If one cannot be written.
    """
    total = sum(recordings.values(), Scores())
    whole = report(total)
    each = {name: report(scores) for name, scores in recordings.items()}
    for entry in each.values():
        del entry["precision_recall"]  # a curve of few events says little
    content = {
        "settings": settings,
        "all_recordings": whole,
        "recordings": each,
        "not_scored": list(not_scored),
    }
    texts = {
        "scores.json": json.dumps(content, indent=2) + "\n",
        "scores.csv": csv_text([_COLUMNS, *_rows(whole)]),
        EVENTS_FILE: scored_text(events),
    }
    for name, text in texts.items():
        if own.has_text(name, text) or own.may_write(name, ours_by_name=True):
            own.write_text(name, text)
    _write_figures(own, whole)
    return whole


def _write_figures(own: OwnFiles, whole: dict[str, Any]) -> None:
    from animal_spot.figures.look import save

    for stem, figure in _figures(whole).items():
        for kind in ("png", "svg"):
            name = f"{stem}.{kind}"
            if own.may_write(name, ours_by_name=True):
                with own.writing(name) as temporary:
                    save(figure, temporary, kind)


def remove_scores(own: OwnFiles, output_dir: Path) -> None:
    """See that no scores of an earlier run lie beside tables of this one."""
    there = [name for name in SCORE_FILES if os.path.lexists(output_dir / name)]
    removed = [name for name in there if own.is_known(name) and own.remove(name)]
    for name in there:
        if not own.is_known(name):
            copy = keep_copy(output_dir / name)
            log.warning("%s is of an earlier run: it is now %s", output_dir / name, copy.name)
    if removed:
        log.info("removed, as of an earlier run: %s", ", ".join(removed))


def table_lines(whole: dict[str, Any]) -> list[str]:
    """Lay out the scores of the events for reading."""
    lines = [("class", "events", "hits", "false", "missed", "precision", "recall", "F1", "false/h")]
    for row in _rows(whole):
        lines.append(tuple(_text(value) for value in row[:9]))
    widths = [max(len(line[i]) for line in lines) for i in range(9)]
    return [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in lines
    ]


def _rows(whole: dict[str, Any]) -> list[list[Any]]:
    """Return a row of ``_COLUMNS`` for each class, one of means, one whatever the class."""
    events, windows = whole["events"], whole["windows"]
    keys = _COLUMNS[1:11]
    rows = [
        [name, *(entry[key] for key in keys), *_window_ratios(windows["classes"][name])]
        for name, entry in events["classes"].items()
    ]
    mean = [None] * 4 + [events["macro"][key] for key in ("precision", "recall", "f1")] + [None] * 3
    rows.append(["mean of classes", *mean, *_window_ratios(windows["macro"])])
    entry = events["whatever_class"]
    rows.append(["whatever class", *(entry.get(key) for key in keys), None, None, None])
    return rows


def _window_ratios(entry: dict[str, Any]) -> list[float | None]:
    return [entry[key] for key in ("precision", "recall", "f1")]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _entry(counts: Counts, duration_s: float | None) -> dict[str, Any]:
    entry = {"events": counts.tp + counts.fn, "tp": counts.tp, "fp": counts.fp, "fn": counts.fn}
    entry |= _ratios(counts)
    if duration_s is not None:
        entry["false_alarms_per_hour"] = per_hour(counts.fp, duration_s)
    return entry


def _ratios(counts: Counts) -> dict[str, float | None]:
    return {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}


def _macro(counts: Iterable[Counts]) -> dict[str, float | None]:
    counts = list(counts)
    return {ratio: macro(counts, ratio) for ratio in ("precision", "recall", "f1")}


def _best(curve: dict[float, Counts]) -> dict[str, float | None]:
    threshold, f1 = best_threshold(curve) or (None, None)
    return {"best_threshold": threshold, "best_f1": f1}


def _add(some: dict[Any, Counts], other: dict[Any, Counts]) -> dict[Any, Counts]:
    return {key: some.get(key, Counts()) + other.get(key, Counts()) for key in {**some, **other}}


def _pairs(confusion: np.ndarray, names: Sequence[str]) -> Counter[Pair]:
    names = [*names, None]
    return Counter({(names[i], names[j]): int(n) for (i, j), n in np.ndenumerate(confusion) if n})


def _figures(whole: dict[str, Any]) -> dict[str, Figure]:
    """Draw what ``report`` returns: precision and recall, and which class is taken for which."""
    from animal_spot.figures.confusion import confusion_figure
    from animal_spot.figures.curves import precision_recall_figure

    n_events = {name: entry["events"] for name, entry in whole["events"]["classes"].items()}
    drawn = [
        precision_recall_figure(
            whole["precision_recall"], title="Events, by threshold", counts=n_events
        )
    ]
    for unit in ("events", "windows"):
        confusion = whole[unit]["confusion"]
        drawn.append(
            confusion_figure(
                np.array(confusion["counts"]),
                confusion["names"],
                title=f"Which class is found as which: {unit}",
                unit=unit,
                axis_names=("true class", "found as"),
            )
        )
    return dict(zip(_FIGURES, drawn, strict=True))
