"""Annotation tables: Raven selection tables and Audacity labels, written and read."""

from __future__ import annotations

import functools
import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from animal_spot.detections.annotations import Annotation
from animal_spot.utils.files import write_text_atomic
from animal_spot.utils.names import composed
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
# Columns that hold what was heard, the likeliest first; compared without regard to case.
NAME_COLUMNS = (
    *("annotation", "species", "sound type", "label", "call type", "call", "class", "type"),
    *("common name", "tags", "tag"),
)
_SCORE_COLUMNS = ("score", "confidence", "probability")
_N_SHOWN = 3  # rows that are left out, in a message
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_LARGEST = 256 * 2**20  # bytes of a table
_BEGIN, _END, _OFFSET = "begin time (s)", "end time (s)", "file offset (s)"

log = logging.getLogger(__name__)


class TableError(ValueError):
    """A table that cannot be used; one line says which and why."""


def raven_cells(
    number: int, row: Annotation, low_hz: float, high_hz: float, channel: int = 1
) -> tuple[str, ...]:
    """Return the cells of a selection, under ``RAVEN_HEADER``; a score that is none is empty.

    Args:
        number: Of the selection, from 1.
        row: When and what.
        low_hz: Lower end of its box.
        high_hz: Upper end of its box.
        channel: Number of the channel of its box.
    """
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
    legacy: bool = False,
) -> Iterator[str]:
    """Write a Raven selection table; see ``raven_cells``, and ``legacy_cells`` for ``legacy``."""
    yield table_line(LEGACY_HEADER if legacy else RAVEN_HEADER)
    for number, row in enumerate(annotations, 1):
        if legacy:
            yield table_line(legacy_cells(number, row, low_hz, high_hz))
        else:
            yield table_line(raven_cells(number, row, low_hz, high_hz, channel))


def audacity_lines(annotations: Iterable[Annotation]) -> Iterator[str]:
    """Write Audacity labels: begin, end and name."""
    for row in annotations:
        yield table_line((f"{row.begin_s:.6f}", f"{row.end_s:.6f}", one_cell(row.name)))


def table_line(cells: Iterable[str]) -> str:
    """Return a line of a table."""
    return "\t".join(cells) + "\n"


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
    if kind not in ("raven", "audacity"):
        raise ValueError(f"kind must be raven or audacity, got {kind!r}")
    lines = (
        audacity_lines(annotations) if kind == "audacity" else raven_lines(annotations, *band_hz)
    )
    write_text_atomic(Path(path), "".join(lines))


def one_cell(text: str) -> str:
    """Return a text in which no tab or line end ends a cell or a line: they are shown instead."""
    return _CONTROL.sub(lambda found: printable(found[0]), text)


def read_table(
    path: str | os.PathLike[str], name_column: str | None = None, recording: str | None = None
) -> list[Annotation]:
    r"""Read a Raven table, or Audacity labels if the first line is not the header of one.

    Rows that cannot be used, such as points in time, are left out, and a warning names them. So
    are lines of Audacity's frequencies, which start with ``\``, without one. A selection of Raven
    counts once, however many views show it.

    Args:
        path: UTF-8, UTF-16 with a byte order mark, or Latin-1; one without a line is a table
            without rows.
        name_column: Column of a Raven table that holds what was heard; None for the first of
            ``NAME_COLUMNS``.
        recording: The sound file that the table should be of, where the table says which it is of.

    Returns:
        Rows in the order of time; the score is NaN without a number for it. Where a Raven table
        says how far into its file a row begins, as for several files opened in one, that counts.

    Raises:
        TableError: If it is neither, has rows but none that can be used, or is of another
            recording or of several.
        OSError: If it cannot be read.
    """
    path = Path(path)
    lines = _lines(path)
    if lines and _BEGIN in (column.strip().lower() for column in lines[0].split("\t")):
        return _read_raven(path, lines, name_column, recording)
    return _read_audacity(path, lines)


class _RowError(ValueError):
    """Why a row cannot be used."""


