"""Which recordings of an output folder are complete, and what was found in them."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data.recordings import file_digest

FILE_NAME = ".completed.jsonl"


@dataclass
class Completed:
    """A recording whose results are all written.

    Attributes:
        path: Absolute path of the recording.
        stem: What its results are called after.
        run: Hash of model and settings.
        state: Size and times of the recording; equal ones mean equal content.
        digest: Hash of its bytes, which decides when the times differ.
        duration_s: Length of the recording.
        n_windows: Windows classified.
        detections: Windows per class at the threshold.
        seconds: Time it took.
        files: Name and size of each result.
        annotations: ``[begin_s, end_s, class, score]`` of each joined detection.
    """

    path: str
    stem: str
    run: str
    state: list[int]
    digest: str
    duration_s: float
    n_windows: int
    detections: dict[str, int]
    seconds: float
    files: dict[str, int]
    annotations: list[list[Any]] = field(default_factory=list)


def file_state(path: Path) -> list[int]:
    """Return what changes whenever a file is written: size and times in ns."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


class Journal:
    """One line of JSON per complete recording, appended; of one recording the last line counts.

    A line that a killed program left unfinished is not read, and ended before the next one.

    Args:
        folder: The output folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE_NAME
        self._entries: dict[str, Completed] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self._path.read_bytes().split(b"\n"):
                with contextlib.suppress(ValueError, TypeError):
                    entry = Completed(**json.loads(line))
                    self._entries[entry.path] = entry
        self._file = None

    @property
    def stems(self) -> dict[str, str]:
        """Stem to absolute path of the recordings that have results here."""
        return {entry.stem: path for path, entry in self._entries.items()}

    def find(self, path: Path, run: str) -> Completed | None:
        """Return the entry of a recording if it is complete for its content and this run."""
        entry = self._entries.get(os.path.abspath(path))
        if entry is None or entry.run != run:
            return None
        try:
            for name, size in entry.files.items():
                if (self._folder / name).stat().st_size != size:
                    return None
            state = file_state(path)
            if state != entry.state and (
                state[0] != entry.state[0] or file_digest(path) != entry.digest
            ):
                return None
        except OSError:
            return None
        return entry

    def add(self, entry: Completed) -> None:
        """Append an entry.

        Raises:
            OSError: If it cannot be written.
        """
        if self._file is None:
            self._file = open(self._path, "ab")  # noqa: SIM115 - open as long as the run
            self._file.write(b"\n")
        self._file.write(json.dumps(asdict(entry)).encode() + b"\n")
        self._file.flush()
        self._entries[entry.path] = entry

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
