"""``left_out.csv``: every event, row, table and recording that no clip was cut of, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from animal_spot.cutting.plan import LeftOut
from animal_spot.cutting.report import CutReport
from animal_spot.utils.csv_cells import csv_text

COLUMNS = (*("kind", "reason", "recording", "table", "row", "label", "class", "start_s", "end_s"),)
FAILED, UNREADABLE_ROW, STALE = "file cannot be used", "row cannot be used", "clip without event"


def left_out_text(report: CutReport, ignored: Sequence[tuple[Path, int, str]]) -> str:
    """Return the table.

    Args:
        report: What a run did.
        ignored: Rows of tables that cannot be used: table, row, why.
    """
    return csv_text([COLUMNS, *_rows(report, ignored)])


def _rows(report: CutReport, ignored: Sequence[tuple[Path, int, str]]) -> Iterator[Sequence[Any]]:
    for path, reason in report.failed.items():
        yield FAILED, reason, str(path), *[""] * 6
    for table, row, reason in ignored:
        yield UNREADABLE_ROW, reason, "", str(table), row, *[""] * 4
    for one in report.left_out:
        yield _event_row(one)
    for file, reason in report.stale.items():
        yield STALE, reason, file, *[""] * 6


def _event_row(one: LeftOut) -> Sequence[Any]:
    event = one.event
    return (
        *(one.kind, one.reason, str(one.source or ""), str(event.table), event.row),
        *(event.label, one.class_name or "", f"{event.start_s:.6f}", f"{event.end_s:.6f}"),
    )
