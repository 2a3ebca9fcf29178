from __future__ import annotations

import errno
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from footprints.system.errors import UserError, run


@pytest.fixture(autouse=True)
def own_handlers(monkeypatch, tmp_path):
    """Give the signals back, and a folder of its own to what is noted down."""
    numbers = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
    before = [signal.getsignal(number) for number in numbers]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def _raise(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("a\x1b[31mb\nc.jpg: gone"), r"a\x1b[31mb\nc.jpg: gone"),
        (
            OSError(errno.ENOSPC, "No space left on device", "out/scores.json"),
            "out/scores.json: No space left on device; free space or choose another output folder",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "out"),
            "out: Permission denied; see to the permission or choose another folder",
        ),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "m.pt"), "m.pt: Is a directory"),
        (MemoryError(), "not enough memory; close other programs or give smaller numbers to the"),
        (
            RuntimeError("can't start new thread"),
            "the system gives no more threads; close other programs or give fewer --processes",
        ),
    ],
)
def test_what_can_be_mended_is_one_line(error, line, capsys, tmp_path) -> None:
    assert run(lambda: _raise(error)) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {line}")
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_foreseen_is_one_line_and_a_file(capsys, tmp_path) -> None:
    assert run(lambda: _raise(KeyError("a\nb"))) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    (details,) = tmp_path.iterdir()
    assert str(details) in said
    assert "KeyError" in said
    assert "Traceback (most recent call last)" in details.read_text()


@pytest.mark.parametrize("status", [0, 3])
def test_the_status_of_a_step_is_kept(status) -> None:
    assert run(lambda: status) == status


STEP = """
import signal, sys, time
from footprints.system.errors import run
def main():
    try:
        print("ready", flush=True)
        for _ in range(1200):  # a signal that comes just before a sleep does not end it
            time.sleep(0.05)
    finally:
        print("tidied up", flush=True)
    return 0
sys.exit(run(main))
"""


def _start(*before: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [*before, sys.executable, "-c", STEP],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_step_in_order(name) -> None:
    process = _start()
    number = getattr(signal, name)
    process.send_signal(number)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "tidied up\n")
    assert said == "stopped; start again with the same command to go on\n"


def test_a_step_can_say_what_a_stop_means(capsys) -> None:
    def step() -> int:
        stop = KeyboardInterrupt()
        stop.said = "stopped; begin anew"
        raise stop

    assert run(step) == 130
    assert capsys.readouterr().err == "stopped; begin anew\n"


@pytest.mark.skipif(not Path("/usr/bin/nohup").exists(), reason="no nohup here")
def test_below_nohup_the_end_of_the_terminal_is_ignored() -> None:
    process = _start("/usr/bin/nohup")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
