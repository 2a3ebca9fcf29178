"""Numbers and times as people and programs write them into tables."""

from __future__ import annotations

import math
import re

from animal_spot.tables.table_text import shortened

_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?\Z")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d*)?)\Z")


class RowError(ValueError):
    """Why a row cannot be used."""


def has_decimal_commas(cells: list[str]) -> bool:
    """Tell whether a comma stands before the decimals: in numbers of which none has a point.

    Args:
        cells: What should be numbers.
    """
    return any(map(_COMMA.match, cells)) and not any("." in cell for cell in cells)


def to_number(text: str, *, comma: bool = False) -> float:
    """Read a number.

    Args:
        text: The cell.
        comma: A comma stands before the decimals.

    Raises:
        RowError: If it is none, or not finite.
    """
    try:
        value = float(text.replace(",", ".") if comma and _COMMA.match(text) else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        raise RowError(f"{shortened(text)} is not a number")
    return value


def to_seconds(text: str, *, comma: bool = False) -> float:
    """Read a time: seconds, or ``minutes:seconds``, or ``hours:minutes:seconds``.

    Raises:
        RowError: If it is none.
    """
    clock = _CLOCK.match(text.replace(",", ".") if comma else text)
    if clock is None:
        return to_number(text, comma=comma)
    hours, minutes, seconds = clock.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds)
