"""A list of times gives back the times."""

import datetime as dt
import tracemalloc
import zoneinfo

from animal_spot.metadata.recording_time import NO_TIME, RecordingTime
from animal_spot.metadata.time_list import TimeList

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
SUMMER = dt.timezone(dt.timedelta(hours=2))
TIMES = [
    NO_TIME,
    RecordingTime(site="pond", latitude=52.5, longitude=13.4),
    RecordingTime(dt.datetime(1, 1, 1), "file name"),
    RecordingTime(dt.datetime(9998, 12, 31, 23, 59, 59, 999_999), "GUANO", notes=("odd",)),
    RecordingTime(dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN), "file name", "--timezone"),
    RecordingTime(dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1), "file name"),
    RecordingTime(
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=SUMMER), "GUANO", changes=((1800.0, BERLIN),)
    ),
]


def test_times_come_back_as_they_were():
    kept = TimeList([*TIMES, *TIMES])
    assert list(kept) == [*TIMES, *TIMES]
    assert kept[1:3] == TIMES[1:3]
    for time, again in zip(TIMES, kept, strict=False):
        assert again.at(3600) == time.at(3600)
        if time.start is not None:  # which datetimes do not compare
            assert (again.start.fold, again.start.tzinfo) == (time.start.fold, time.start.tzinfo)


def test_a_time_takes_little_memory():
    """An object of it takes 200 bytes and more."""
    first, n = dt.datetime(2024, 5, 1, tzinfo=BERLIN), 5000
    tracemalloc.start()
    kept = TimeList(
        RecordingTime(first + dt.timedelta(minutes=i), "file name", site=f"site {i % 10}")
        for i in range(n)
    )
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept[n - 1].start == first + dt.timedelta(minutes=n - 1)
    assert size / n < 25
