"""What reviewers say of detections, put together: one verdict each, or none where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from animal_spot.reviewing.project import Project, Recording
from animal_spot.reviewing.verdicts import joint


@dataclass(frozen=True)
class Judged:
    """A detection and what counts of it.

    Attributes:
        id: Its number.
        recording: Where it is heard.
        predicted: Class that the model found; None: none.
        score: Its probability.
        source: Where the row comes from.
        verdict: That of all: ``unsure`` also where reviewers differ.
        class_name: What is heard; None if that is no call, or not known.
        begin_s: As it was corrected last.
        end_s: The same.
        low_hz: The same.
        high_hz: The same.
        reviewer: Who decided last of those whose verdict counts.
        at: When.
        note: What was noted.
    """

    id: int
    recording: Recording
    predicted: str | None
    score: float | None
    source: str
    verdict: str
    class_name: str | None
    begin_s: float
    end_s: float
    low_hz: float | None
    high_hz: float | None
    reviewer: str
    at: str
    note: str | None


def judged(project: Project) -> list[Judged]:
    """Return what was decided, by recording and time; not what all skipped."""
    by_detection: dict[int, list[dict[str, Any]]] = {}
    for row in project.counting():
        by_detection.setdefault(row["detection_id"], []).append(row)
    recordings = {one.id: one for one in project.recordings()}
    found = []
    for row in project.detections(sorted(by_detection)):
        decisions = by_detection[row["id"]]
        verdict, other = joint((one["verdict"], one["class"]) for one in decisions)
        if verdict != "skip":
            last = _last(decisions, verdict)
            found.append(_put_together(row, recordings, last, verdict, other))
    found.sort(key=lambda one: (str(one.recording.path), one.begin_s, one.end_s, one.id))
    return found


def _last(decisions: list[dict[str, Any]], verdict: str) -> Mapping[str, Any]:
    """Return the newest decision that says what counts, else the newest of all."""
    same = [one for one in decisions if one["verdict"] == verdict] or decisions
    return max(same, key=lambda one: one["id"])


def _put_together(
    row: Mapping[str, Any],
    recordings: Mapping[int, Recording],
    decision: Mapping[str, Any],
    verdict: str,
    other: str | None,
) -> Judged:
    extent = {
        key: row[key] if decision[key] is None else decision[key]
        for key in ("begin_s", "end_s", "low_hz", "high_hz")
    }
    class_name = {"right": row["class"], "other": other}.get(verdict)
    return Judged(
        row["id"],
        recordings[row["recording_id"]],
        *(row["class"], row["score"], row["source"], verdict, class_name),
        **extent,
        reviewer=decision["reviewer"],
        at=decision["at"],
        note=decision["note"],
    )
