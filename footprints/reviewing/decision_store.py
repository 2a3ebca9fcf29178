"""Decisions of reviewers in the file of a review: only ever added, taken back by a mark."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from footprints.reviewing.store import ProjectError, Store


def decisions_schema(extent: Sequence[str]) -> str:
    """Return the table of decisions.

    Args:
        extent: Columns of numbers in which a reviewer corrects where something lies.
    """
    edges = "\n".join(f"    {name} REAL," for name in extent)
    return f"""
CREATE TABLE decisions(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    detection_id INTEGER NOT NULL REFERENCES detections(id),
    reviewer TEXT NOT NULL,
    at TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK(verdict IN ('right', 'wrong', 'other', 'unsure', 'skip')),
    class TEXT,
{edges}
    note TEXT,
    batch INTEGER NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0 CHECK(undone IN (0, 1))
);
CREATE INDEX decisions_of_detection ON decisions(detection_id);
CREATE INDEX decisions_of_reviewer ON decisions(reviewer, undone, id);
CREATE INDEX decisions_undone ON decisions(undone) WHERE undone = 1;
CREATE VIEW counting AS  -- the last decision of each reviewer that was not undone
    SELECT decisions.* FROM decisions JOIN (
        SELECT max(id) AS last FROM decisions WHERE undone = 0 GROUP BY detection_id, reviewer
    ) ON id = last;
"""


class DecisionStore(Store):
    """A file of a review with a table of detections, and of decisions on them."""

    def detections(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Return detections in the order of the numbers; what is not there is left out."""
        found: dict[int, dict[str, Any]] = {}
        for first in range(0, len(ids), 500):
            some = ids[first : first + 500]
            marks = ",".join("?" * len(some))
            rows = self.db.execute(f"SELECT * FROM detections WHERE id IN ({marks})", some)
            found |= {row["id"]: dict(row) for row in rows}
        return [found[number] for number in ids if number in found]

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

        numbers = self.once("undo", key, work)
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


def insert_decisions(
    db: sqlite3.Connection, rows: Sequence[tuple[int, Mapping[str, Any]]], reviewer: str
) -> int:
    """Write decisions, while ``db`` is writing; return the number of their batch.

    Args:
        db: What is written into.
        rows: Number of the detection, and what is said of it by columns: the same ones in each row.
        reviewer: Who says so.

    Raises:
        ProjectError: If a detection is not there.
    """
    batch = db.execute("SELECT coalesce(max(id), 0) + 1 FROM decisions").fetchone()[0]
    at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    columns = list(rows[0][1]) if rows else []
    names = ", ".join(["detection_id", "reviewer", "at", "batch", *columns])
    marks = ", ".join("?" * (4 + len(columns)))
    try:
        db.executemany(
            f"INSERT INTO decisions({names}) VALUES ({marks})",
            [
                (number, reviewer, at, batch, *(said[key] for key in columns))
                for number, said in rows
            ],
        )
    except sqlite3.IntegrityError as error:
        raise ProjectError("there is no such detection") from error
    return batch
