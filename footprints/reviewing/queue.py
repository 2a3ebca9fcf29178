"""Which boxes are looked at, and in what order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from footprints.reviewing.ordering import ORDERS, ranked
from footprints.reviewing.project import ADDED, Project
from footprints.reviewing.verdicts import DECIDED, OPEN, STATES, joint

_SELECT = (
    "SELECT detections.id, photo_id, class, score, source, run, folder, taken_at, trail, name "
    "FROM detections JOIN photos ON photo_id = photos.id"
)
_LATEST = "\uffff"  # after all times and names
_DIGITS = re.compile(r"([0-9]+)")
_AT_ONCE = 500  # boxes that are asked for together
_NO_NUMBER = 10**30  # letters come after digits


class QueueError(ValueError):
    """A filter or an order that cannot be used; one line says why."""


@dataclass(frozen=True)
class Filter:
    """What is looked at; None or empty: all.

    Attributes:
        class_names: Predicted classes, or those that a reviewer said instead; "" is none.
        least: Lowest score.
        most: Highest score.
        folders: Of the photos.
        trail: Name of the trail.
        photo: Number of the photo.
        begins: Earliest time by the camera's clock, without zone.
        ends: Latest.
        hours: Hours of the day, from and to, such as ``(21, 5)``.
        states: See ``STATES``, and ``decided``.
        sources: Where the rows come from.
        reviewer: Whose decisions say the state; None: those of all.
    """

    class_names: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    folders: tuple[str, ...] = ()
    trail: str | None = None
    photo: int | None = None
    begins: datetime | None = None
    ends: datetime | None = None
    hours: tuple[float, float] | None = None
    states: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    reviewer: str | None = None


class Queue:
    """All boxes of a project, for filters and orders.

    Args:
        project: The file.
    """

    def __init__(self, project: Project) -> None:
        self._project = project

    def find(
        self, wanted: Filter, order: str = "-score", seed: int = 0
    ) -> tuple[list[int], int, int]:
        """Return the numbers of boxes in an order.

        Args:
            wanted: Which.
            order: One of ``ORDERS``; ``time`` goes by folder, trail, time, name.
            seed: For ``random`` and ``bins``; another number, another order.

        Returns:
            Numbers of those that fit; how many fit whatever their state; how many of these are
            open.

        Raises:
            QueueError: If the order is unknown.
        """
        if order not in ORDERS:
            raise QueueError(f"order must be one of {', '.join(ORDERS)}, got {order!r}")
        of_all, said = self._states(None)
        rows = self._shown(of_all)
        states = of_all if wanted.reviewer is None else self._states(wanted.reviewer)[0]
        places = {place for place, row in enumerate(rows) if _fits(row, wanted, said)}
        state_of = [states.get(row["id"], OPEN) for row in rows]
        n_open = sum(state_of[place] == OPEN for place in places)
        found = [
            rows[place]["id"]
            for place in _ranked(rows, order, seed)
            if place in places and _in_states(state_of[place], wanted.states)
        ]
        return found, len(places), n_open

    def state_of(self, ids: Sequence[int], reviewer: str | None = None) -> list[str]:
        """Return the states of boxes, for a reviewer or for all."""
        states, _ = self._states(reviewer, ids)
        return [states.get(number, OPEN) for number in ids]

    def is_shown(self, ids: Sequence[int]) -> list[bool]:
        """Tell which boxes are looked at: not what somebody drew and took back."""
        decided, _ = self._states(None, ids)
        run_of = {row["id"]: row["run"] for row in self._project.detections(ids)}
        return [number in decided or run_of.get(number, ADDED) != ADDED for number in ids]

    def totals(self) -> dict[str, Any]:
        """Return how many there are, in each state, of each class, folder and trail."""
        states, _ = self._states(None)
        rows = self._shown(states)
        counted = Counter(states.get(row["id"], OPEN) for row in rows)
        classes = Counter(row["class"] for row in rows)
        return {
            "detections": len(rows),
            "states": {name: counted[name] for name in STATES},
            "classes": {name: n for name, n in classes.items() if name is not None},
            "unnamed": classes[None],
            "with_score": sum(row["score"] is not None for row in rows),
            "folders": sorted({row["folder"] for row in rows}),
            "trails": sorted({row["trail"] for row in rows if row["trail"]}, key=in_numbers),
        }

    def answers(self) -> list[tuple[str, float | None, str | None]]:
        """Return class, score and joint verdict of what the model of today said, for estimates.

        A class that was said instead is wrong; what nobody decided has no verdict.
        """
        states, _ = self._states(None)
        rows = [row for row in self._rows() if row["source"] == "prediction" and row["class"]]
        last = max((row["run"] for row in rows), default=0)
        verdict = {OPEN: None, "other": "wrong"}
        return [
            (row["class"], row["score"], verdict.get(state, state))
            for row in rows
            if row["run"] == last
            for state in [states.get(row["id"], OPEN)]
        ]

    def _rows(self) -> list[Mapping[str, Any]]:
        return self._project.db.execute(f"{_SELECT} ORDER BY detections.id").fetchall()

    def _shown(self, states: Mapping[int, str]) -> list[Mapping[str, Any]]:
        return [row for row in self._rows() if row["run"] != ADDED or row["id"] in states]

    def _decided(self, ids: Sequence[int] | None) -> Iterator[Sequence[Any]]:
        """Yield box, reviewer, verdict and class of decisions in their order."""
        query = "SELECT detection_id, reviewer, verdict, class FROM decisions WHERE undone = 0"
        db = self._project.db
        if ids is None:
            yield from db.execute(f"{query} ORDER BY id")
            return
        for first in range(0, len(ids), _AT_ONCE):
            some = list(ids[first : first + _AT_ONCE])
            marks = ",".join("?" * len(some))
            yield from db.execute(f"{query} AND detection_id IN ({marks}) ORDER BY id", some)

    def _states(
        self, reviewer: str | None, ids: Sequence[int] | None = None
    ) -> tuple[dict[int, str], dict[int, str]]:
        """Return the state of each box that was decided on, and classes said instead.

        Args:
            reviewer: For whom; None: for all together.
            ids: Of which boxes; None: of all.
        """
        verdicts: dict[int, dict[str, tuple[str, str | None]]] = {}
        for number, who, verdict, class_name in self._decided(ids):
            if reviewer is None or who == reviewer:
                other = class_name if verdict == "other" else None
                verdicts.setdefault(number, {})[who] = verdict, other  # the last one counts
        states, said = {}, {}
        for number, every in verdicts.items():
            states[number], other = joint(every.values())
            if other is not None:
                said[number] = other
        return states, said


def _fits(row: Mapping[str, Any], wanted: Filter, said: Mapping[int, str]) -> bool:
    """Tell whether a box fits a filter, whatever its state."""
    names = row["class"] or "", said.get(row["id"], row["class"] or "")
    score = row["score"]
    return (
        (not wanted.class_names or any(name in wanted.class_names for name in names))
        and (wanted.least is None or (score is not None and score >= wanted.least))
        and (wanted.most is None or (score is not None and score <= wanted.most))
        and (not wanted.folders or row["folder"] in wanted.folders)
        and (wanted.trail is None or row["trail"] == wanted.trail)
        and (wanted.photo is None or row["photo_id"] == wanted.photo)
        and (not wanted.sources or row["source"] in wanted.sources)
        and _in_time(row["taken_at"], wanted)
    )


def _in_time(taken_at: str | None, wanted: Filter) -> bool:
    """Tell whether a photo was taken in a time; not one whose time is not known."""
    if wanted.begins is None and wanted.ends is None and wanted.hours is None:
        return True
    if taken_at is None:
        return False
    at = datetime.fromisoformat(taken_at).replace(tzinfo=None)
    if wanted.begins is not None and at < wanted.begins.replace(tzinfo=None):
        return False
    if wanted.ends is not None and at > wanted.ends.replace(tzinfo=None):
        return False
    if wanted.hours is None:
        return True
    hour, (first, last) = at.hour + at.minute / 60 + at.second / 3600, wanted.hours
    return first <= hour < last if first <= last else hour >= first or hour < last


def _in_states(state: str, wanted: Sequence[str]) -> bool:
    return not wanted or state in wanted or (DECIDED in wanted and state != OPEN)


def _ranked(rows: Sequence[Mapping[str, Any]], order: str, seed: int) -> list[int]:
    names = sorted({row["class"] for row in rows if row["class"] is not None})
    code_of = {name: code for code, name in enumerate(names)} | {None: -1}
    natural = sorted(range(len(rows)), key=lambda place: _by_time(rows[place]))
    return ranked(
        order,
        seed,
        np.array([row["id"] for row in rows], np.int64),
        np.array([code_of[row["class"]] for row in rows], np.int64),
        np.array([row["score"] for row in rows], np.float64),  # None becomes NaN
        np.array(natural, np.int64),
    ).tolist()


def _by_time(row: Mapping[str, Any]) -> tuple[Any, ...]:
    trail = in_numbers(row["trail"] or _LATEST)
    return row["folder"], trail, row["taken_at"] or _LATEST, in_numbers(row["name"]), row["id"]


def in_numbers(name: str) -> list[tuple[int, str]]:
    """Return what names are sorted by so that ``trail 2`` comes before ``trail 10``."""
    parts = _DIGITS.split(name)
    return [(int(part), "") if part.isdecimal() else (_NO_NUMBER, part) for part in parts]
