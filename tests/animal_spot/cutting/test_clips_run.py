"""Runs of ``clips.py``: from recordings and tables to a corpus, again, and after being killed."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import soundfile as sf

from animal_spot.cutting.corpus_folder import LOCK
from animal_spot.data.labels import find_clip_paths, parse_clip
from animal_spot.utils.files import locked
from tests.helpers.annotated import (
    RATE,
    assert_is_of_its_source,
    make_recording,
    rows_of,
    state_of,
    write_table,
)
from tests.helpers.places import SOUND
from tests.helpers.programs import run_here, run_program

ONLY_EVENTS = ("--background", "0", "--contact_sheets", "0")


@pytest.fixture
def field(tmp_path) -> Path:
    """A folder with two recordings and their tables."""
    make_recording(
        tmp_path / "field", "rec_1", [("owl", 1, 2), ("fox-bark", 5, 6), ("owl", 9, 9.5)]
    )
    make_recording(tmp_path / "field", "rec_2", [("owl", 3, 4), ("fox-bark", 3.5, 5)], seed=1)
    return tmp_path / "field"


def clips(field: Path, *more: object):
    """Cut events only: background and pictures are tested elsewhere."""
    corpus = field.parent / "corpus"
    return run_here("clips", "--recordings", field, "--output_dir", corpus, *ONLY_EVENTS, *more)


def test_the_made_up_recording_becomes_a_corpus_that_the_reader_of_names_understands(tmp_path):
    assert run_here("synthesise_recording", "--output_dir", tmp_path / "in").returncode == 0
    corpus = tmp_path / "corpus"
    ended = run_program(
        "clips", "--recordings", tmp_path / "in", "--output_dir", corpus, "--margin", 0.1,
        "--keep_overlapping", *ONLY_EVENTS,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    (table,) = (tmp_path / "in").glob("*.txt")
    truth = list(csv.DictReader(table.open(), delimiter="\t"))
    rows = rows_of(corpus)
    assert [int(row["row"]) for row in rows] == list(range(1, len(truth) + 1))
    for row, event in zip(rows, truth, strict=True):
        assert_is_of_its_source(corpus, row)
        label = event.get("Annotation") or event.get("Label")
        assert row["label"] == label == parse_clip(row["file"]).class_name
        assert parse_clip(row["file"]).tape == row["tape"]
        assert float(row["source_start_s"]) <= float(event["Begin Time (s)"])
    assert find_clip_paths(corpus) == sorted(row["file"] for row in rows)
    assert len(ended.stdout.splitlines()) == 1 + len({row["label"] for row in rows})


def test_the_same_command_again_changes_nothing(field):
    assert clips(field, "--clip_length", 1).returncode == 0
    before = state_of(field.parent / "corpus")
    again = clips(field, "--clip_length", 1)
    assert again.returncode == 0
    assert "0 of them new" in again.stderr
    assert state_of(field.parent / "corpus") == before


def test_names_and_rows(field):
    ended = clips(field)
    corpus = field.parent / "corpus"
    names = sorted(path.name for path in corpus.glob("*.wav"))
    assert names == [
        "fox_bark-call_38000_1950_rec-1_4750_6250.wav",
        "owl-call_6000_1950_rec-1_750_2250.wav",
        "owl-call_70000_1950_rec-1_8750_9750.wav",
    ]
    row = rows_of(corpus)[1]
    assert row == {
        "file": names[0],
        "label": "fox-bark",
        "tape": "1950_REC-1",
        "site": "",
        "source": str(field / "rec_1.wav"),
        "source_start_s": "4.75",
        "source_end_s": "6.25",
        "low_hz": "500",
        "high_hz": "3000",
        "table": str(field / "rec_1.Table.1.selections.txt"),
        "row": "2",
        "recording_start": "",
        "begin_time": "",
        "split": "",
    }
    assert "2 events left out: overlaps another class" in ended.stderr
    left_out = rows_of(corpus, "left_out.csv")
    assert [(row["row"], row["label"]) for row in left_out] == [("1", "owl"), ("2", "fox-bark")]


def test_recording_times_are_in_names_and_rows(tmp_path):
    make_recording(tmp_path / "in", "ST1_20240501_233000", [("owl", 2, 3)])
    ended = clips(tmp_path / "in", "--timezone", "Europe/Berlin", "--margin", 0)
    assert ended.returncode == 0
    (row,) = rows_of(tmp_path / "corpus")
    assert row["recording_start"] == "2024-05-01T23:30:00.000+02:00"
    assert row["begin_time"] == "2024-05-01T23:30:02.000+02:00"
    assert row["tape"] == "2024_ST1-20240501-233000"


def test_a_new_recording_adds_its_clips_and_changes_no_other(field):
    clips(field)
    before = state_of(field.parent / "corpus")
    make_recording(field, "rec_3", [("owl", 3, 4)], seed=2)
    assert "4 clips, 1 of them new" in clips(field).stderr
    after = state_of(field.parent / "corpus")
    added = set(after) - set(before)
    assert [name.split("_")[3] for name in added] == ["rec-3"]
    kept = {name: content for name, content in before.items() if name.endswith(".wav")}
    assert kept.items() <= after.items()
    labels = after["labels.csv"][0].splitlines()
    assert labels[:-1] == before["labels.csv"][0].splitlines()


def test_what_a_person_removed_or_edited_stays_so(field):
    clips(field)
    corpus = field.parent / "corpus"
    labels = corpus / "labels.csv"
    header, first, second, third = labels.read_text().splitlines()
    edited = f"{header}\n{first.replace(',owl,', ',tawny owl,')}\n{second}\n"  # one corrected
    labels.write_text(edited)  # and one taken out
    gone = corpus / second.partition(",")[0]
    gone.unlink()
    make_recording(field, "rec_3", [("owl", 3, 4)], seed=2)
    ended = clips(field)
    assert "1 events left out: clip was removed by hand" in ended.stderr
    assert not gone.exists()
    assert labels.read_text().startswith(edited)
    assert [row["file"].split("_")[3] for row in rows_of(corpus)][2:] == ["rec-3"]
    assert third not in labels.read_text()
    assert "1 of them new" in clips(field, "--restore_removed").stderr
    assert gone.exists()
    assert len(rows_of(corpus)) == 3


def test_rows_come_into_another_file_where_labels_csv_became_something_else(field):
    clips(field)
    labels = field.parent / "corpus" / "labels.csv"
    labels.write_text("my notes\n")
    make_recording(field, "rec_3", [("owl", 3, 4)], seed=2)
    ended = clips(field)
    assert "rows of new clips come into labels.new.csv" in ended.stderr
    assert labels.read_text() == "my notes\n"
    assert len(rows_of(field.parent / "corpus", "labels.new.csv")) == 1


def test_a_clip_whose_event_is_of_another_class_now_is_named(field):
    clips(field)
    write_table(field / "rec_1.Table.1.selections.txt", [("hen", 1, 2), ("owl", 9, 9.5)])
    ended = clips(field)
    assert "2 clips of earlier runs stay, but belong to no event now" in ended.stderr
    listed = rows_of(field.parent / "corpus", "left_out.csv")
    reasons = [row["reason"] for row in listed if row["kind"] == "clip without event"]
    assert reasons == ["its event is of the class 'hen' now", "no event gives it now"]


def test_clips_without_event_are_moved_out_on_demand_and_only_if_all_could_be_read(field):
    clips(field)
    corpus = field.parent / "corpus"
    before = {path.name: path.read_bytes() for path in corpus.glob("*.wav")}
    write_table(field / "rec_1.Table.1.selections.txt", [("hen", 1, 2), ("owl", 9, 9.5)])
    (field / "rec_2.Table.1.selections.txt").write_text("Begin Time (s)\tEnd Time (s)\n1\t2\n")
    assert clips(field, "--remove_stale").returncode == 3
    assert {path.name for path in corpus.glob("*.wav")} > before.keys()

    write_table(field / "rec_2.Table.1.selections.txt", [])
    assert clips(field, "--remove_stale").returncode == 0
    there = {path.name for path in corpus.glob("*.wav")}
    assert sorted(name.split("-")[0] for name in there) == ["hen", "owl"]
    gone = {path.name: path.read_bytes() for path in (corpus / ".stale").iterdir()}
    assert gone == {name: before[name] for name in before.keys() - there}
    again = clips(field, "--remove_stale")
    assert again.returncode == 0
    assert "no event now" not in again.stderr


def test_a_copy_of_a_recording_is_not_cut_a_second_time(field):
    for name in ("rec_1.wav", "rec_1.Table.1.selections.txt"):
        (field / "copy").mkdir(exist_ok=True)
        shutil.copy(field / name, field / "copy" / name)
    ended = clips(field)
    assert ended.returncode == 3
    assert f"it is a copy of {field / 'copy' / 'rec_1.wav'}: keep one" in ended.stderr
    files = [row["file"] for row in rows_of(field.parent / "corpus")]
    assert len(files) == len(set(files)) == 3


def test_a_recording_that_was_converted_is_the_same_tape(field):
    clips(field)
    before = rows_of(field.parent / "corpus")
    for path in field.glob("*.wav"):
        samples, rate = sf.read(path, dtype="int16")
        sf.write(path.with_suffix(".flac"), samples, rate)
        path.unlink()
    ended = clips(field)
    assert "0 of them new" in ended.stderr
    assert rows_of(field.parent / "corpus") == before

    (field / "rec_1.flac").rename(field / "other.flac")
    (field / "rec_1.Table.1.selections.txt").rename(field / "other.Table.1.selections.txt")
    assert "other.flac seems to be the same sound as" in clips(field).stderr


def test_the_first_row_that_cannot_be_used_is_named(field):
    with open(field / "rec_2.Table.1.selections.txt", "a") as table:
        table.write("3\tSpectrogram 1\t1\t8\t7\t500\t3000\towl\n")
    ended = clips(field)
    assert "1 rows of tables cannot be used, such as row 3 of" in ended.stderr


@pytest.mark.parametrize(("flag", "value"), [("--clip_length", 1), ("--margin", 0.5)])
def test_a_corpus_is_cut_in_one_way(field, flag, value):
    clips(field)
    ended = clips(field, flag, value)
    assert ended.returncode == 1
    assert "every call would be in it twice" in ended.stderr


def test_one_bad_recording_and_one_bad_table_stop_nothing(field):
    make_recording(field, "broken", [("owl", 3, 4)])
    (field / "broken.wav").write_bytes(b"RIFF no sound")
    (field / "rec_9.txt").write_text("no table at all\n")
    write_table(field / "lonely.txt", [("owl", 1, 2)])
    ended = clips(field)
    assert ended.returncode == 3
    for named in ("broken.wav", "rec_9.txt", "lonely.txt"):
        assert any("|E|" in line and named in line for line in ended.stderr.splitlines())
    listed = rows_of(field.parent / "corpus", "left_out.csv")
    assert len([row for row in listed if row["kind"] == "file cannot be used"]) == 3
    assert [r["label"] for r in listed if r["kind"] == "recording cannot be used"] == ["owl"]
    assert len(rows_of(field.parent / "corpus")) == 3


def test_labels_are_listed_merged_and_left_out(field):
    listed = run_here("clips", "--recordings", field, "--list_labels", field / "map.csv")
    assert listed.returncode == 0
    assert (field / "map.csv").read_text() == "label,class,events\nfox-bark,fox-bark,2\nowl,owl,3\n"
    again = run_here("clips", "--recordings", field, "--list_labels", field / "map.csv")
    assert again.returncode == 1
    (field / "map.csv").write_text("label,class\nowl,bird\nfox-bark,\n")
    assert clips(field, "--label_map", field / "map.csv").returncode == 0
    assert {row["label"] for row in rows_of(field.parent / "corpus")} == {"bird"}
    names = [row["file"] for row in rows_of(field.parent / "corpus")]
    assert all(name.startswith("bird-owl_") for name in names)


def test_a_corpus_inside_the_folder_of_recordings_is_not_cut_again(field):
    arguments = ("--recordings", field, "--output_dir", field / "corpus", *ONLY_EVENTS)
    for _ in range(2):
        assert run_here("clips", *arguments).returncode == 0
    assert len(rows_of(field / "corpus")) == 3


@pytest.mark.parametrize("inside", ["", "below"])
def test_recordings_in_the_folder_of_clips_are_refused(field, inside):
    make_recording(field / inside, "rec_3", [("owl", 1, 2)])
    ended = run_here("clips", "--recordings", field / inside, "--output_dir", field, *ONLY_EVENTS)
    assert ended.returncode == 1
    assert "name another --output_dir" in ended.stderr
    assert not list(field.glob("labels.csv"))


def test_tables_of_others_beside_a_recording_that_was_named_are_no_failure(field):
    corpus = field.parent / "corpus"
    arguments = ("--recordings", field / "rec_1.wav", "--output_dir", corpus, *ONLY_EVENTS)
    assert run_here("clips", *arguments).returncode == 0
    assert len(rows_of(corpus)) == 3
    with_tables = run_here("clips", *arguments, "--tables", field)
    assert with_tables.returncode == 3
    assert "rec_2.Table.1.selections.txt is called like none" in with_tables.stderr


def test_a_run_without_any_clip_fails_and_says_where_to_look(field):
    (field / "map.csv").write_text("label,class\nOwl,bird\n")
    ended = clips(field, "--label_map", field / "map.csv")
    assert ended.returncode == 1
    assert f"there is no clip in {field.parent / 'corpus'}: see" in ended.stderr
    assert len(rows_of(field.parent / "corpus", "left_out.csv")) == 5


def test_two_runs_at_once_are_refused(field):
    corpus = field.parent / "corpus"
    corpus.mkdir()
    with locked(corpus / LOCK):
        ended = run_program("clips", "--recordings", field, "--output_dir", corpus)
    assert ended.returncode == 1
    assert "another process is writing into" in ended.stderr
    assert not list(corpus.glob("*.wav"))


@pytest.mark.slow
def test_killed_in_the_middle_and_started_again_it_is_as_if_it_had_not_been(tmp_path):
    events = [("owl", 15 + 0.3 * n, 15.2 + 0.3 * n) for n in range(400)]
    make_recording(tmp_path / "in", "rec", events, seconds=145)
    corpus = tmp_path / "corpus"
    rules = ("--margin", "0.2", "--contact_sheets", "0")
    command = ("clips", "--recordings", tmp_path / "in", *rules, "--output_dir")
    process = subprocess.Popen(
        [sys.executable, str(SOUND / "clips.py"), *map(str, command[1:]), str(corpus)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while len(list(corpus.glob("*.wav"))) < 50:
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    there = state_of(corpus)
    assert 50 <= len(there) < 400
    assert run_here(*command, corpus).returncode == 0
    assert run_here(*command, tmp_path / "whole").returncode == 0
    after, whole = state_of(corpus), state_of(tmp_path / "whole")
    assert there.items() <= after.items()
    assert {name: content for name, (content, _) in after.items()} == {
        name: content for name, (content, _) in whole.items()
    }
    labels = Counter(row["label"] for row in rows_of(corpus))
    assert labels["owl"] == 400
    assert labels["noise"] > 20  # before, after and between what was cut when it was killed
    assert not list(corpus.glob(".*.tmp"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_long_recording_with_many_rows_takes_little_memory(tmp_path):
    n_samples = 2 * 3600 * RATE
    path = tmp_path / "in" / "long.wav"
    make_recording(tmp_path / "in", "long", [("owl", 3.5 * n, 3.5 * n + 0.3) for n in range(2000)])
    with open(path, "r+b") as file:
        head = bytearray(file.read(44))
        head[4:8] = (36 + 2 * n_samples).to_bytes(4, "little")
        head[40:44] = (2 * n_samples).to_bytes(4, "little")
        file.seek(0)
        file.write(head)
        file.truncate(44 + 2 * n_samples)
    program = (
        "import sys; from animal_spot.clips import main; status = main(sys.argv[1:]); "
        "print(open('/proc/self/status').read()); sys.exit(status)"
    )
    corpus = tmp_path / "corpus"
    ended = subprocess.run(
        [sys.executable, "-c", program, "--recordings", path, "--output_dir", corpus, *ONLY_EVENTS],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(rows_of(corpus)) == 2000
    # Its own peak: ru_maxrss would begin with that of the process that runs the tests.
    peak_kb = int(re.search(r"VmHWM:\s+(\d+) kB", ended.stdout)[1])
    assert peak_kb < 120_000  # the sound itself has 115 MB
