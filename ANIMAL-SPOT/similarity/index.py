"""The file of all vectors of a project. SQLite: a recording is in it whole, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animal_spot.similarity.recording_vectors import RecordingVectors
from animal_spot.similarity.search import Windows, joined
from animal_spot.utils.files import file_digest, file_state

_VERSION = 1
_APPLICATION = 0x41535653  # "ASVS": which SQLite files are ours
_ROWS = 2**14  # vectors of a part; SQLite keeps at most 1 GB in a place
_BUSY_S = 10.0
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS model(id INTEGER PRIMARY KEY CHECK(id = 1), digest TEXT NOT NULL, "
    "name TEXT NOT NULL, dim INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS recordings(id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, "
    "digest TEXT NOT NULL, state TEXT NOT NULL, windows INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS parts(recording_id INTEGER NOT NULL REFERENCES recordings(id) "
    "ON DELETE CASCADE, first INTEGER NOT NULL, begin_s BLOB NOT NULL, end_s BLOB NOT NULL, "
    "scale REAL NOT NULL, vectors BLOB NOT NULL, PRIMARY KEY(recording_id, first))",
)


class IndexFileError(ValueError):
    """A file of vectors that cannot be used; one line says why and what to do."""


@dataclass(frozen=True)
class IndexModel:
    """What the vectors of a file were made by.

    Attributes:
        digest: Hash of all that vectors depend on besides the sound.
        name: For people.
        dim: Numbers of a vector.
    """

    digest: str
    name: str
    dim: int


class IndexFile:
    """An open file of vectors, in which numbers take 16 bits.

    What was added stays even if the program is killed at once after it.

    Args:
        path: The file; made if it is not there.

    Raises:
        IndexFileError: If it is another kind of file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        except sqlite3.Error as error:
            raise IndexFileError(f"{path} cannot be opened: {error}") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise IndexFileError(
                f"{path} is no file of vectors ({error}): remove it, and it is made anew"
            ) from error
        except IndexFileError:
            self.close()
            raise

    def _prepare(self) -> None:
        db = self._db
        db.execute("PRAGMA foreign_keys = ON")
        with self._writing():
            if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in _SCHEMA:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {_VERSION}")
                db.execute(f"PRAGMA application_id = {_APPLICATION}")
        if db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
            raise IndexFileError(f"{self.path} is a database of another program: move it away")
        if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            raise IndexFileError(
                f"{self.path} is of another version of this program: remove it, and it is made anew"
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> IndexFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @property
    def model(self) -> IndexModel | None:
        """What the vectors were made by; None: there are none yet."""
        row = self._db.execute("SELECT digest, name, dim FROM model").fetchone()
        return None if row is None else IndexModel(*row)

    def begin(self, model: IndexModel) -> bool:
        """Prepare for vectors of a model; return whether those of another one had to go.

        Raises:
            IndexFileError: If it cannot be written.
        """
        before = self.model
        if before is not None and (before.digest, before.dim) == (model.digest, model.dim):
            return False
        with _said(self.path), self._writing():
            n = self._db.execute("DELETE FROM recordings").rowcount
            self._db.execute(
                "INSERT OR REPLACE INTO model VALUES (1, ?, ?, ?)",
                (model.digest, model.name, model.dim),
            )
        return n > 0

    def fresh(self, paths: Sequence[Path]) -> set[Path]:
        """Return the recordings whose vectors are those of their present content.

        One that was moved is found by its content.
        """
        rows = self._db.execute("SELECT path, digest, state FROM recordings").fetchall()
        known = {Path(os.fsdecode(path)): (digest, json.loads(s)) for path, digest, s in rows}
        by_digest = {digest: path for path, (digest, _) in known.items()}
        found = set()
        for path in paths:
            try:
                state = file_state(path)
                if path in known and known[path][1] == state:
                    found.add(path)
                    continue
                of_size = any(s[0] == state[0] for _, s in known.values())
                digest = file_digest(path) if of_size else ""
            except OSError:
                continue  # reading it will say why
            before = path if path in known and known[path][0] == digest else by_digest.get(digest)
            if before is not None and (before == path or not before.exists()):
                self._rename(before, path, state)
                by_digest[digest] = path
                found.add(path)
        return found

    def _rename(self, before: Path, now: Path, state: Sequence[int]) -> None:
        with _said(self.path), self._writing():
            if before != now:
                self._db.execute("DELETE FROM recordings WHERE path = ?", (os.fsencode(now),))
            self._db.execute(
                "UPDATE recordings SET path = ?, state = ? WHERE path = ?",
                (os.fsencode(now), json.dumps(list(state)), os.fsencode(before)),
            )

    def add(self, found: RecordingVectors) -> None:
        """Keep the vectors of a recording, in the place of earlier ones.

        Raises:
            IndexFileError: If they are of another length, or the file cannot be written.
        """
        model = self.model
        if model is None or found.vectors.shape[1] != model.dim:
            raise IndexFileError(f"vectors of {found.path} are not of the model of {self.path}")
        path = os.fsencode(found.path)
        with _said(self.path), self._writing():
            self._db.execute("DELETE FROM recordings WHERE path = ?", (path,))
            number = self._db.execute(
                "INSERT INTO recordings(path, digest, state, windows) VALUES (?, ?, ?, ?)",
                (path, found.digest, json.dumps(list(found.state)), len(found.vectors)),
            ).lastrowid
            for first in range(0, len(found.vectors), _ROWS):
                rows = slice(first, first + _ROWS)
                scale, vectors = _halved(found.vectors[rows])
                self._db.execute(
                    "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        *(number, first, found.begin_s[rows].astype("<f8").tobytes()),
                        *(found.end_s[rows].astype("<f8").tobytes(), scale, vectors.tobytes()),
                    ),
                )

    def n_windows(self) -> int:
        """Return how many windows there are vectors of."""
        return self._db.execute("SELECT coalesce(sum(windows), 0) FROM recordings").fetchone()[0]

    def windows(self, numbers: Mapping[Path, int]) -> Windows:
        """Read the vectors of recordings.

        Those of a recording whose file was changed since are left out.

        Args:
            numbers: What each recording is called.
        """
        chosen = [
            (row[0], numbers[path], row[2])
            for row in self._db.execute("SELECT id, path, windows, state FROM recordings")
            if (path := Path(os.fsdecode(row[1]))) in numbers and _is_state(path, row[3])
        ]
        model = self.model
        dim = model.dim if model else 0

        def parts() -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
            for key, number, _ in chosen:
                for row in self._db.execute(
                    "SELECT begin_s, end_s, scale, vectors FROM parts WHERE recording_id = ? "
                    "ORDER BY first",
                    (key,),
                ):
                    halves = np.frombuffer(row[3], "<f2").reshape(-1, dim)
                    vectors = halves.astype(np.float32) * np.float32(row[2])
                    times = (np.frombuffer(times, "<f8") for times in row[:2])
                    yield (number, *times, vectors)

        return joined(parts(), sum(n for _, _, n in chosen), dim)


def _is_state(path: Path, state: str) -> bool:
    """Tell whether a file is as it was; one that is away may come back as it was."""
    try:
        return file_state(path)[:2] == json.loads(state)[:2]
    except OSError:
        return True


def _halved(vectors: np.ndarray) -> tuple[float, np.ndarray]:
    """Return numbers in 16 bits, and what they are to be multiplied by: a power of two."""
    largest = float(np.abs(vectors).max(initial=0))
    scale = 2.0 ** np.ceil(np.log2(largest)) if largest > 0 else 1.0
    return float(scale), (vectors / np.float32(scale)).astype("<f2")


@contextlib.contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise IndexFileError(f"{path} cannot be written: {error}") from error
