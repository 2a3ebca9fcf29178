"""Progress: what is said, and when."""

from __future__ import annotations

import json
import logging
import time

import pytest

from animal_spot.prediction import sound_progress
from animal_spot.prediction.sound_progress import SoundProgress
from tests.helpers.prediction import predict_here, write_sound


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on when it is told to."""
    now = [1000.0]
    monkeypatch.setattr(sound_progress.time, "perf_counter", lambda: now[0])

    def later(seconds: float) -> None:
        now[0] += seconds

    return later


def measured(progress: SoundProgress) -> None:
    deadline = time.monotonic() + 20
    while progress.record("x")["seconds_left"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_line_each_minute_where_there_is_no_terminal(tmp_path, clock, caplog):
    caplog.set_level(logging.INFO)
    paths = [write_sound(tmp_path / f"{i}.wav", 9, i) for i in range(4)]
    progress = SoundProgress()
    progress.start(paths)
    measured(progress)
    for _ in range(6):
        clock(15)
        progress.add(3.0)
    assert len(caplog.messages) == 1
    progress.recording()
    clock(46)
    progress.recording(failed=True)
    first, second = caplog.messages
    assert first == "0 of 4 recordings, 0.00 of 0.01 h of sound, 0 x real time, 01:45 left"
    assert second.startswith("2 of 4 recordings")
    progress.close()


def test_lines_for_programs(tmp_path, clock):
    paths = [write_sound(tmp_path / f"{i}.wav", 9, i) for i in range(4)]
    file = tmp_path / "progress.jsonl"
    progress = SoundProgress(file)
    progress.start(paths)
    measured(progress)
    for seconds in (6, 6, 6):
        clock(seconds)
        progress.add(9.0)
        progress.recording()
    progress.close()
    first, middle, last = map(json.loads, file.read_text().splitlines())
    assert first["state"] == "running"
    assert first["recordings_total"] == 4
    assert middle["recordings_done"] == 1, "the sound of the second is done, not its tables"
    assert last | {"time": ""} == {
        "time": "",
        "state": "stopped",
        "recordings_done": 3,
        "recordings_failed": 0,
        "recordings_total": 4,
        "hours_done": 0.0075,
        "hours_total": 0.01,
        "times_real_time": 1.5,
        "seconds_left": 6,
    }


def test_the_command_writes_them(models, tmp_path):
    write_sound(tmp_path / "in" / "a.wav", 0.5)
    (tmp_path / "in" / "b.wav").write_bytes(b"RIFF")
    file = tmp_path / "out" / "jobs" / "progress.jsonl"
    flags = ("--model_path", models("binary"), "--input_file", tmp_path / "in", "--no_report")
    status = predict_here(*flags, "--output_dir", tmp_path / "out", "--progress_file", file)
    assert status == 3
    last = json.loads(file.read_text().splitlines()[-1])
    assert last["state"] == "done"
    assert (last["recordings_done"], last["recordings_failed"]) == (1, 1)
    assert predict_here(*flags, "--output_dir", tmp_path / "out", "--progress_file", file) == 3
    assert len(file.read_text().splitlines()) > 2, "more are appended"


@pytest.mark.parametrize("name", ["in/a.wav", "in", "list.txt"])
def test_no_line_goes_into_another_file(name, tmp_path, models, capsys):
    """A recording got lines of JSON at its end."""
    write_sound(tmp_path / "in" / "a.wav", 0.5)
    (tmp_path / "list.txt").write_text("[1]\n")
    before = (tmp_path / "in" / "a.wav").read_bytes()
    flags = ("--model_path", models("binary"), "--input_file", tmp_path / "in", "--no_report")
    output = ("--output_dir", tmp_path / "out")
    assert predict_here(*flags, *output, "--progress_file", tmp_path / name) == 1
    assert f"--progress_file {tmp_path / name} is" in capsys.readouterr().err
    assert (tmp_path / "in" / "a.wav").read_bytes() == before
    assert (tmp_path / "list.txt").read_text() == "[1]\n"
