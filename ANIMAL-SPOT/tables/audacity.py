r"""Audacity's labels: begin, end and name between tabs; a ``\`` starts a line of frequencies."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from pathlib import Path

from animal_spot.tables.columns import is_number
from animal_spot.tables.event import EventTable, LabelledEvent
from animal_spot.tables.numbers import RowError, has_decimal_commas, to_number
from animal_spot.tables.rows import EventRows
from animal_spot.utils.names import composed

KIND = "Audacity labels"
_FREQUENCIES = "\\"
_N_LOOKED_AT = 20  # lines by which a file is told


def is_audacity(lines: Sequence[str]) -> bool:
    """Tell by its first lines whether a text holds labels; remarks without a tab may go before."""
    return any(map(_is_label, itertools.takewhile(_is_remark_or_label, lines[:_N_LOOKED_AT])))


def _is_remark_or_label(line: str) -> bool:
    return "\t" not in line or _is_label(line)


def _is_label(line: str) -> bool:
    cells = line.split("\t")
    return cells[0] == _FREQUENCIES or (len(cells) in (2, 3) and any(map(is_number, cells[:2])))


def read_audacity(path: Path, lines: Sequence[str]) -> EventTable:
    """Read labels; points in time are left out.

    Args:
        path: The file.
        lines: Of it.

    Raises:
        TableError: If there are rows, and none can be used.
    """
    table = [[cell.strip() for cell in line.split("\t")] for line in lines if line.strip()]
    comma = has_decimal_commas([cell for cells in table for cell in cells[:2]])
    rows = EventRows(path)
    labels: list[tuple[list[str], list[str]]] = []  # with the frequencies that follow
    for cells in table:
        if cells[0] != _FREQUENCIES:
            labels.append((cells, []))
        elif labels:
            labels[-1] = labels[-1][0], cells[1:]
    for number, (cells, frequencies) in enumerate(labels, 1):
        rows.add(number, functools.partial(_read, path, number, cells, frequencies, comma))
    return rows.finish(KIND)


def _read(
    path: Path, number: int, cells: Sequence[str], frequencies: Sequence[str], comma: bool
) -> tuple[object, LabelledEvent]:
    if len(cells) not in (2, 3):
        raise RowError("not an Audacity label (begin, end and name between tabs)")
    start_s, end_s = (to_number(cell, comma=comma) for cell in cells[:2])
    label = composed("".join(cells[2:]))
    event = LabelledEvent(label, start_s, end_s, table=path, row=number)
    try:
        low, high = (to_number(cell, comma=comma) for cell in frequencies)
    except (RowError, ValueError):
        return number, event
    if not 0 <= low <= high:  # Audacity writes -1 for what was not set
        return number, event
    return number, dataclasses.replace(event, low_hz=low, high_hz=high)
