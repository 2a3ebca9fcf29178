"""deployments.csv: which recorder stood where, and when."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from animal_spot.metadata.deployments import DeploymentError, read_deployments

TABLE = """site,device,folder,latitude,longitude,zone,start,end,remark
pond,24F319055FDF2F5B,,52.5,13.4,Europe/Berlin,2024-03-01,2024-03-30,by the oak
ridge,24F319055FDF2F5B,,52.6,13.5,Europe/Berlin,2024-03-31T12:00,,
fen,,fen_*/2024,,,,,,
"""


def site(table, path, device=None, time=None):
    found = table.of(Path(path), device, time)
    return found and found.site


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "deployments.csv"
    path.write_text(TABLE, encoding="utf-8")
    return read_deployments(path)


def test_device_stands_where_it_did_at_that_time(table):
    device = "24f319055fdf2f5b"
    assert site(table, "a.wav", device, datetime(2024, 3, 1)) == "pond"
    assert site(table, "a.wav", device, datetime(2024, 3, 30, 23, 59)) == "pond"  # its last day
    assert site(table, "a.wav", device, datetime(2024, 3, 31)) is None
    assert site(table, "a.wav", device, datetime(2024, 2, 29, 23, 59)) is None
    # Noon in Berlin is 10:00 in UTC, since clocks were put forward that night.
    noon = datetime(2024, 3, 31, 10, tzinfo=timezone.utc)
    assert site(table, "a.wav", device, noon) == "ridge"
    assert site(table, "a.wav", device, noon.replace(hour=9)) is None
    assert site(table, "a.wav", device) is None  # one of two


def test_device_in_the_name_of_file_or_folder(table):
    time = datetime(2024, 3, 2)
    assert site(table, "24F319055FDF2F5B_20240302_000000.wav", None, time) == "pond"
    assert site(table, "x/24F319055FDF2F5B/a.wav", None, time) == "pond"
    assert site(table, "x/24F319055FDF2F5C/a.wav", None, time) is None


def test_folder_pattern(table):
    assert site(table, "x/fen_north/2024/a.wav") == "fen"
    assert site(table, "x/fen_north/2023/a.wav") is None
    assert site(table, "x/2024/fen_north/a.wav") is None


def test_columns_of_a_row(table):
    pond = table.rows[0]
    assert (pond.latitude, pond.longitude, pond.zone) == (52.5, 13.4, ZoneInfo("Europe/Berlin"))
    assert table.rows[2].zone is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_tables_as_spreadsheets_save_them(tmp_path, encoding):
    path = tmp_path / "d.csv"
    path.write_bytes("Site;Lat;Lon\r\nWéißensee;52,5;-13,4\r\n;;\r\n".encode(encoding))
    (row,) = read_deployments(path).rows
    assert (row.site, row.latitude, row.longitude) == ("Wéißensee", 52.5, -13.4)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is empty"),
        ("site\n", "no deployment"),
        ("place,zone\na,b\n", "no column 'site'"),
        ("site,zone\na,Europe/Berlim\n", r"line 2: .*did you mean Europe/Berlin\?"),
        ("site,latitude,longitude\na,1,2\nb,95,2\n", "line 3: latitude must be degrees"),
        ("site,latitude,longitude\na,1,\n", "line 2: has a latitude only"),
        ("site,start\na,1.5.2024\n", "line 2: '1.5.2024' is no time"),
        ("site,start,end\na,2024-05-02,2024-05-01\n", "line 2: ends before it starts"),
        ("site,zone\n,Europe/Berlin\n", "line 2: has no site"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, match):
    path = tmp_path / "d.csv"
    path.write_text(text)
    with pytest.raises(DeploymentError, match=match):
        read_deployments(path)
