"""When a recording was made: which source wins, zones, clocks that are changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.detections.result_times import ResultTimes
from animal_spot.metadata.deployments import read_deployments
from animal_spot.metadata.file_name_time import time_pattern
from animal_spot.metadata.moments import MomentError, in_zone, iso_text, later, zone_named
from animal_spot.metadata.recording_time import lines_about, recording_time, time_finder
from animal_spot.metadata.time_columns import time_cells, time_columns, time_rows
from tests.helpers import recorders

BERLIN = ZoneInfo("Europe/Berlin")


def deployments(tmp_path, text):
    path = tmp_path / "deployments.csv"
    path.write_text(text)
    return read_deployments(path)


def test_name_alone_has_no_zone():
    time = recording_time(Path("a/20240331_015930.wav"))
    assert time.start == datetime(2024, 3, 31, 1, 59, 30)
    assert (time.source, time.zone_source) == ("file name", "")
    assert time.at(40.5) == "2024-03-31T02:00:10.500"


def test_zone_of_the_flag_and_clocks_put_forward():
    time = recording_time(Path("20240331_015930.wav"), zone=BERLIN)
    assert time.zone_source == "--timezone"
    assert time.at(0) == "2024-03-31T01:59:30.000+01:00"
    assert time.at(29.999) == "2024-03-31T01:59:59.999+01:00"
    assert time.at(30) == "2024-03-31T03:00:00.000+02:00"


def test_clocks_put_back_and_over_midnight():
    time = recording_time(Path("20241027_023000.wav"), zone=BERLIN)
    assert time.at(0) == "2024-10-27T02:30:00.000+02:00"
    assert time.at(1800) == "2024-10-27T02:00:00.000+01:00"
    assert "came twice" in time.notes[0]
    assert recording_time(Path("20241231_235959.wav"), zone=BERLIN).at(1.5) == (
        "2025-01-01T00:00:00.500+01:00"
    )


def test_hour_that_clocks_leave_out_is_said():
    time = recording_time(Path("20240331_023000.wav"), zone=BERLIN)
    assert time.at(0) == "2024-03-31T03:30:00.000+02:00"
    assert "there was no 2024-03-31 02:30:00" in time.notes[0]


def test_metadata_wins_and_its_zone_is_shown_in_the_one_wanted(tmp_path):
    comment = recorders.info(ICMT=recorders.AUDIOMOTH.format(zone="UTC"))
    path = recorders.wav(tmp_path / "20201214_192255.wav", comment)
    time = recording_time(path, zone=BERLIN)
    assert (time.source, time.zone_source) == ("AudioMoth comment", "AudioMoth comment")
    assert time.at(0) == "2020-12-14T20:22:55.000+01:00"
    assert time.notes == ()  # the name is the same reading of the clock
    assert recording_time(path).at(0) == "2020-12-14T19:22:55.000+00:00"


def test_two_sources_that_disagree_are_both_named(tmp_path):
    comment = recorders.info(ICMT=recorders.AUDIOMOTH.format(zone="UTC"))
    path = recorders.wav(tmp_path / "20201214_190000.wav", comment)
    (note,) = recording_time(path).notes
    assert note == (
        "AudioMoth comment says 2020-12-14T19:22:55.000+00:00, file name says "
        "2020-12-14T19:00:00.000: the first counts"
    )
    # A local name beside a comment in UTC: whole hours apart are no contradiction.
    local = recorders.wav(tmp_path / "20201214_202255.wav", comment)
    assert recording_time(local).notes == ()
    assert recording_time(local, zone=BERLIN).notes == ()
    assert len(recording_time(local, zone=ZoneInfo("Asia/Tokyo")).notes) == 1


def test_own_pattern_wins(tmp_path):
    chunk = recorders.bext("2020-12-14", "19:22:55")
    path = recorders.wav(tmp_path / "140520 0300.wav", chunk)
    time = recording_time(path, pattern=time_pattern("%y%m%d %H%M"))
    assert (time.start, time.source) == (datetime(2014, 5, 20, 3), "file name, --time_pattern")
    assert len(time.notes) == 1
    assert recording_time(path).source == "broadcast-wave metadata"


def test_zone_of_one_source_for_the_clock_of_another(tmp_path):
    chunk = recorders.bext("2020-12-14", "19:22:55")
    path = recorders.wav(tmp_path / "20201214_192255+0100.wav", chunk)
    time = recording_time(path)
    assert (time.source, time.zone_source) == ("broadcast-wave metadata", "file name")
    assert time.at(0) == "2020-12-14T19:22:55.000+01:00"


def test_deployment_gives_site_place_and_zone(tmp_path):
    table = deployments(
        tmp_path, "site,folder,latitude,longitude,zone\npond,p*,52.5,13.4,Europe/Berlin\n"
    )
    time = recording_time(Path("p1/20240701_120000.wav"), zone=zone_named("UTC"), deployments=table)
    assert time.at(0) == "2024-07-01T12:00:00.000+02:00"
    assert (time.site, time.latitude, time.longitude) == ("pond", 52.5, 13.4)
    assert time.zone_source == "deployments.csv"
    nowhere = recording_time(Path("q/20240701_120000.wav"), deployments=table)
    assert nowhere.site is None
    assert nowhere.notes == ("deployments.csv has no deployment of it",)
    assert recording_time(Path("p1/a.wav"), deployments=table).site == "pond"


def test_clock_of_a_recorder_may_run_in_another_zone_than_its_place(tmp_path):
    table = deployments(tmp_path, "site,zone,clock_zone\npond,Europe/Berlin,UTC\n")
    time = recording_time(Path("20240701_230000.wav"), deployments=table)
    assert time.at(0) == "2024-07-02T01:00:00.000+02:00"


def test_several_deployments_are_no_answer(tmp_path):
    table = deployments(tmp_path, "site,folder\npond,a\nridge,a\n")
    time = recording_time(Path("a/b.wav"), deployments=table)
    assert time.site is None
    assert "several deployments of it (pond, ridge)" in time.notes[0]


def test_place_in_the_metadata(tmp_path):
    text = b"Timestamp: 2024-05-01T21:00:00+02:00\nLoc Position: 52.5 13.4\n"
    time = recording_time(recorders.wav(tmp_path / "a.wav", recorders.chunk(b"guan", text)))
    assert (time.site, time.latitude, time.longitude) == (None, 52.5, 13.4)


def test_lines_name_the_sources_and_an_unknown_zone_once():
    names = ("20240701_120000.wav", "20240702_120000.wav", "20240701_120000Z.wav", "a.wav")
    times = [(Path(name), recording_time(Path(name))) for name in names]
    (is_warning, first), (_, second) = lines_about(times)
    assert not is_warning
    assert first == "recording times: 3 by file name; 1 have none"
    assert second.startswith("local time, zone unknown, of 2 recordings")
    assert list(lines_about(times[-1:])) == []


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)),
    st.floats(0, 10**6),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_what_passes_between_two_times_is_what_was_added(moment, seconds, name):
    start, _ = in_zone(moment, ZoneInfo(name))
    shown = datetime.fromisoformat(iso_text(later(start, seconds)))
    passed = shown - start.astimezone(timezone.utc)
    assert abs(passed - timedelta(seconds=seconds)) <= timedelta(milliseconds=2)


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        (("Europe/Berlim", None, None), r"did you mean Europe/Berlin\?"),
        (("CEST+2", None, None), "there is no time zone"),
        ((None, "%Q", None), "%Q is not understood"),
    ],
)
def test_flags_that_cannot_be_used(flags, match):
    with pytest.raises(MomentError, match=match):
        time_finder(*flags)


@pytest.mark.parametrize("zone", [None, BERLIN, timezone(timedelta(hours=-3))])
@pytest.mark.parametrize("name", ["20240331_015930", "20241027_013000", "20240701_235959"])
def test_rows_of_a_table_are_those_made_one_by_one(zone, name):
    """Also where clocks are changed within them, and by tables that know the offsets alone."""
    time = replace(recording_time(Path(f"{name}.wav"), zone=zone), site="a")
    columns = time_columns([time])
    begins = [1.25 * i for i in range(5000)]
    ends = [begin + 2 for begin in begins]
    wanted = [time_cells(columns, time, *pair) for pair in zip(begins, ends, strict=True)]
    for n in (5000, 100):
        assert list(time_rows(columns, time, begins[:n], ends[:n])) == wanted[:n]
    read = ResultTimes()
    for begin, end, cells in zip(begins, ends, wanted, strict=True):
        read.add(begin, end, cells)
    again = read.finish()
    assert [time_cells(columns, again, *pair) for pair in zip(begins, ends, strict=True)] == wanted
