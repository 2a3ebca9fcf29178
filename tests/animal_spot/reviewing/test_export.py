"""What was decided, as files that other programs and training read."""

from __future__ import annotations

import csv

import pyarrow.parquet
import pytest

from animal_spot.tables.reading import read_events
from tests.helpers.annotated import assert_is_of_its_source, rows_of

POND = "pond_20260501_213000"


@pytest.fixture
def decided(client, decide):
    """All kinds of decisions; ids and times are those of ``ROWS``."""
    decide([1, 6], "right", begin_s=None, note="=1+1\tloud")
    decide([2], "wrong")
    decide([3], "other", begin_s=7.2, end_s=8.0, low_hz=2500, **{"class": "newt"})
    decide([4], "right")
    decide([4], "wrong", reviewer="Ben")
    decide([5], "skip")
    body = {"recording": 1, "begin_s": 10, "end_s": 11.5, "class": "owl", "reviewer": "Ann"}
    assert client.post("/api/add", json=body).status_code == 200


def export(client, kind, target="export", **more):
    answer = client.post("/api/export", json={"kind": kind, "folder": target, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_raven_tables_are_read_back(client, decided, folder):
    written = export(client, "raven")
    assert [one["name"] for one in written["files"]] == [
        f"{POND}.Table.1.selections.txt",
        "wood_20260502_120000.Table.1.selections.txt",
    ]
    assert "1 rows are unsure, or reviewers differ" in written["notes"][0]
    table = read_events(folder / "export" / written["files"][0]["name"])
    found = [
        (event.label, event.start_s, event.end_s, event.low_hz, event.is_wrong)
        for event in table.events
    ]
    assert found == [
        ("owl", 1.0, 2.0, 2000.0, False),
        ("owl", 4.0, 5.0, 2000.0, True),
        ("newt", 7.2, 8.0, 2500.0, False),
        ("owl", 10.0, 11.5, None, False),
    ]
    assert table.events[0].extra["begin_time"] == "2026-05-01T21:30:01.000"
    assert table.events[2].extra["Predicted"] == "fox"


def test_audacity_labels_are_calls_alone(client, decided, folder):
    export(client, "audacity")
    text = (folder / "export" / f"{POND}.audacity.txt").read_text()
    assert text == "1.000000\t2.000000\towl\n7.200000\t8.000000\tnewt\n10.000000\t11.500000\towl\n"


def test_csv_and_parquet_have_every_row(client, decided, folder):
    export(client, "csv")
    export(client, "parquet")
    with open(folder / "export" / "reviewed.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    said = [(row["verdict"], row["class"], row["predicted"], row["begin_time"]) for row in rows]
    assert said == [
        ("right", "owl", "owl", "2026-05-01T21:30:01.000"),
        ("wrong", "", "owl", "2026-05-01T21:30:04.000"),
        ("other", "newt", "fox", "2026-05-01T21:30:07.200"),
        ("right", "owl", "owl", "2026-05-01T21:30:10.000"),
        ("unsure", "", "fox", "2026-05-02T03:30:02.000"),
        ("right", "owl", "owl", "2026-05-02T12:00:05.000"),
    ]
    assert rows[0]["note"] == "'=1+1\tloud", "no formula of a spreadsheet"
    table = pyarrow.parquet.read_table(folder / "export" / "reviewed.parquet").to_pylist()
    assert [row["detection"] for row in table] == [1, 2, 3, 7, 4, 6]
    assert table[2]["begin_s"] == 7.2
    assert table[0]["note"] == "=1+1\tloud"


def test_clips_to_train_on(client, decided, folder):
    written = export(client, "clips", "corpus", clip_length=1.0)
    counts = {one["name"]: one["rows"] for one in written["files"]}
    assert counts == {"owl": 4, "newt": 1, "noise": 1}
    rows = rows_of(folder / "corpus")
    assert sorted((row["label"], row["source_start_s"]) for row in rows) == [
        *(("newt", "7.1"), ("noise", "4.0"), ("owl", "1.0"), ("owl", "10.0")),
        *(("owl", "10.5"), ("owl", "5.0")),
    ]
    for row in rows:
        assert_is_of_its_source(folder / "corpus", row)
    by_tape = {row["tape"] for row in rows}
    assert len(by_tape) == 2, "each recording is a tape of its own, by which corpora are divided"


def test_clips_follow_what_is_decided_later(client, decide, folder):
    decide([1, 2, 6], "right")
    export(client, "clips", "corpus")
    decide([1], "wrong")
    decide([2], "other", **{"class": "newt"})
    written = export(client, "clips", "corpus")
    assert {one["name"]: one["rows"] for one in written["files"]} == {
        **{"newt": 1, "noise": 1, "owl": 1},
    }
    for _ in range(2):
        client.post("/api/undo", json={"reviewer": "Ann"})
    client.post("/api/undo", json={"reviewer": "Ann"})
    decide([1], "right")
    written = export(client, "clips", "corpus")
    assert {one["name"]: one["rows"] for one in written["files"]} == {"owl": 1}
    wavs = [path.name for path in (folder / "corpus").glob("*.wav")]
    assert [name.split("-")[0] for name in wavs] == ["owl"]


def test_clips_that_were_not_cut_are_counted_by_reason(client, decide, folder):
    """Longer clips of the first recording hold two classes; a wrong row holds a call, too."""
    decide([1, 3, 6], "right")
    decide([2], "wrong")
    written = export(client, "clips", "corpus", clip_length=8.0)
    assert written["unit"] == "clips"
    assert {one["name"]: one["rows"] for one in written["files"]} == {"fox": 1, "owl": 1}
    left_out = folder / "corpus" / "left_out.csv"
    assert written["notes"] == [
        "2 of 4 decided events became clips, 2 did not: overlaps another class (2); which: "
        f"{left_out}"
    ]


def test_a_neighbour_that_does_not_touch_costs_no_clip(client, decide, folder):
    decide([1], "right")
    decide([3], "other", begin_s=2.1, end_s=3.0, **{"class": "newt"})  # 0.1 s after the owl
    written = export(client, "clips", "corpus")
    assert {one["name"]: one["rows"] for one in written["files"]} == {"newt": 1, "owl": 1}
    assert written["notes"] == []


def test_noise_has_no_undecided_call_beside_it(client, decide, folder):
    """From 1.5 to 7.5 s there are owls at 1 and 4 s and a fox at 7 s."""
    decide([6], "right")
    decide([2], "wrong")
    written = export(client, "clips", "corpus", clip_length=6.0)
    assert {one["name"]: one["rows"] for one in written["files"]} == {"owl": 1}
    assert "1 wrong rows became no clip" in written["notes"][0]
    decide([1, 3], "unsure")
    written = export(client, "clips", "corpus", clip_length=6.0)
    assert {one["name"]: one["rows"] for one in written["files"]} == {"owl": 1}
    shorter = export(client, "clips", "shorter", clip_length=1.0)
    assert {one["name"]: one["rows"] for one in shorter["files"]} == {"noise": 1, "owl": 1}
    decide([1, 3], "wrong")
    written = export(client, "clips", "corpus", clip_length=6.0)
    assert {one["name"]: one["rows"] for one in written["files"]} == {"noise": 3, "owl": 1}
    decide([1, 3], "unsure")
    client.post("/api/decide", json={"ids": [6], "verdict": "skip", "reviewer": "Ann"})
    body = {"kind": "clips", "folder": "none", "clip_length": 6.0}
    answer = client.post("/api/export", json=body)
    assert answer.status_code == 400
    assert "1 wrong rows became no clip" in answer.json()["error"]


def test_no_clip_at_all_says_why(client, decide, folder):
    decide([1, 3], "right")
    body = {"kind": "clips", "folder": "corpus", "clip_length": 12.0}
    answer = client.post("/api/export", json=body)
    assert answer.status_code == 400
    said = "0 of 2 decided events became clips, 2 did not: overlaps another class (2); which: "
    assert answer.json()["error"] == f"{said}{folder / 'corpus' / 'left_out.csv'}"


def test_clips_of_recordings_that_are_gone(client, decide, folder):
    decide([1, 6], "right")
    (folder / "recordings" / f"{POND}.wav").rename(folder / "aside.wav")
    written = export(client, "clips", "corpus")
    assert [(one["name"], one["rows"]) for one in written["files"]] == [("owl", 1)]
    assert written["notes"] == [
        f"1 rows are of 1 recordings that are not there, such as {folder / 'recordings' / POND}.wav"
    ]
    (folder / "recordings" / "wood_20260502_120000.wav").unlink()
    answer = client.post("/api/export", json={"kind": "clips", "folder": "corpus"})
    assert answer.status_code == 400
    assert "recording that is there: 2 are not there, such as" in answer.json()["error"]
    (folder / "aside.wav").rename(folder / "recordings" / f"{POND}.wav")
    assert client.get("/api/sound?recording=1&from=1&to=3").status_code == 200


def test_what_somebody_edited_is_left(client, decided, folder):
    export(client, "raven")
    table = folder / "export" / f"{POND}.Table.1.selections.txt"
    mine = table.read_text() + "mine\n"
    table.write_text(mine)
    (folder / "export" / "reviewed.csv").write_text("of somebody else\n")
    client.post("/api/undo", json={"reviewer": "Ann"})
    written = export(client, "raven")
    assert table.read_text() == mine
    assert [one["name"] for one in written["files"]] == [
        "wood_20260502_120000.Table.1.selections.txt"
    ]
    assert f"{table.name} was edited" in written["notes"][0]
    assert export(client, "csv")["files"] == []
    assert (folder / "export" / "reviewed.csv").read_text() == "of somebody else\n"


def test_nothing_to_export(client):
    answer = client.post("/api/export", json={"kind": "csv", "folder": "export"})
    assert (answer.status_code, answer.json()["error"]) == (400, "nothing was decided yet")
    answer = client.post("/api/export", json={"kind": "zip"})
    assert "kind must be one of raven" in answer.json()["error"]
