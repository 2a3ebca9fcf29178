"""Ctrl-C and a request to terminate become a flag that the training loop looks at."""

from __future__ import annotations

import signal
from types import FrameType


class Interrupted(Exception):  # noqa: N818 - not an error: the user's wish
    """Training was asked to stop; ``status`` is the exit status that says so."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.status = 128 + signal_number


class StopRequest:
    """Notes SIGINT and SIGTERM inside a ``with`` block; a second one acts at once."""

    def __init__(self) -> None:
        self._signal: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def check(self) -> None:
        """Raise ``Interrupted`` if a signal came."""
        if self._signal is not None:
            raise Interrupted(self._signal)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
