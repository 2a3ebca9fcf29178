"""The log: ``<HH:MM:SS>|<level letter>|<message>`` on standard error and in a file.

``extra={"file_only": True}`` keeps a long message off the screen.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import logging
import sys
from pathlib import Path

from tqdm import tqdm

from animal_spot.utils.files import refuse_links
from animal_spot.utils.text import printable, printable_lines

PACKAGE = "animal_spot"
FORMAT = "%(asctime)s|%(levelname).1s|%(message)s"


class Formatter(logging.Formatter):
    """Shows what names of files and classes hold, and never lets it act on the terminal.

    A line end in them is shown too; ``extra={"lines": True}`` is for messages of several lines.
    """

    def __init__(self, *, tracebacks: bool = True) -> None:
        super().__init__(FORMAT, datefmt="%H:%M:%S")
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a message, and the lines of its traceback where they are wanted."""
        if self._tracebacks:
            return super().format(record)
        short = logging.makeLogRecord(record.__dict__ | {"exc_info": None, "exc_text": None})
        return super().format(short)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of logging
        """Return the line of a message, without a traceback."""
        show = printable_lines if getattr(record, "lines", False) else printable
        record.message = show(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: tuple) -> str:  # noqa: N802 - of logging
        """Return the lines of a traceback."""
        return printable_lines(super().formatException(ei))


class _TerminalHandler(logging.Handler):
    """Writes to standard error without tearing a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "file_only", False):
            return
        with contextlib.suppress(OSError, ValueError):  # nobody reads it; a log file still does
            tqdm.write(self.format(record), file=sys.stderr)


def start_log(name: str, *, debug: bool = False) -> logging.Logger:
    """Send the messages of this program to standard error and return its logger.

    Also spares the program a second at its end, in which Python would search PyTorch for garbage.
    """
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
    logging.raiseExceptions = False  # a full disk is named by what fails, not by each message
    handler = _TerminalHandler()
    handler.setFormatter(Formatter(tracebacks=debug))
    logging.getLogger().addHandler(handler)
    for package in (name, PACKAGE):
        logging.getLogger(package).setLevel(logging.DEBUG if debug else logging.INFO)
    return logging.getLogger(name)


def log_to_file(path: Path, *, append: bool) -> logging.Handler:
    """Send the messages to a file too; return what does so.

    Raises:
        OSError: If the file cannot be opened.
    """
    refuse_links(path, path.parent)
    handler = logging.FileHandler(
        path, mode="a" if append else "w", encoding="utf-8", errors="backslashreplace"
    )
    handler.setFormatter(Formatter())
    logging.getLogger().addHandler(handler)
    return handler


class HeldLog:
    """Keeps the messages of a run until it is known whether they belong into a file.

    Args:
        path: The file, or None for none.
        append: Whether to keep what it holds.
    """

    def __init__(self, path: Path | None, *, append: bool) -> None:
        self._path, self.append = path, append
        self._kept: list[logging.LogRecord] = []
        self._handler = logging.Handler()
        self._handler.emit = self._kept.append
        if path is not None:
            logging.getLogger().addHandler(self._handler)

    def release(self) -> None:
        """Write what was kept and what comes into the file; the second time nothing happens.

        Raises:
            OSError: If it cannot be opened.
        """
        if self._path is None:
            return
        path, self._path = self._path, None
        logging.getLogger().removeHandler(self._handler)
        handler = log_to_file(path, append=self.append)
        for record in self._kept:
            handler.handle(record)

    def drop(self) -> None:
        """Leave the file as it is."""
        logging.getLogger().removeHandler(self._handler)
        self._path = None


def close_log() -> None:
    """Close and remove the handlers, for a program that starts another run in its process."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, (_TerminalHandler, logging.FileHandler)):
            root.removeHandler(handler)
            with contextlib.suppress(OSError):  # the disk is full; what failed has said so
                handler.close()
