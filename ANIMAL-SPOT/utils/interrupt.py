"""Ctrl-C and requests to end: a flag for a loop to look at, one line before there is a loop."""

from __future__ import annotations

import os
import signal
from types import FrameType

from animal_spot.utils.status import stopped_by

# What asks a program to end, where the system has it; SIGHUP and SIGBREAK: its window was closed.
STOPS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)
INTERRUPTED = stopped_by(signal.SIGINT)


class Interrupted(Exception):  # noqa: N818 - not an error: the user's wish
    """Training was asked to stop; ``status`` is the exit status that says so."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.status = stopped_by(signal_number)


class StopRequest:
    """Notes ``STOPS`` inside a ``with`` block; a second one acts at once.

    A program that was started with ``nohup`` goes on when its window is closed.

    Args:
        patient: A second one does not act at once either: ``torchrun`` sends what others sent
            already, and ends what does not end.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self._patient = patient
        self._signal: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        for number in STOPS:
            ignored = signal.getsignal(number) == signal.SIG_IGN
            if not (ignored and number == getattr(signal, "SIGHUP", None)):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @property
    def number(self) -> int | None:
        """Number of the signal that came, or None."""
        return self._signal

    def check(self) -> None:
        """Raise ``Interrupted`` if a signal came."""
        if self._signal is not None:
            raise Interrupted(self._signal)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signal = number
        if not self._patient:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()


def leave_to_main_process() -> None:
    """Ignore all ``STOPS``; for the start of worker processes, which the main process ends."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


def end_in_one_line() -> None:
    """Let Ctrl-C end the program at once with one line; while packages are imported."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_again() -> None:
    """Let Ctrl-C be a KeyboardInterrupt again, for a program that has begun to work."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    # An exception would be a traceback from the middle of a package.
    os.write(2, b"stopped before it began\n")
    os._exit(INTERRUPTED)
