"""Hours and detections on known days: at night, over midnight, where clocks are changed."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.effort.counting import Hour, Recorded, count, hours_of

BERLIN = ZoneInfo("Europe/Berlin")


def hours(start, duration_s):
    """Return (day of the month, hour, minutes) of each part."""
    return [(h.day.day, h.hour, s / 60) for h, s in hours_of("a", start, duration_s)]


def test_recording_over_midnight():
    assert hours(datetime(2024, 5, 31, 23, 50), 1200) == [(31, 23, 10), (1, 0, 10)]


def test_hour_is_missing_when_clocks_are_put_forward():
    start = datetime(2024, 3, 31, 1, 30, tzinfo=BERLIN)
    assert hours(start, 3600) == [(31, 1, 30), (31, 3, 30)]


def test_hour_comes_twice_when_clocks_are_put_back():
    start = datetime(2024, 10, 27, 1, 30, tzinfo=BERLIN)
    activity, _ = count([Recorded("r", "a", start, 4 * 3600)], ["x"])
    minutes = {hour.hour: s / 60 for hour, s in activity.effort_s.items()}
    assert minutes == {1: 30, 2: 120, 3: 60, 4: 30}


def test_clocks_of_half_hours():
    start = datetime(2024, 4, 7, 1, 45, tzinfo=ZoneInfo("Australia/Lord_Howe"))  # back by 30 min
    assert hours(start, 3600) == [(7, 1, 15), (7, 1, 30), (7, 2, 15)]


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2025, 1, 1)),
    st.integers(1, 200_000),
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_every_second_is_counted_in_its_hour(moment, duration_s, zone):
    start = moment.replace(microsecond=0, tzinfo=timezone.utc).astimezone(ZoneInfo(zone))
    expected: Counter[tuple[date, int]] = Counter()
    step = 1 if duration_s < 2000 else 60
    duration_s -= duration_s % step
    start -= timedelta(seconds=start.second if step > 1 else 0)
    begin = start.timestamp()
    for second in range(0, duration_s, step):
        local = datetime.fromtimestamp(begin + second, ZoneInfo(zone))
        expected[local.date(), local.hour] += step
    found: Counter[tuple[date, int]] = Counter()
    for hour, seconds in hours_of("a", start, duration_s):
        found[hour.day, hour.hour] += seconds
    assert found == expected


def test_detections_stand_in_the_hour_in_which_they_begin():
    start = datetime(2024, 3, 31, 1, 59, 30, tzinfo=BERLIN)
    found = (("owl", 29.9), ("owl", 30.0), ("owl", 60.0), ("fox", 30.5), ("owl", 120.0))
    activity, notes = count([Recorded("r.wav", "a", start, 120, found)], ["owl", "newt"])
    day = date(2024, 3, 31)
    assert activity.found == {
        (Hour("a", day, 1), "owl"): 1,
        (Hour("a", day, 3), "owl"): 2,
        (Hour("a", day, 3), "fox"): 1,
    }
    assert activity.classes == ("owl", "newt", "fox")
    assert notes == ["r.wav: 1 detections begin after its end and do not count"]


def test_sites_have_their_own_hours_and_days_have_gaps():
    night = datetime(2024, 5, 1, 23)
    activity, notes = count(
        [Recorded("1", "b", night, 60), Recorded("2", "a", night + timedelta(days=3), 60)], []
    )
    assert activity.sites == ["a", "b"]
    assert [day.day for day in activity.days] == [1, 2, 3, 4]
    assert notes == []


@pytest.mark.parametrize(("later_s", "n_notes"), [(59, 0), (30, 1)])
def test_recordings_that_lie_over_each_other_are_said(later_s, n_notes):
    first = datetime(2024, 5, 1, 23)
    pair = [
        Recorded("1.wav", "a", first, 60),
        Recorded("2.wav", "a", first + timedelta(seconds=later_s), 60),
    ]
    _, notes = count(pair, [])
    assert len(notes) == n_notes
    elsewhere = [pair[0], Recorded("2.wav", "b", first, 60)]
    assert count(elsewhere, [])[1] == []
