"""From rows of a table to events: the same for every kind of table that has a header."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from animal_spot.tables.columns import Column, Columns, Header, holds_words
from animal_spot.tables.event import EventTable, LabelledEvent, TableError
from animal_spot.tables.numbers import RowError, has_decimal_commas, to_number, to_seconds
from animal_spot.tables.sampling_rate import rate_of
from animal_spot.tables.table_text import shortened
from animal_spot.utils.names import composed

WANTED = ("begin", "end", "duration", "recording", "low", "high", "channel")
_N_SHOWN = 3  # rows that are left out, in a message
_ROUNDING = 9  # decimals of seconds that are kept of a difference
_WRONG = frozenset(
    (
        *("wrong", "incorrect", "fp", "false positive", "false alarm", "negative", "rejected"),
        *("reject", "bad"),
    )
)
_NO = _WRONG | {"no", "n", "false", "f", "0"}
_YES = frozenset(
    (
        *("", "right", "yes", "y", "true", "t", "1", "correct", "ok", "tp", "true positive"),
        *("positive", "confirmed", "accepted", "accept", "good", "unsure", "?"),
    )
)


class EventRows:
    """Collects events of a table, and why other rows cannot be used.

    Args:
        path: The table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._events: dict[object, LabelledEvent] = {}
        self._left_out: list[tuple[int, str]] = []

    def add(
        self,
        row: int,
        parse: Callable[[], tuple[object, LabelledEvent]],
        *,
        is_better: Callable[[LabelledEvent, LabelledEvent], bool] = lambda new, old: False,
    ) -> None:
        """Take a row with its identity, unless ``parse`` says why it cannot be used.

        Args:
            row: Its number, from 1.
            parse: Returns what is the same for rows of one event, and the event.
            is_better: Of two rows of one event, whether the new one is to be kept.
        """
        try:
            same, event = parse()
            check(event)
        except RowError as error:
            self._left_out.append((row, str(error)))
            return
        old = self._events.setdefault(same, event)
        if old is not event and is_better(event, old):
            self._events[same] = event

    def leave_out(self, row: int, reason: str) -> None:
        """Note a row that cannot be used."""
        self._left_out.append((row, reason))

    def finish(self, kind: str, notes: Iterable[str] = ()) -> EventTable:
        """Return the table with its events in the order of time.

        Raises:
            TableError: If there are rows, and none can be used.
        """
        if self._left_out and not self._events:
            raise TableError(
                f"{self.path}: none of its {len(self._left_out)} rows can be used: "
                f"{shown_rows(self._left_out)}"
            )
        events = sorted(
            self._events.values(), key=lambda e: (e.recording or "", e.start_s, e.end_s, e.label)
        )
        return EventTable(self.path, kind, tuple(events), tuple(self._left_out), tuple(notes))


def check(event: LabelledEvent) -> None:
    """Refuse an event that has no extent in time, or no label.

    Raises:
        RowError: If it is one.
    """
    start_s, end_s = event.start_s, event.end_s
    if start_s == end_s:
        raise RowError(f"a point without a duration, got {start_s:g} to {end_s:g} s")
    if not 0 <= start_s < end_s:
        raise RowError(
            f"must begin at 0 or later and end after that, got {start_s:g} to {end_s:g} s"
        )
    if not event.label:
        raise RowError("has no name; give it one or take out the row")
    if "\n" in event.label or "\r" in event.label:
        raise RowError(
            f"its name goes over several lines, {shortened(event.label)}: is a quotation mark not "
            "closed?"
        )


def shown_rows(left_out: Sequence[tuple[int, str]]) -> str:
    """Return why rows are left out, the first reasons, in one line."""
    by_reason: dict[str, list[int]] = {}
    for row, reason in left_out:
        by_reason.setdefault(reason, []).append(row)
    shown = [
        f"row {rows[0]}{f' and {len(rows) - 1} more' if rows[1:] else ''}: {reason}"
        for reason, rows in by_reason.items()
    ]
    return "; ".join(shown[:_N_SHOWN]) + (" ..." if len(shown) > _N_SHOWN else "")


