"""What a user is told of an exception, and the exit status: in one place for all programs."""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from animal_spot.utils.interrupt import INTERRUPTED, Interrupted, raise_again
from animal_spot.utils.logging import close_log, start_log
from animal_spot.utils.processes import place
from animal_spot.utils.status import FAILED, OK
from animal_spot.utils.text import printable


class RunError(RuntimeError):
    """Something that a user can cure, found while a program runs."""


def run_to_status(
    log: logging.Logger,
    run: Callable[[], int | None],
    *,
    debug: bool = False,
    stopped: str = "",
    at_once: str = "",
    out_of_memory: str = "lower --batch_size",
    together: bool = False,
) -> int:
    """Run a program from the start to the end of its log; whatever happens is one line there.

    Args:
        log: Of the program.
        run: Returns the exit status; None: 0.
        debug: Log more.
        stopped: What to add when it was asked to stop and did so at a good place.
        at_once: What to add when it was stopped in the middle.
        out_of_memory: What to do when memory is short.
        together: Several processes that ``torchrun`` started may run it.

    Returns:
        The exit status: that of ``run``, 1 after an error, 128 plus the signal's number if stopped.
    """
    raise_again()
    start_log(log.name, debug=debug)
    try:
        if not together and place().size > 1:
            return _one_is_enough(log)
        status = run() or OK
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except Interrupted as stop:
        log.warning("stopped by %s%s", stop, f": {stopped}" if stopped else "")
        return stop.status
    except KeyboardInterrupt:
        log.warning("stopped at once%s", f": {at_once}" if at_once else "")
        return INTERRUPTED
    except BrokenPipeError as error:
        log.error("what reads the output of this program has ended: %s", one_line(error))
        _discard_output()
        return FAILED
    except Exception as error:
        cure = _cure(error, out_of_memory)
        if cure is not None:
            log.error("%s", cure)
            log.debug("where it came from", exc_info=True)
        else:
            log.error("%s", _fault(error), exc_info=True)
        return FAILED
    finally:
        close_log()


def _one_is_enough(log: logging.Logger) -> int:
    """Refuse to do the same in several processes, which would get in each other's way."""
    if place().rank == 0:
        log.error(
            "%d processes were started by torchrun (WORLD_SIZE), and only a training is shared by "
            "several: start this program without it",
            place().size,
        )
    return FAILED


def one_line(error: BaseException) -> str:
    r"""Return what to show of an error; line ends in names are shown as ``\n``.

    Of a message with a traceback, as from a loader process, and of those of PyTorch, which tell
    more than one wants to know, it is the last line.
    """
    if isinstance(error, OSError) and error.strerror:
        named = f": {os.fsdecode(error.filename)}" if _is_path(error.filename) else ""
        return printable(f"{error.strerror}{named}")
    text = str(error).strip()
    is_own = isinstance(error, RunError)
    if (isinstance(error, RuntimeError) and not is_own) or "Traceback (most recent call" in text:
        text = re.sub(r"^(?:\w+\.)*\w*Error: ", "", text[text.rfind("\n") + 1 :].strip())
    return printable(text) or type(error).__name__


def is_memory_error(error: BaseException) -> bool:
    """Tell whether Python or PyTorch ran out of memory, of whatever device."""
    text = str(error)
    return bool(_names(error) & {"MemoryError", "OutOfMemoryError"}) or any(
        said in text
        for said in ("can't allocate memory", "Cannot allocate memory", "MPS backend out of memory")
    )


def operation_not_on_device(error: BaseException) -> str | None:
    """Return the name of what PyTorch cannot compute on an Apple GPU; None for other errors."""
    if not isinstance(error, NotImplementedError) or "MPS" not in str(error):
        return None
    named = re.search(r"aten::[\w.]+", str(error))
    return named[0] if named else "an operation"


def _cure(error: Exception, out_of_memory: str) -> str | None:
    """Return a line for what has to do with files, settings or the computer; None: a fault."""
    text = one_line(error)
    if is_memory_error(error):
        return f"out of memory ({text}): {out_of_memory}"
    if (operation := operation_not_on_device(error)) is not None:
        return (
            f"{operation} cannot be computed on this device yet: set the environment variable "
            "PYTORCH_ENABLE_MPS_FALLBACK=1, so that the CPU does it, or use --device cpu"
        )
    if "BrokenProcessPool" in _names(error) or (
        isinstance(error, RuntimeError) and re.search("DataLoader worker.*(kill|exit)", str(error))
    ):
        return (
            "a process that loads clips was killed, probably for want of memory: lower "
            "--num_workers or --batch_size"
        )
    if "can't start new thread" in text:
        return "no thread could be started: end other programs, or lower --num_workers"
    if isinstance(error, RecursionError):
        return f"something that was read is nested too deeply: {text}"
    if isinstance(error, OverflowError):
        return f"a number is too large: {text}"
    if isinstance(error, (ValueError, OSError, ImportError, RunError)):
        return text
    return None


def _fault(error: Exception) -> str:
    """Return a line for what should never happen; with it come the traceback and a report."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f", {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return (
        f"a fault of this program ({type(error).__name__}: {one_line(error)}{place}): please "
        "report it, with what a log file or --debug shows of it"
    )


def _names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _is_path(filename: object) -> bool:
    return isinstance(filename, (str, bytes, os.PathLike)) and bool(os.fsdecode(filename))


def _discard_output() -> None:
    """Let Python, which writes what is left of the output at its end, write it nowhere."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        return
