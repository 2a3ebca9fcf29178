"""Read a table of annotations, whatever program wrote it."""

from __future__ import annotations

from pathlib import Path

from animal_spot.tables.columns import Columns
from animal_spot.tables.event import EventTable


def read_events(path: Path, *, columns: Columns | None = None) -> EventTable:
    """Read a table; its format is found by its ending and by what it holds.

    Args:
        path: A Raven selection table, Audacity labels, CSV or TSV, or what crowsetta reads.
        columns: Names of columns, where they are known.

    Raises:
        TableError: If it is none of these, or has rows but none that can be used.
        OSError: If it cannot be read.
    """
    raise NotImplementedError


def is_table_name(path: Path) -> bool:
    """Tell by its name whether a file can be a table of annotations."""
    raise NotImplementedError