@dataclass(frozen=True)
class Layout:
    """Which column holds what.

    Attributes:
        roles: Column of each role that is there; see ``columns.NAMES``.
        comma: A comma stands before the decimals.
        extra: Other columns, whose cells are kept.
    """

    roles: Mapping[str, Column]
    comma: bool = False
    extra: tuple[Column, ...] = field(default=())


def layout_of(
    header: Header,
    cells: Sequence[Sequence[str]],
    columns: Columns,
    flag: str,
    *,
    known: Mapping[str, Column] = MappingProxyType({}),
    wanted: Sequence[str] = WANTED,
) -> tuple[Layout, list[str]]:
    """Find what the columns of a table hold.

    Args:
        header: Names of the columns.
        cells: Rows.
        columns: Names that a person gave.
        flag: Option that names the column of labels, for a message.
        known: Columns of roles that need not be looked for.
        wanted: Roles of columns to look for besides labels and reviews.

    Returns:
        The layout, and notes on the column of labels.

    Raises:
        TableError: If a column that is needed is not there, or not clear.
    """
    roles = {**known, **{role: header.named(name) for role, name in columns.given.items()}}
    for role in wanted:
        if role not in roles and (found := header.find(role)) is not None:
            roles[role] = found
    if "review" not in roles:
        for role in ("review", "check", "refusal"):
            if (found := header.find(role)) is not None:
                roles[role] = found
    notes = []
    if "label" not in roles:
        taken = {column.index for column in roles.values()}
        roles["label"], notes = _label_column(header, cells, taken, flag)
    used = {column.index for column in roles.values()}
    numbers = [
        row[column.index]
        for role, column in roles.items()
        if role in ("begin", "end", "duration", "low", "high")
        for row in cells
        if column.index < len(row)
    ]
    extra = tuple(
        Column(index, name) for index, name in enumerate(header.names) if index not in used and name
    )
    return Layout(roles, has_decimal_commas(numbers), extra), notes


def _label_column(
    header: Header, cells: Sequence[Sequence[str]], taken: set[int], flag: str
) -> tuple[Column, list[str]]:
    """Return the column of labels: by its name, else the only one that holds words."""

    def column_cells(column: Column) -> list[str]:
        return [row[column.index] for row in cells if column.index < len(row)]

    known = [column for column in header.all_of("label") if column.index not in taken]
    filled = [column for column in known if any(column_cells(column))]
    if len(filled) > 1:
        others = ", ".join(column.name for column in filled[1:])
        return filled[0], [f"labels are those of column {filled[0].name}, not of {others}"]
    if filled or (known and not cells):
        return (filled or known)[0], []
    of_words = [
        column
        for column in header.could_be_labels()
        if column.index not in taken and holds_words(column_cells(column))
    ]
    if len(of_words) == 1:
        return of_words[0], [f"labels are those of column {of_words[0].name}"]
    if known:
        return known[0], []
    if of_words:
        names = ", ".join(column.name for column in of_words)
        raise TableError(
            f"{header.path}: the labels may be in any of several columns, {names}; say which with "
            f"{flag}"
        )
    raise TableError(
        f"{header.path} has no column that is known to hold names; say which with {flag} "
        f"({header.present})"
    )


