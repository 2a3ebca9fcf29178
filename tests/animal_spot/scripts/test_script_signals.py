"""Requests to stop reach the program that a script runs, once; nothing is left running."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

# In the place of Python: says in a file what happens to it, and puts its things in order.
PROGRAM = f"""#!{sys.executable}
import os, signal, sys, time
def say(text):
    with open(os.environ["DIARY"], "a") as file:
        file.write(text + "\\n")
def stop(number, _):
    say(f"got {{number}}")
    time.sleep(0.2)
    say("checkpoint")
    sys.exit(128 + number)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, stop)
say(f"ready {{os.getpid()}}")
for _ in range(300):
    time.sleep(0.1)
say("never asked to stop")
"""
SCRIPTS = {
    "train_resnet18": {"DATA_DIR": "clips"},
    "train_ensemble": {"DATA_DIR": "clips", "MEMBERS": "resnet18"},
    "train_footprints": {"REAL_DIR": "clips"},
    "footprints_demo": {},
    "predict_demo": {"MODEL": "none"},
}
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


class Started:
    """A script whose program is running."""

    def __init__(self, folder: Path, name: str) -> None:
        root = folder / "root"
        for part in ("TRAINING", "PREDICTION"):
            shutil.copytree(ROOT / part, root / part)
        (folder / "clips").mkdir()
        self.diary = folder / "diary"
        (folder / "bin").mkdir()
        python = folder / "bin" / "python3"
        python.write_text(PROGRAM)
        python.chmod(0o755)
        part = "PREDICTION" if name == "predict_demo" else "TRAINING"
        self.command = ["bash", str(root / part / f"{name}.sh")]
        self.options = {
            "cwd": folder,
            "env": {
                "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
                "DIARY": str(self.diary),
                "OUTPUT_DIR": str(folder / "out"),
                **SCRIPTS[name],
            },
        }

    def lines(self) -> list[str]:
        return self.diary.read_text().splitlines() if self.diary.exists() else []

    def program(self) -> int:
        """Wait until the program runs; return its process."""
        wait_until(lambda: any(line.startswith("ready") for line in self.lines()))
        return int(self.lines()[0].split()[1])


def wait_until(true, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    except OSError:
        os.kill(process, 0)
        return True
    return state != "Z"


@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_signal_to_a_script_reaches_its_program(name, number, tmp_path):
    started = Started(tmp_path, name)
    script = subprocess.Popen(
        started.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **started.options
    )
    program = started.program()
    script.send_signal(number)
    errors = script.communicate(timeout=20)[1].decode()
    assert script.returncode == 128 + number, errors
    assert started.lines()[1:] == [f"got {int(number)}", "checkpoint"]
    assert not runs(program)


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
@pytest.mark.parametrize("name", ["train_resnet18", "train_ensemble"])
def test_a_killed_script_leaves_nothing_running(name, tmp_path):
    started = Started(tmp_path, name)
    script = subprocess.Popen(started.command, stderr=subprocess.DEVNULL, **started.options)
    program = started.program()
    script.kill()
    script.wait(timeout=20)
    wait_until(lambda: not runs(program))
    assert started.lines()[1:] == [f"got {int(signal.SIGTERM)}", "checkpoint"]


@pytest.fixture
def in_terminal(tmp_path):
    """A script that runs in a terminal: its process, and the other end of the terminal."""
    opened = []

    def start(name: str) -> tuple[Started, int, int]:
        started = Started(tmp_path, name)
        process, terminal = pty.fork()
        if not process:
            os.chdir(tmp_path)
            os.execvpe("bash", started.command, started.options["env"])
        opened.append((process, terminal))
        return started, process, terminal

    yield start
    for process, terminal in opened:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(process, 0)
        with contextlib.suppress(OSError):
            os.close(terminal)


@pytest.mark.parametrize("name", ["train_resnet18", "train_ensemble"])
def test_ctrl_c_reaches_the_program_once(name, in_terminal):
    started, script, terminal = in_terminal(name)
    program = started.program()
    os.write(terminal, b"\x03")
    wait_until(lambda: not runs(program))
    status = os.waitstatus_to_exitcode(os.waitpid(script, 0)[1])
    assert status == 130
    assert started.lines()[1:] == ["got 2", "checkpoint"]


def test_a_closed_terminal_reaches_the_program(in_terminal):
    started, _, terminal = in_terminal("train_resnet18")
    program = started.program()
    os.close(terminal)
    wait_until(lambda: not runs(program))
    assert started.lines()[1:] == ["got 1", "checkpoint"]


def test_ctrl_z_stops_the_program_until_it_is_woken(in_terminal):
    started, script, terminal = in_terminal("train_resnet18")
    program = started.program()
    state = Path(f"/proc/{program}/stat")
    os.write(terminal, b"\x1a")
    if state.exists():
        wait_until(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T")
    assert os.WIFSTOPPED(os.waitpid(script, os.WUNTRACED)[1])
    os.kill(script, signal.SIGCONT)
    if state.exists():
        wait_until(lambda: state.read_text().rsplit(")", 1)[1].split()[0] != "T")
    os.kill(script, signal.SIGTERM)
    wait_until(lambda: "checkpoint" in started.lines())


def test_the_status_of_a_program_is_that_of_the_script(tmp_path):
    started = Started(tmp_path, "train_resnet18")
    (tmp_path / "bin" / "python3").write_text("#!/bin/sh\nexit 3\n")
    assert subprocess.run(started.command, **started.options).returncode == 3
