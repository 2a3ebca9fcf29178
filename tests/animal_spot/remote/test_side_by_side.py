"""Questions about recordings elsewhere: side by side, in order, and no more than needed."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from animal_spot.prediction.outcome import RecordingEnd
from animal_spot.prediction.read_ahead import read_ahead
from animal_spot.remote.side_by_side import each, side_by_side

THERE, HERE = Path("s3:/bucket/x.wav"), Path("x.wav")


def test_those_about_files_here_are_asked_one_by_one_in_this_thread():
    asked = each(lambda i: (i, threading.current_thread()), range(5), about=[HERE])
    assert list(asked) == [(i, threading.main_thread()) for i in range(5)]


def test_answers_come_in_order_though_they_take_different_times():
    def slow(i: int) -> int:
        time.sleep(0.1 * (i % 3 == 0))
        return i

    started = time.perf_counter()
    assert list(each(slow, range(90), about=[HERE, THERE])) == list(range(90))
    assert time.perf_counter() - started < 0.1 * 20, "30 of them would take longer in turn"


def test_few_more_are_asked_than_were_taken():
    asked = []
    answers = side_by_side(asked.append, range(10_000), 4)
    for _ in range(10):
        next(answers)
    answers.close()
    time.sleep(0.05)
    assert 10 <= len(asked) <= 10 + 2 * 4


def test_what_one_raises_is_raised():
    def fail(i: int) -> int:
        return 1 // i

    with pytest.raises(ZeroDivisionError):
        list(side_by_side(fail, [1, 0, 2], 2))


def test_a_run_that_waits_for_a_recording_can_be_stopped():
    ended = threading.Event()

    def never(path: Path):
        ended.wait(20)
        yield RecordingEnd()

    def stop() -> None:
        raise InterruptedError

    started = time.perf_counter()
    recordings = read_ahead([THERE], never, 1, 10, stop)
    _, items = next(recordings)
    with pytest.raises(InterruptedError):
        next(items)
    ended.set()
    assert time.perf_counter() - started < 5
