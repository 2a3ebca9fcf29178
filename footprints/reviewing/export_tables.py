"""What was decided, as tables in CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from footprints.places.taken import TAKEN_COLUMNS
from footprints.reviewing.judged import Judged
from footprints.reviewing.project import EDGES, Project
from footprints.reviewing.written_files import WrittenFiles
from footprints.system.text import csv_of

REVIEWED, DECISIONS = "reviewed.csv", "decisions.csv"
# x and y are the upper left corner; all four are parts of the photo, as --pseudo_labels has them.
_BOX = ("x", "y", "width", "height")
_REVIEWED = (
    *("file", "class", "verdict", "predicted", "score", "source", *_BOX, "trail"),
    *(*TAKEN_COLUMNS, "reviewer", "decided_at", "note", "row"),
)
_DECISIONS = ("row", "reviewer", "decided_at", "verdict", "class", *_BOX, "note", "undone")


def write_tables(
    project: Project, rows: list[Judged], written: WrittenFiles
) -> tuple[list[dict[str, Any]], list[str]]:
    """Write ``reviewed.csv``, what counts, and ``decisions.csv``, all that anybody said.

    Returns:
        Tables with the number of rows, and no notes.
    """
    every = project.db.execute("SELECT * FROM decisions ORDER BY id").fetchall()
    tables = {REVIEWED: list(_reviewed(rows)), DECISIONS: list(_decisions(every))}
    heads = {REVIEWED: _REVIEWED, DECISIONS: _DECISIONS}
    for name, table in tables.items():
        written.write(name, csv_of([heads[name], *table]).encode())
    return [{"name": name, "rows": len(table)} for name, table in tables.items()], []


def _reviewed(rows: list[Judged]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        yield (
            *(row.photo.name, row.class_name or "", row.verdict, row.predicted or ""),
            *("" if row.score is None else row.score, row.source, *_box(row.box)),
            *(row.photo.trail or "", *row.photo.taken.cells()),
            *(row.reviewer, row.at, row.note or "", row.id),
        )


def _decisions(rows: list[Any]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        edges = tuple(row[key] for key in EDGES)
        box = None if None in edges else edges
        yield (
            *(row["detection_id"], row["reviewer"], row["at"], row["verdict"], row["class"] or ""),
            *(*_box(box), row["note"] or "", row["undone"]),
        )


def _box(box: Any) -> tuple[Any, ...]:
    if box is None:
        return ("",) * 4
    x1, y1, x2, y2 = box
    return tuple(round(value, 6) for value in (x1, y1, x2 - x1, y2 - y1))
