"""What the tables of a prediction say: recordings, and what was found in them."""

from __future__ import annotations

import contextlib
import csv
import functools
import math
import os
import re
import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from animal_spot.detections.annotation_tables import RAVEN_ENDING
from animal_spot.detections.journal import FILE_NAME
from animal_spot.metadata.moments import MomentError, parse_moment
from animal_spot.reporting.sources import SUMMARY, SourceError
from animal_spot.utils.compact import TextIndex
from animal_spot.utils.csv_cells import plain_cell
from animal_spot.utils.own_files import JsonLines, OwnFiles

FAILED, ALL_RECORDINGS = "failed_files.csv", f"all_recordings{RAVEN_ENDING}"
COMPLETE = ("complete", "complete before")
_CLASS = "detections_"  # before the name of a class in the summary
_NEEDED = ("Begin Time (s)", "End Time (s)", "Begin Path", "File Offset (s)", "Annotation", "Score")
_LOW, _HIGH = "Low Freq (Hz)", "High Freq (Hz)"
_DIGITS = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording of a prediction.

    Attributes:
        file: As the summary names it.
        status: As the summary says.
        duration_s: Length; 0 if it is not complete.
        counts: Detections of each class that the summary has.
        stem: What its results are called after.
        reason: Why it failed, or what is odd about it.
        start: Its begin; None: not known.
        site: Name of the place; empty: not known.
    """

    file: str
    status: str
    duration_s: float = 0.0
    counts: tuple[int, ...] = ()
    stem: str = ""
    reason: str = ""
    start: datetime | None = None
    site: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether it was listened to, up to its end."""
        return self.status in COMPLETE


@dataclass(frozen=True)
class Detections:
    """All that was found, an element of each array for each.

    Attributes:
        recording: Index of the recording.
        label: Index of the class.
        begin_s: In seconds of the recording.
        end_s: The same.
        low_hz: Lower end of its band; NaN: not known.
        high_hz: Upper end of its band.
        score: NaN: none.
        paths: Where recordings were, by index, if the table says otherwise than the summary.
    """

    recording: np.ndarray
    label: np.ndarray
    begin_s: np.ndarray
    end_s: np.ndarray
    low_hz: np.ndarray
    high_hz: np.ndarray
    score: np.ndarray
    paths: dict[int, str]

    def __len__(self) -> int:
        return len(self.recording)


@dataclass(frozen=True)
class Found:
    """A prediction.

    Attributes:
        recordings: All, in the order of the summary.
        classes: All that can be found, the background too.
        detections: What was found; None: there is no table of it.
        notes: What does not fit together, each in a sentence.
    """

    recordings: Sequence[Recording]
    classes: tuple[str, ...]
    detections: Detections | None
    notes: tuple[str, ...] = ()

    def counts(self) -> np.ndarray:
        """Return detections of each recording and class, shape ``(recording, class)``.

        They are those of the table of detections, or without one those of the summary.
        """
        shape = len(self.recordings), len(self.classes)
        found = self.detections
        if found is not None:
            flat = found.recording.astype(np.int64) * shape[1] + found.label
            return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
        table = np.zeros(shape, np.int64)
        for row, recording in zip(table, self.recordings, strict=True):
            row[: len(recording.counts)] = recording.counts
        return table


def read_found(folder: Path) -> Found:
    """Read the tables of a prediction.

    Raises:
        SourceError: If one is damaged.
        OSError: If one cannot be read.
    """
    recordings, classes = _read_summary(folder / SUMMARY)
    table = folder / ALL_RECORDINGS
    if not table.is_file():
        note = f"{ALL_RECORDINGS} is not there: single detections, scores and examples are left out"
        return Found(recordings, tuple(classes), None, (note,))
    names = list(classes)
    detections, n_other = _read_detections(table, recordings, names)
    found = Found(recordings, tuple(names), detections)
    return Found(recordings, tuple(names), detections, tuple(_notes(folder, found, n_other)))


