"""Annotation tables: Raven selection tables and Audacity labels, written and read."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from utils.annotations import Annotation
from utils.names import composed

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
_BEGIN, _END, _OFFSET = "begin time (s)", "end time (s)", "file offset (s)"

log = logging.getLogger(__name__)


class TableError(ValueError):
    """A table that cannot be used; one line says which and why."""


def raven_lines(
    annotations: Iterable[Annotation],
    low_hz: float,
    high_hz: float,
    channel: int = 1,
    *,
    legacy: bool = False,
) -> Iterator[str]:
    """Write a Raven selection table.

    Args:
        annotations: Rows; a score that is NaN is left empty.
        low_hz: Lower end of every box.
        high_hz: Upper end of every box.
        channel: Number of the channel of every box.
        legacy: Header, view and numbers byte by byte as the original program wrote them.
    """
    yield "\t".join(LEGACY_HEADER if legacy else RAVEN_HEADER) + "\n"
    for number, row in enumerate(annotations, 1):
        if legacy:
            yield (
                f"{number}\tSpectrogram_1\t1\t{row.begin_s}\t{row.end_s}\t{low_hz}\t{high_hz}"
                f"\t{row.name}\t \n"
            )
        else:
            score = "" if math.isnan(row.score) else f"{row.score:.4f}"
            yield (
                f"{number}\tSpectrogram 1\t{channel}\t{row.begin_s:.3f}\t{row.end_s:.3f}"
                f"\t{float(low_hz)}\t{float(high_hz)}\t{row.name}\t{score}\n"
            )


def audacity_lines(annotations: Iterable[Annotation]) -> Iterator[str]:
    """Write Audacity labels: begin, end and name."""
    for row in annotations:
        yield f"{row.begin_s:.6f}\t{row.end_s:.6f}\t{row.name}\n"


def read_table(path: Path, name_column: str | None = None) -> list[Annotation]:
    """Read a Raven table, or Audacity labels if the first line is not the header of one.

    Args:
        path: A file; one without a line is a table without rows.
        name_column: Column of a Raven table that holds what was heard; None to find it.

    Raises:
        TableError: If it is neither.
        OSError: If it cannot be read.
    """
    lines = _lines(path)
    if lines and _BEGIN in (column.strip().lower() for column in lines[0].split("\t")):
        return read_raven(path, name_column)
    return read_audacity(path)


def read_raven(path: Path, name_column: str | None = None) -> list[Annotation]:
    """Read a Raven selection table, each selection once however many views show it.

    Args:
        path: UTF-8, UTF-16 with a byte order mark, or Latin-1.
        name_column: Column that holds what was heard; None for the first of ``NAME_COLUMNS``.

    Returns:
        Rows in the order of time; the score is NaN without a number for it. Where the table says
        how far into its file a row begins, as for several files opened in one, that counts. Rows
        without a name or a duration are left out, with a warning.

    Raises:
        TableError: If a column is absent, a row is broken, or rows are of several recordings.
        OSError: If the file cannot be read.
    """
    lines = _lines(path)
    header = [column.strip().lower() for column in lines[0].split("\t")] if lines else []
    begin, end = (_column(path, header, (name,)) for name in (_BEGIN, _END))
    wanted = NAME_COLUMNS if name_column is None else (name_column.strip().lower(),)
    name = _column(path, header, wanted)
    score = next((header.index(c) for c in _SCORE_COLUMNS if c in header), None)
    selection = header.index("selection") if "selection" in header else None
    offset = header.index(_OFFSET) if _OFFSET in header else None
    files = [header.index(c) for c in ("begin path", "begin file") if c in header][:1]

    rows: dict[tuple[str, ...], Annotation] = {}
    recordings = set()
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) <= max(begin, end, name, selection or 0):
            raise TableError(f"{path}, line {number}: too few columns")
        recordings.update(cells[column] for column in files if column < len(cells))
        value = cells[score] if score is not None and score < len(cells) else ""
        begin_s = _number(path, number, cells[begin])
        end_s = _number(path, number, cells[end])
        if offset is not None and offset < len(cells) and cells[offset]:
            in_file = _number(path, number, cells[offset])
            begin_s, end_s = in_file, in_file + (end_s - begin_s)
        if not cells[name] or begin_s == end_s:
            log.warning("%s, line %d: left out, since it has no name or no duration", path, number)
            continue
        row = Annotation(begin_s, end_s, composed(cells[name]), _score(value))
        _check(path, number, row)
        same = str(number) if selection is None else cells[selection]
        rows.setdefault((same, cells[begin], cells[end], cells[name]), row)
    if len(recordings) > 1:
        raise TableError(f"{path} holds rows of {len(recordings)} recordings; one is expected")
    return sorted(rows.values())


def read_audacity(path: Path) -> list[Annotation]:
    r"""Read Audacity labels; lines of frequencies, which start with ``\``, are passed over.

    Raises:
        TableError: If a line is not ``begin<tab>end<tab>name``.
        OSError: If the file cannot be read.
    """
    rows = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or line.startswith("\\"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 3:
            raise TableError(
                f"{path}, line {number}: neither the header of a Raven table (with a column "
                "Begin Time (s)) nor an Audacity label (begin, end and name between tabs)"
            )
        begin, end = (_number(path, number, cell) for cell in cells[:2])
        row = Annotation(begin, end, composed(cells[2]), math.nan)
        _check(path, number, row)
        rows.append(row)
    return sorted(rows)


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
    found: dict[str, list[Path]] = {}
    names = set(recordings)
    for table in sorted(tables):
        parts = table.name.split(".")
        starts = (".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))
        owner = next((start for start in starts if start in names), None)
        if owner is not None:
            found.setdefault(owner, []).append(table)
    return found


def _lines(path: Path) -> list[str]:
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


def _number(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TableError(f"{path}, line {line}: {text!r} is not a number")
    return value


def _score(text: str) -> float:
    """Read a score; NaN for what is none, such as a remark."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check(path: Path, line: int, row: Annotation) -> None:
    if not 0 <= row.begin_s < row.end_s:
        raise TableError(
            f"{path}, line {line}: must begin at 0 or later and end after that, got "
            f"{row.begin_s:g} to {row.end_s:g} s"
        )
    if not row.name:
        raise TableError(f"{path}, line {line}: has no name; give it one or take out the row")
