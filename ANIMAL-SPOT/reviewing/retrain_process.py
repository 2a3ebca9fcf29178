"""Which process retrains into a folder, as the others can see it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from animal_spot.utils.files import locked, sole_process, write_text_atomic

PROCESS = "retraining is process %d"  # first line of each in the log
_LOCK = ".retrain.lock"
_NUMBER = ".retrain.pid"


@dataclass(frozen=True)
class Running:
    """A process that retrains; its number is None where it is not known."""

    number: int | None


@contextlib.contextmanager
def sole_retraining(output: Path) -> Iterator[None]:
    """Be the only process that retrains into a folder while the block runs.

    Raises:
        OSError: If another one does, or nothing can be written.
    """
    with sole_process(output / _LOCK, f"retraining in {output}"):
        number = output / _NUMBER
        write_text_atomic(number, f"{os.getpid()}\n")
        try:
            yield
        finally:
            number.unlink(missing_ok=True)


def running(output: Path) -> Running | None:
    """Return the process that retrains into a folder, whoever started it; None: there is none."""
    if not (output / _LOCK).is_file():
        return None
    try:
        with locked(output / _LOCK):
            return None
    except BlockingIOError:
        number = None
        with contextlib.suppress(OSError, ValueError):
            number = int((output / _NUMBER).read_text(encoding="utf-8"))
        # Other numbers mean groups of processes.
        return Running(number if number is not None and number > 0 else None)
    except OSError:  # where it cannot be locked, retraining cannot begin either
        return None