def _read_summary(path: Path) -> tuple[list[Recording], list[str]]:
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file)
        try:
            head = next(rows, [])
            column = {name: i for i, name in enumerate(head)}
            counted = [i for i, name in enumerate(head) if name.startswith(_CLASS)]
            recordings = [
                _recording_of(path, rows.line_num, row, column, counted) for row in rows if row
            ]
        except csv.Error as error:
            raise SourceError(f"{path} is damaged: {error}") from error
    return recordings, [head[i].removeprefix(_CLASS) for i in counted]


def _recording_of(
    path: Path, line: int, row: list[str], column: dict[str, int], counted: Sequence[int]
) -> Recording:
    def cell(name: str) -> str:
        index = column.get(name)
        return row[index] if index is not None and index < len(row) else ""

    known = {
        "file": plain_cell(cell("file")),
        "status": sys.intern(cell("status")),
        "reason": plain_cell(cell("reason")),
        "stem": plain_cell(cell("results")),
        "site": sys.intern(plain_cell(cell("site"))),
    }
    if known["status"] not in COMPLETE:
        return Recording(**known)
    try:
        duration_s = float(cell("duration_s"))
        counts = tuple(int(row[i]) for i in counted)
        start = parse_moment(text) if (text := cell("recording_start")) else None
    except (ValueError, IndexError) as error:
        why = error if isinstance(error, MomentError) else "a number is missing"
        raise SourceError(f"{path} is damaged, line {line}: {why}") from error
    if not 0 < duration_s < math.inf or min(counts, default=0) < 0:
        raise SourceError(f"{path} is damaged, line {line}: {duration_s:g} s or a count below 0")
    return Recording(**known, duration_s=duration_s, counts=counts, start=start)


