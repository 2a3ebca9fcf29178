"""Read a table of annotations, whatever program wrote it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from pathlib import Path

from animal_spot.tables.audacity import is_audacity, read_audacity
from animal_spot.tables.columns import Columns, Header
from animal_spot.tables.delimited import read_delimited
from animal_spot.tables.event import EventTable
from animal_spot.tables.other_formats import OTHER_ENDINGS, read_other
from animal_spot.tables.raven import is_raven, read_raven
from animal_spot.tables.table_text import lines_of, read_text
from animal_spot.utils.own_files import is_copy

_WINDOWS = "_predict_output"  # in the names of tables of windows
_NO_TABLES = frozenset(
    (
        *("summary.csv", "failed_files.csv", "all_recordings.list.txt", "scores.csv"),
        "scored_events.csv",
        *("deployments.csv", "label_map.csv"),
    )
)
_SPLIT_LISTS = ("train.csv", "val.csv", "test.csv")
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
        WindowTableError: If it is a prediction's table of all windows; ``read_any`` of
            ``detections.event_tables`` makes events of it.
        TableError: If it is none of these, or has rows but none that can be used.
        OSError: If it cannot be read.
    """
    columns = columns or Columns()
    if path.name.lower().endswith(OTHER_ENDINGS):
        return read_other(path, columns)
    text, encoding = read_text(path)
    if not text.strip():
        return EventTable(path, "empty file", ())
    lines = list(itertools.dropwhile(lambda line: not line.strip(), lines_of(text)))
    if is_raven(lines[0].split("\t")):
        header = Header(path, lines[0].split("\t"))
        cells = [[c.strip() for c in line.split("\t")] for line in lines[1:] if line.strip()]
        table = read_raven(header, cells, columns, label_flag)
    elif is_audacity(lines):
        table = read_audacity(path, lines)
    else:
        table = read_delimited(path, text, columns, label_flag)
    if encoding == "Windows-1252":
        return dataclasses.replace(table, notes=(*table.notes, f"read as {encoding}"))
    return table


def is_table(path: Path) -> bool:
    """Tell whether a file can be a table of annotations, by its name and its first lines."""
    return is_table_name(path.name) and path.is_file() and not _is_split_list(path)


def _is_split_list(path: Path) -> bool:
    """Tell whether a file is a list of the clips of a partition, as training leaves it."""
    if path.name not in _SPLIT_LISTS:
        return False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return not set(file.read(4096)) & set(b",;\t")
    return False


def is_table_name(name: str) -> bool:
    """Tell by its name whether a file can be a table of annotations.

    What programs of ours write besides, such as summaries and tables of windows, is none.
    """
    is_table = name.lower().endswith((*_TEXT_ENDINGS, *OTHER_ENDINGS))
    is_other = name in _NO_TABLES or _WINDOWS in name
    return is_table and not is_other and not name.startswith(".") and not is_copy(name)
