"""Each event and each detection of scored recordings, and whether it is right; as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from animal_spot.detections.annotations import Annotation
from animal_spot.evaluation.event_scores import match_events
from animal_spot.utils.csv_cells import csv_text

FILE_NAME = "scored_events.csv"
HIT, OTHER_NAME, FALSE, MISSED = "hit", "other name", "false alarm", "missed"
Kind = Literal["hit", "other name", "false alarm", "missed"]
YES, NO = "yes", "no"
COLUMNS = (
    *("recording", "kind", "class", "begin_s", "end_s"),
    *("found_class", "found_begin_s", "found_end_s", "score"),
    *("event_found", "detection_right", "file"),
)


class ScoredEvent(NamedTuple):
    """An event, the detection that was matched with it whatever the class, or both.

    Attributes:
        kind: What came of the matching.
        event: What the truth says is there; None: nothing.
        detection: What was found; None: nothing.
        event_found: Whether a detection of its class was matched with the event; None without one.
        detection_right: Whether an event of its class was matched with the detection; None without.
    """

    kind: Kind
    event: Annotation | None
    detection: Annotation | None
    event_found: bool | None
    detection_right: bool | None


def scored_events(
    truth: Sequence[Annotation], found: Sequence[Annotation], *, iou_threshold: float = 0.0
) -> list[ScoredEvent]:
    """Match the events of a recording with what was found, as the scores do.

    Rows are pairs matched whatever the class, as in the confusion; ``event_found`` and
    ``detection_right`` are of the matching within each class, as in the scores of classes.

    Args:
        truth: Events.
        found: Detections.
        iou_threshold: Least overlap of a hit.

    Returns:
        By time.
    """
    hits, right = _within_classes(truth, found, iou_threshold)
    pairs = match_events(truth, found, iou_threshold=iou_threshold)
    rows = [
        ScoredEvent(
            HIT if truth[i].name == found[j].name else OTHER_NAME,
            *(truth[i], found[j], i in hits, j in right),
        )
        for i, j in pairs
    ]
    of_truth, of_found = {i for i, _ in pairs}, {j for _, j in pairs}
    rows += [
        ScoredEvent(MISSED, row, None, i in hits, None)
        for i, row in enumerate(truth)
        if i not in of_truth
    ]
    rows += [
        ScoredEvent(FALSE, None, row, None, j in right)
        for j, row in enumerate(found)
        if j not in of_found
    ]
    return sorted(rows, key=lambda row: (row.event or row.detection)[:3])


def _within_classes(
    truth: Sequence[Annotation], found: Sequence[Annotation], iou_threshold: float
) -> tuple[set[int], set[int]]:
    """Return which events and which detections have a partner of their own class."""
    hits: set[int] = set()
    right: set[int] = set()
    for name in {row.name for row in truth} & {row.name for row in found}:
        events = [i for i, row in enumerate(truth) if row.name == name]
        detections = [j for j, row in enumerate(found) if row.name == name]
        pairs = match_events(
            [truth[i] for i in events],
            [found[j] for j in detections],
            iou_threshold=iou_threshold,
        )
        hits.update(events[i] for i, _ in pairs)
        right.update(detections[j] for _, j in pairs)
    return hits, right


def scored_text(recordings: Mapping[str, tuple[str, Iterable[ScoredEvent]]]) -> str:
    """Return the table as csv.

    Args:
        recordings: Of each name the path of the recording, and what was scored in it.
    """
    rows: list[Sequence[object]] = [COLUMNS]
    for name, (file, scored) in recordings.items():
        rows += [
            (
                *(name, row.kind, *_cells(row.event)[:3], *_cells(row.detection)),
                *(_answer(row.event_found), _answer(row.detection_right), file),
            )
            for row in scored
        ]
    return csv_text(rows)


def _cells(row: Annotation | None) -> tuple[object, ...]:
    if row is None:
        return "", "", "", ""
    score = "" if row.score is None or math.isnan(row.score) else row.score
    return row.name, row.begin_s, row.end_s, score


def _answer(value: bool | None) -> str:
    return "" if value is None else YES if value else NO
