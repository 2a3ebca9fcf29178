"""Tables of an evaluation: how it was scored, scores of classes, of windows, of recordings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from animal_spot.reporting.page import (
    Cell,
    Facts,
    Number,
    Table,
    count,
    decimal,
    interval,
    share,
)
from animal_spot.reporting.scored import Entry, Evaluation
from animal_spot.utils.intervals import wilson_interval
from animal_spot.utils.tape_bootstrap import ratio_intervals

_FEWEST_RECORDINGS = 5  # from which intervals over recordings are told
_MANY_RECORDINGS = 10  # from which they can be trusted
_MOST_RECORDINGS = 2000  # that are listed
_ANY = "Any class"
_WORDS = {"events": "one row for each call, of windows that belong together"}


def settings_facts(evaluation: Evaluation) -> Facts:
    """Return what was scored, and how."""
    settings, whole = evaluation.settings, evaluation.whole
    n_events = whole.whatever_class.tp + whole.whatever_class.fn
    n_found = whole.whatever_class.tp + whole.whatever_class.fp
    rows: list[tuple[str, Cell]] = [
        ("Recordings", count(len(evaluation.recordings))),
        ("Sound", decimal(whole.duration_s / 3600, 2, " h")),
        ("Events in the tables of the truth", count(n_events)),
        ("Annotations that were found", count(n_found)),
        ("A call is found", _hit_rule(settings)),
        ("Least score", _threshold(settings)),
        ("Annotations", _decoder(settings)),
    ]
    if settings.get("noise_class"):
        rows.append(("Background class", str(settings["noise_class"])))
    for key, name in (("prediction_dir", "Prediction"), ("truth_dir", "Truth")):
        if isinstance(settings.get(key), str):
            rows.append((name, settings[key]))
    return Facts(tuple(rows))


def _hit_rule(settings: Mapping[str, Any]) -> str:
    least = settings.get("iou_threshold")
    if isinstance(least, (int, float)) and least > 0:
        return (
            "if an annotation of its class has "
            f"{100 * least:g} % in common with it (intersection over union in time)"
        )
    return "if an annotation of its class overlaps it in time"


def _threshold(settings: Mapping[str, Any]) -> str:
    given = settings.get("threshold")
    text = f"{given:g}" if isinstance(given, (int, float)) else "as each recording's results say"
    own = settings.get("class_threshold")
    if isinstance(own, list) and own:
        text += f"; of single classes {' '.join(map(str, own))}"
    return text


def _decoder(settings: Mapping[str, Any]) -> str:
    if settings.get("use_probability_priority"):
        return (
            "windows of one class are joined; where classes overlap the more probable one wins "
            f"(gaps up to {settings.get('merge_gap')} s, rows of at least "
            f"{settings.get('min_annotation_duration')} s)"
        )
    decoder = settings.get("decoder")
    if decoder is None:
        return "as the results say: by the model's decoder if it has one, else windows are joined"
    return _WORDS.get(decoder, "windows of one class that overlap are joined")


def classes_table(evaluation: Evaluation) -> Table:
    """Return the scores of each class, with intervals by the counts."""
    whole = evaluation.whole
    precision, recall, f1 = whole.mean
    mean = (
        *("Mean", "", "", "", ""),
        *(share(precision), "", share(recall), "", share(f1)),
    )
    return Table(
        "classes",
        "Scores of each class",
        (
            *("Class", "Events", "Found", "False alarms", "Missed", "Precision", "95 %"),
            *("Recall", "95 %", "F1"),
        ),
        [_row(name, entry) for name, entry in whole.classes.items()],
        [mean, _row(_ANY, whole.whatever_class)],
        "Precision: share of the annotations that are right. Recall: share of the events that are "
        "found. F1: harmonic mean of both. Any class: whether a call is found at all, whatever it "
        "is called. Intervals are Wilson's, events taken as independent. They are too short where "
        "calls of one recording are found or missed together.",
    )


def false_alarms_table(evaluation: Evaluation) -> Table:
    """Return how often each class is found where it is not."""
    whole = evaluation.whole
    hours = whole.duration_s / 3600

    def row(name: str, entry: Entry) -> tuple[Cell, ...]:
        rate = decimal(entry.false_per_hour)
        return name, count(entry.fp), rate, _per_hour(entry.fp, hours)

    return Table(
        "false_alarms",
        "False alarms",
        ("Class", "False alarms", "Per hour", "95 %"),
        [row(name, entry) for name, entry in whole.classes.items()],
        [row(_ANY, whole.whatever_class)],
        "A call that is found under another name is a false alarm of that class, but not of any "
        "class. Intervals are those of a Poisson process: false alarms taken as independent.",
    )


def _row(name: str, entry: Entry) -> tuple[Cell, ...]:
    return (
        *(name, count(entry.tp + entry.fn), count(entry.tp), count(entry.fp), count(entry.fn)),
        *(share(entry.precision), _wilson(entry.tp, entry.tp + entry.fp)),
        *(share(entry.recall), _wilson(entry.tp, entry.tp + entry.fn)),
        share(entry.f1),
    )


def _wilson(part: int, whole: int) -> Number:
    return interval(*wilson_interval(part, whole)) if whole else interval(None, None)


def _per_hour(n: int, hours: float) -> Number:
    """Return the interval of a rate (Garwood, Biometrika 28, 1936)."""
    if not hours:
        return Number(None, "–")
    from scipy.stats import chi2

    low = float(chi2.ppf(0.025, 2 * n)) / 2 / hours if n else 0.0
    high = float(chi2.ppf(0.975, 2 * n + 2)) / 2 / hours
    return Number(low, f"{low:.2f} to {high:.2f}")


def over_recordings_table(evaluation: Evaluation, seed: int) -> Table | None:
    """Return intervals by drawing whole recordings again and again; None for too few."""
    each = list(evaluation.recordings.values())
    if len(each) < _FEWEST_RECORDINGS:
        return None
    names = [*evaluation.whole.classes]
    nothing = Entry(0, 0, 0, None, None, None)
    entries = [[*(one.classes.get(n, nothing) for n in names), one.whatever_class] for one in each]
    tp, fp, fn = (
        np.array([[getattr(entry, key) for entry in row] for row in entries])
        for key in ("tp", "fp", "fn")
    )
    precision, recall = (
        ratio_intervals(tp, whole, fewest=_FEWEST_RECORDINGS, seed=seed)
        for whole in (tp + fp, tp + fn)
    )
    whole = [*evaluation.whole.classes.values(), evaluation.whole.whatever_class]
    rows = [
        (
            name,
            count(int(((tp + fn)[:, i] > 0).sum())),
            *(share(whole[i].precision), _of_draws(precision[i])),
            *(share(whole[i].recall), _of_draws(recall[i])),
        )
        for i, name in enumerate([*names, _ANY])
    ]
    few = f" {len(each)} recordings are few for that." if len(each) < _MANY_RECORDINGS else ""
    return Table(
        "over_recordings",
        "Intervals over recordings",
        ("Class", "Recordings with events", "Precision", "95 %", "Recall", "95 %"),
        rows[:-1],
        rows[-1:],
        "What another choice of such recordings might give: whole recordings are drawn again and "
        f"again (bootstrap).{few} There is none where under {_FEWEST_RECORDINGS} recordings count, "
        "or where all are alike, as all right.",
    )


def _of_draws(ends: tuple[float, float] | None) -> Number:
    """Return the interval of a bootstrap; that all draws are alike is no certainty."""
    return interval(*(ends if ends and ends[0] < ends[1] else (None, None)))


def thresholds_table(evaluation: Evaluation) -> Table:
    """Return at which threshold each class has its best F1."""
    return Table(
        "best_thresholds",
        "Best thresholds",
        ("Class", "Threshold", "F1 with it", "F1 as scored"),
        [
            (
                name,
                *(decimal(entry.best_threshold, 3), share(entry.best_f1), share(entry.f1)),
            )
            for name, entry in evaluation.whole.classes.items()
        ],
        note="Chosen on the recordings that they are scored on, so confirm them on others.",
    )


def windows_table(evaluation: Evaluation) -> Table | None:
    """Return the scores of the windows; None where only tables are left of the prediction."""
    windows = evaluation.whole.windows
    if not evaluation.whole.windows_confusion.counts.sum():
        return None
    return Table(
        "windows",
        "Scores by windows",
        ("Class", "Windows", "Found", "False alarms", "Missed", "Precision", "Recall", "F1"),
        [
            (
                name,
                *map(count, (entry.tp + entry.fn, entry.tp, entry.fp, entry.fn)),
                *map(share, (entry.precision, entry.recall, entry.f1)),
            )
            for name, entry in windows.items()
        ],
        note="A window is of an event's class if the event covers half of it, or lies in it with "
        "half of itself. Neighbouring windows overlap, so there are no intervals.",
    )


def recordings_table(evaluation: Evaluation) -> Table:
    """Return the scores of each recording, the worst first."""
    entries = {name: one.all_classes for name, one in evaluation.recordings.items()}
    worst_first = sorted(entries, key=lambda name: (_f1_of(entries[name]), -entries[name].fp, name))
    rows = []
    for name in worst_first[:_MOST_RECORDINGS]:
        entry = entries[name]
        minutes = evaluation.recordings[name].duration_s / 60
        rows.append(
            (
                *(name, decimal(minutes, 1), count(entry.tp + entry.fn), count(entry.tp)),
                *(count(entry.fp), count(entry.fn), share(entry.precision), share(entry.recall)),
                *(share(entry.f1), decimal(entry.false_per_hour)),
            )
        )
    n_left = len(worst_first) - len(rows)
    left = f" {n_left:,} better ones are in scores.json." if n_left else ""
    return Table(
        "recordings",
        "Recordings, the worst first",
        (
            *("Recording", "Minutes", "Events", "Found", "False alarms", "Missed"),
            *("Precision", "Recall", "F1", "False alarms per hour"),
        ),
        rows,
        note=f"Sums over the classes. A recording without events has no recall.{left}",
    )


def _f1_of(entry: Entry) -> float:
    return math.inf if entry.f1 is None else entry.f1


def shown_names(names: Sequence[str], most: int = 20) -> str:
    """Return the first of many names in one line."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
