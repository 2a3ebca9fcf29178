"""The band of frequencies that a prediction heard, from the first lines of any of its results."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

_N_LINES = 40  # of the head of a log
_NUMBER = r"(\d+(?:\.\d+)?)"
_IN_LOG = re.compile(rf"prediction fmin: {_NUMBER}\[Hz\] prediction fmax: {_NUMBER}\[Hz\]")
# Names of the two columns, and what parts the cells.
_COLUMNS = (
    ("\t", "Low Freq (Hz)", "High Freq (Hz)"),
    (",", "fmin_hz", "fmax_hz"),
)


def band_of(results: Iterable[Path]) -> tuple[float, float] | tuple[None, None]:
    """Return the lower and upper end in Hz that the first result says; None: none says it.

    Args:
        results: Logs and tables; those that cannot be read, or are no text, say nothing.
    """
    for path in results:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [line.rstrip("\r\n") for line in itertools.islice(file, _N_LINES)]
        except OSError:
            continue
        found = _in_table(lines) or _in_log(lines)
        if found is not None:
            return found
    return None, None


def _in_table(lines: list[str]) -> tuple[float, float] | None:
    if len(lines) < 2:
        return None
    for delimiter, low, high in _COLUMNS:
        header, cells = lines[0].split(delimiter), lines[1].split(delimiter)
        # A name with a comma shifts what comes after it: then the number of cells differs.
        if low in header and high in header and len(cells) == len(header):
            try:
                return float(cells[header.index(low)]), float(cells[header.index(high)])
            except ValueError:
                return None
    return None


def _in_log(lines: list[str]) -> tuple[float, float] | None:
    found = next(filter(None, map(_IN_LOG.search, lines)), None)
    return None if found is None else (float(found[1]), float(found[2]))
