"""Read a table of annotations, whatever program wrote it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from animal_spot.tables.audacity import is_audacity, read_audacity
from animal_spot.tables.columns import Columns
from animal_spot.tables.delimited import read_delimited
from animal_spot.tables.event import EventTable
from animal_spot.tables.other_formats import OTHER_ENDINGS, read_other
from animal_spot.tables.raven import is_raven, read_raven
from animal_spot.tables.table_text import lines_of, read_text
from animal_spot.utils.own_files import is_copy

_TEXT_ENDINGS = (".txt", ".csv", ".tsv", ".tab")


def read_events(
    path: Path, *, columns: Columns | None = None, label_flag: str = "--label_column"
) -> EventTable:
    """Read a table; its format is found by its ending and by what it holds.

    Args:
        path: A Raven selection table, Audacity labels, CSV or TSV, or what crowsetta reads.
        columns: Names of columns, where they are known.
        label_flag: Option that names the column of labels, for a message.

    Raises:
        WindowTableError: If it is a prediction's table of all windows; ``detections.read_any``
            makes events of it.
        TableError: If it is none of these, or has rows but none that can be used.
        OSError: If it cannot be read.
    """
    columns = columns or Columns()
    if path.name.lower().endswith(OTHER_ENDINGS):
        return read_other(path, columns)
    text, encoding = read_text(path)
    if not text.strip():
        return EventTable(path, "empty file", ())
    lines = lines_of(text)
    if is_raven(lines[0]):
        table = read_raven(path, lines, columns, label_flag)
    elif is_audacity(lines):
        table = read_audacity(path, lines)
    else:
        table = read_delimited(path, text, columns, label_flag)
    if encoding == "Windows-1252":
        return dataclasses.replace(table, notes=(*table.notes, f"read as {encoding}"))
    return table


def is_table_name(name: str) -> bool:
    """Tell by its name whether a file can be a table of annotations."""
    is_table = name.lower().endswith((*_TEXT_ENDINGS, *OTHER_ENDINGS))
    return is_table and not name.startswith(".") and not is_copy(name)
