"""A step in a process of its own: its status, its search path, and its end with the parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from footprints.system import child
from footprints.system.child import run_step
from footprints.system.errors import UserError
from tests.helpers.places import ROOT

CODE = "import sys; from footprints.system.child import run_step; "
CODE += "print(run_step('synthesise', ['--output_dir', sys.argv[2], '--n_per_class', 5000]))"


def test_its_status_and_its_line_come_back(tmp_path: Path, capfd, monkeypatch) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('a file of the current folder was run')")
    monkeypatch.chdir(tmp_path)
    assert run_step("audit", [tmp_path / "absent"]) == 1
    assert "error: " in capfd.readouterr().err
    assert run_step("audit", ["--threads", "0", "."]) == 2


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
def test_a_killed_step_is_one_line(monkeypatch) -> None:
    monkeypatch.setattr(child, "_START", ("-c", "import os; os.kill(os.getpid(), 9)"))
    with pytest.raises(UserError, match=r"footprints\.prepare was ended by signal 9"):
        run_step("prepare", [])


SLEEPY = """
import sys, time, types
step = types.ModuleType("footprints.sleepy")
sys.modules["footprints.sleepy"] = step
step.main = lambda: [print("up", flush=True), *(time.sleep(0.05) for _ in range(1200))]
from footprints.system.child import main
sys.exit(main())
"""
STOPPABLE = f"""
import sys
from footprints.system import child
from footprints.system.errors import run
child._START = ("-c", {SLEEPY!r})
sys.exit(run(lambda: child.run_step("sleepy", [])))
"""


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize("who", ["both", "parent", "child"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_said_once(who: str, number: int) -> None:
    """Ctrl-C goes to both; ``kill`` to one of them."""
    parent = subprocess.Popen(
        [sys.executable, "-c", STOPPABLE, str(ROOT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert parent.stdout.readline() == "up\n"
        if who == "both":
            os.killpg(parent.pid, number)
        elif who == "parent":
            parent.send_signal(number)
        else:
            children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
            if not children.is_file():
                pytest.skip("looks for the child in /proc")
            os.kill(int(children.read_text()), number)
        _, said = parent.communicate(timeout=30)
    finally:
        parent.kill()
        parent.wait()
    assert said == "stopped; start again with the same command to go on\n"
    assert parent.returncode == 128 + number


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    target = tmp_path / "drawn"
    parent = subprocess.Popen([sys.executable, "-c", CODE, str(ROOT), str(target)])
    try:
        deadline = time.monotonic() + 120
        while not (target / "oat").is_dir() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(processes_of(target)) == 2
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 60
    while processes_of(target) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes_of(target)


def processes_of(target: Path) -> list[str]:
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path("/proc", number, "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(target) in command:
            found.append(number)
    return found
