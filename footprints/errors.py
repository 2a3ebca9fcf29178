"""What goes wrong in a way that the user can mend, and how a step ends."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable

STATUS_SOME_FAILED = 3  # the step went through, some photos could not be used


class UserError(Exception):
    """One line: what is wrong, with which file, what to do."""


def run(main: Callable[[], int]) -> int:
    """Run a step and return its exit status; what the user can mend becomes one line.

    Returns:
        The step's own status; 1 after one line on standard error, 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show is no error
        stream.reconfigure(errors="backslashreplace")
    try:
        status = main()
        sys.stdout.flush()
        return status
    except UserError as error:
        message = str(error)
    except KeyboardInterrupt:
        print("stopped; start again with the same command to go on", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        where = f"{error.filename}: " if error.filename else ""
        message = f"{where}{error.strerror}; free space or choose another output folder"
    print(f"error: {message}", file=sys.stderr)
    return 1
