"""Tables of activity against counts made by hand."""

from __future__ import annotations

import csv
import io
from datetime import datetime

import pytest

from animal_spot.effort.activity_tables import file_names, tables_of
from animal_spot.effort.counting import Recorded, count


@pytest.fixture
def tables():
    recordings = [
        # Half an hour before midnight and half an hour after, with two owls and one.
        Recorded(
            "1", "pond", datetime(2024, 5, 1, 23, 30), 3600, (("owl", 0), ("owl", 9), ("owl", 1800))
        ),
        # A silent hour two days later.
        Recorded("2", "pond", datetime(2024, 5, 4, 23), 3600),
        Recorded("3", "fen", datetime(2024, 5, 1, 23), 1800, (("fox", 5),)),
    ]
    activity, _ = count(recordings, ["owl", "fox"])
    return {name: list(csv.reader(io.StringIO(text))) for name, text in tables_of(activity).items()}


def test_long_table_has_a_row_of_each_recorded_hour_and_class(tables):
    assert tables["activity.csv"] == [
        ["site", "date", "hour", "class", "detections", "effort_hours"],
        ["fen", "2024-05-01", "23", "owl", "0", "0.5"],
        ["fen", "2024-05-01", "23", "fox", "1", "0.5"],
        ["pond", "2024-05-01", "23", "owl", "2", "0.5"],
        ["pond", "2024-05-01", "23", "fox", "0", "0.5"],
        ["pond", "2024-05-02", "0", "owl", "1", "0.5"],
        ["pond", "2024-05-02", "0", "fox", "0", "0.5"],
        ["pond", "2024-05-04", "23", "owl", "0", "1.0"],
        ["pond", "2024-05-04", "23", "fox", "0", "1.0"],
    ]


def test_rates_by_hour_and_day(tables):
    rows = [row for row in tables["activity_by_hour.csv"] if row[:1] + row[2:3] == ["pond", "owl"]]
    assert rows == [
        ["pond", "0", "owl", "1", "0.5", "2.0"],
        ["pond", "23", "owl", "2", "1.5", "1.333333"],
    ]
    rows = [row for row in tables["activity_by_day.csv"] if row[:1] + row[2:3] == ["pond", "owl"]]
    assert rows == [
        ["pond", "2024-05-01", "owl", "2", "0.5", "4.0"],
        ["pond", "2024-05-02", "owl", "1", "0.5", "2.0"],
        ["pond", "2024-05-04", "owl", "0", "1.0", "0.0"],
    ]


def test_detection_histories_tell_silence_from_gaps(tables):
    days = ["site", "2024-05-01", "2024-05-02", "2024-05-03", "2024-05-04"]
    owl = [days, ["fen", "0", "NA", "NA", "NA"], ["pond", "1", "1", "NA", "0"]]
    fox = [days, ["fen", "1", "NA", "NA", "NA"], ["pond", "0", "0", "NA", "0"]]
    assert tables["history_owl.csv"] == owl
    assert tables["history_fox.csv"] == fox
    assert tables["effort_hours.csv"] == [
        days,
        ["fen", "0.5", "0.0", "0.0", "0.0"],
        ["pond", "0.5", "0.5", "0.0", "1.0"],
    ]


def test_names_of_files_are_no_paths_and_no_two_alike():
    names = file_names(["a/b", "a?b", "A_B", "é x", "..", "K1-call"], "h_", ".csv")
    assert list(names.values()) == [
        *("h_a_b.csv", "h_a_b_2.csv", "h_A_B_3.csv", "h_é_x.csv", "h__.csv", "h_K1-call.csv")
    ]
