"""Which detections are looked at, and in what order. Columns of all are held in memory."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from animal_spot.reviewing.ordering import ORDERS, ranked
from animal_spot.reviewing.project import ADDED, Project
from animal_spot.reviewing.verdicts import DECIDED, STATES, joint

_NOT_TIMED = np.nan
_OF_DECISION = "detection_id, reviewer, verdict, class"


class QueueError(ValueError):
    """A filter or an order that cannot be used; one line says why."""


@dataclass(frozen=True)
class Filter:
    """What is looked at; None or empty: all.

    Attributes:
        class_names: Predicted classes, or those that a reviewer said instead.
        least: Lowest score.
        most: Highest score.
        sites: Where.
        recording: Number of the recording.
        begins: Earliest time by the recorder's clock, without zone.
        ends: Latest.
        hours: Hours of the day, from and to, such as ``(21, 5)``.
        states: See ``STATES``, and ``decided``.
        sources: Where the rows come from.
        reviewer: Whose decisions say the state; None: those of all.
    """

    class_names: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    sites: tuple[str, ...] = ()
    recording: int | None = None
    begins: datetime | None = None
    ends: datetime | None = None
    hours: tuple[float, float] | None = None
    states: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    reviewer: str | None = None


class Queue:
    """All detections of a project, for filters and orders; follows what others write into it.

    Args:
        project: The file.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.RLock()
        self._loaded: tuple[int, int] | None = None
        self._seen = (0, 0)  # last decision, and how many are undone
        self._columns = _Columns([], [])
        self._ordered: dict[tuple, np.ndarray] = {}

    def find(
        self, wanted: Filter, order: str = "-score", seed: int = 0
    ) -> tuple[np.ndarray, int, int]:
        """Return the numbers of detections in an order.

        Args:
            wanted: Which.
            order: One of ``ORDERS``.
            seed: For ``random`` and ``bins``; another number, another order.

        Returns:
            Numbers of those that fit; how many fit whatever their state; how many of these are
            open.

        Raises:
            QueueError: If the order is unknown.
        """
        if order not in ORDERS:
            raise QueueError(f"order must be one of {', '.join(ORDERS)}, got {order!r}")
        with self._lock:
            self.follow()
            columns = self._columns
            fits = columns.fits(wanted)
            state = columns.state_of(wanted.reviewer)
            n_open = int((state[fits] == 0).sum())
            n_fitting = int(fits.sum())
            ranked = self._ranked(order, seed)
            ranked = ranked[fits[ranked]]
            if wanted.states:
                ranked = ranked[_in_states(state, wanted.states)[ranked]]
            return columns.ids[ranked], n_fitting, n_open

    def state_of(self, ids: Sequence[int], reviewer: str | None = None) -> list[str]:
        """Return the state of detections that are there."""
        with self._lock:
            self.follow()
            codes = self._columns.state_of(reviewer)[self._columns.places(ids)]
        return [STATES[code] for code in codes]

    def is_shown(self, ids: Sequence[int]) -> list[bool]:
        """Tell which detections are looked at: not what somebody added and took back."""
        with self._lock:
            self.follow()
            return self._columns.shown()[self._columns.places(ids)].tolist()

    def totals(self) -> dict[str, Any]:
        """Return how many there are, in each state, of each class and each source."""
        with self._lock:
            self.follow()
            columns = self._columns
            shown = columns.shown()
            states = np.bincount(columns.state_of(None)[shown], minlength=len(STATES))
            classes = np.bincount(columns.classes[shown] + 1, minlength=len(columns.names) + 1)
            return {
                "detections": int(shown.sum()),
                "states": dict(zip(STATES, states.tolist(), strict=True)),
                "classes": dict(zip(columns.names, classes[1:].tolist(), strict=True)),
                "unnamed": int(classes[0]),
                "with_score": int(np.isfinite(columns.scores[shown]).sum()),
            }

    def answers(self) -> list[tuple[str, float | None, str | None]]:
        """Return class, score and joint verdict of what the model of today found, for estimates.

        A class that was said instead is wrong; what nobody decided has no verdict.
        """
        with self._lock:
            self.follow()
            columns = self._columns
            where = np.flatnonzero(columns.is_prediction() & (columns.classes >= 0))
            names = [None, "right", "wrong", "wrong", "unsure", "skip"]  # as STATES
            return [
                (columns.names[code], None if score != score else score, names[state])
                for code, score, state in zip(
                    columns.classes[where].tolist(),
                    columns.scores[where].tolist(),
                    columns.state_of(None)[where].tolist(),
                    strict=True,
                )
            ]

    def _ranked(self, order: str, seed: int) -> np.ndarray:
        key = (order, seed if order in ("random", "bins") else 0)
        if key not in self._ordered:
            if len(self._ordered) > 16:
                self._ordered.clear()
            self._ordered[key] = self._columns.ranked(order, seed)
        return self._ordered[key]

    def follow(self) -> None:
        """Take up what this or another process has written since."""
        with self._lock:
            db = self._project.db
            db.execute("BEGIN")  # all that is read is of one moment
            try:
                self._follow(db)
            finally:
                db.execute("COMMIT")

    def _follow(self, db: sqlite3.Connection) -> None:
        top = db.execute("SELECT max(id) FROM detections").fetchone()[0] or 0
        loaded = top, self._project.setting("run", 0)
        if loaded != self._loaded:
            if self._loaded is None or loaded[1] != self._loaded[1]:
                self._columns = _Columns.of(self._project)
                self._seen = 0, 0
            else:  # what people added
                self._columns.append(_rows_of(db, self._loaded[0]))
            self._loaded = loaded
            self._ordered.clear()
        last = db.execute("SELECT max(id) FROM decisions").fetchone()[0] or 0
        n_undone = db.execute("SELECT count(*) FROM decisions WHERE undone = 1").fetchone()[0]
        if (last, n_undone) == self._seen:
            return
        if n_undone != self._seen[1] or self._seen[0] == 0:
            self._columns.forget_states()
            rows = db.execute(f"SELECT {_OF_DECISION} FROM counting ORDER BY id")
        else:
            rows = db.execute(
                f"SELECT {_OF_DECISION} FROM decisions WHERE id > ? AND undone = 0 ORDER BY id",
                (self._seen[0],),
            )
        self._columns.decide([tuple(row) for row in rows])
        self._seen = last, n_undone


