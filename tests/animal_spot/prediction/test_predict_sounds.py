"""What ``predict.py`` makes of the sound files that people have."""

from __future__ import annotations

import csv
import io
import os

import numpy as np
import pytest
import soundfile as sf

from tests.helpers.prediction import RATE, messages, predict_here, sound, write_sound


@pytest.fixture
def run(models, tmp_path, capfd):
    """Return what predicts a folder: status, messages and rows of ``summary.csv`` by file."""

    def predict_folder(folder, *options):
        out = tmp_path / "out"
        arguments = ("--model_path", models("binary"), "--input_file", folder, "--output_dir", out)
        status = predict_here(*arguments, "--format", "csv", *options)
        written = capfd.readouterr().err
        with open(out / "summary.csv", encoding="utf-8") as file:
            rows = {os.path.basename(row["file"]): row for row in csv.DictReader(file)}
        return status, written, rows

    return predict_folder


def test_files_that_cannot_be_read_are_counted_and_listed(run, tmp_path):
    folder = tmp_path / "in"
    write_sound(folder / "a.wav", 1.0)
    for name in ("b.m4a", "c.m4a", "d.MOV"):
        (folder / name).write_bytes(b"\0\0\0\x20ftypM4A ")
    (folder / "notes.txt").write_text("x")
    (folder / "photo.jpg").write_bytes(b"x")
    status, written, rows = run(folder)
    assert status == 3
    (line,) = messages(written, "E")
    assert "3 files are of kinds that cannot be read" in line
    assert ".m4a 2, .mov 1" in line
    assert "1 other files are no sound (.jpg 1)" in written
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.wav": "complete",
        "b.m4a": "failed",
        "c.m4a": "failed",
        "d.MOV": "failed",
    }
    assert "convert it to wav or flac" in rows["d.MOV"]["reason"]
    assert "m4a files cannot be read" in (tmp_path / "out" / "failed_files.csv").read_text()


def test_all_of_a_recording_with_a_wrong_header_is_predicted(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    file = io.BytesIO()
    sf.write(file, sound(3.0), RATE, format="WAV", subtype="PCM_16")
    content = bytearray(file.getvalue())
    (folder / "right.wav").write_bytes(content)
    content[40:44] = (RATE * 2).to_bytes(4, "little")  # 1 s
    (folder / "wrapped.wav").write_bytes(content)
    status, written, rows = run(folder)
    assert status == 0
    (line,) = messages(written, "W")
    assert "wrapped.wav: the header says 1.0 s, the file holds 3.0 s" in line
    assert rows["wrapped.wav"]["windows"] == rows["right.wav"]["windows"]
    assert rows["wrapped.wav"]["duration_s"] == "3.0"
    assert "all of it is read" in rows["wrapped.wav"]["reason"]
    assert rows["right.wav"]["reason"] == ""


def test_warnings_are_kept_with_the_recording(run, tmp_path):
    write_sound(tmp_path / "in" / "a.wav", 1.0)
    loud = sound(1.0) * 32768
    sf.write(tmp_path / "in" / "counts.wav", loud, RATE, subtype="FLOAT")
    status, written, rows = run(tmp_path / "in")
    assert status == 0
    assert "counts.wav: floating-point samples of up to" in written
    again = run(tmp_path / "in")
    assert again[0] == 0
    assert again[2]["counts.wav"]["status"] == "complete before"
    assert again[2]["counts.wav"]["reason"] == rows["counts.wav"]["reason"] != ""


def test_absurd_recordings_fail_and_the_others_go_on(run, tmp_path):
    folder = tmp_path / "in"
    write_sound(folder / "good.wav", 1.0)
    for name, value in (("huge", 1e19), ("nan", np.nan)):
        samples = sound(1.0)
        samples[5000] = value
        sf.write(folder / f"{name}.wav", samples, RATE, subtype="FLOAT")
    content = bytearray((folder / "good.wav").read_bytes())
    content[24:28] = (1).to_bytes(4, "little")
    (folder / "one_hz.wav").write_bytes(content)
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.wav")
    status, _, rows = run(folder)
    assert status == 3
    assert rows.pop("good.wav")["status"] == "complete"
    assert {row["status"] for row in rows.values()} == {"failed"}
    assert "damaged" in rows["huge.wav"]["reason"]
    assert "wrong rate: the header says 1 Hz" in rows["one_hz.wav"]["reason"]


def test_results_are_called_after_the_whole_name(run, tmp_path):
    for name in ("5146.230512060000.wav", "5146.230512070000.wav", "plain.wav"):
        write_sound(tmp_path / "in" / name, 1.0)
    assert run(tmp_path / "in")[0] == 0
    found = sorted(path.name for path in (tmp_path / "out").glob("*_predict_output.csv"))
    assert found == [
        "5146.230512060000_predict_output.csv",
        "5146.230512070000_predict_output.csv",
        "plain_predict_output.csv",
    ]


def test_truth_of_a_recording_with_dots_in_its_name_is_found(run, tmp_path, capfd):
    from animal_spot import evaluate

    write_sound(tmp_path / "in" / "5146.230512060000.wav", 2.0)
    assert run(tmp_path / "in", "--threshold", "0")[0] == 0
    truth = tmp_path / "truth"
    truth.mkdir()
    header = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tAnnotation\n"
    (truth / "5146.230512060000.Table.1.selections.txt").write_text(
        header + "1\tSpectrogram 1\t1\t0.5\t0.9\ttarget\n"
    )
    options = ("--prediction_dir", tmp_path / "out", "--output_dir", tmp_path / "tables")
    arguments = (*options, "--truth_dir", truth, "--threshold", "0", "--no_report")
    assert evaluate.main([str(argument) for argument in arguments]) == 0
    assert "no table" not in capfd.readouterr().err
    (table,) = (tmp_path / "tables").glob("5146*")
    assert table.name == "5146.230512060000.Table.1.selections.txt"
