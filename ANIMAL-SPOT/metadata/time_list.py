"""The times of millions of recordings in little memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo

from animal_spot.metadata.recording_time import NO_TIME, RecordingTime

_TICK = timedelta(microseconds=1)


class TimeList(Sequence[RecordingTime]):
    """Times of recordings, in 16 bytes each where many have source, zone and place in common."""

    def __init__(self, times: Iterable[RecordingTime] = ()) -> None:
        self._common: list[tuple[RecordingTime, tzinfo | None, int]] = [(NO_TIME, None, 0)]
        self._number_of = {self._common[0]: 0}
        self._which = array("q")
        self._ticks = array("q")  # from the first moment of the calendar, as the clock shows it
        for time in times:
            self.append(time)

    def append(self, time: RecordingTime) -> None:
        """Add a time at the end."""
        start, ticks, common = time.start, -1, (time, None, 0)
        if start is not None:
            ticks = (start.replace(tzinfo=None, fold=0) - datetime.min) // _TICK
            common = replace(time, start=None), start.tzinfo, start.fold
        if common not in self._number_of:
            self._number_of[common] = len(self._common)
            self._common.append(common)
        self._which.append(self._number_of[common])
        self._ticks.append(ticks)

    def __len__(self) -> int:
        return len(self._which)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        time, zone, fold = self._common[self._which[index]]
        ticks = self._ticks[index]
        if ticks < 0:
            return time
        start = (datetime.min + ticks * _TICK).replace(tzinfo=zone, fold=fold)
        return replace(time, start=start)
