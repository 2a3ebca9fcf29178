"""What comes of a recording: its facts, and the numbers of its windows until they are written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from animal_spot.audio.frames import Counted
from animal_spot.audio.recordings import Heard

_SPOOL_BYTES = 16 * 2**20  # of results kept in memory before they go to a temporary file


@dataclass
class RecordingEnd:
    """What is known of a recording when it was read, or turned out to be unusable.

    Attributes:
        reason: Why it could not be used; empty if it could.
        duration_s: Its length.
        n_samples: Its length in samples at the rate of the first network.
        rate: Its own sampling rate, Hz.
        state: Size and times of the file.
        digest: Hash of its bytes.
        channel: Number of the channel that was heard; 1 for the mix.
        warnings: What is probably not as it was meant.
        heard: What was heard of it; None if it could not be used.
    """

    reason: str = ""
    duration_s: float = 0.0
    n_samples: int = 0
    rate: int = 0
    state: list[int] = field(default_factory=list)
    digest: str = ""
    channel: int = 1
    warnings: tuple[str, ...] = ()
    heard: Heard | None = None


class SectionEdge:
    """Says that a section of a recording begins or ends."""


@dataclass(frozen=True)
class Part:
    """A section of a recording that is done by itself.

    Attributes:
        index: Which of its sections.
        n_sections: How many there are.
        state: Size and times of the file.
        channel: What is heard, see ``Recording.wanted``.
        counted: What was counted in the file, see ``Recording.counted``.
    """

    index: int
    n_sections: int
    state: tuple[int, ...]
    channel: str
    counted: Counted | None

    def is_of(self, state: Sequence[int]) -> bool:
        """Tell whether this is a section of a file in that state, maybe as another node sees it."""
        return list(state[:2]) == list(self.state[:2])  # times of status differ between copies


@dataclass(kw_only=True)
class Outcome(RecordingEnd):
    """What came of one recording.

    Attributes:
        path: The recording.
        started: When its first window was read, as ``time.perf_counter`` counts.
        seconds: From then to the last window classified.
        n_windows: Windows classified.
        probabilities: Of their classes, one row each; None before the first.
        embeddings: What the linear layers saw of them, if that is kept.
        n_open: Windows that the networks have not returned yet.
        ended: All windows were read.
    """

    path: Path
    started: float = 0.0
    seconds: float = 0.0
    n_windows: int = 0
    probabilities: ArraySpool | None = None
    embeddings: ArraySpool | None = None
    n_open: int = 0
    ended: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether all of its windows are classified, or it has failed."""
        return self.ended and self.n_open == 0

    def end(self, end: RecordingEnd) -> None:
        """Take what is known when it was read; a reason that is there stays."""
        reason = self.reason or end.reason
        for known in fields(end):
            setattr(self, known.name, getattr(end, known.name))
        self.reason, self.ended = reason, True

    def close(self) -> None:
        """Forget the numbers."""
        for spool in (self.probabilities, self.embeddings):
            if spool is not None:
                spool.close()


class ArraySpool:
    """Rows of float32 numbers in order, on disk when there are many."""

    def __init__(self, folder: Path | None) -> None:
        self._file = tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=folder)  # noqa: SIM115
        self.n_columns = 0

    def append(self, rows: np.ndarray) -> None:
        """Add rows of shape ``(rows, columns)``."""
        self.n_columns = rows.shape[1]
        self._file.write(np.ascontiguousarray(rows, np.float32).data)

    def batches(self, n_rows: int) -> Iterator[np.ndarray]:
        """Yield all rows from the first, so many at a time."""
        self._file.seek(0)
        n_bytes = 4 * self.n_columns * n_rows
        while n_bytes and (content := self._file.read(n_bytes)):
            yield np.frombuffer(content, np.float32).reshape(-1, self.n_columns)

    def close(self) -> None:
        """Forget the rows."""
        self._file.close()
