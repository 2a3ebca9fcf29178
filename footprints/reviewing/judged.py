"""What reviewers say of boxes, put together: one verdict each, or none where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from footprints.reviewing.project import EDGES, Box, Photo, Project, said_of
from footprints.reviewing.verdicts import joint
from footprints.scores.calibration import UNKNOWN


@dataclass(frozen=True)
class Judged:
    """A box and what counts of it.

    Attributes:
        id: Its number.
        photo: What it is on.
        predicted: The answer that the model gave; None: none.
        score: Its probability.
        source: Where the row comes from.
        is_group: Whether ``class_name`` is a group of species, as the model answered.
        verdict: That of all: ``unsure`` also where reviewers differ.
        class_name: Whose print it is, ``unknown`` for an animal of no class, ``NO_PRINT`` for none;
            None if that is not known, as of an answer "unknown" that is right.
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
    is_group: bool
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
        verdict, other = joint(map(_said, decisions))
        if verdict != "skip":
            found.append(_put_together(row, photos, decisions, verdict, other))
    found.sort(key=lambda one: (one.photo.name, one.id))
    return found


def _said(decision: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return verdict and class; that an animal of no class is rightly unknown is no other class."""
    verdict = decision["verdict"]
    return verdict, decision["class"] if verdict == "other" else None


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
        *(row["id"], photos[row["photo_id"]], row["class"], row["score"], row["source"]),
        verdict == "right" and said_of(row).get("level") == "group",
        verdict,
        _class_of(row["class"], verdict, other, same),
        None if None in edges else (edges[0], edges[1], edges[2], edges[3]),
        *(last["reviewer"], last["at"], last["note"]),
    )


def _class_of(
    predicted: str | None, verdict: str, other: str | None, decisions: list[dict[str, Any]]
) -> str | None:
    if verdict != "right":
        return other if verdict == "other" else None
    if predicted != UNKNOWN:
        return predicted
    return UNKNOWN if any(one["class"] == UNKNOWN for one in decisions) else None
