"""The columns of tables that say when and where: last, and only where something is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from animal_spot.metadata.recording_time import RecordingTime

RECORDING_START, BEGIN_TIME, END_TIME, SITE = "recording_start", "begin_time", "end_time", "site"


def time_columns(times: Iterable[RecordingTime]) -> tuple[str, ...]:
    """Return the columns that a table of these recordings has; none if nothing is known."""
    every = list(times)
    has_start = any(time.start is not None for time in every)
    has_site = any(time.site is not None for time in every)
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
