"""The vectors of one recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class RecordingVectors:
    """The windows of a recording as vectors.

    Attributes:
        path: The recording.
        digest: Hash of its bytes.
        state: Size and times of the file, as they were when it was read.
        begin_s: Begins of the windows, shape ``(windows,)``.
        end_s: Their ends.
        vectors: Shape ``(windows, dim)``, float32.
        reason: Why there are none; empty if there are.
    """

    path: Path
    digest: str = ""
    state: tuple[int, ...] = ()
    begin_s: np.ndarray = field(default_factory=lambda: np.empty(0))
    end_s: np.ndarray = field(default_factory=lambda: np.empty(0))
    vectors: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    reason: str = ""
