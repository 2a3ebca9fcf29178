"""Exit statuses of all programs."""

from __future__ import annotations

OK = 0
FAILED = 1  # it could not start or go on, and a line says why
WRONG_USE = 2  # of the command line; argparse ends with it too
SOME_FAILED = 3  # of the files that it worked through


def stopped_by(signal_number: int) -> int:
    """Return the status of a program that a signal stopped."""
    return 128 + signal_number
