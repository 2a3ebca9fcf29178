"""The program: from the files of a prediction, or reviewed tables, to activity."""

from __future__ import annotations

import csv

import pytest

from animal_spot import activity
from tests.helpers import recorders

HEADER = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\t"
SUMMARY = (
    "file,status,duration_s,windows,detections,detections_noise,detections_owl,detections_newt,"
    "seconds,results,reason{more}\n"
    "old/pond/20240331_015930.wav,complete,120.0,9,2,0,2,0,1.0,a,{first}\n"
    "old/pond/20240402_233000.wav,complete before,3600.0,9,0,0,0,0,1.0,b,{second}\n"
    "old/pond/broken.wav,failed,,,,,,,,,damaged{third}\n"
)
COMBINED = (
    f"{HEADER}Begin Path\tFile Offset (s)\tBegin File\tAnnotation\tScore\n"
    "1\tSpectrogram 1\t1\t29.900\t30.500\t0.0\t100.0\told/pond/20240331_015930.wav\t29.900\t"
    "20240331_015930.wav\towl\t0.9000\n"
    "2\tSpectrogram 1\t1\t30.100\t31.000\t0.0\t100.0\told/pond/20240331_015930.wav\t30.100\t"
    "20240331_015930.wav\towl\t0.9000\n"
)
DEPLOYMENTS = "site,folder,latitude,longitude,zone\npond,pond,52.5,13.4,Europe/Berlin\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    predicted = tmp_path / "predicted"
    predicted.mkdir()
    summary = SUMMARY.format(more="", first="", second="", third="")
    (predicted / "summary.csv").write_text(summary)
    (predicted / "all_recordings.Table.1.selections.txt").write_text(COMBINED)
    (tmp_path / "deployments.csv").write_text(DEPLOYMENTS)
    return tmp_path


def rows(path):
    with open(path, newline="") as file:
        return [",".join(row) for row in csv.reader(file)][1:]


def test_prediction_whose_recordings_are_gone(folder, capsys):
    argv = [
        "--prediction_dir",
        "predicted",
        "--output_dir",
        "out",
        "--deployments",
        "deployments.csv",
    ]
    assert activity.main(argv) == 0
    assert rows(folder / "out" / "activity.csv") == [
        "pond,2024-03-31,1,owl,1,0.008333",
        "pond,2024-03-31,1,newt,0,0.008333",
        "pond,2024-03-31,3,owl,1,0.025",
        "pond,2024-03-31,3,newt,0,0.025",
        "pond,2024-04-02,23,owl,0,0.5",
        "pond,2024-04-02,23,newt,0,0.5",
        "pond,2024-04-03,0,owl,0,0.5",
        "pond,2024-04-03,0,newt,0,0.5",
    ]
    assert rows(folder / "out" / "history_newt.csv") == ["pond,0,NA,0,0"]
    said = capsys.readouterr().err
    assert "1 recordings are not complete" in said
    assert "recording times: 2 by file name" in said
    files = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    assert {"activity_of_owl.png", "activity_of_owl.svg"} <= set(files)
    assert activity.main(argv) == 0
    again = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    del files[".activity.jsonl"], again[".activity.jsonl"]
    assert again == files


def test_times_that_the_summary_has(folder):
    summary = SUMMARY.format(
        more=",recording_start,site",
        first=",2020-05-01T21:00:00.000+02:00,fen",
        second=",2020-05-01T22:00:00.000+02:00,fen",
        third=",,",
    )
    (folder / "predicted" / "summary.csv").write_text(summary)
    argv = ["--prediction_dir", "predicted", "--output_dir"]
    assert activity.main([*argv, "own"]) == 0
    assert rows(folder / "own" / "activity_by_hour.csv") == [
        "fen,21,owl,2,0.033333,60.0",
        "fen,21,newt,0,0.033333,0.0",
        "fen,22,owl,0,1.0,0.0",
        "fen,22,newt,0,1.0,0.0",
    ]
    assert activity.main([*argv, "anew", "--deployments", "deployments.csv"]) == 0
    assert rows(folder / "anew" / "activity.csv")[0].startswith("pond,2024-03-31,1")


@pytest.fixture
def reviewed(folder):
    recorders.wav(folder / "rec" / "20240331_015930.wav", seconds=60)
    recorders.wav(folder / "rec" / "20240331_040000.wav", seconds=60)
    tables = folder / "tables"
    tables.mkdir()
    (tables / "20240331_015930.Table.1.selections.txt").write_text(
        f"{HEADER}Annotation\n1\tSpectrogram 1\t1\t1.0\t2.0\t0.0\t9.0\towl\n"
        "2\tSpectrogram 1\t1\t3.0\t4.0\t0.0\t9.0\tnoise\n"
    )
    return folder


