"""CSV and other tables of text with a header, whose columns are named or found by their names."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from animal_spot.tables.columns import Columns, Header, is_number
from animal_spot.tables.event import EventTable, LabelledEvent, TableError, WindowTableError
from animal_spot.tables.numbers import RowError
from animal_spot.tables.raven import is_raven, read_raven
from animal_spot.tables.rows import EventRows, add_rows, layout_of, read_cells, unclear_reviews
from animal_spot.utils.csv_cells import plain_cell

_WINDOW_COLUMNS = frozenset(("start_s", "end_s", "pred", "pred_class", "prob"))
_KINDS = {
    ",": "CSV",
    ";": "CSV with semicolons",
    "\t": "table with tabs",
    "|": "table with bars",
}


def read_delimited(path: Path, text: str, columns: Columns, flag: str) -> EventTable:
    """Read a table with a header.

    Args:
        path: The table.
        text: Of it.
        columns: Names that a person gave.
        flag: Option that names the column of labels, for a message.

    Raises:
        WindowTableError: If it is the table of all windows of a prediction.
        TableError: If it has no header with begin and end, or no row can be used.
    """
    header, cells, delimiter = split_table(path, text)
    if _WINDOW_COLUMNS.issubset(header.names):
        raise WindowTableError(
            f"{path} has a row for each window that a network heard, not for each event: give a "
            "Raven table or Audacity labels of the same prediction"
        )
    if is_raven(header.names):  # saved by a spreadsheet, or with quotation marks
        return read_raven(header, cells, columns, flag)
    _require_times(header, columns)
    layout, notes = layout_of(header, cells, columns, flag)
    guessed = ", ".join(
        f"{role} is {column.name}"
        for role, column in layout.roles.items()
        if role not in columns.given
    )
    if guessed:
        notes.append(f"columns: {guessed}")
    if layout.comma:
        notes.append("commas in numbers stand before the decimals")
    notes += unclear_reviews(cells, layout)

    def read(of_row: Sequence[str], number: int) -> tuple[object, LabelledEvent]:
        if len(of_row) > len(header.names):
            raise RowError(
                f"has {len(of_row)} cells, and the header {len(header.names)}: is there a "
                f"{delimiter!r} in a name or number?"
            )
        return number, read_cells(path, of_row, number, layout)

    rows = EventRows(path)
    add_rows(rows, cells, read)
    return rows.finish(_KINDS[delimiter], notes)


def _require_times(header: Header, columns: Columns) -> None:
    """Make sure that there are columns for the begin and the end of events."""
    given = {role: header.named(name) for role, name in columns.given.items()}
    missing = [] if "begin" in given or header.find("begin") else ["begin"]
    if not any(role in given or header.find(role) for role in ("end", "duration")):
        missing.append("end")
    if not missing:
        return
    if all(map(is_number, header.names[:2])):
        raise TableError(
            f"{header.path} has no header: add a first line that names its columns, such as "
            "begin,end,label"
        )
    if len(missing) == 2:
        raise TableError(
            f"{header.path} is neither a Raven table (with a column Begin Time (s)) nor Audacity "
            f"labels, nor a table with columns such as begin,end,label ({header.present})"
        )
    raise TableError(
        f"{header.path} has no column that is known to hold the {missing[0]} of events "
        f"({header.present})"
    )


def split_table(path: Path, text: str) -> tuple[Header, list[list[str]], str]:
    """Take apart a table of text.

    Empty lines, those that start with ``#`` before the header, and the line ``sep=;`` of
    spreadsheets do not count.

    Args:
        path: The table, for messages.
        text: Of it.

    Returns:
        Header, cells of each row without blanks around them, and what stands between them.

    Raises:
        TableError: If it is broken, or holds no line.
    """
    delimiter = None
    file = io.StringIO(text, newline="")
    place = 0
    for line in file:
        stripped = line.strip()
        if stripped[:4].lower() == "sep=" and stripped[4:] in _KINDS:
            delimiter = stripped[4:]
        elif stripped and not stripped.startswith("#"):
            delimiter = delimiter or max(_KINDS, key=line.count)
            break
        place += len(line)
    file.seek(place)
    reader = csv.reader(file, delimiter=delimiter or ",", skipinitialspace=True)
    try:
        table = [[plain_cell(cell.strip()) for cell in row] for row in reader]
    except csv.Error as error:
        raise TableError(f"{path}: line {reader.line_num} is broken ({error})") from error
    table = [cells for cells in table if any(cells)]
    if not table:
        raise TableError(f"{path} holds no line")
    return Header(path, table[0]), table[1:], delimiter or ","
