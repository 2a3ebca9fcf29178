"""What an evaluation left in its folder, read for a report."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from animal_spot.detections.annotation_tables import RAVEN_ENDING
from animal_spot.evaluation.scored_events import COLUMNS, FILE_NAME
from animal_spot.reporting.sources import SCORES, SourceError, read_json
from animal_spot.utils.csv_cells import plain_cell
from animal_spot.utils.typed import ContentError, integer, number, typed

_MOST = 2**53
_LONGEST_S = 1e12
_Object = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """Counts of a class, or of several together, and what follows from them.

    Attributes:
        tp: Events that are found, and detections that are right.
        fp: False alarms.
        fn: Missed events.
        precision: None without a detection, like the next ones without what they divide by.
        recall: Share of the events that is found.
        f1: Harmonic mean of both.
        false_per_hour: None for windows.
        best_threshold: None where there is none, or it is not asked for.
        best_f1: With it.
    """

    tp: int
    fp: int
    fn: int
    precision: float | None
    recall: float | None
    f1: float | None
    false_per_hour: float | None = None
    best_threshold: float | None = None
    best_f1: float | None = None


@dataclass(frozen=True)
class Confusion:
    """Pairs of true and found classes.

    Attributes:
        names: Classes, the background last.
        counts: Shape ``(true, found)``.
    """

    names: Sequence[str]
    counts: np.ndarray


@dataclass(frozen=True)
class Scores:
    """Scores of one recording or of all.

    Attributes:
        duration_s: Length of what was listened to.
        classes: Of each class.
        mean: Precision, recall and F1, the means of the classes.
        all_classes: Sums over the classes.
        whatever_class: Of anything found at all.
        confusion: Of events and detections.
        windows: Of each class, by windows.
        windows_confusion: The same.
    """

    duration_s: float
    classes: Mapping[str, Entry]
    mean: tuple[float | None, float | None, float | None]
    all_classes: Entry
    whatever_class: Entry
    confusion: Confusion
    windows: Mapping[str, Entry]
    windows_confusion: Confusion


@dataclass(frozen=True)
class ScoredRow:
    """A row of the table of scored events.

    Attributes:
        recording: As the scores call it.
        kind: ``hit``, ``other name``, ``false alarm`` or ``missed``.
        true_class: None: there is no event.
        found_class: None: nothing was found.
        begin_s: Of the event, else of what was found.
        end_s: The same.
        score: Of what was found; None: not known.
        file: The recording.
    """

    recording: str
    kind: str
    true_class: str | None
    found_class: str | None
    begin_s: float
    end_s: float
    score: float | None
    file: str


@dataclass(frozen=True)
class Evaluation:
    """A folder of an evaluation.

    Attributes:
        path: The folder.
        settings: As they were given.
        whole: Scores of all recordings.
        curves: For each class the points of its precision-recall curve.
        recordings: Scores of each recording.
        not_scored: Recordings without a table of the truth.
    """

    path: Path
    settings: _Object
    whole: Scores
    curves: Mapping[str, Sequence[Mapping[str, float | None]]]
    recordings: Mapping[str, Scores]
    not_scored: Sequence[str]


def read_evaluation(folder: Path) -> Evaluation:
    """Read the scores.

    Raises:
        SourceError: If they are damaged.
        OSError: If they cannot be read.
    """
    path = folder / SCORES
    content = read_json(path)
    try:
        whole = typed(_Object, content["all_recordings"], "all_recordings")
        each = typed(dict[str, _Object], content.get("recordings", {}), "recordings")
        return Evaluation(
            folder,
            typed(_Object, content.get("settings", {}), "settings"),
            _scores(whole, "all_recordings"),
            _curves(whole.get("precision_recall", {})),
            {name: _scores(one, f"recordings.{name}") for name, one in each.items()},
            typed(list[str], content.get("not_scored", []), "not_scored"),
        )
    except KeyError as error:
        raise SourceError(f"{path} is damaged: {error} is not there") from error
    except ContentError as error:
        raise SourceError(f"{path} is damaged: {error}") from error


def _scores(content: _Object, where: str) -> Scores:
    events, windows = (
        typed(_Object, content[key], f"{where}.{key}") for key in ("events", "windows")
    )
    mean = typed(dict[str, float | None], events["macro"], f"{where}.macro")
    return Scores(
        number(content["duration_s"], f"{where}.duration_s", least=0, most=_LONGEST_S),
        _entries(events["classes"], f"{where}.events.classes"),
        (mean["precision"], mean["recall"], mean["f1"]),
        _entry(events["all"], f"{where}.events.all"),
        _entry(events["whatever_class"], f"{where}.events.whatever_class"),
        _confusion(events["confusion"], f"{where}.events.confusion"),
        _entries(windows["classes"], f"{where}.windows.classes"),
        _confusion(windows["confusion"], f"{where}.windows.confusion"),
    )


def _entries(content: Any, where: str) -> dict[str, Entry]:
    return {
        name: _entry(entry, f"{where}.{name}")
        for name, entry in typed(dict[str, _Object], content, where).items()
    }


def _entry(content: Any, where: str) -> Entry:
    content = typed(_Object, content, where)
    counts = (integer(content[k], f"{where}.{k}", least=0, most=_MOST) for k in ("tp", "fp", "fn"))
    return Entry(
        *counts,
        *(_share(content[key], f"{where}.{key}") for key in ("precision", "recall", "f1")),
        typed(float | None, content.get("false_alarms_per_hour"), f"{where}.false_alarms_per_hour"),
        *(_share(content.get(key), f"{where}.{key}") for key in ("best_threshold", "best_f1")),
    )


def _share(content: Any, where: str) -> float | None:
    return None if content is None else number(content, where, least=0, most=1)


def _confusion(content: Any, where: str) -> Confusion:
    content = typed(_Object, content, where)
    names = typed(list[str], content["names"], f"{where}.names")
    counts = typed(list[list[int]], content["counts"], f"{where}.counts")
    n = len(names)
    if len(counts) != n or any(len(row) != n or min(row) < 0 for row in counts):
        raise ContentError(f"{where}.counts is no table of {n} times {n} counts")
    return Confusion(names, np.array(counts, np.int64).reshape(n, n))


def _curves(content: Any) -> dict[str, list[dict[str, float | None]]]:
    where = "precision_recall"
    curves = typed(dict[str, list[dict[str, float | None]]], content, where)
    for name, curve in curves.items():
        for point in curve:
            for key in ("threshold", "precision", "recall", "f1"):
                _share(point[key], f"{where}.{name}.{key}")
    return curves


def read_scored_events(folder: Path) -> list[ScoredRow] | None:
    """Read the table of scored events; None: an earlier version wrote none.

    Raises:
        SourceError: If it is damaged.
        OSError: If it cannot be read.
    """
    path = folder / FILE_NAME
    try:
        file = open(path, encoding="utf-8-sig", errors="surrogateescape", newline="")  # noqa: SIM115
    except FileNotFoundError:
        return None
    rows = []
    with file:
        lines = csv.DictReader(file)
        try:
            if not set(COLUMNS) <= set(lines.fieldnames or ()):
                raise ValueError("a column is not there")
            rows = [_row(line) for line in lines]
        except (ValueError, TypeError, csv.Error) as error:
            raise SourceError(f"{path} is damaged: line {lines.line_num}: {error}") from error
    return rows


def _row(line: Mapping[str, str]) -> ScoredRow:
    has_event = bool(line["begin_s"])
    prefix = "" if has_event else "found_"
    begin_s, end_s = float(line[f"{prefix}begin_s"]), float(line[f"{prefix}end_s"])
    score = float(line["score"]) if line["score"] else None
    if not all(map(math.isfinite, (begin_s, end_s, 0.0 if score is None else score))):
        raise ValueError("a number is none")
    return ScoredRow(
        *(plain_cell(line["recording"]), line["kind"]),
        plain_cell(line["class"]) if has_event else None,
        plain_cell(line["found_class"]) if line["found_begin_s"] else None,
        *(begin_s, end_s, score, plain_cell(line["file"])),
    )


def band_hz(folder: Path, recording: str) -> tuple[float, float | None]:
    """Return the band that the model listened to, by the table of a recording, as far as known."""
    try:
        with open(
            folder / f"{recording}{RAVEN_ENDING}", encoding="utf-8", errors="replace", newline=""
        ) as table:
            row = next(csv.DictReader(table, delimiter="\t"), {})
        low_hz, high_hz = float(row["Low Freq (Hz)"]), float(row["High Freq (Hz)"])
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        return 0.0, None
    is_band = math.isfinite(low_hz) and math.isfinite(high_hz) and 0 <= low_hz < high_hz
    return (low_hz, high_hz) if is_band else (0.0, None)
