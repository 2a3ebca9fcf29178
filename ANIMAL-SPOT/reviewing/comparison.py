"""What a model finds, held against what reviewers decided. Pure functions."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from animal_spot.reviewing.judged import Judged
from animal_spot.trust.answers import RIGHT, UNSURE, WRONG
from animal_spot.trust.precision import stratified_interval
from animal_spot.trust.score_bins import bin_of, score_bins
from animal_spot.utils.intervals import wilson_interval

_SHARED = 0.5  # of the shorter of two stretches: more, and they are the same event


class Detection(NamedTuple):
    """Something that a model found.

    Attributes:
        recording: Number of the recording in the project.
        begin_s: In the recording.
        end_s: In the recording.
        class_name: What was found.
        score: Its probability; None: not known.
        id: Number of its row in the project; None: it is in no row.
    """

    recording: int
    begin_s: float
    end_s: float
    class_name: str
    score: float | None
    id: int | None = None


@dataclass(frozen=True)
class Found:
    """What a model found in the reviewed recordings.

    Attributes:
        detections: All of them.
        answers: Of each what is known of it: one of ``trust.answers.ANSWERS``, or None.
    """

    detections: Sequence[Detection]
    answers: Sequence[str | None]

    @functools.cached_property
    def _by_recording(self) -> dict[int, list[tuple[Detection, str | None]]]:
        found: dict[int, list[tuple[Detection, str | None]]] = {}
        for one, answer in zip(self.detections, self.answers, strict=True):
            found.setdefault(one.recording, []).append((one, answer))
        return found

    def has_call(self, row: Judged) -> bool:
        """Tell whether the call of a row is found by its name."""
        return any(one.class_name == row.class_name for one, _ in self._sharing(row))

    def has_mistake(self, row: Judged) -> bool:
        """Tell whether the mistake of a row is made again: the same class, and not rightly."""
        return any(
            one.class_name == row.predicted and answer != RIGHT
            for one, answer in self._sharing(row)
        )

    def _sharing(self, row: Judged) -> list[tuple[Detection, str | None]]:
        return [one for one in self._by_recording.get(row.recording.id, ()) if _shares(one[0], row)]


def is_mistake(row: Judged) -> bool:
    """Tell whether the model was wrong in a row."""
    return row.predicted is not None and row.verdict in ("wrong", "other")


def is_call(row: Judged) -> bool:
    """Tell whether it is known which call is heard in a row."""
    return row.verdict in ("right", "other") and row.class_name is not None


def held_against(detections: Sequence[Detection], rows: Sequence[Judged]) -> Found:
    """Say of detections what is known of them, and of rows whether they are found.

    A detection and a row mean one event if they share half of the shorter of them. A detection is
    right where a call of its class is known, wrong where another call or none is.

    Args:
        detections: What a model found. One that has a row of its own is what was said of that.
        rows: What was decided.
    """
    own = {row.id: row for row in rows}
    of_recording: dict[int, list[Judged]] = {}
    for row in rows:
        of_recording.setdefault(row.recording.id, []).append(row)
    answers = [
        _own_answer(own[one.id])
        if one.id in own
        else _answer(one, _sharing(one, of_recording.get(one.recording, ())))
        for one in detections
    ]
    return Found(detections, answers)


def _own_answer(row: Judged) -> str:
    return {"other": WRONG}.get(row.verdict, row.verdict)


def _sharing(one: Detection, rows: Iterable[Judged]) -> list[Judged]:
    return [row for row in rows if _shares(one, row)]


def _shares(one: Detection, row: Judged) -> bool:
    common = min(one.end_s, row.end_s) - max(one.begin_s, row.begin_s)
    return common > 0 and common >= _SHARED * min(one.end_s - one.begin_s, row.end_s - row.begin_s)


def _answer(one: Detection, rows: Sequence[Judged]) -> str | None:
    if any(is_call(row) and row.class_name == one.class_name for row in rows):
        return RIGHT
    if any(row.verdict == UNSURE for row in rows):
        return UNSURE
    return WRONG if rows else None


@dataclass(frozen=True)
class Change:
    """What another model does otherwise in reviewed rows.

    Attributes:
        gone: Mistakes of the old model that the new one does not make.
        still: Those that it makes too.
        newly: Mistakes that only the new one makes, such as where the old one found nothing.
        lost: Calls that only the old one finds.
    """

    gone: list[Judged]
    still: list[Judged]
    newly: list[Judged]
    lost: list[Judged]


def change(old: Found, new: Found, rows: Sequence[Judged]) -> Change:
    """Say which reviewed mistakes and calls two models differ in."""
    mistakes = [row for row in rows if is_mistake(row)]
    before = [row for row in mistakes if old.has_mistake(row)]
    return Change(
        [row for row in before if not new.has_mistake(row)],
        [row for row in before if new.has_mistake(row)],
        [row for row in mistakes if not old.has_mistake(row) and new.has_mistake(row)],
        [row for row in rows if is_call(row) and old.has_call(row) and not new.has_call(row)],
    )


# --- figures --------------------------------------------------------------------------------------

Figure = dict[str, float | None]  # value, low and high end of its 95 % interval


def figure(value: float | None, low: float | None = None, high: float | None = None) -> Figure:
    """Return a number with its interval; what is no number is None."""
    ends = {"value": value, "low": low, "high": high}
    return {k: None if v is None or not math.isfinite(v) else float(v) for k, v in ends.items()}


def share(n: int, total: int) -> Figure:
    """Return a share with Wilson's interval; unknown without any."""
    return figure(n / total, *wilson_interval(n, total)) if total else figure(None)


