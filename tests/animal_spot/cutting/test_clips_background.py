"""Runs of ``clips.py`` with background, false alarms, the summary and pages of pictures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

from animal_spot.data.labels import parse_clip
from tests.helpers.annotated import (
    RATE,
    assert_is_of_its_source,
    make_recording,
    rows_of,
    state_of,
    write_table,
)
from tests.helpers.programs import run_here

CALLS = [("owl", 3, 3.5), ("owl", 6, 7), ("fox", 10, 11), ("rain", 14, 16)]


@pytest.fixture
def field(tmp_path) -> Path:
    """A folder with two recordings and their tables; rain shall be left out."""
    for seed, stem in enumerate(("rec_1", "rec_2")):
        make_recording(tmp_path / "field", stem, CALLS, seconds=60, seed=seed)
    (tmp_path / "map.csv").write_text("label,class\nowl,owl\nfox,fox\nrain,\n")
    return tmp_path / "field"


def clips(field: Path, *more: object, pages: int = 0):
    corpus, label_map = field.parent / "corpus", field.parent / "map.csv"
    return run_here(
        *("clips", "--recordings", field, "--output_dir", corpus, "--label_map", label_map),
        *("--contact_sheets", pages, *more),
    )


def noise_of(field: Path) -> list[dict[str, str]]:
    return [row for row in rows_of(field.parent / "corpus") if row["label"] == "noise"]


def test_background_is_as_much_as_the_largest_class_and_away_from_every_event(field):
    assert clips(field).returncode == 0
    rows = noise_of(field)
    assert len(rows) == 4  # as of owl
    assert Counter(row["tape"] for row in rows) == {"1950_REC-1": 2, "1950_REC-2": 2}
    for row in rows:
        assert_is_of_its_source(field.parent / "corpus", row)
        assert parse_clip(row["file"]).class_name == "noise"
        assert row["table"] == row["row"] == row["low_hz"] == ""
        start, end = float(row["source_start_s"]), float(row["source_end_s"])
        assert all(end <= s - 1 or start >= e + 1 for _, s, e in CALLS)
    before = state_of(field.parent / "corpus")
    assert "0 of them new" in clips(field).stderr
    assert state_of(field.parent / "corpus") == before


def test_amount_class_margin_and_seed_are_chosen(field):
    flags = ("--background", 30, "--background_class", "sea", "--background_margin", 0)
    assert clips(field, *flags).returncode == 0
    rows = [row for row in rows_of(field.parent / "corpus") if row["label"] == "sea"]
    assert len(rows) == 30
    other = field.parent / "other"
    for seed, folder in enumerate((other / "0", other / "1")):
        flags = ("--output_dir", folder, "--seed", seed, "--contact_sheets", 0)
        assert run_here("clips", "--recordings", field, *flags).returncode == 0
    files = [{row["file"] for row in rows_of(folder)} for folder in other.iterdir()]
    assert files[0] != files[1]


def test_where_there_is_no_room_it_is_said(field):
    ended = clips(field, "--background", 1000)
    assert ended.returncode == 0
    assert "1000 clips of the class noise were wanted, and there is room for" in ended.stderr
    assert f"room for {len(noise_of(field))}:" in ended.stderr


def test_new_recordings_and_new_events_change_the_background(field):
    clips(field)
    make_recording(field, "rec_3", CALLS, seconds=60, seed=9)
    clips(field)
    assert Counter(row["tape"] for row in noise_of(field)).most_common(1)[0][1] == 2
    assert len(noise_of(field)) == 6
    first = noise_of(field)[0]
    start = float(first["source_start_s"])
    table = field / (Path(first["source"]).stem + ".Table.1.selections.txt")
    write_table(table, [*CALLS, ("fox", start + 0.1, start + 0.2)])
    ended = clips(field)
    assert "1 clips of earlier runs stay" in ended.stderr
    assert first["file"] in ended.stderr
    assert len(noise_of(field)) == 7  # another one for that which is none


def test_removed_background_is_neither_cut_again_nor_replaced(field):
    clips(field)
    (field.parent / "corpus" / noise_of(field)[0]["file"]).unlink()
    assert "0 of them new" in clips(field).stderr


def test_recordings_without_calls_and_without_table(field):
    silent, unknown = field.parent / "silent", field
    silent.mkdir()
    (make_recording(field.parent / "made", "quiet", [], seconds=60)).rename(silent / "quiet.wav")
    (make_recording(field.parent / "made", "nobody", [], seconds=60)).rename(unknown / "nobody.wav")
    ended = clips(field, "--background", 30, "--background_dir", silent)
    assert ended.returncode == 0
    tapes = Counter(row["tape"] for row in noise_of(field))
    assert tapes == {"1950_REC-1": 10, "1950_REC-2": 10, "1950_QUIET": 10}
    assert "may hide in the class noise: 1 of 4 recordings have no table" in ended.stderr


def test_background_is_heard_in_the_channel_of_the_calls(field):
    silent = field.parent / "silent"
    silent.mkdir()
    for path in (field / "rec_1.wav", field / "rec_2.wav", silent / "quiet.wav"):
        samples = np.random.default_rng(3).integers(-900, 900, (60 * RATE, 2), np.int16)
        samples[:, 1] *= 9
        sf.write(path, samples, RATE, subtype="PCM_16")
    assert clips(field, "--background_dir", silent, "--channel", 2).returncode == 0
    rows = noise_of(field)
    assert {row["tape"] for row in rows} >= {"1950_QUIET"}
    for row in rows:
        whole, rate = sf.read(row["source"], dtype="int16")
        first = round(float(row["source_start_s"]) * rate)
        heard, _ = sf.read(field.parent / "corpus" / row["file"], dtype="int16")
        assert np.array_equal(heard, whole[first : first + len(heard), 1])


def test_the_loudest_background_is_listed(field):
    path = field / "rec_2.wav"
    samples, _ = sf.read(path, dtype="int16")
    samples[50 * RATE : 52 * RATE] //= 4
    samples[40 * RATE : 44 * RATE] *= 2
    sf.write(path, samples, RATE, subtype="PCM_16")
    clips(field, "--background", 60)
    listed = rows_of(field.parent / "corpus", "background_to_check.csv")
    assert len(listed) == 20
    first = listed[0]
    assert first["source"] == str(path)
    assert 38.5 < float(first["source_start_s"]) < 44
    heard, _ = sf.read(field.parent / "corpus" / first["file"])
    level_db = 20 * np.log10(np.sqrt(np.mean(heard**2)))
    assert float(first["level_db"]) == pytest.approx(level_db, abs=0.1)
    assert float(first["above_usual_db"]) >= float(listed[1]["above_usual_db"])


def test_false_alarms_become_background(field):
    review = field.parent / "review.csv"
    review.write_text(
        "recording,label,start_s,end_s,correct\n"
        "rec_1.wav,owl,30,31,no\nrec_1.wav,owl,6,7,yes\nrec_2.wav,fox,10.2,10.8,no\n"
    )
    ended = clips(field, "--negatives", review, "--background", 0)
    assert ended.returncode == 0, ended.stderr
    (row,) = noise_of(field)
    assert (row["table"], row["row"]) == (str(review), "1")
    assert (row["source_start_s"], row["source_end_s"]) == ("29.75", "31.25")
    assert row["file"].startswith("noise-owl_")
    left_out = rows_of(field.parent / "corpus", "left_out.csv")
    (other,) = [one for one in left_out if one["table"] == str(review)]
    assert other["kind"] == "overlaps another class"  # a fox is there, whoever marked it
    assert len(rows_of(field.parent / "corpus")) == 1 + 6
    clips(field, "--negatives", review)
    assert len(noise_of(field)) == 4  # it is one of them
    review.write_text("recording,label,start_s,end_s,correct\nrec_1.wav,owl,30,31,yes\n")
    ended = clips(field, "--negatives", review)
    assert ended.returncode == 3
    assert "none of its 1 rows is marked as wrong" in ended.stderr


def test_a_false_alarm_that_was_cut_stays_background_when_its_table_is_read_as_others_are(field):
    review = field / "rec_1.reviewed.csv"
    (field / "rec_1.Table.1.selections.txt").unlink()
    review.write_text("label,start_s,end_s,review\nowl,30,31,wrong\nowl,6,7,\nfox,10,11,\n")
    assert clips(field, "--negatives", review).returncode == 0
    files = [row["file"] for row in noise_of(field)]
    assert any(name.startswith("noise-owl_") for name in files)
    ended = clips(field)
    assert "0 of them new" in ended.stderr
    assert "belong to no event" not in ended.stderr
    assert files == [row["file"] for row in noise_of(field)]


def test_the_summary_counts_each_event_once(field):
    make_recording(field, "rec_3", [("owl", 3, 4), ("fox", 3.5, 5), ("fox", 9, 9.01)], seed=5)
    ended = clips(field, "--shortest_event", 0.1)
    rows = {row["class"]: row for row in rows_of(field.parent / "corpus", "summary.csv")}
    counted = {
        name: tuple(int(row[key]) for key in ("events", "clips", "left_out", "overlapping"))
        for name, row in rows.items()
    }
    assert counted == {
        "": (2, 0, 2, 0),
        "owl": (5, 4, 1, 1),
        "fox": (4, 2, 2, 1),
        "noise": (0, 4, 0, 0),
    }
    assert (rows["fox"]["too_short"], rows[""]["no_class"]) == ("1", "2")
    assert float(rows["owl"]["seconds"]) == pytest.approx(2 * (1.0 + 1.5))
    shown = [line.split() for line in ended.stdout.splitlines()]
    assert ["owl", "5", "4", "4", "2", "5.0", "1"] in [line[:7] for line in shown]


def test_each_class_gets_a_page_once(field):
    (field.parent / "map.csv").write_text("label,class\nowl,$owl$ _x^\nfox,fox\n")
    assert clips(field, pages=48).returncode == 0
    folder = field.parent / "corpus" / "contact_sheets"
    before = state_of(folder)
    assert set(before) == {"$owl$ _x^.png", "fox.png", "noise.png"}
    for name in before:
        with Image.open(folder / name) as picture:
            colours = len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0))
            assert picture.width > 1000
        assert colours > 100
    clips(field, pages=48)
    assert state_of(folder) == before
    (folder / "fox.png").write_bytes(b"mine")
    make_recording(field, "rec_3", [("fox", 3, 4), ("owl", 8, 9)], seed=7)
    clips(field, pages=48)
    after = state_of(folder)
    assert after["fox.png"] == (b"mine", after["fox.png"][1])
    assert after["$owl$ _x^.png"] != before["$owl$ _x^.png"]