def test_reviewed_tables_and_recordings(reviewed, capsys):
    argv = ["--recordings", "rec", "--tables", "tables", "--output_dir", "out"]
    assert activity.main(argv) == 0
    assert rows(reviewed / "out" / "activity.csv") == [
        "unknown,2024-03-31,1,owl,1,0.008333",
        "unknown,2024-03-31,2,owl,0,0.008333",
    ]
    said = capsys.readouterr().err
    assert "1 recordings have no table and do not count: 20240331_040000.wav" in said
    assert "local time, zone unknown" in said
    assert activity.main([*argv, "--silent_without_table"]) == 0
    assert rows(reviewed / "out" / "activity.csv")[2:] == ["unknown,2024-03-31,4,owl,0,0.016667"]


def test_edited_tables_stay_and_those_of_before_go(reviewed, capsys):
    argv = ["--recordings", "rec", "--tables", "tables", "--output_dir", "out"]
    assert activity.main(argv) == 0
    edited = reviewed / "out" / "activity.csv"
    edited.write_text("mine\n")
    table = next((reviewed / "tables").iterdir())
    table.write_text(table.read_text().replace("owl", "fox"))
    assert activity.main(argv) == 0
    assert edited.read_text() == "mine\n"
    assert "activity.csv was edited after it was written and is left" in capsys.readouterr().err
    assert (reviewed / "out" / "history_fox.csv").is_file()
    assert not (reviewed / "out" / "history_owl.csv").exists()
    assert activity.main([*argv, "--replace_edited"]) == 0
    assert (reviewed / "out" / "activity.csv.bak").read_text() == "mine\n"


def test_what_is_damaged_does_not_stop_the_others(reviewed, capsys):
    (reviewed / "rec" / "20240401_000000.wav").write_bytes(b"RIFF")
    (reviewed / "tables" / "a.selections.txt").write_text("no table\n")
    argv = ["--recordings", "rec", "--tables", "tables", "--output_dir", "out"]
    assert activity.main(argv) == 3
    assert len(rows(reviewed / "out" / "activity.csv")) == 2
    said = capsys.readouterr().err
    assert "20240401_000000.wav" in said
    assert "a.selections.txt" in said
    assert "2 failed" in said


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("--prediction_dir rec --output_dir out", "holds no summary.csv"),
        ("--recordings rec --tables nothing --output_dir out", "nothing does not exist"),
        ("--recordings none --tables tables --output_dir out", "no recording with a time"),
    ],
)
def test_what_cannot_be_used_is_one_line(reviewed, capsys, argv, said):
    recorders.wav(reviewed / "none" / "a.wav")
    assert activity.main(argv.split()) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "|E|" in line]
    assert said in line


@pytest.mark.parametrize(
    "argv",
    [
        "",
        "--output_dir out",
        "--recordings a --output_dir out",
        "--prediction_dir a",
        "--prediction_dir a --output_dir b --timezone Berlin",
        "--prediction_dir a --output_dir b --time_pattern %Y",
    ],
)
def test_command_line_that_cannot_be_used(argv):
    with pytest.raises(SystemExit, match="2"):
        activity.main(argv.split())


def test_prediction_that_was_reviewed_where_it_lies(folder, capsys):
    """What somebody took out of a Raven table does not come back by the others beside it."""
    predicted = folder / "predicted"
    stem = "20240331_015930"
    (predicted / f"{stem}.Table.1.selections.txt").write_text(
        f"{HEADER}Annotation\n1\tSpectrogram 1\t1\t29.9\t30.5\t0.0\t100.0\towl\n"
    )
    (predicted / f"{stem}.audacity.txt").write_text("29.9\t30.5\towl\n30.1\t31.0\towl\n")
    (predicted / f"{stem}_predict_output.csv").write_text("file,start_s\n")
    (predicted / "failed_files.csv").write_text("file,reason\n")
    (predicted / "all_recordings.list.txt").write_text("a.wav\n")
    argv = "--prediction_dir predicted --tables predicted --output_dir predicted/out"
    for _ in range(2):  # its own tables are none of what was found
        assert activity.main(argv.split()) == 0
        found = rows(predicted / "out" / "activity_by_day.csv")
        assert found[0].startswith("unknown,2024-03-31,owl,1,")
    assert "2 tables do not count" in capsys.readouterr().err
