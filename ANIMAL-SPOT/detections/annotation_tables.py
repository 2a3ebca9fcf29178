"""Annotation tables: Raven selection tables and Audacity labels, written and read."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from animal_spot.detections.annotations import Annotation
from animal_spot.detections.event_tables import as_annotations, read_any
from animal_spot.metadata.recording_time import NO_TIME, RecordingTime
from animal_spot.metadata.time_columns import time_cells, time_columns
from animal_spot.tables.columns import Columns
from animal_spot.utils.files import write_text_atomic
from animal_spot.utils.text import printable

RAVEN_ENDING, AUDACITY_ENDING = ".Table.1.selections.txt", ".audacity.txt"  # after a stem
RAVEN_HEADER = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Annotation",
    "Score",
)
# As the original program wrote it; other programs read these names.
LEGACY_HEADER = (
    *("Selection", "View", "Channel", "Begin time (s)", "End time (s)"),
    *("Low Freq (Hz)", "High Freq (Hz)", "Sound type", "Comments"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def raven_cells(
    number: int, row: Annotation, low_hz: float, high_hz: float, channel: int = 1
) -> tuple[str, ...]:
    """Return the cells of a selection, under ``RAVEN_HEADER``; a score that is none is empty."""
    score = f"{row.score:.4f}" if math.isfinite(row.score) else ""
    return (
        *(str(number), "Spectrogram 1", str(channel), f"{row.begin_s:.3f}", f"{row.end_s:.3f}"),
        *(str(float(low_hz)), str(float(high_hz)), one_cell(row.name), score),
    )


def legacy_cells(number: int, row: Annotation, low_hz: float, high_hz: float) -> tuple[str, ...]:
    """Return the same under ``LEGACY_HEADER``, byte by byte as the original program wrote it."""
    return (
        *(str(number), "Spectrogram_1", "1", str(row.begin_s), str(row.end_s)),
        *(str(low_hz), str(high_hz), one_cell(row.name), " "),
    )


def raven_lines(
    annotations: Iterable[Annotation],
    low_hz: float,
    high_hz: float,
    channel: int = 1,
    *,
    time: RecordingTime = NO_TIME,
    legacy: bool = False,
    bands: Sequence[tuple[float, float]] = (),
) -> Iterator[str]:
    """Write a Raven selection table; see ``raven_cells``, and ``legacy_cells`` for ``legacy``.

    Columns of when and where come last, where it is known; ``legacy`` has none. ``bands`` are those
    of the rows, Hz, where each has its own.
    """
    columns = () if legacy else time_columns([time])
    yield table_line((*(LEGACY_HEADER if legacy else RAVEN_HEADER), *columns))
    for number, row in enumerate(annotations, 1):
        if legacy:
            yield table_line(legacy_cells(number, row, low_hz, high_hz))
        else:
            band_hz = bands[number - 1] if bands else (low_hz, high_hz)
            cells = raven_cells(number, row, *band_hz, channel)
            more = time_cells(columns, time, row.begin_s, row.end_s)
            yield table_line((*cells, *map(one_cell, more)))


def audacity_lines(annotations: Iterable[Annotation]) -> Iterator[str]:
    """Write Audacity labels: begin, end and name."""
    for row in annotations:
        yield table_line((f"{row.begin_s:.6f}", f"{row.end_s:.6f}", one_cell(row.name)))


def table_line(cells: Iterable[str]) -> str:
    """Return a line of a table."""
    return "\t".join(cells) + "\n"


def annotation_lines(
    annotations: Iterable[Annotation],
    kind: str,
    band_hz: tuple[float, float],
    channel: int = 1,
    time: RecordingTime = NO_TIME,
    bands: Sequence[tuple[float, float]] = (),
) -> Iterator[str]:
    """Return the lines of a ``raven`` or ``audacity`` table; the latter has no boxes, no time.

    Raises:
        ValueError: If the kind is another.
    """
    if kind == "raven":
        return raven_lines(annotations, *band_hz, channel, time=time, bands=bands)
    if kind == "audacity":
        return audacity_lines(annotations)
    raise ValueError(f"kind must be raven or audacity, got {kind!r}")


def write_table(
    annotations: Iterable[Annotation],
    path: str | os.PathLike[str],
    band_hz: tuple[float, float],
    kind: Literal["raven", "audacity"] = "raven",
) -> None:
    """Write annotations into a file; one that is there is replaced.

    Args:
        annotations: Rows in the order of time.
        path: The file, such as ``<recording>.Table.1.selections.txt`` for Raven.
        band_hz: Lower and upper end of every box of a Raven table; Audacity labels have none.
        kind: Which of the two.

    Raises:
        ValueError: If the kind is unknown.
        OSError: If the file cannot be written.
    """
    write_text_atomic(Path(path), "".join(annotation_lines(annotations, kind, band_hz)))


def one_cell(text: str) -> str:
    """Return a text in which no tab or line end ends a cell or a line: they are shown instead."""
    return _CONTROL.sub(lambda found: printable(found[0]), text)


def read_table(path: str | os.PathLike[str], label_column: str | None = None) -> list[Annotation]:
    """Read what a table says, whatever program wrote it, but for what is marked as a false alarm.

    Args:
        path: See ``tables.reading``; a result of ``predict.py`` will do too.
        label_column: Column that holds what was heard; None: found by itself.

    Returns:
        Rows in the order of time; the score is NaN without a number for it.

    Raises:
        TableError: If it cannot be used.
        OSError: If it cannot be read.
    """
    return as_annotations(read_any(Path(path), columns=Columns(label=label_column)).events)
