"""What is to be decided on, into the project. Nothing is written where it comes from."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
import threading
from dataclasses import astuple
from datetime import datetime, timedelta
from pathlib import Path

from footprints.pictures.photo_exif import taken_of
from footprints.places.taken import Taken
from footprints.reviewing.found_rows import (
    RESULTS,
    Found,
    FoundPhoto,
    FoundRow,
    read_photos,
    read_predictions,
)
from footprints.reviewing.project import EDGES, Project
from footprints.reviewing.store import ProjectGoneError, stored
from footprints.system.errors import UserError
from footprints.system.progress import warn
from footprints.system.text import printable

_AT_ONCE = 200  # photos whose EXIF is written together


def bring_in(project: Project, predictions: Path | None, photos: Path | None) -> None:
    """Bring into a project what is given, unless it is in it already.

    Rows on which somebody decided stay, and of an earlier prediction only these.

    Raises:
        UserError: If there is nothing to review, it cannot be read, or other photos are now where
            those were on which somebody decided.
    """
    state = _state_of(predictions, photos)
    if state is not None and project.setting("imported") == state:
        return
    if predictions is not None:
        found, source = read_predictions(predictions, photos), "prediction"
    else:
        found, source = read_photos(photos), "photo"
    _require_same_photos(project, found)
    _find_again(project, found)
    if predictions is None and project.setting("predictions") is not None:
        return  # photos that were moved, no others
    n_new, n_gone = _store(project, found, source)
    if predictions is not None:
        project.keep_setting("facts", found.facts)
        project.keep_setting("predictions", str(predictions.resolve()))
    project.keep_setting("imported", state)
    n = sum(len(one.rows) for one in found.photos)
    what = "answers" if predictions is not None else "photos without a box"
    _say(f"{n} {what} on {len(found.photos)} photos, {n_new} of them new")
    if n_gone:
        _say(f"{n_gone} of an earlier prediction, on which nobody decided, are gone")
    if not found.facts.get("complete", True):
        warn(
            f"{printable(predictions)}: the prediction was stopped before its end; photos that it "
            "had not come to are not here"
        )
    gone = [one for one in found.photos if not one.path.is_file()]
    if gone:
        warn(
            f"{len(gone)} of {len(found.photos)} photos are not there, such as "
            f"{printable(gone[0].path)}: name their folder with --photos"
        )


def _require_same_photos(project: Project, found: Found) -> None:
    """Make sure that photos on which somebody decided were taken when those found now were.

    A card that is used again has other photos under the same names. That all were taken earlier
    or later by one and the same time is a clock that was put right.

    Raises:
        UserError: If they are others.
    """
    now_at = {os.path.abspath(one.path): one for one in found.photos}
    now_of_name = {one.name: one for one in found.photos}
    rows = project.db.execute(
        "SELECT path, name, taken_at FROM photos WHERE taken_at IS NOT NULL AND id IN (SELECT "
        "photo_id FROM detections JOIN decisions ON detection_id = detections.id WHERE undone = 0)"
    )
    shifts: dict[str, timedelta] = {}
    for row in rows:
        path = os.fsdecode(row["path"])
        one = now_at.get(path)
        if one is None and not os.path.isfile(path):
            one = now_of_name.get(row["name"])
        if one is not None and one.taken is not None and one.taken.taken_at is not None:
            shifts[path] = _by_clock(one.taken.taken_at) - _by_clock(row["taken_at"])
    others = [path for path, shift in shifts.items() if shift]
    if others and (len(shifts) == 1 or len({*shifts.values()}) > 1):
        raise UserError(
            f"{len(others)} photos, such as {printable(others[0])}, were taken at another time "
            f"than those of that name on which {printable(project.path)} has decisions; if they "
            "are other photos, name another --project"
        )


def _by_clock(taken_at: str) -> datetime:
    """Return a time by the camera's clock; the zone may have been added."""
    return datetime.fromisoformat(taken_at).replace(tzinfo=None)


def _find_again(project: Project, found: Found) -> None:
    """Note where photos lie now that are not any more where they were, by their names."""
    path_of = {one.name: one.path for one in found.photos}
    there = {os.path.abspath(path) for path in path_of.values()}
    moved = [
        (stored(Path(os.path.abspath(path_of[one.name]))), one.id)
        for one in project.photos()
        if one.name in path_of and str(one.path) not in there and not one.path.is_file()
    ]
    if moved:
        with project.writing() as db:
            db.executemany("UPDATE OR IGNORE photos SET path = ?, missing = 0 WHERE id = ?", moved)


def _say(line: str) -> None:
    """Print a line beside the address of the page, which alone is on standard output."""
    print(printable(line), file=sys.stderr, flush=True)


