"""What tables of annotations say, whatever program wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class TableError(ValueError):
    """A table that cannot be used; one line says which and why."""


class WindowTableError(TableError):
    """A table that ``predict.py`` wrote of all windows, which are no events yet."""


@dataclass(frozen=True, slots=True)
class LabelledEvent:
    """A row of a table: somebody or some program heard something.

    Attributes:
        label: What was heard, in Unicode form NFC, as the table has it.
        start_s: Begin in seconds of the recording, 0 or later.
        end_s: End in seconds of the recording, after the begin.
        low_hz: Lower end of its box; None where the table has none.
        high_hz: Upper end of its box.
        table: File that says so.
        row: Number of its row among those that hold data, from 1.
        recording: Path or name of the recording as the table has it; None if it names none.
        channel: Number of the channel, from 1.
        is_wrong: Somebody looked at it and marked it as a false alarm.
        extra: Cells of other columns, by the column's name.
    """

    label: str
    start_s: float
    end_s: float
    low_hz: float | None = None
    high_hz: float | None = None
    table: Path = Path()
    row: int = 0
    recording: str | None = None
    channel: int | None = None
    is_wrong: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EventTable:
    """A table that was read.

    Attributes:
        path: The file.
        format: What it was read as, for a line such as "Raven selection table".
        events: In the order of time; of several recordings in one table those of each together.
        left_out: Number and reason of each row that cannot be used.
        notes: What was guessed or is odd, each in one line.
    """

    path: Path
    format: str
    events: tuple[LabelledEvent, ...]
    left_out: tuple[tuple[int, str], ...] = ()
    notes: tuple[str, ...] = ()
