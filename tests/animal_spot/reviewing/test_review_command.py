"""The program as a process: killed, started again, stopped, and used wrongly."""

from __future__ import annotations

import socket
import urllib.error

import pytest

from animal_spot import review
from animal_spot.reviewing.project import Project
from tests.helpers.programs import run_here
from tests.helpers.reviewing import Running


def test_killed_and_started_again(folder):
    """No decision that was answered is lost, and the page's address goes on."""
    arguments = ("--predictions", "predictions", "--recordings", "recordings")
    running = Running(*arguments, cwd=folder)
    body = {"verdict": "right", "reviewer": "Ann"}
    for number in (1, 2, 3):
        running.ask("/api/decide", body | {"ids": [number]})
    token, running.token = running.token, "x"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        running.ask("/api/project")
    running.kill()
    again = Running("--project", "review.sqlite", cwd=folder)
    assert again.base == running.base
    assert again.ask("/api/project")["totals"]["states"]["right"] == 3
    again.token = token
    assert again.ask("/api/queue?state=open")["total"] == 3, "a page that was open goes on"
    (folder / "review.sqlite").rename(folder / "aside.sqlite")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        again.ask("/api/undo", {"reviewer": "Ann"})
    (folder / "aside.sqlite").rename(folder / "review.sqlite")
    again.ask("/api/undo", {"reviewer": "Ann"})
    status, said = again.stop()
    assert status == 0, said
    assert "Traceback" not in said
    shown = run_here("review", "--project", folder / "review.sqlite", "--statistics")
    assert shown.returncode == 0
    assert [line.split()[:4] for line in shown.stdout.splitlines()[1:3]] == [
        ["fox", "2", "0", "0"],
        ["owl", "4", "2", "2"],
    ]


def refused(*arguments):
    done = run_here("review", "--no_browser", *arguments)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_wrong_use_is_one_line(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert "what shall be reviewed?" in refused()
    assert "--threshold needs --predictions" in refused(
        "--recordings", "recordings", "--threshold", 0.3
    )
    assert "in which nothing is changed" in refused(
        "--predictions", "predictions", "--project", "predictions/review.sqlite"
    )
    assert "--recordings" in refused("--predictions", "predictions")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("--predictions", "predictions", "--recordings", "recordings", "--port", port)
    assert f"cannot listen at 127.0.0.1 port {port}" in said
    assert not (folder / "predictions" / "review.sqlite").exists()


def test_a_start_that_fails_leaves_no_file(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "nothing").mkdir()
    refused("--recordings", "nothing")
    assert list(folder.glob("review.sqlite*")) == []
    Project(folder / "empty.sqlite").close()
    said = refused("--project", "empty.sqlite")
    assert "there is nothing to review in" in said
    assert "give --predictions or --recordings" in said
    assert "is a folder: name a file, such as" in refused("--project", "recordings")


def test_recordings_that_were_moved_are_told_at_the_start(folder, project):
    (folder / "recordings").rename(folder / "elsewhere")
    command = ("review", "--project", folder / "review.sqlite", "--statistics")
    done = run_here(*command)
    assert done.returncode == 0
    assert "3 of 3 recordings of" in done.stderr
    assert str(folder / "recordings" / "pond_20260501_213000.wav") in done.stderr
    assert project.recording(1).missing
    (folder / "elsewhere").rename(folder / "recordings")
    assert "not there" not in run_here(*command).stderr
    assert not project.recording(1).missing


def test_without_its_packages(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(review, "find_spec", lambda name: None)
    said = refused("--recordings", "recordings")
    assert "review needs starlette and uvicorn" in said
    assert "pip install starlette uvicorn" in said


def test_help(capsys):
    with pytest.raises(SystemExit) as ended:
        review.main(["--help"])
    assert ended.value.code == 0
    assert "--no_browser" in capsys.readouterr().out