class _Columns:
    """What filters and orders need of each detection, one array each, in the order of numbers."""

    def __init__(self, rows: list[tuple], recordings: list[tuple]) -> None:
        self.names: list[str] = []
        self.ids = np.empty(0, np.int64)
        self.recordings = np.empty(0, np.int64)
        self.begins_s = np.empty(0)
        self.classes = np.empty(0, np.int32)  # places in names; -1: none
        self.scores = np.empty(0)  # NaN: not known
        self.sources = np.empty(0, "U10")
        self.runs = np.empty(0, np.int64)
        self._site_of = {row[0]: row[1] or "" for row in recordings}
        self._start_of = {row[0]: _clock_s(row[2]) for row in recordings}
        self.forget_states()
        self.append(rows)

    @classmethod
    def of(cls, project: Project) -> _Columns:
        """Read those of a project."""
        recordings = project.db.execute("SELECT id, site, start FROM recordings")
        return cls(_rows_of(project.db, 0), [tuple(row) for row in recordings])

    def append(self, rows: list[tuple]) -> None:
        """Take further detections, which nobody decided on yet, by their numbers."""
        if not rows:
            return
        ids, recordings, begins_s, names, scores, sources, runs = zip(*rows, strict=True)
        self.names += sorted({name for name in names if name is not None} - set(self.names))
        code_of = {name: code for code, name in enumerate(self.names)} | {None: -1}
        self.ids = np.append(self.ids, ids)
        self.recordings = np.append(self.recordings, recordings)
        self.begins_s = np.append(self.begins_s, begins_s)
        codes = np.array([code_of[name] for name in names], np.int32)
        self.classes = np.append(self.classes, codes)
        self.scores = np.append(self.scores, np.array(scores, np.float64))  # None becomes NaN
        self.sources = np.append(self.sources, np.array(sources, "U10"))
        self.runs = np.append(self.runs, runs)
        nothing = np.zeros(len(rows), np.int8)
        self._of_all = np.append(self._of_all, nothing)
        self._states = {who: np.append(own, nothing) for who, own in self._states.items()}

    def places(self, ids: Sequence[int]) -> np.ndarray:
        """Return where detections stand in the columns.

        Raises:
            QueueError: If one is not there.
        """
        wanted = np.asarray(ids, np.int64)
        places = np.searchsorted(self.ids, wanted)
        if len(wanted) and (places.max() >= len(self.ids) or (self.ids[places] != wanted).any()):
            raise QueueError("there is no such detection")
        return places

    # --- states ---

    def forget_states(self) -> None:
        """Let everything be open."""
        self._states: dict[str, np.ndarray] = {}
        self._of_all = np.zeros(len(self.ids), np.int8)
        self._verdicts: dict[int, dict[str, tuple[str, str | None]]] = {}  # of each place
        self.said: dict[int, str] = {}  # at each place the class that is heard instead

    def state_of(self, reviewer: str | None) -> np.ndarray:
        """Return the place in ``STATES`` of each detection, for a reviewer or for all."""
        if reviewer is None:
            return self._of_all
        return self._states.get(reviewer, np.zeros(len(self.ids), np.int8))

    def decide(self, decisions: list[tuple[int, str, str, str | None]]) -> None:
        """Take decisions, oldest first: detection, reviewer, verdict, class."""
        places = self.places([decision[0] for decision in decisions]).tolist()
        codes = {name: code for code, name in enumerate(STATES)}
        for place, (_, reviewer, verdict, class_name) in zip(places, decisions, strict=True):
            own = self._states.get(reviewer)
            if own is None:
                own = self._states[reviewer] = np.zeros(len(self.ids), np.int8)
            own[place] = codes[verdict]
            said = self._verdicts.setdefault(place, {})
            said[reviewer] = verdict, class_name
            together, other = joint(said.values())
            self._of_all[place] = codes[together]
            self.said.pop(place, None)
            if other is not None:
                self.said[place] = other

    # --- filters ---

    def shown(self) -> np.ndarray:
        """Tell which are looked at: not what somebody added and took back."""
        return (self.runs != ADDED) | (self._of_all != 0)

    def is_prediction(self) -> np.ndarray:
        """Tell which the last prediction that was brought in has found."""
        found = self.sources == "prediction"
        return found & (self.runs == self.runs[found].max(initial=0))

    def fits(self, wanted: Filter) -> np.ndarray:
        """Tell which fit a filter, whatever their state."""
        fits = self.shown()
        if wanted.class_names:
            codes = [code for code, name in enumerate(self.names) if name in wanted.class_names]
            codes += [-1] if "" in wanted.class_names else []
            named = np.isin(self.classes, codes)
            named[[place for place, name in self.said.items() if name in wanted.class_names]] = True
            fits &= named
        if wanted.least is not None:
            fits &= self.scores >= wanted.least
        if wanted.most is not None:
            fits &= self.scores <= wanted.most
        if wanted.sources:
            fits &= np.isin(self.sources, wanted.sources)
        if wanted.recording is not None:
            fits &= self.recordings == wanted.recording
        if wanted.sites:
            near = [number for number, site in self._site_of.items() if site in wanted.sites]
            fits &= np.isin(self.recordings, near)
        if wanted.begins is not None or wanted.ends is not None or wanted.hours is not None:
            fits &= self._in_time(wanted)
        return fits

    def _in_time(self, wanted: Filter) -> np.ndarray:
        """Tell which lie in a time; not those of recordings whose time is not known."""
        clock_s = self._clock_s()
        fits = np.isfinite(clock_s)
        if wanted.begins is not None:
            fits &= clock_s >= _seconds(wanted.begins)
        if wanted.ends is not None:
            fits &= clock_s <= _seconds(wanted.ends)
        if wanted.hours is not None:
            hour = np.where(fits, clock_s, 0) % 86_400 / 3600
            first, last = wanted.hours
            inside = (
                (hour >= first) & (hour < last)
                if first <= last
                else (hour >= first) | (hour < last)
            )
            fits &= inside
        return fits

    def _clock_s(self) -> np.ndarray:
        numbers = np.array(sorted(self._start_of), np.int64)
        if not len(numbers):
            return np.full(len(self.ids), _NOT_TIMED)
        starts = np.array([self._start_of[number] for number in numbers.tolist()])
        return starts[np.searchsorted(numbers, self.recordings)] + self.begins_s

    # --- orders ---

    def ranked(self, order: str, seed: int) -> np.ndarray:
        """Return places in the columns in an order; rows without a score come last."""
        natural = np.lexsort((self.ids, self.begins_s, self.recordings))
        return ranked(order, seed, self.ids, self.classes, self.scores, natural)


def _rows_of(db: sqlite3.Connection, above: int) -> list[tuple]:
    """Read what columns are made of, of detections above a number, in the order of numbers."""
    rows = db.execute(
        "SELECT id, recording_id, begin_s, class, score, source, run FROM detections "
        "WHERE id > ? ORDER BY id",
        (above,),
    )
    rows.row_factory = None
    return rows.fetchall()


def _in_states(state: np.ndarray, wanted: tuple[str, ...]) -> np.ndarray:
    codes = {STATES.index(name) for name in wanted if name in STATES}
    if DECIDED in wanted:
        codes |= set(range(1, len(STATES)))
    return np.isin(state, sorted(codes))


def _clock_s(start: str | None) -> float:
    return _NOT_TIMED if start is None else _seconds(datetime.fromisoformat(start))


def _seconds(moment: datetime) -> float:
    """Return a reading of a clock in seconds, whatever its zone."""
    return (moment.replace(tzinfo=None) - datetime(1970, 1, 1)) / timedelta(seconds=1)