def precision(found: Found) -> Figure:
    """Return which share of detections is right, by those on which something was decided.

    They are weighed by score bins of each class, as ``trust`` does. The value is unknown where a
    bin has none that was decided on.
    """
    by_class: dict[str, list[tuple[float, str | None]]] = {}
    for one, answer in zip(found.detections, found.answers, strict=True):
        score = 0.0 if one.score is None else one.score
        by_class.setdefault(one.class_name, []).append((score, answer))
    counts = [np.zeros((3, 0))]
    for rows in by_class.values():
        scores = np.array([score for score, _ in rows])
        lows = score_bins(scores)
        where = bin_of(scores, lows)
        right = np.array([answer == RIGHT for _, answer in rows])
        decided = right | np.array([answer == WRONG for _, answer in rows])
        every = (right, decided, np.ones(len(rows), bool))
        counts.append(np.array([np.bincount(where[w], minlength=len(lows)) for w in every]))
    right, decided, all_ = np.concatenate(counts, axis=1)
    if not all_.sum():
        return figure(None)
    return figure(*map(float, stratified_interval(right, decided, all_)))


def false_per_hour(found: Found, share_right: Figure, hours: float) -> Figure:
    """Return false alarms per hour, as far as known: by the share of right ones of all."""
    n = len(found.detections)
    if not n:
        return figure(0.0, 0.0, 0.0)
    turned = [
        None if share_right[end] is None else (1 - share_right[end]) * n / hours
        for end in ("value", "high", "low")
    ]
    return figure(*turned)


def on_reviewed(
    before: Found, after: Found, rows: Sequence[Judged], hours: float
) -> list[dict[str, Any]]:
    """Compare two models on what was reviewed.

    Returns:
        Rows with ``measure``, ``before`` and ``after``.
    """
    calls = [row for row in rows if is_call(row)]
    mistakes = [row for row in rows if is_mistake(row)]
    compared: dict[str, list[Figure]] = {}
    for found in (before, after):
        right = precision(found)
        known_false = sum(answer == WRONG for answer in found.answers)
        figures = {
            "precision": right,
            "recall": share(sum(map(found.has_call, calls)), len(calls)),
            "false alarms per hour": false_per_hour(found, right, hours),
            "known false alarms per hour": figure(known_false / hours),
            "reviewed mistakes made": share(sum(map(found.has_mistake, mistakes)), len(mistakes)),
            "detections": figure(len(found.detections)),
            "detections that nobody reviewed": figure(
                sum(answer not in (RIGHT, WRONG) for answer in found.answers)
            ),
        }
        for name, one in figures.items():
            compared.setdefault(name, []).append(one)
    return [{"measure": name, "before": old, "after": new} for name, (old, new) in compared.items()]


def on_clips(
    truth: Sequence[str], before: Sequence[str] | None, after: Sequence[str]
) -> list[dict[str, Any]]:
    """Compare two models on the same clips.

    Args:
        truth: Class of each clip.
        before: What the one says; None: it cannot be judged on clips.
        after: What the other says.

    Returns:
        As ``on_reviewed``: accuracy of all, mean of the classes, and of each class.
    """
    names = sorted(set(truth))
    compared = []
    for said in (before, after):
        if said is None:
            compared.append({})
            continue
        of_class = {
            name: share(
                sum(a == b == name for a, b in zip(truth, said, strict=True)),
                sum(a == name for a in truth),
            )
            for name in names
        }
        right = sum(a == b for a, b in zip(truth, said, strict=True))
        compared.append(
            {
                "accuracy": share(right, len(truth)),
                "mean of classes": _mean(list(of_class.values())),
                **{f"accuracy of {name}": one for name, one in of_class.items()},
            }
        )
    unknown = figure(None)
    return [
        {"measure": name, "before": compared[0].get(name, unknown), "after": new}
        for name, new in compared[1].items()
    ]


def _mean(shares: Sequence[Figure]) -> Figure:
    """Return the mean of independent shares; its interval is put together of theirs.

    (MOVER: Zou & Donner, Statistics in Medicine 27, 2008.)
    """
    n = len(shares)
    if not n:
        return figure(None)
    value = sum(one["value"] for one in shares) / n
    down, up = (
        math.sqrt(sum((one["value"] - one[end]) ** 2 for one in shares)) / n
        for end in ("low", "high")
    )
    return figure(value, value - down, value + up)


def table_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a comparison as lines of text."""
    cells = [("", "before (95 %)", "after (95 %)")]
    cells += [(row["measure"], _words(row["before"]), _words(row["after"])) for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(3)]
    return [
        f"{name:<{widths[0]}}  {old:>{widths[1]}}  {new:>{widths[2]}}" for name, old, new in cells
    ]


def _words(one: Figure) -> str:
    def said(value: float | None) -> str:
        return "?" if value is None else f"{value:.3f}".rstrip("0").rstrip(".") or "0"

    if one["low"] is None and one["high"] is None:
        return said(one["value"])
    return f"{said(one['value'])} ({said(one['low'])} to {said(one['high'])})"
