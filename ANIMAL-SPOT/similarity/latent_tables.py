"""Vectors that ``predict.py --latent_extract`` wrote beside its results."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from animal_spot.audio.recordings import RecordingError
from animal_spot.detections.journal import FILE_NAME, Completed, Journal
from animal_spot.detections.result_writers import SUFFIXES
from animal_spot.similarity.embedder import Embedder
from animal_spot.similarity.recording_vectors import RecordingVectors
from animal_spot.utils.files import file_digest, file_state

_MOST_OFF = 0.05  # of its length, that rounding may move a vector; another model moves it by 1


class LatentTables:
    """Tables of vectors in a folder of results.

    Nothing in them says which model they are of. So a window of each is embedded again.

    Args:
        folder: Output folder of ``predict.py``, or any other.

    Raises:
        OSError: If the folder cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: dict[Path, Completed] = {}
        if (folder / FILE_NAME).is_file():
            with contextlib.closing(Journal(folder)) as journal:
                self._entries = {
                    Path(entry.path): entry
                    for entry in journal.completed
                    if self._table(entry).name in entry.files
                }

    def _table(self, entry: Completed) -> Path:
        return self._folder / (entry.stem + SUFFIXES["latent"])

    def read(self, path: Path, embedder: Embedder) -> RecordingVectors | None:
        """Read the vectors of a recording; None: there are none of its present content and model.

        Args:
            path: The recording.
            embedder: The model that they must be of.
        """
        entry = self._entries.get(path)
        if entry is None:
            return None
        try:
            state = file_state(path)
            if state[:2] != entry.state[:2] and file_digest(path) != entry.digest:
                return None
            begin_s, end_s, vectors = _columns(self._table(entry))
            middle = len(vectors) // 2
            again = embedder.of_stretch(path, begin_s[middle], end_s[middle])
        except (ValueError, LookupError, RecordingError, OSError):
            return None  # cut off or edited, or the recording fails: embedding it will say so
        wanted = vectors[middle]
        if again.shape != wanted.shape or not np.isfinite(vectors).all():
            return None
        if np.linalg.norm(again - wanted) > _MOST_OFF * np.linalg.norm(again):
            return None
        return RecordingVectors(path, entry.digest, tuple(state), begin_s, end_s, vectors)


def _columns(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return begins, ends and vectors of a table.

    Raises:
        ValueError: If it is none.
        LookupError: If a column or all rows are missing.
        OSError: If it cannot be read.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["start_s", "end_s", "vector"])
    if not len(table):
        raise LookupError("no rows")
    flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    begin_s, end_s = (table[name].to_numpy().astype(np.float64) for name in ("start_s", "end_s"))
    return begin_s, end_s, flat.reshape(len(table), -1).astype(np.float32)
