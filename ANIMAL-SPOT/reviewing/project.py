"""The file of a review: recordings, detections, decisions. SQLite, open to several processes."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animal_spot.reviewing.decision_store import DecisionStore, decisions_schema, insert_decisions
from animal_spot.reviewing.store import SETTINGS_SCHEMA, ProjectError

SOURCES = ("prediction", "missed", "window", "similar")
ADDED = 0  # run of what people added; those of predictions count from 1
VERSION = 1
APPLICATION = 0x41535052  # "ASPR": which SQLite files are ours
_EXTENT = ("begin_s", "end_s", "low_hz", "high_hz")
_SCHEMA = (
    """
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
"""
    + decisions_schema(_EXTENT)
    + SETTINGS_SCHEMA
)


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


class Project(DecisionStore):
    """An open file of a review. Each thread has a connection of its own.

    Args:
        path: The file; made if it is not there.

    Raises:
        ProjectError: If it is another kind of file, write-protected, or of a newer version of this
            program.
        OSError: If it cannot be opened.
    """

    SCHEMA, VERSION, APPLICATION = _SCHEMA, VERSION, APPLICATION

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

    def decide(
        self, decisions: Sequence[tuple[int, Decision]], reviewer: str, key: str | None = None
    ) -> int:
        """Keep decisions on detections, all at once; return the number of the batch.

        Raises:
            ProjectError: If a detection is not there.
        """
        return self.once("decide", key, lambda db: [_decide(db, decisions, reviewer)])[0]

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
            key: See ``once``.
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

        return self.once("add", key, work)[0]


def _decide(
    db: sqlite3.Connection, decisions: Sequence[tuple[int, Decision]], reviewer: str
) -> int:
    rows = [
        (
            number,
            {"verdict": one.verdict, "class": one.class_name, "note": one.note}
            | {edge: getattr(one, edge) for edge in _EXTENT},
        )
        for number, one in decisions
    ]
    return insert_decisions(db, rows, reviewer)


def keep_longest(db: sqlite3.Connection, rows: Iterable[tuple[float, float]]) -> None:
    """Note how long the longest of detections is, while ``db`` is writing."""
    _keep_longest(db, max((end_s - begin_s for begin_s, end_s in rows), default=0.0))


def _keep_longest(db: sqlite3.Connection, seconds: float) -> None:
    row = db.execute("SELECT value FROM settings WHERE key = 'longest_s'").fetchone()
    if row is None or json.loads(row[0]) < seconds:
        db.execute(
            "INSERT OR REPLACE INTO settings VALUES ('longest_s', ?)", (json.dumps(seconds),)
        )


def _recording(row: sqlite3.Row) -> Recording:
    return Recording(
        *(row["id"], Path(os.fsdecode(row["path"])), row["duration_s"]),
        *(row["site"], row["start"]),
        bool(row["missing"]),
    )
