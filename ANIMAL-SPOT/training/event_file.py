"""TensorBoard's event files, written without a thread and whole at every flush."""

from __future__ import annotations

import io
import itertools
import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from animal_spot.utils.files import refuse_links

VERSION = "brain.Event:2"
_PREFIX = "events.out.tfevents."
_NUMBER = itertools.count()


def _next_second(folder: Path) -> int:
    """The present second, or the one after the newest file of the folder.

    TensorBoard reads files in the order of their names. Of two names with the same second it takes
    process 1000 before 999, and a clock may have been set back.
    """
    names = [path.name.removeprefix(_PREFIX) for path in folder.glob(f"{_PREFIX}*")]
    seconds = [int(first) for name in names if (first := name.split(".")[0]).isdecimal()]
    return max(int(time.time()), *(second + 1 for second in seconds), 0)


class EventFile:
    """Collects entries and appends them to a file of their own.

    Args:
        folder: Of the run.
        parent: Of the runs; nothing is written through a link below it.
        first_step: Step that the run goes on with; later entries of the folder are hidden.
    """

    def __init__(self, folder: Path, parent: Path, first_step: int | None = None) -> None:
        host, number = socket.gethostname(), next(_NUMBER)
        name = f"{_PREFIX}{_next_second(folder):010d}.{host}.{os.getpid()}.{number}"
        self._path, self._parent = folder / name, parent
        self._size = 0
        self._pending = [Event(wall_time=time.time(), file_version=VERSION)]
        if first_step is not None:
            start = SessionLog(status=SessionLog.START)
            self._pending.append(Event(wall_time=time.time(), step=first_step, session_log=start))

    def add(self, summary: Summary, step: int | None = None) -> None:
        """Add an entry, which ``flush`` writes."""
        self._pending.append(Event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        """Append what was added; if that fails it is dropped, and the file stays readable.

        Raises:
            OSError: If it cannot be written.
        """
        if not self._pending:
            return
        content = io.BytesIO()
        writer = RecordWriter(content)
        for event in self._pending:
            writer.write(event.SerializeToString())
        self._pending = []
        refuse_links(self._path, self._parent)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "ab") as file:
            file.truncate(self._size)  # half an entry of a flush that failed
            file.write(content.getbuffer())
            file.flush()
        self._size += content.tell()
