"""What reviewers say of boxes, put together: one verdict each, or none where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from footprints.reviewing.project import EDGES, Box, Photo, Project
from footprints.reviewing.verdicts import joint


@dataclass(frozen=True)
class Judged:
    """A box and what counts of it.

    Attributes:
        id: Its number.
        photo: What it is on.
        predicted: The answer that the model gave; None: none.
        score: Its probability.
        source: Where the row comes from.
        verdict: That of all: ``unsure`` also where reviewers differ.
        class_name: Whose print it is, ``unknown`` for an animal of no class, ``NO_PRINT`` for none;
            None if that is not known.
        box: As it was corrected last, parts of the upright photo; None: there is none.
        reviewer: Who decided last of those whose verdict counts.
        at: When.
        note: What was noted.
    """

    id: int
    photo: Photo
    predicted: str | None
    score: float | None
    source: str
    verdict: str
    class_name: str | None
    box: Box | None
    reviewer: str
    at: str
    note: str | None


def judged(project: Project) -> list[Judged]:
    """Return what was decided, by photo; not what all skipped."""
    by_detection: dict[int, list[dict[str, Any]]] = {}
    for row in project.counting():
        by_detection.setdefault(row["detection_id"], []).append(row)
    photos = {one.id: one for one in project.photos()}
    found = []
    for row in project.detections(sorted(by_detection)):
        decisions = by_detection[row["id"]]
        verdict, other = joint((one["verdict"], one["class"]) for one in decisions)
        if verdict != "skip":
            found.append(_put_together(row, photos, decisions, verdict, other))
    found.sort(key=lambda one: (one.photo.name, one.id))
    return found


def _put_together(
    row: Mapping[str, Any],
    photos: Mapping[int, Photo],
    decisions: list[dict[str, Any]],
    verdict: str,
    other: str | None,
) -> Judged:
    same = [one for one in decisions if one["verdict"] == verdict] or decisions
    last = max(same, key=lambda one: one["id"])  # the newest that says what counts
    edges = [row[key] if last[key] is None else last[key] for key in EDGES]
    return Judged(
        *(row["id"], photos[row["photo_id"]], row["class"], row["score"], row["source"], verdict),
        {"right": row["class"], "other": other}.get(verdict),
        None if None in edges else (edges[0], edges[1], edges[2], edges[3]),
        *(last["reviewer"], last["at"], last["note"]),
    )
