"""The columns of tables that say when and where: last, and only where something is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timezone

from animal_spot.metadata.recording_time import RecordingTime

RECORDING_START, BEGIN_TIME, END_TIME, SITE = "recording_start", "begin_time", "end_time", "site"
_STEADY_S = 6 * 86_400  # clocks are not changed twice within so long


def time_columns(times: Iterable[RecordingTime]) -> tuple[str, ...]:
    """Return the columns that a table of these recordings has; none if nothing is known."""
    has_start = has_site = False
    for time in times:
        has_start = has_start or time.start is not None
        has_site = has_site or time.site is not None
        if has_start and has_site:
            break
    return (
        *((RECORDING_START, BEGIN_TIME, END_TIME) if has_start else ()),
        *((SITE,) if has_site else ()),
    )


def time_cells(
    columns: Sequence[str], time: RecordingTime, begin_s: float | None, end_s: float | None
) -> list[str]:
    """Return what stands in these columns; what is not known is empty.

    Args:
        columns: Some of those of ``time_columns``.
        time: Of the recording.
        begin_s: Of the row, in seconds of the recording; None: not known.
        end_s: The same.
    """
    offsets = {RECORDING_START: 0.0, BEGIN_TIME: begin_s, END_TIME: end_s}
    return [(time.site or "") if name == SITE else _at(time, offsets[name]) for name in columns]


def _at(time: RecordingTime, seconds: float | None) -> str:
    return "" if seconds is None else time.at(seconds)


def time_rows(
    columns: Sequence[str], time: RecordingTime, begins_s: Sequence[float], ends_s: Sequence[float]
) -> Iterator[list[str]]:
    """Yield what ``time_cells`` returns for each row of a recording, faster.

    Args:
        columns: Some of those of ``time_columns``.
        time: Of the recording.
        begins_s: Of each row, in the order of time.
        ends_s: The same.
    """
    first = time_cells(columns, time, 0.0, 0.0)
    if time.start is not None and len(begins_s):
        time = _steady(time, float(begins_s[0]), float(max(ends_s)))
    for begin_s, end_s in zip(begins_s, ends_s, strict=True):
        cells = list(first)
        if time.start is not None:
            cells[1:3] = time.at(begin_s), time.at(end_s)
        yield cells


def _steady(time: RecordingTime, begin_s: float, end_s: float) -> RecordingTime:
    """Give the clock one offset, which is quicker, if it has but one between two times."""
    if end_s - begin_s > _STEADY_S or time.start.tzinfo is None:
        return time
    offset = time.clock_at(begin_s).utcoffset()
    if offset != time.clock_at(end_s).utcoffset():
        return time
    return replace(time, start=time.start.astimezone(timezone(offset)), changes=())
