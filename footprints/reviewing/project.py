"""The file of a review: photos, boxes on them, decisions. SQLite, open to several processes.

Boxes are parts of the upright photo, 0 to 1, so that they hold for each size that it is shown in.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footprints.places.taken import Taken
from footprints.reviewing.decision_store import DecisionStore, decisions_schema, insert_decisions
from footprints.reviewing.store import SETTINGS_SCHEMA, ProjectError

# An answer, a further print of its photo, a photo without a prediction, drawn by people.
SOURCES = ("prediction", "print", "photo", "drawn")
ADDED = 0  # run of what people drew; those of predictions count from 1
EDGES = ("x1", "y1", "x2", "y2")  # left, top, right, bottom
NO_PRINT = "no print"  # said of a box in which there is no footprint
_SCHEMA = """
CREATE TABLE photos(
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    folder TEXT NOT NULL,
    taken_at TEXT,
    latitude REAL,
    longitude REAL,
    altitude_m REAL,
    camera TEXT,
    trail TEXT,
    seen INTEGER NOT NULL DEFAULT 0,
    missing INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE detections(
    id INTEGER PRIMARY KEY,
    photo_id INTEGER NOT NULL REFERENCES photos(id),
    x1 REAL, y1 REAL, x2 REAL, y2 REAL,
    class TEXT,
    score REAL,
    source TEXT NOT NULL CHECK(source IN ('prediction', 'print', 'photo', 'drawn')),
    run INTEGER NOT NULL,
    said TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX detections_of_photo ON detections(photo_id);
"""


@dataclass(frozen=True)
class Photo:
    """A photo of a review.

    Attributes:
        id: Its number, by which requests name it.
        path: The file.
        name: Its path from the folder of the photos on.
        folder: The folder that it lies in, from there on; empty: that one itself.
        taken: When, where and by which camera.
        trail: Of which trail it is; None: not known.
        missing: Whether the file was not found.
    """

    id: int
    path: Path
    name: str
    folder: str
    taken: Taken
    trail: str | None
    missing: bool


Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Decision:
    """What a reviewer says of a box.

    Attributes:
        verdict: One of ``verdicts.VERDICTS``.
        class_name: The class for ``other``.
        box: Corrected; None: unchanged.
        note: Whatever the reviewer wrote.
    """

    verdict: str
    class_name: str | None = None
    box: Box | None = None
    note: str | None = None

    def columns(self) -> dict[str, Any]:
        """Return it as the table of decisions has it."""
        edges = dict(zip(EDGES, self.box or (None,) * 4, strict=True))
        return {"verdict": self.verdict, "class": self.class_name, "note": self.note} | edges


class Project(DecisionStore):
    """An open file of a review. Each thread has a connection of its own.

    Args:
        path: The file; made if it is not there.

    Raises:
        ProjectError: If it is another kind of file, write-protected, or of a newer version of this
            program.
        OSError: If it cannot be opened.
    """

    SCHEMA = _SCHEMA + decisions_schema(EDGES) + SETTINGS_SCHEMA
    VERSION = 1
    APPLICATION = 0x46505256  # "FPRV"

    # --- photos ---

    def photo(self, photo_id: int) -> Photo:
        """Return a photo.

        Raises:
            ProjectError: If there is none of that number.
        """
        row = self.db.execute("SELECT * FROM photos WHERE id = ?", (photo_id,)).fetchone()
        if row is None:
            raise ProjectError(f"there is no photo {photo_id}")
        return photo_of(row)

    def photos(self) -> list[Photo]:
        """Return all photos, by their names."""
        return [photo_of(row) for row in self.db.execute("SELECT * FROM photos ORDER BY name, id")]

    def look_for_photos(self) -> list[Path]:
        """Note which photos are there now; return those that are not."""
        rows = self.db.execute("SELECT id, path, missing FROM photos").fetchall()
        paths = {row["id"]: Path(os.fsdecode(row["path"])) for row in rows}
        there = {number for number, path in paths.items() if path.is_file()}
        changed = [
            (row["id"] not in there, row["id"])
            for row in rows
            if bool(row["missing"]) == (row["id"] in there)
        ]
        if changed:
            with self.writing() as db:
                db.executemany("UPDATE photos SET missing = ? WHERE id = ?", changed)
        return [path for number, path in paths.items() if number not in there]

    def rows_of_photo(self, photo_id: int) -> list[int]:
        """Return the numbers of the boxes of a photo."""
        rows = self.db.execute(
            "SELECT id FROM detections WHERE photo_id = ? ORDER BY id", (photo_id,)
        )
        return [row["id"] for row in rows]

    # --- decisions ---

    def decide(
        self, decisions: Sequence[tuple[int, Decision]], reviewer: str, key: str | None = None
    ) -> int:
        """Keep decisions on boxes, all at once; return the number of the batch.

        Raises:
            ProjectError: If a box is not there.
        """
        rows = [(number, one.columns()) for number, one in decisions]
        return self.once("decide", key, lambda db: [insert_decisions(db, rows, reviewer)])[0]

    def add(
        self,
        photo_id: int,
        box: Box,
        class_name: str | None,
        reviewer: str,
        decision: Decision,
        key: str | None = None,
    ) -> int:
        """Add a box that a person drew, with what is said of it; return its number.

        Args:
            photo_id: Where.
            box: The box.
            class_name: Whose print it is; None: not known.
            reviewer: Who says so.
            decision: What is said of it.
            key: See ``once``.
        """

        def work(db: sqlite3.Connection) -> list[int]:
            number = db.execute(
                "INSERT INTO detections(photo_id, x1, y1, x2, y2, class, source, run) "
                "VALUES (?, ?, ?, ?, ?, ?, 'drawn', ?)",
                (photo_id, *box, class_name, ADDED),
            ).lastrowid
            insert_decisions(db, [(number, decision.columns())], reviewer)
            return [number]

        return self.once("add", key, work)[0]


def photo_of(row: Mapping[str, Any]) -> Photo:
    """Return a photo from its row in the file."""
    names = ("taken_at", "latitude", "longitude", "altitude_m", "camera")
    return Photo(
        *(row["id"], Path(os.fsdecode(row["path"])), row["name"], row["folder"]),
        Taken(**{name: row[name] for name in names}),
        row["trail"],
        bool(row["missing"]),
    )


def said_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the model said of a box besides class and score."""
    return json.loads(row["said"])
