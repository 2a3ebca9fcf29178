"""When and where a recording was made, as the columns of a result say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone, tzinfo

from animal_spot.metadata.moments import MomentError, offset_of, parse_moment
from animal_spot.metadata.recording_time import NO_TIME, RecordingTime
from animal_spot.metadata.time_columns import BEGIN_TIME, END_TIME, RECORDING_START, SITE

SOURCE = "table of the prediction"
COLUMNS = (RECORDING_START, BEGIN_TIME, END_TIME, SITE)
_QUARTER_S = 900  # clocks are changed at full quarters of an hour


class ResultTimes:
    """Collects what the rows of a result say, in the order of time; keeps only what changes."""

    def __init__(self) -> None:
        self._start = ""
        self._site = ""
        self._clocks = (_Clock(), _Clock())

    def add(self, start_s: float, end_s: float, cells: Sequence[str]) -> None:
        """Take a row.

        Args:
            start_s: Begin of the window.
            end_s: Its end.
            cells: What stands in ``COLUMNS``; empty where one is missing.
        """
        self._start = self._start or cells[0]
        self._site = self._site or cells[3]
        for clock, seconds, text in zip(self._clocks, (start_s, end_s), cells[1:3], strict=True):
            clock.add(seconds, text[-6:])

    def finish(self) -> RecordingTime:
        """Return what was said.

        Raises:
            MomentError: If the begin of the recording is no time.
        """
        site = self._site or None
        if not self._start:
            return NO_TIME if site is None else RecordingTime(site=site)
        start = parse_moment(self._start)
        zone_source = SOURCE if start.tzinfo else ""
        changes = () if start.tzinfo is None else tuple(self._changes(start))
        return RecordingTime(start, SOURCE, zone_source, site, changes=changes)

    def _changes(self, start: datetime) -> list[tuple[float, tzinfo]]:
        """Return since when clocks went by another offset than that of the begin."""
        found = []
        begins, ends = (clock.changes for clock in self._clocks)
        for number, (_, _, offset) in enumerate(max(begins, ends, key=len)):
            bounds = [changes[number] for changes in (begins, ends) if number < len(changes)]
            before, after = max(b[0] for b in bounds), min(b[1] for b in bounds)
            zone = offset_of(offset)
            if zone is None:
                raise MomentError(f"{offset!r} is no offset of a time zone")
            full = (start + timedelta(seconds=after)).astimezone(timezone.utc)
            since = after - full.timestamp() % _QUARTER_S
            found.append((since if since > before else after, zone))
        return found


class _Clock:
    """Offsets of one column, and between which rows they change."""

    def __init__(self) -> None:
        self.changes: list[tuple[float, float, str]] = []  # last before, first after, new offset
        self._last_s, self._offset = 0.0, ""

    def add(self, seconds: float, offset: str) -> None:
        if self._offset and offset != self._offset:
            self.changes.append((self._last_s, seconds, offset))
        self._last_s, self._offset = seconds, offset