class _Rows:
    """Collects rows of a table, and the reasons of those that cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[object, Annotation] = {}
        self._left_out: list[str] = []

    def add(self, line: int, parse: Callable[[], tuple[object, Annotation]]) -> None:
        """Take a row with its identity, unless ``parse`` says why it cannot be used."""
        try:
            same, row = parse()
            _check(row)
        except _RowError as error:
            self._left_out.append(f"line {line}: {error}")
        else:
            self._rows.setdefault(same, row)

    def finish(self) -> list[Annotation]:
        """Return the rows in the order of time, and say which were left out.

        Raises:
            TableError: If there are rows, and none can be used.
        """
        n = len(self._left_out)
        shown = "; ".join(self._left_out[:_N_SHOWN]) + (" ..." if n > _N_SHOWN else "")
        if n and not self._rows:
            raise TableError(f"{self._path}: none of its {n} rows can be used: {shown}")
        if n:
            log.warning("%s: left out %d of %d rows: %s", self._path, n, n + len(self._rows), shown)
        return sorted(self._rows.values())


def _read_raven(
    path: Path, lines: list[str], name_column: str | None, recording: str | None
) -> list[Annotation]:
    header = [column.strip().lower() for column in lines[0].split("\t")] if lines else []
    begin, end = (_column(path, header, (name,)) for name in (_BEGIN, _END))
    wanted = NAME_COLUMNS if name_column is None else (name_column.strip().lower(),)
    name = _column(path, header, wanted)
    score = next((header.index(c) for c in _SCORE_COLUMNS if c in header), None)
    selection = header.index("selection") if "selection" in header else None
    offset = header.index(_OFFSET) if _OFFSET in header else None
    files = [header.index(c) for c in ("begin path", "begin file") if c in header][:1]

    def parse(line: int, cells: list[str]) -> tuple[object, Annotation]:
        if len(cells) <= max(begin, end, name, selection or 0):
            raise _RowError("too few columns")
        value = cells[score] if score is not None and score < len(cells) else ""
        begin_s, end_s = _number(cells[begin]), _number(cells[end])
        if offset is not None and offset < len(cells) and cells[offset]:
            in_file = _number(cells[offset])
            begin_s, end_s = in_file, in_file + (end_s - begin_s)
        same = (
            str(line) if selection is None else cells[selection],
            *(cells[begin], cells[end], cells[name]),
        )
        return same, Annotation(begin_s, end_s, composed(cells[name]), _score(value))

    rows = _Rows(path)
    recordings = {}
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        recordings |= {cells[column]: None for column in files if column < len(cells)}
        rows.add(number, functools.partial(parse, number, cells))
    _check_recordings(path, [text for text in recordings if text], recording)
    return rows.finish()


def _check_recordings(path: Path, named: list[str], recording: str | None) -> None:
    """Refuse a table whose rows say that they are of several recordings, or of another one."""
    if len(named) > 1:
        raise TableError(
            f"{path} holds rows of {len(named)} recordings, such as {named[0]} and {named[1]}; one "
            "is expected: save a table of each recording"
        )
    if recording is not None and named and not _is_same_recording(named[0], recording):
        raise TableError(
            f"{path} says that it is of {named[0]}, not of {recording}: are two tables swapped? If "
            "the recording was renamed, take out the columns Begin File and Begin Path"
        )


def _is_same_recording(one: str, other: str) -> bool:
    """Compare names without folder, ending and case, in one Unicode form."""
    names = [re.split(r"[\\/]", text.strip())[-1] for text in (one, other)]
    first, second = (composed(re.sub(r"\.[^.]*\Z", "", name)).casefold() for name in names)
    return first == second


def _read_audacity(path: Path, lines: list[str]) -> list[Annotation]:
    def parse(line: int, cells: list[str]) -> tuple[object, Annotation]:
        if len(cells) not in (2, 3):
            raise _RowError(
                "neither the header of a Raven table (with a column Begin Time (s)) nor an "
                "Audacity label (begin, end and name between tabs)"
            )
        begin_s, end_s = map(_number, cells[:2])
        return line, Annotation(begin_s, end_s, composed("".join(cells[2:])), math.nan)

    rows = _Rows(path)
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("\\"):
            cells = [cell.strip() for cell in line.split("\t")]
            rows.add(number, functools.partial(parse, number, cells))
    return rows.finish()


def tables_by_recording(tables: Iterable[Path], recordings: Iterable[str]) -> dict[str, list[Path]]:
    """Find the tables of recordings by name.

    A table belongs to the recording whose name, without its ending, the table's name starts with,
    followed by a dot; to the longest if there are several: ``a.b.Table.1.txt`` to ``a.b``.

    Args:
        tables: Files.
        recordings: Names without folder and ending.

    Returns:
        Tables of each recording that has any, in the order of names.
    """
    owners: dict[str, list[str]] = {}
    for name in dict.fromkeys(recordings):
        owners.setdefault(composed(name), []).append(name)
    found: dict[str, list[Path]] = {}
    for table in sorted(tables):
        parts = composed(table.name).split(".")
        starts = (".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))
        start = next((start for start in starts if start in owners), None)
        for owner in owners.get(start, ()):
            found.setdefault(owner, []).append(table)
    return found


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise TableError(f"{path} is not a regular file")  # reading a pipe may never end
    if path.stat().st_size > _LARGEST:
        raise TableError(f"{path} is larger than {_LARGEST >> 20} MB: no annotation table")
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", errors="replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    lines = re.split(r"\r\n|\r|\n", text)
    return lines if lines[-1] else lines[:-1]


def _column(path: Path, header: list[str], wanted: tuple[str, ...]) -> int:
    for name in wanted:
        if name in header:
            return header.index(name)
    present = ", ".join(header) or "none"
    if wanted == NAME_COLUMNS:
        raise TableError(
            f"{path} has no column that is known to hold names; say which with --truth_column "
            f"(columns: {present})"
        )
    raise TableError(f"{path} has no column {wanted[0]!r} (columns: {present})")


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _RowError(f"{text!r} is not a number")
    return value


def _score(text: str) -> float:
    """Read a score; NaN for what is none, such as a remark."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check(row: Annotation) -> None:
    if row.begin_s == row.end_s:
        raise _RowError(f"a point without a duration, got {row.begin_s:g} to {row.end_s:g} s")
    if not 0 <= row.begin_s < row.end_s:
        raise _RowError(
            f"must begin at 0 or later and end after that, got {row.begin_s:g} to {row.end_s:g} s"
        )
    if not row.name:
        raise _RowError("has no name; give it one or take out the row")
