"""Names fit for a screen, a log and a table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_FORMULA_STARTS = ("=", "+", "-", "@")


def printable(text: str | Path) -> str:
    r"""Return a name or a message that any screen and any UTF-8 file takes, on one line.

    Control characters (escape codes and line ends among them, and those that turn the direction of
    writing) and bytes that are not UTF-8 become escapes, as ``\x1b``, ``\n`` or ``\udcff``; all
    other texts stay as they are.
    """
    return _UNPRINTABLE.sub(lambda c: c[0].encode("unicode_escape").decode(), str(text))


def printable_lines(text: str) -> str:
    """Return a text of several lines, each of them as ``printable`` makes it."""
    return "\n".join(map(printable, text.split("\n")))


def reason_of(error: BaseException, longest: int = 200, *, with_kind: bool = False) -> str:
    """Return what an error says, on one line and cut to a length; its kind before it if wanted."""
    text = f"{type(error).__name__}: {error}" if with_kind else str(error)
    return " ".join(text.split())[:longest]


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its kind if it has none."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip()[:200]


def csv_of(rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV text, the first row being its head; texts are made harmless."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([cell(value) for value in row] for row in rows)
    return table.getvalue()


def cell(value: Any) -> Any:
    """Return what stands in a table's cell; a text that a spreadsheet would run gets a ``'``."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) and not _is_number(text) else text


def text_of_cell(text: str) -> str:
    """Return the text that ``cell`` made harmless."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA_STARTS) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
