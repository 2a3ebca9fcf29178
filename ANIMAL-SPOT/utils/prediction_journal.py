"""Which recordings of an output folder are complete, and what was found in them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data.recordings import file_digest, file_state

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
        detections: Annotations of each class.
        seconds: Time it took.
        files: Name and size of each result.
        annotations: ``[begin_s, end_s, class, score]`` of each joined detection.
        channel: Number of the channel that was heard; 1 for the mix.
        warnings: What is probably not as it was meant.
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
    channel: int = 1
    warnings: list[str] = field(default_factory=list)


class Journal:
    """Lines of JSON, appended: one when writing results begins, one when all are written.

    Of one recording the last line counts. A line that a killed program left unfinished is not read,
    and ended before the next one.

    Args:
        folder: The output folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE_NAME
        self._entries: dict[str, Completed] = {}
        self._stems: dict[str, str] = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self._path.read_bytes().split(b"\n"):
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    self._read(json.loads(line))
        self._file = None

    def _read(self, content: dict[str, Any]) -> None:
        path, stem = content["path"], content["stem"]
        if not isinstance(path, str) or not isinstance(stem, str):
            raise TypeError("path and stem are texts")
        if "begun" in content:
            self._entries.pop(path, None)
        else:
            self._entries[path] = Completed(**content)
        self._stems[stem] = path

    @property
    def stems(self) -> dict[str, str]:
        """Stem to absolute path of the recordings that have results here."""
        return dict(self._stems)

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

    def begin(self, path: Path, stem: str, files: Collection[str]) -> None:
        """Note that results of a recording are about to be replaced by ``files``.

        Results of an earlier run that are not replaced are removed: they would be taken for those
        of this one.

        Raises:
            OSError: If it cannot be noted.
        """
        full = os.path.abspath(path)
        earlier = self._entries.pop(full, None)
        self._append({"path": full, "stem": stem, "begun": True})
        self._stems[stem] = full
        for name in set(earlier.files if earlier else ()) - set(files):
            (self._folder / name).unlink(missing_ok=True)

    def add(self, entry: Completed) -> None:
        """Note that all results of a recording are written.

        Raises:
            OSError: If it cannot be noted.
        """
        self._append(asdict(entry))
        self._entries[entry.path] = entry

    def _append(self, content: dict[str, Any]) -> None:
        if self._file is None:
            self._file = open(self._path, "ab")  # noqa: SIM115 - open as long as the run
            self._file.write(b"\n")
        self._file.write(json.dumps(content).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
