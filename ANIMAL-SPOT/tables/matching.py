"""Which table is of which recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from animal_spot.tables.event import EventTable, LabelledEvent


@dataclass(frozen=True)
class Matching:
    """What belongs together, and what is left.

    Attributes:
        events: Of each recording that has a table, in the order of time; an empty tuple where
            its tables say that nothing is there.
        without_table: Recordings that no table is of.
        without_recording: Tables, or what a table calls a recording, that belong to none, each
            with a reason in one line.
    """

    events: dict[Path, tuple[LabelledEvent, ...]]
    without_table: tuple[Path, ...] = ()
    without_recording: tuple[tuple[Path, str], ...] = field(default=())


def match(
    recordings: Sequence[Path], tables: Sequence[EventTable], pairs: Path | None = None
) -> Matching:
    """Find the recording of each event: by a list of pairs, by what the table says, or by name.

    Args:
        recordings: Files.
        tables: What was read.
        pairs: CSV with a recording and a table in each row; it goes before everything else.

    Raises:
        TableError: If a table could be of several recordings; it names them.
    """
    raise NotImplementedError
