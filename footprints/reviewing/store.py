"""A file in SQLite that keeps what people decide, open to several processes at once."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

_BUSY_S = 10.0  # until another process has written
SETTINGS_SCHEMA = """
CREATE TABLE answered(key TEXT PRIMARY KEY, ids TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


_Own = TypeVar("_Own", bound="Store")


class ProjectError(ValueError):
    """A file of a review that cannot be used, or something that is not in it; in one line."""


class ProjectGoneError(OSError):
    """The file of a review is gone, or cannot be written now; nothing was kept of the request."""


class Store:
    """An open file of a review. Each thread has a connection of its own.

    A ``with`` block closes it, and says in one line that the file is damaged if that is found out.

    Args:
        path: The file; made if it is not there.

    Attributes:
        SCHEMA: Tables, among them those of ``SETTINGS_SCHEMA``.
        VERSION: Of the tables.
        APPLICATION: Which SQLite files are ours.

    Raises:
        ProjectError: If it is another kind of file, write-protected, or of a newer version of this
            program.
        OSError: If it cannot be opened.
    """

    SCHEMA: str
    VERSION: int
    APPLICATION: int

    def __init__(self, path: Path) -> None:
        self.path = path
        self._of_thread = threading.local()
        self._every: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._file: tuple[int, int] | None = None  # by which it is known again
        if path.is_dir():
            raise ProjectError(f"{path} is a folder: name a file, such as {path / 'review.sqlite'}")
        if path.exists() and not os.access(path, os.W_OK):
            raise ProjectError(f"{path} is write-protected: allow writing, or name another file")
        try:
            self._prepare()
            self._file = self._file_now()
        except sqlite3.Error as error:
            self.close()
            raise ProjectError(f"{path} cannot be used as the file of a review: {error}") from error
        except ProjectError:
            self.close()
            raise

    def _prepare(self) -> None:
        """Make what is not there; of what is only that is touched which is ours."""
        if self.path.exists() and self.path.stat().st_size:
            self._require_ours()
        with self.writing() as db:
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return
            for statement in _statements(self.SCHEMA):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {self.VERSION}")
            db.execute(f"PRAGMA application_id = {self.APPLICATION}")

    def _require_ours(self) -> None:
        with contextlib.closing(sqlite3.connect(self.path, timeout=_BUSY_S)) as db:
            kind = db.execute("PRAGMA application_id").fetchone()[0]
            version = db.execute("PRAGMA user_version").fetchone()[0]
            is_empty = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if kind != self.APPLICATION and not is_empty:  # empty: killed before it was made
            raise ProjectError(f"{self.path} is a database of another program: name another file")
        if version > self.VERSION:
            raise ProjectError(
                f"{self.path} was written by a newer version of this program: install that"
            )

    @property
    def db(self) -> sqlite3.Connection:
        """The connection of this thread.

        Raises:
            ProjectGoneError: If the file was moved or replaced: what is written into one that has
                no name any more would be lost.
        """
        if self._file is not None and self._file != self._file_now():
            raise ProjectGoneError(
                f"{self.path} was moved, removed or replaced while the page was open: put it back; "
                "till then nothing can be kept in it"
            )
        db = getattr(self._of_thread, "db", None)
        if db is None:
            # Closed at the end by another thread than that which used it.
            db = sqlite3.connect(
                self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            db.row_factory = sqlite3.Row
            with self._lock:
                self._every.append(db)
            self._of_thread.db = db
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # also a power failure loses no decision
            db.execute("PRAGMA foreign_keys = ON")
        return db

    def _file_now(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Write all or nothing; other processes wait.

        Raises:
            ProjectGoneError: If the file cannot be written.
        """
        db = self.db
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if self._file is None:  # not open yet
                raise
            raise ProjectGoneError(f"{self.path} cannot be written: {error}") from error
        # What somebody copies while the page is open shall hold every decision: from the -wal file
        # into this one. Where a reader is in the way the next decision does it.
        with contextlib.suppress(sqlite3.OperationalError):
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def __enter__(self: _Own) -> _Own:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if type(error) is sqlite3.DatabaseError:  # those derived from it are of other kinds
            raise ProjectError(
                f"{self.path} is damaged ({error}): put back a copy of it, or keep it, save what "
                "is in it by the command .recover of sqlite3, and begin another --project"
            ) from error

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            while self._every:
                self._every.pop().close()

    # --- settings ---

    def setting(self, key: str, default: Any = None) -> Any:
        """Return what was kept under a name."""
        row = self.db.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
        return default if row is None else json.loads(row[0])

    def keep_setting(self, key: str, value: Any) -> None:
        """Keep something that JSON can hold under a name."""
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, json.dumps(value)))

    # --- requests ---

    def once(
        self, kind: str, key: str | None, work: Callable[[sqlite3.Connection], list[int]]
    ) -> list[int]:
        """Write what a request asks for, unless it has been done.

        A page that got no answer asks again, since it cannot know what became of its request.

        Args:
            kind: Of request.
            key: What tells those of a kind apart; None: nothing does.
            work: Writes, and returns numbers, which a repeated request gets again.
        """
        key = None if key is None else f"{kind} {key}"
        with self.writing() as db:
            if key is not None:
                row = db.execute("SELECT ids FROM answered WHERE key = ?", (key,)).fetchone()
                if row is not None:
                    return json.loads(row[0])
            numbers = work(db)
            if key is not None:
                db.execute("INSERT INTO answered VALUES (?, ?)", (key, json.dumps(numbers)))
        return numbers


def stored(path: Path) -> str | bytes:
    """Return a path as the database keeps it: text, or bytes where a name is not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return str(path)


def _statements(script: str) -> Iterator[str]:
    """Part a script into statements, since ``executescript`` would end the transaction."""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""
