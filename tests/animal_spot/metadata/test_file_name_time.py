"""Times in names of recordings, as recorders and people write them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.metadata.file_name_time import time_in_name, time_pattern
from animal_spot.metadata.moments import MomentError

UTC = timezone.utc


def at(hours: float) -> timezone:
    return timezone(timedelta(hours=hours))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20220719_031502.WAV", datetime(2022, 7, 19, 3, 15, 2)),
        ("20220719_031502Z.wav", datetime(2022, 7, 19, 3, 15, 2, tzinfo=UTC)),
        ("SMM03873_20220719_031502.wav", datetime(2022, 7, 19, 3, 15, 2)),
        ("SMM03873_20220719_031502_000.wav", datetime(2022, 7, 19, 3, 15, 2)),
        ("SBT-6-76-18_0+1_0_20160621_080000.wav", datetime(2016, 6, 21, 8)),
        ("SwiftOne_20220719_031502_-0400.wav", datetime(2022, 7, 19, 3, 15, 2, tzinfo=at(-4))),
        ("rec_20220719T031502+0530.flac", datetime(2022, 7, 19, 3, 15, 2, tzinfo=at(5.5))),
        ("20220719T031502.250.wav", datetime(2022, 7, 19, 3, 15, 2, 250_000)),
        ("site-20220719-031502.wav", datetime(2022, 7, 19, 3, 15, 2)),
        ("site 20220719031502.wav", datetime(2022, 7, 19, 3, 15, 2)),
        ("20220719_031502-041502.wav", datetime(2022, 7, 19, 3, 15, 2)),  # begin and end
        ("20220719_031502_20220719_041502.wav", datetime(2022, 7, 19, 3, 15, 2)),
        ("2022-07-19T03:15:02Z.wav", datetime(2022, 7, 19, 3, 15, 2, tzinfo=UTC)),
        ("2022-07-19T03-15-02.wav", datetime(2022, 7, 19, 3, 15, 2)),
        ("a_2022-07-19T031502+02:00.wav", datetime(2022, 7, 19, 3, 15, 2, tzinfo=at(2))),
        ("OWL_123456_2022-07-19_T03-15-02.WAV", datetime(2022, 7, 19, 3, 15, 2)),
        ("2022-07-19 03.15.02.wav", datetime(2022, 7, 19, 3, 15, 2)),
        ("2022_07_19_03_15_02.wav", datetime(2022, 7, 19, 3, 15, 2)),
        ("2022-07-19T0315.wav", datetime(2022, 7, 19, 3, 15)),
        ("5146.230512060000.wav", datetime(2023, 5, 12, 6)),
        ("67145736.230512060000.wav", datetime(2023, 5, 12, 6)),
        # of the documentation of aru-metadata-parser: 2020-07-21T07:59:10Z
        ("5F16A04E.WAV", datetime(2020, 7, 21, 7, 59, 10, tzinfo=UTC)),
    ],
)
def test_time_is_found(name, expected):
    assert time_in_name(Path("folder_20010101_000000") / name)[1] == expected


@pytest.mark.parametrize(
    "name",
    [
        *("20190514.wav", "S01-43.wav", "mixed1.wav", "spinetail.wav", "call_2022.wav"),
        *("20221319_031502.wav", "20220230_031502.wav", "20220719_251502.wav"),  # no such time
        *("99990719_031502.wav", "120220719_0315021.wav", "DEADBEEF.wav", "5f16a04e.wav"),
        *("61234567.wav", "K1-call_001_2010_A5_1000_2000.wav", "5146.2305120600.wav"),
        "5146.239912060000.wav",
    ],
)
def test_what_is_no_time_is_not_taken_for_one(name):
    assert time_in_name(Path(name)) is None


@given(st.datetimes(datetime(1990, 1, 1), datetime(2098, 12, 31)))
def test_every_time_is_read_back(moment):
    moment = moment.replace(microsecond=0)
    for name in (f"{moment:%Y%m%d_%H%M%S}", f"x_{moment:%Y-%m-%dT%H-%M-%S}_y"):
        assert time_in_name(Path(f"{name}.wav"))[1] == moment


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("%d.%m.%Y-%Hh%M", "a/pond 03.05.2024-21h07.wav", datetime(2024, 5, 3, 21, 7)),
        ("%y%j%H%M%S", "a/u24124210733.wav", datetime(2024, 5, 3, 21, 7, 33)),
        ("%Y-%m-%d/%H%M%S", "a/2024-05-03/210733.wav", datetime(2024, 5, 3, 21, 7, 33)),
        ("%Y%m%d %H%z", "20240503 21-0300.wav", datetime(2024, 5, 3, 21, tzinfo=at(-3))),
        (
            r"(?P<day>\d+)_(?P<month>\d+)_(?P<year>\d{4})_(?P<hour>\d+)",
            "3_5_2024_7.wav",
            datetime(2024, 5, 3, 7),
        ),
        ("%Y%m%d_%H", "nothing.wav", None),
    ],
)
def test_own_pattern(pattern, path, expected):
    found = time_in_name(Path(path), time_pattern(pattern))
    assert (found and found[1]) == expected


@pytest.mark.parametrize(
    ("pattern", "match"),
    [
        ("%Y%m%d", "no year, month, day and hour"),
        ("%Y%m%d%H%Q", "%Q is not understood"),
        ("%Y%m%d%H%Y", "stands there twice"),
        ("(?P<year>", "no regular expression"),
        ("(?P<jahr>x)", "'jahr'"),
    ],
)
def test_pattern_that_cannot_be_used_is_refused(pattern, match):
    with pytest.raises(MomentError, match=match):
        time_pattern(pattern)