def _state_of(predictions: Path | None, photos: Path | None) -> str | None:
    """Return what changes with what is brought in; None: it must be looked through."""
    if predictions is None:
        return None
    try:
        status = os.stat(predictions / RESULTS)
    except OSError:
        return None
    said = [str(predictions.resolve()), None if photos is None else str(photos.resolve())]
    text = json.dumps([*said, status.st_size, status.st_mtime_ns])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _store(project: Project, found: Found, source: str) -> tuple[int, int]:
    """Write everything at once; return how many rows are new, and how many earlier ones left."""
    with project.writing() as db:
        run = json.loads(
            (db.execute("SELECT value FROM settings WHERE key = 'run'").fetchone() or ["0"])[0]
        )
        run += 1
        db.execute("INSERT OR REPLACE INTO settings VALUES ('run', ?)", (json.dumps(run),))
        n_new = 0
        for one in found.photos:
            number = _store_photo(db, one)
            before = {
                (_box_of(row), row["class"]): row["id"]
                for row in db.execute(
                    "SELECT * FROM detections WHERE photo_id = ? AND source != 'drawn'", (number,)
                )
            }
            for row in one.rows:
                of_row = "print" if row.is_further else source
                n_new += _store_row(db, number, row, of_row, run, before)
        n_gone = db.execute(
            "DELETE FROM detections WHERE source != 'drawn' AND run < ? "
            "AND id NOT IN (SELECT detection_id FROM decisions)",
            (run,),
        ).rowcount
        db.execute(
            "DELETE FROM photos WHERE id NOT IN (SELECT photo_id FROM detections)"
        )  # of photos that are in no list any more
    return n_new, n_gone


def _store_photo(db: sqlite3.Connection, one: FoundPhoto) -> int:
    path = Path(os.path.abspath(one.path))
    taken = one.taken or Taken()
    folder = one.name.rpartition("/")[0]
    seen = one.taken is not None
    # What was read from the photo itself is not lost when the folder is looked through again.
    return db.execute(
        "INSERT INTO photos(path, name, folder, taken_at, latitude, longitude, altitude_m, camera, "
        "trail, seen, missing) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(path) "
        "DO UPDATE SET name = excluded.name, folder = excluded.folder, "
        "missing = excluded.missing, "
        "trail = coalesce(excluded.trail, trail), "
        "taken_at = coalesce(excluded.taken_at, taken_at), "
        "latitude = coalesce(excluded.latitude, latitude), "
        "longitude = coalesce(excluded.longitude, longitude), "
        "altitude_m = coalesce(excluded.altitude_m, altitude_m), "
        "camera = coalesce(excluded.camera, camera), seen = max(excluded.seen, seen) RETURNING id",
        (
            *(stored(path), one.name, folder, *astuple(taken), one.trail),
            *(seen, not path.is_file()),
        ),
    ).fetchone()[0]


def _store_row(
    db: sqlite3.Connection,
    photo_id: int,
    row: FoundRow,
    source: str,
    run: int,
    before: dict[tuple, int],
) -> int:
    """Write a row; return 1 if it is new, else 0."""
    said = json.dumps(dict(row.said))
    same = before.get(row.key)
    if same is not None:
        db.execute(
            "UPDATE detections SET score = ?, run = ?, said = ? WHERE id = ?",
            (row.score, run, said, same),
        )
        return 0
    db.execute(
        "INSERT INTO detections(photo_id, x1, y1, x2, y2, class, score, source, run, said) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (photo_id, *(row.box or (None,) * 4), row.class_name, row.score, source, run, said),
    )
    return 1


def _box_of(row: sqlite3.Row) -> tuple[float, ...] | None:
    edges = tuple(row[key] for key in EDGES)
    return None if None in edges else edges


class ExifReader(threading.Thread):
    """Reads when and where photos without a prediction were taken, while the page is open.

    Args:
        project: Is written into.
    """

    def __init__(self, project: Project) -> None:
        super().__init__(daemon=True)
        self._project = project
        self._ended = threading.Event()

    def run(self) -> None:
        """Read until all are read, or ``end`` is called."""
        try:
            while not self._ended.is_set():
                rows = self._project.db.execute(
                    "SELECT id, path FROM photos WHERE seen = 0 AND missing = 0 ORDER BY name "
                    "LIMIT ?",
                    (_AT_ONCE,),
                ).fetchall()
                if not rows:
                    return
                found = []
                for row in rows:
                    if self._ended.is_set():
                        break
                    found.append((*astuple(taken_of(Path(os.fsdecode(row["path"])))), row["id"]))
                with self._project.writing() as db:
                    db.executemany(
                        "UPDATE photos SET taken_at = ?, latitude = ?, longitude = ?, "
                        "altitude_m = ?, camera = ?, seen = 1 WHERE id = ?",
                        found,
                    )
        except (ProjectGoneError, sqlite3.Error):
            return  # the page says what is wrong with the file; the next start goes on

    def end(self) -> None:
        """Stop, and wait for it."""
        self._ended.set()
        if self.is_alive():
            self.join()
