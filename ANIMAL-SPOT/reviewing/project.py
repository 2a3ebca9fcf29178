"""The file of a review: recordings, detections, decisions. SQLite, open to several processes."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

VERDICTS = ("right", "wrong", "other", "unsure", "skip")
SOURCES = ("prediction", "missed", "window", "similar")
ADDED = 0  # run of what people added; those of predictions count from 1
VERSION = 1
APPLICATION = 0x41535052  # "ASPR": which SQLite files are ours
_BUSY_S = 10.0  # until another process has written
_SCHEMA = """
CREATE TABLE recordings(
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    duration_s REAL NOT NULL,
    site TEXT,
    start TEXT,
    missing INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE detections(
    id INTEGER PRIMARY KEY,
    recording_id INTEGER NOT NULL REFERENCES recordings(id),
    begin_s REAL NOT NULL,
    end_s REAL NOT NULL,
    low_hz REAL,
    high_hz REAL,
    class TEXT,
    score REAL,
    source TEXT NOT NULL CHECK(source IN ('prediction', 'missed', 'window', 'similar')),
    run INTEGER NOT NULL
);
CREATE INDEX detections_by_class ON detections(class, score);
CREATE INDEX detections_by_place ON detections(recording_id, begin_s);
CREATE TABLE decisions(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    detection_id INTEGER NOT NULL REFERENCES detections(id),
    reviewer TEXT NOT NULL,
    at TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK(verdict IN ('right', 'wrong', 'other', 'unsure', 'skip')),
    class TEXT,
    begin_s REAL,
    end_s REAL,
    low_hz REAL,
    high_hz REAL,
    note TEXT,
    batch INTEGER NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0 CHECK(undone IN (0, 1))
);
CREATE INDEX decisions_of_detection ON decisions(detection_id);
CREATE INDEX decisions_of_reviewer ON decisions(reviewer, undone, id);
CREATE INDEX decisions_undone ON decisions(undone) WHERE undone = 1;
CREATE TABLE answered(key TEXT PRIMARY KEY, ids TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE VIEW counting AS  -- the last decision of each reviewer that was not undone
    SELECT decisions.* FROM decisions JOIN (
        SELECT max(id) AS last FROM decisions WHERE undone = 0 GROUP BY detection_id, reviewer
    ) ON id = last;
"""


class ProjectError(ValueError):
    """A file of a review that cannot be used, or something that is not in it; in one line."""


class ProjectGoneError(OSError):
    """The file of a review is gone, or cannot be written now; nothing was kept of the request."""


@dataclass(frozen=True)
class Recording:
    """A recording of a review.

    Attributes:
        id: Its number, by which requests name it.
        path: The file.
        duration_s: Length.
        site: Where it was made; None: not known.
        start: When, in ISO 8601; None: not known.
        missing: Whether the file was not found.
    """

    id: int
    path: Path
    duration_s: float
    site: str | None
    start: str | None
    missing: bool


@dataclass(frozen=True)
class Decision:
    """What a reviewer says of detections.

    Attributes:
        verdict: One of ``VERDICTS``.
        class_name: The class for ``other``.
        begin_s: Corrected begin; None: unchanged, like the next three.
        end_s: Corrected end.
        low_hz: Corrected lower end.
        high_hz: Corrected upper end.
        note: Whatever the reviewer wrote.
    """

    verdict: str
    class_name: str | None = None
    begin_s: float | None = None
    end_s: float | None = None
    low_hz: float | None = None
    high_hz: float | None = None
    note: str | None = None


class Project:
    """An open file of a review. Each thread has a connection of its own.

    Args:
        path: The file; made if it is not there.

    Raises:
        ProjectError: If it is another kind of file, write-protected, or of a newer version of this
            program.
        OSError: If it cannot be opened.
    """

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
            for statement in _statements(_SCHEMA):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute(f"PRAGMA application_id = {APPLICATION}")

    def _require_ours(self) -> None:
        with contextlib.closing(sqlite3.connect(self.path, timeout=_BUSY_S)) as db:
            kind = db.execute("PRAGMA application_id").fetchone()[0]
            version = db.execute("PRAGMA user_version").fetchone()[0]
            is_empty = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if kind != APPLICATION and not is_empty:  # empty: killed before it was made
            raise ProjectError(f"{self.path} is a database of another program: name another file")
        if version > VERSION:
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

    # --- recordings ---

    def recording(self, recording_id: int) -> Recording:
        """Return a recording.

        Raises:
            ProjectError: If there is none of that number.
        """
        row = self.db.execute("SELECT * FROM recordings WHERE id = ?", (recording_id,)).fetchone()
        if row is None:
            raise ProjectError(f"there is no recording {recording_id}")
        return _recording(row)

    def recordings(self) -> list[Recording]:
        """Return all recordings, by their path."""
        return [_recording(r) for r in self.db.execute("SELECT * FROM recordings ORDER BY path")]

    def look_for_recordings(self) -> list[Recording]:
        """Note which recordings are there now; return those that are not."""
        every = self.recordings()
        gone = {one.id for one in every if not one.path.is_file()}
        changed = [(one.id in gone, one.id) for one in every if one.missing != (one.id in gone)]
        if changed:
            with self.writing() as db:
                db.executemany("UPDATE recordings SET missing = ? WHERE id = ?", changed)
        return [one for one in every if one.id in gone]

    # --- detections ---

    def detections(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Return detections in the order of the numbers; what is not there is left out."""
        found: dict[int, dict[str, Any]] = {}
        for first in range(0, len(ids), 500):
            some = ids[first : first + 500]
            marks = ",".join("?" * len(some))
            rows = self.db.execute(f"SELECT * FROM detections WHERE id IN ({marks})", some)
            found |= {row["id"]: dict(row) for row in rows}
        return [found[number] for number in ids if number in found]

    def near(self, recording_id: int, begin_s: float, end_s: float) -> list[dict[str, Any]]:
        """Return the detections of a recording that lie between two times, in their order."""
        # The longest detection bounds how far before a stretch one can begin that reaches into it.
        longest = self.setting("longest_s", 0.0)
        rows = self.db.execute(
            "SELECT * FROM detections WHERE recording_id = ? AND begin_s < ? AND begin_s > ? "
            "AND end_s > ? ORDER BY begin_s LIMIT 1000",
            (recording_id, end_s, begin_s - longest, begin_s),
        )
        return [dict(row) for row in rows]

    # --- decisions ---

    def _once(
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

    def decide(
        self, decisions: Sequence[tuple[int, Decision]], reviewer: str, key: str | None = None
    ) -> int:
        """Keep decisions on detections, all at once; return the number of the batch.

        Raises:
            ProjectError: If a detection is not there.
        """
        return self._once("decide", key, lambda db: [_decide(db, decisions, reviewer)])[0]

    def add(
        self,
        recording_id: int,
        extent_s: tuple[float, float],
        class_name: str | None,
        reviewer: str,
        *,
        source: str = "missed",
        band_hz: tuple[float | None, float | None] = (None, None),
        decision: Decision | None = None,
        key: str | None = None,
    ) -> int:
        """Add a stretch that a person found, with what it is said to be; return its number.

        Args:
            recording_id: Where.
            extent_s: Begin and end.
            class_name: What it is; None: nothing of interest.
            reviewer: Who says so.
            source: ``missed``, ``window`` or ``similar``.
            band_hz: Lowest and highest frequency.
            decision: What is said of it; None: right.
            key: See ``_once``.
        """

        def work(db: sqlite3.Connection) -> list[int]:
            number = db.execute(
                "INSERT INTO detections(recording_id, begin_s, end_s, low_hz, high_hz, class, "
                "source, run) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (recording_id, *extent_s, *band_hz, class_name, source, ADDED),
            ).lastrowid
            _decide(db, [(number, decision or Decision("right"))], reviewer)
            _keep_longest(db, extent_s[1] - extent_s[0])
            return [number]

        return self._once("add", key, work)[0]

    def undo(self, reviewer: str, key: str | None = None) -> list[dict[str, Any]]:
        """Take back the last decision of a reviewer, on all its detections; return what it was."""

        def work(db: sqlite3.Connection) -> list[int]:
            row = db.execute(
                "SELECT batch FROM decisions WHERE reviewer = ? AND undone = 0 "
                "ORDER BY id DESC LIMIT 1",
                (reviewer,),
            ).fetchone()
            if row is None:
                return []
            batch = row["batch"], reviewer
            found = db.execute(
                "SELECT id FROM decisions WHERE batch = ? AND reviewer = ? AND undone = 0 "
                "ORDER BY id",
                batch,
            ).fetchall()
            db.execute("UPDATE decisions SET undone = 1 WHERE batch = ? AND reviewer = ?", batch)
            return [one["id"] for one in found]

        numbers = self._once("undo", key, work)
        rows = [
            self.db.execute("SELECT * FROM decisions WHERE id = ?", (number,)).fetchone()
            for number in numbers
        ]
        return [dict(row) for row in rows]

    def last_decisions(self, ids: Sequence[int], reviewer: str | None) -> dict[int, dict[str, Any]]:
        """Return of each detection the last decision that counts.

        Args:
            ids: Which.
            reviewer: Whose; None: of all, where one skipped takes nothing from what another said.
        """
        found: dict[int, dict[str, Any]] = {}
        for first in range(0, len(ids), 500):
            some = ids[first : first + 500]
            marks = ",".join("?" * len(some))
            rows = self.db.execute(
                f"SELECT * FROM decisions WHERE undone = 0 AND detection_id IN ({marks}) "
                "ORDER BY id",
                some,
            )
            for row in rows:
                if reviewer is not None and row["reviewer"] != reviewer:
                    continue
                if reviewer is None and row["verdict"] == "skip" and row["detection_id"] in found:
                    continue
                found[row["detection_id"]] = dict(row)
        return found

    def decisions_of(self, detection_id: int) -> list[dict[str, Any]]:
        """Return all decisions on a detection, in their order, also those that were undone."""
        rows = self.db.execute(
            "SELECT * FROM decisions WHERE detection_id = ? ORDER BY id", (detection_id,)
        )
        return [dict(row) for row in rows]

    def counting(self) -> list[dict[str, Any]]:
        """Return the last decision of each reviewer on each detection, oldest first."""
        return [dict(row) for row in self.db.execute("SELECT * FROM counting ORDER BY id")]

    def reviewers(self) -> dict[str, int]:
        """Return who decided, and on how many detections."""
        rows = self.db.execute(
            "SELECT reviewer, count(DISTINCT detection_id) FROM decisions WHERE undone = 0 "
            "GROUP BY reviewer ORDER BY reviewer"
        )
        return {row[0]: row[1] for row in rows}

    def decided_at(self, reviewer: str | None, limit: int = 60) -> list[datetime]:
        """Return when the last batches of decisions were made, by one reviewer or all."""
        who, values = ("AND reviewer = ?", (reviewer,)) if reviewer else ("", ())
        rows = self.db.execute(
            f"SELECT max(at) FROM (SELECT at, batch, id FROM decisions WHERE undone = 0 {who} "
            "ORDER BY id DESC LIMIT 2000) GROUP BY batch ORDER BY max(id) DESC LIMIT ?",
            (*values, limit),
        )
        return [datetime.fromisoformat(row[0]) for row in rows]


def _decide(
    db: sqlite3.Connection, decisions: Sequence[tuple[int, Decision]], reviewer: str
) -> int:
    batch = db.execute("SELECT coalesce(max(id), 0) + 1 FROM decisions").fetchone()[0]
    at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    try:
        db.executemany(
            "INSERT INTO decisions(detection_id, reviewer, at, verdict, class, begin_s, end_s, "
            "low_hz, high_hz, note, batch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(number, reviewer, at, one.verdict, one.class_name, one.begin_s, one.end_s),
                    *(one.low_hz, one.high_hz, one.note, batch),
                )
                for number, one in decisions
            ],
        )
    except sqlite3.IntegrityError as error:
        raise ProjectError("there is no such detection") from error
    return batch


def keep_longest(db: sqlite3.Connection, rows: Iterable[tuple[float, float]]) -> None:
    """Note how long the longest of detections is, while ``db`` is writing."""
    _keep_longest(db, max((end_s - begin_s for begin_s, end_s in rows), default=0.0))


def _keep_longest(db: sqlite3.Connection, seconds: float) -> None:
    row = db.execute("SELECT value FROM settings WHERE key = 'longest_s'").fetchone()
    if row is None or json.loads(row[0]) < seconds:
        db.execute(
            "INSERT OR REPLACE INTO settings VALUES ('longest_s', ?)", (json.dumps(seconds),)
        )


def stored(path: Path) -> str | bytes:
    """Return a path as the database keeps it: text, or bytes where a name is not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return str(path)


def _recording(row: sqlite3.Row) -> Recording:
    return Recording(
        *(row["id"], Path(os.fsdecode(row["path"])), row["duration_s"]),
        *(row["site"], row["start"]),
        bool(row["missing"]),
    )


def _statements(script: str) -> Iterator[str]:
    """Part a script into statements, since ``executescript`` would end the transaction."""
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""
