"""What ``calibrate.py`` and ``ensemble.py`` have in common: how a run starts and ends."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import torch

from utils.errors import is_memory_error, one_line
from utils.files import require_writable_folder
from utils.logging import close_log, start_log


def run_to_status(log: logging.Logger, run: Callable[[], None], *, debug: bool) -> int:
    """Run and return the exit status; what went wrong is one line in the log."""
    start_log(log.name, debug=debug)
    try:
        run()
        return 0
    except KeyboardInterrupt:
        log.warning("stopped; nothing was written")
        return 130
    except (ValueError, OSError) as error:
        log.error("%s", one_line(error))
        log.debug("where it came from", exc_info=True)
        return 1
    except (RuntimeError, MemoryError) as error:
        if not is_memory_error(error):
            raise
        log.error("out of memory (%s): leave members out, or use --no_cuda", one_line(error))
        return 1
    finally:
        close_log()


def device_of(args: argparse.Namespace) -> torch.device:
    """Return the GPU unless there is none or it is not wanted."""
    return torch.device("cuda" if args.cuda and torch.cuda.is_available() else "cpu")


def require_new_file(path: Path, flag: str) -> None:
    """Make sure before a long run that a file can be written and replaces none.

    Raises:
        ValueError: If it is there already.
        OSError: If its folder cannot be written.
    """
    if path.exists():
        raise ValueError(f"{path} is there already; name another file with {flag}")
    require_writable_folder(path.absolute().parent, f"the folder of {flag}")
