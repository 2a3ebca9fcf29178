"""What goes wrong in a way that the user can mend, and how a step ends: the one place for both.

========  ============================================================================
status    meaning
========  ============================================================================
0         all went well
1         the step could not go on; one line on standard error says why
2         wrong flags (argparse)
3         the step went through, some files could not be used
128 + n   stopped by signal n: 130 Ctrl-C, 143 terminated, 129 the terminal has gone
========  ============================================================================
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from types import FrameType

from footprints.system.text import printable, reason_of

STATUS_SOME_FAILED = 3  # the step went through, some photos could not be used
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # the last is not on Windows
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}


class UserError(Exception):
    """One line: what is wrong, with which file, what to do."""


class Stopped(KeyboardInterrupt):
    """The step was asked to end, by Ctrl-C or another signal."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.status = 128 + signal_number


def run(main: Callable[[], int], *, says_stopped: bool = True) -> int:
    """Run a step and return its exit status; whatever goes wrong becomes one line.

    The traceback of an error that was not foreseen goes into a file of its own.

    Args:
        main: The step. A ``KeyboardInterrupt`` to which it gives a text ``said`` is reported so.
        says_stopped: Whether a stop gets its line; not in a child, whose parent says it.

    Returns:
        The step's own status, or one of the table above.
    """
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show is no error
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    _handle_signals(_raise)
    try:
        status = main()
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except KeyboardInterrupt as error:
        _handle_signals(_leave)  # who asks once more does not wait for our tidying up
        if says_stopped:
            _say(getattr(error, "said", "stopped; start again with the same command to go on"))
        return getattr(error, "status", 128 + signal.SIGINT)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except Exception as error:
        _say(f"error: {one_line(error)}")
        return 1


def one_line(error: Exception) -> str:
    """Say in one line what went wrong and, where that is known, what to do."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory; close other programs or give smaller numbers to the flags"
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        advice = ""
        if error.errno in _NO_ROOM:
            advice = "; free space or choose another output folder"
        elif error.errno in _NO_RIGHT:
            advice = "; see to the permission or choose another folder"
        return f"{where}{error.strerror}{advice}"
    what = reason_of(error, 300, with_kind=True)
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return "the system gives no more threads; close other programs or give fewer --processes"
    return f"{what} (not foreseen; {_note_down(error)})"


def _note_down(error: Exception) -> str:
    """Write the traceback into a new file, and say where."""
    try:
        handle, path = tempfile.mkstemp(prefix="footprints-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return "its details could not be written"
    return f"please report it with {path}"


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody hears us
        print(printable(line), file=sys.stderr, flush=True)


def _handle_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    """Set a handler, but where a signal is ignored, as below ``nohup``, leave it so."""
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        with contextlib.suppress(ValueError):  # not in the main thread
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, handler)


def _raise(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)


def _leave(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