class _Finder:
    """Finds the recording that a path in the table of detections means."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._recordings = recordings
        self._known = TextIndex()
        for index, recording in enumerate(recordings):
            if recording.is_complete:
                self._known.setdefault(recording.file, index)
                self._known.setdefault(os.path.abspath(recording.file), index)
        self._others: dict[str, int | None] = {}  # paths that say it otherwise

    @functools.cached_property
    def _named(self) -> dict[str, list[int]]:
        """Complete recordings by the name of their file."""
        named: defaultdict[str, list[int]] = defaultdict(list)
        for index, recording in enumerate(self._recordings):
            if recording.is_complete:
                named[os.path.basename(recording.file)].append(index)
        return named

    def index(self, path: str) -> int | None:
        index = self._known.get(path)
        if index is not None:
            return index
        if path not in self._others:
            same = self._named.get(re.split(r"[/\\]", path)[-1], [])
            ends = [i for i in same if path.endswith(self._recordings[i].file.lstrip("./\\"))]
            found = ends if len(ends) == 1 else same
            self._others[path] = found[0] if len(found) == 1 else None
        return self._others[path]


def _read_detections(
    path: Path, recordings: Sequence[Recording], names: list[str]
) -> tuple[Detections, int]:
    """Read the table over all recordings; classes that it has besides come to ``names``.

    Returns:
        What was found, and how many rows are of no recording of the summary.
    """
    finder, label_of = _Finder(recordings), {name: i for i, name in enumerate(names)}
    places, labels, numbers = array("l"), array("l"), array("d")
    paths: dict[int, str] = {}
    is_placed = bytearray(len(recordings))  # the first row of a recording says where it was
    n_other = 0
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        head = file.readline().rstrip("\r\n").split("\t")
        if missing := [name for name in _NEEDED if name not in head]:
            raise SourceError(f"{path} is damaged: it has no column {missing[0]!r}")
        begin, end, where, offset, name, score = (head.index(column) for column in _NEEDED)
        low, high = (head.index(n) if n in head else None for n in (_LOW, _HIGH))
        for line, text in enumerate(file, 2):
            cells = text.rstrip("\r\n").split("\t")
            if cells == [""]:
                continue
            try:
                index = finder.index(cells[where])
                begin_s = float(cells[offset])
                length_s = float(cells[end]) - float(cells[begin])
                row = (
                    begin_s,
                    begin_s + length_s,
                    _number(cells, low),
                    _number(cells, high),
                    _number(cells, score),
                )
                label = cells[name]
            except (ValueError, IndexError) as error:
                raise SourceError(f"{path} is damaged, line {line}: a number is missing") from error
            if not (math.isfinite(begin_s) and math.isfinite(length_s)):
                raise SourceError(f"{path} is damaged, line {line}: a time is no number")
            if index is None:
                n_other += 1
                continue
            if not is_placed[index] and cells[where] != recordings[index].file:
                paths[index] = cells[where]
            is_placed[index] = 1
            if label not in label_of:
                label_of[label] = len(names)
                names.append(label)
            places.append(index)
            labels.append(label_of[label])
            numbers.extend(row)
    columns = np.frombuffer(numbers, np.float64).reshape(-1, 5).T if numbers else np.empty((5, 0))
    where_found, which = (np.array(values, np.int32) for values in (places, labels))
    return Detections(where_found, which, *columns, paths), n_other


def _number(cells: Sequence[str], index: int | None) -> float:
    text = cells[index].strip() if index is not None else ""
    return float(text) if text else math.nan


def _notes(folder: Path, found: Found, n_other: int) -> list[str]:
    """Say what does not fit together."""
    notes = []
    if n_other:
        notes.append(
            f"{n_other:,} rows of {ALL_RECORDINGS} are of recordings that {SUMMARY} does not have, "
            "and do not count."
        )
    in_summary = sum(sum(recording.counts) for recording in found.recordings)
    if in_summary != len(found.detections) + n_other:
        notes.append(
            f"{SUMMARY} counts {in_summary:,} detections, and {ALL_RECORDINGS} has "
            f"{len(found.detections) + n_other:,}: one of them was edited. This report counts the "
            "latter."
        )
    if edited := _edited_tables(folder):
        notes.append(
            f"{len(edited):,} tables of single recordings were edited, such as {edited[0]}. This "
            f"report counts {ALL_RECORDINGS}, which knows nothing of that; animal-spot activity "
            f"--tables {folder} counts the edited ones."
        )
    return notes


def _edited_tables(folder: Path) -> list[str]:
    """Return the Raven tables of single recordings that somebody edited."""
    tables = [path for path in folder.glob(f"*{RAVEN_ENDING}") if path.name != ALL_RECORDINGS]
    if not tables or not (folder / FILE_NAME).is_file():
        return []
    lines = JsonLines(folder / FILE_NAME)
    own = OwnFiles(folder, lines, many=True)
    lines.read_places(lambda line, place: own.read(line, place) if "wrote" in line else None)
    with contextlib.closing(lines):
        return sorted(
            path.name for path in tables if own.is_known(path.name) and own.is_edited(path.name)
        )


def read_failed(folder: Path, recordings: Sequence[Recording]) -> list[tuple[str, str]]:
    """Return file and reason of what could not be used."""
    failed = {one.file: one.reason for one in recordings if one.status == "failed"}
    path = folder / FAILED
    if path.is_file():
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            try:
                rows = list(csv.reader(file))[1:]
            except csv.Error as error:
                raise SourceError(f"{path} is damaged: {error}") from error
        failed |= {plain_cell(row[0]): plain_cell(row[1]) for row in rows if len(row) >= 2}
    return list(failed.items())


def n_recordings(n: int) -> str:
    """Return a number of recordings in words."""
    return "1 recording" if n == 1 else f"{n:,} recordings"


def odd_lines(recordings: Sequence[Recording], most: int = 12) -> list[str]:
    """Return what is odd about complete recordings; of those alike one, and how many there are."""
    said: Counter[str] = Counter()
    first: dict[str, tuple[str, str]] = {}
    for recording in recordings:
        if recording.is_complete and recording.reason:
            for text in recording.reason.split("; "):
                key = _DIGITS.sub("0", text)
                said[key] += 1
                first.setdefault(key, (text, recording.file))
    lines = []
    for key, n in said.most_common(most):
        text, file = first[key]
        name = re.split(r"[/\\]", file)[-1]
        lines.append(f"{name}: {text}." if n == 1 else f"{n:,} recordings, such as {name}: {text}.")
    if len(said) > most:
        lines.append(f"{len(said) - most} more kinds of warnings stand in {SUMMARY}.")
    return lines
