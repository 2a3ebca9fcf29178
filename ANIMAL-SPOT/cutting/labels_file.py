"""``labels.csv``: what each clip of a corpus is, and where it was cut out.

A row is added once, and what a person changes in the file or removes from it stays so.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from animal_spot.cutting.report import CorpusClip
from animal_spot.cutting.tapes import Tape
from animal_spot.metadata.recording_time import RecordingTime
from animal_spot.utils.csv_cells import csv_text, plain_cell
from animal_spot.utils.files import write_text_atomic

NAME = "labels.csv"
NEW_NAME = "labels.new.csv"  # for rows that cannot be added to it
COLUMNS = (
    *("file", "label", "tape", "site", "source", "source_start_s", "source_end_s"),
    *("low_hz", "high_hz", "table", "row", "recording_start", "begin_time", "split"),
)
_DELIMITERS = (",", ";", "\t")


class LabelsFileError(ValueError):
    """A ``labels.csv`` that no rows can be added to; the message says why."""


def read_labels(path: Path) -> list[dict[str, str]]:
    """Return the rows; none if there is no file.

    Raises:
        LabelsFileError: If it is no such table.
        OSError: If it cannot be read.
    """
    text = _text_of(path)
    if not text.strip():
        return []
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(path, text))
    try:
        return [
            {name.strip(): plain_cell(cell) for name, cell in row.items() if name and cell}
            for row in reader
        ]
    except csv.Error as error:
        raise LabelsFileError(f"{path} is no table: {error}") from error


def add_labels(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Add rows at the end; what is there stays to the byte, and its columns stay in their order.

    Raises:
        LabelsFileError: If there is a file that is no such table.
        OSError: If it cannot be read or written.
    """
    before = _text_of(path)
    if not before.strip():
        write_text_atomic(
            path, csv_text([COLUMNS, *([_cell(r, c) for c in COLUMNS] for r in rows)])
        )
        return
    delimiter = _delimiter(path, before)
    header = next(csv.reader(io.StringIO(before, newline=""), delimiter=delimiter))
    columns = [name.strip() for name in header]
    added = csv_text(([_cell(row, name) for name in columns] for row in rows), delimiter)
    line_end = "\r\n" if "\r\n" in before else "\n"
    joint = "" if before.endswith(("\n", "\r")) else line_end
    mark = "\ufeff" if path.read_bytes().startswith(b"\xef\xbb\xbf") else ""
    write_text_atomic(path, mark + before + joint + added.replace("\n", line_end))


def _cell(row: Mapping[str, object], name: str) -> object:
    value = row.get(name)
    return "" if value is None else value


def _text_of(path: Path) -> str:
    """Return the text of a file without its mark; empty if there is none."""
    try:
        return path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _delimiter(path: Path, text: str) -> str:
    """Return what parts the cells of a table that has the columns file and label."""
    line = text.splitlines()[0]
    for delimiter in _DELIMITERS:
        names = [name.strip().strip('"') for name in line.split(delimiter)]
        if {"file", "label"} <= set(names):
            return delimiter
    raise LabelsFileError(f"{path} has no columns file and label, parted by comma or semicolon")


def label_row(clip: CorpusClip, tape: Tape, time: RecordingTime) -> dict[str, object]:
    """Return the row of a clip."""
    plan = clip.plan
    start_s = plan.start / clip.rate
    event = plan.event
    return {
        "file": clip.file,
        "label": plan.class_name,
        "tape": tape.key,
        "site": time.site,
        "source": str(plan.source),
        "source_start_s": _seconds(plan.start, clip.rate),
        "source_end_s": _seconds(plan.end, clip.rate),
        "low_hz": None if plan.low_hz is None else f"{plan.low_hz:.10g}",
        "high_hz": None if plan.high_hz is None else f"{plan.high_hz:.10g}",
        "table": None if event is None else str(event.table),
        "row": None if event is None else event.row,
        "recording_start": time.at(0),
        "begin_time": time.at(start_s),
    }


def _seconds(sample: int, rate: int) -> str:
    """Write a time so that it leads back to its sample."""
    text = f"{sample / rate:.8f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text