def read_cells(
    path: Path,
    cells: Sequence[str],
    row: int,
    layout: Layout,
    *,
    times: Callable[[Sequence[str], Layout, Path], tuple[float, float]] | None = None,
) -> LabelledEvent:
    """Make an event of the cells of a row.

    Args:
        path: The table.
        cells: Without blanks around them.
        row: Number of the row, from 1.
        layout: Which of them is what.
        times: Reads begin and end; None: as the layout says.

    Raises:
        RowError: If it cannot be used.
    """
    roles = layout.roles
    needed = [roles[role].index for role in ("begin", "end", "duration", "label") if role in roles]
    if len(cells) <= max(needed):
        raise RowError("too few columns")
    start_s, end_s = (times or begin_and_end)(cells, layout, path)
    return LabelledEvent(
        label=sys.intern(composed(cells[roles["label"].index])),
        start_s=start_s,
        end_s=end_s,
        low_hz=_frequency(cells, layout, "low"),
        high_hz=_frequency(cells, layout, "high"),
        table=path,
        row=row,
        recording=sys.intern(cell(cells, roles.get("recording"))) or None,
        channel=_channel(cell(cells, roles.get("channel"))),
        is_wrong=_is_wrong(cells, roles),
        extra={c.name: sys.intern(cells[c.index]) for c in layout.extra if cell(cells, c)},
    )


def cell(cells: Sequence[str], column: Column | None) -> str:
    """Return a cell; an empty one where the row or the table has none."""
    return cells[column.index] if column is not None and column.index < len(cells) else ""


def begin_and_end(cells: Sequence[str], layout: Layout, path: Path) -> tuple[float, float]:
    """Return the times of a row in seconds.

    Raises:
        RowError: If they cannot be read.
    """
    roles = layout.roles
    start_s = _seconds(cells, layout, "begin", path)
    if "end" in roles:
        return start_s, _seconds(cells, layout, "end", path)
    duration_s = _seconds(cells, layout, "duration", path)
    if duration_s < 0:
        raise RowError(f"lasts {duration_s:g} s")
    return start_s, round(start_s + duration_s, _ROUNDING)


def _seconds(cells: Sequence[str], layout: Layout, role: str, path: Path) -> float:
    column = layout.roles[role]
    text = cells[column.index]
    if column.in_samples:
        rate = rate_of(cell(cells, layout.roles.get("recording")), path)
        return to_number(text, comma=layout.comma) / rate
    value = to_seconds(text, comma=layout.comma)
    return value if column.scale == 1 else round(value * column.scale, _ROUNDING)


def _frequency(cells: Sequence[str], layout: Layout, role: str) -> float | None:
    """Return the edge of a box; None where there is none that makes sense."""
    column = layout.roles.get(role)
    try:
        value = to_number(cell(cells, column), comma=layout.comma)
    except RowError:
        return None
    return value * column.scale if value >= 0 else None


def _channel(text: str) -> int | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if 1 <= number < 2**15 and number.is_integer() else None


def _is_wrong(cells: Sequence[str], roles: Mapping[str, Column]) -> bool:
    review = cell(cells, roles.get("review")).casefold()
    refusal = cell(cells, roles.get("refusal")).casefold()
    check = cell(cells, roles.get("check")).casefold()
    return review in _NO or check in _WRONG or refusal in _YES - {"", "unsure", "?"}


def unclear_reviews(cells: Sequence[Sequence[str]], layout: Layout) -> list[str]:
    """Return notes on words of a review that are neither yes nor no."""
    notes = []
    for role in ("review", "check", "refusal"):
        column = layout.roles.get(role)
        found = {cell(row, column).casefold() for row in cells} - _YES - _NO
        if column is not None and found:
            words = ", ".join(shortened(word) for word in sorted(found)[:_N_SHOWN])
            notes.append(f"column {column.name}: {words} count as not wrong")
    return notes


def add_rows(
    rows: EventRows,
    cells: Sequence[Sequence[str]],
    read: Callable[[Sequence[str], int], tuple[object, LabelledEvent]],
    *,
    is_better: Callable[[LabelledEvent, LabelledEvent], bool] = lambda new, old: False,
) -> None:
    """Read rows one by one, see ``EventRows.add``; ``read`` is given cells and number of each."""
    for number, of_row in enumerate(cells, 1):
        rows.add(number, functools.partial(read, of_row, number), is_better=is_better)
