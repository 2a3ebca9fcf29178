"""utils/interrupt.py: Ctrl-C while packages are imported, and requests to end in a loop."""

from __future__ import annotations

import os
import signal
import time

import pytest

from animal_spot.utils import interrupt
from animal_spot.utils.interrupt import STOPS, Interrupted, StopRequest, leave_to_main_process
from tests.helpers.programs import run_program

PROGRAMS = {
    "main": [],
    "predict": [],
    "evaluate": [],
    "ensemble": ["a.pk", "b.pk", "--data_dir", "x"],
    "calibrate": ["a.pk", "--data_dir", "x"],
    "tune": ["--data_dir", "x", "--output_dir", "y"],
    "synthesise_corpus": ["--output_dir", "x"],
    "synthesise_recording": ["--output_dir", "x"],
}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are a Unix thing")


@pytest.fixture
def handlers():
    """Put the handlers of this process back at the end."""
    before = {number: signal.getsignal(number) for number in STOPS}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("program", PROGRAMS)
def test_ctrl_c_while_packages_are_imported_is_one_line(program, tmp_path):
    """The first package that is imported stands for all: in it Ctrl-C comes."""
    ending = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nraise ImportError('too late')"
    for package in ("numpy", "torch", "tqdm", "soundfile", "scipy", "optuna"):
        (tmp_path / f"{package}.py").write_text(ending)
    result = run_program(
        program,
        *PROGRAMS[program],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        restore_signals=True,
    )
    assert (result.returncode, result.stderr) == (130, "stopped before it began\n")


def test_a_program_that_works_gets_its_exception_back(handlers):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupt.end_in_one_line()
    assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    interrupt.raise_again()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_an_ignored_ctrl_c_stays_ignored(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupt.end_in_one_line()
    interrupt.raise_again()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.mark.parametrize("number", STOPS)
def test_each_request_to_end_is_noted_and_the_second_acts_at_once(number, handlers):
    acted = []
    signal.signal(number, lambda *_: acted.append(number))
    with StopRequest() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted, match=signal.Signals(number).name) as raised:
            stop.check()
        assert raised.value.status == 128 + number
        assert acted == []
        os.kill(os.getpid(), number)
        assert acted == [number]


def test_with_nohup_a_closed_window_changes_nothing(handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.01)
        stop.check()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_worker_processes_leave_all_requests_to_the_main_process(handlers):
    leave_to_main_process()
    for number in STOPS:
        assert signal.getsignal(number) == signal.SIG_IGN
        os.kill(os.getpid(), number)
