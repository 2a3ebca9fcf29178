"""Whether a table of the truth can be that of a recording. Pure functions."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from animal_spot.detections.annotations import Annotation
from animal_spot.evaluation.event_scores import count_events

_SLACK_S = 1.0  # that a row may reach beyond the end: rounding, padding of other programs
_FEW, _SMALL_SHARE = 2, 0.1  # rows past the end that are slips, not a table of something else
_LONG_S, _LONG_WINDOWS = 60, 20  # rows that are longer than both are hardly calls
_ENOUGH = 5  # events and detections from which on no hit at all is suspicious
_AGREES, _DISAGREES = 0.8, 0.4  # share of rows that are found, with another table and with its own
_MOST_SUSPECTS = 50  # recordings that are compared with one another


class TruthError(ValueError):
    """A table that cannot be the truth of a recording; the message says why."""


@dataclass(frozen=True)
class Fitting:
    """What of a table can be used.

    Attributes:
        rows: Rows that lie in the recording.
        warnings: What is odd about the table, each in one line.
    """

    rows: list[Annotation]
    warnings: tuple[str, ...] = ()


def fit_to_recording(rows: Sequence[Annotation], duration_s: float, window_s: float) -> Fitting:
    """Leave out rows past the end of a recording.

    Args:
        rows: What a table says.
        duration_s: Most that the recording can last, seconds.
        window_s: What the network hears at once, seconds.

    Raises:
        TruthError: If so many lie past the end that the table must be of something else.
    """
    warnings = []
    inside, past = [], []
    for row in rows:
        fits = row.begin_s < duration_s and row.end_s <= duration_s + _SLACK_S
        (inside if fits else past).append(row)
    if past:
        text = (
            f"{len(past)} of {len(rows)} rows lie past the end of the recording, which lasts at "
            f"most {duration_s:.1f} s, such as {past[0].name} at {past[0].begin_s:g} to "
            f"{past[0].end_s:g} s"
        )
        if not inside or (len(past) > _FEW and len(past) > _SMALL_SHARE * len(rows)):
            raise TruthError(f"{text}: {_likely_cause(rows, duration_s, window_s)}")
        warnings.append(f"{text}; left out")
    if inside and _is_absurd(inside, window_s):
        warnings.append(
            f"half of the rows last {_median_length(inside):g} s or more, and the network hears "
            f"{window_s:g} s at a time: are the times in milliseconds?"
        )
    return Fitting(inside, tuple(warnings))


def _median_length(rows: Iterable[Annotation]) -> float:
    return statistics.median(row.end_s - row.begin_s for row in rows)


def _is_absurd(rows: Sequence[Annotation], window_s: float) -> bool:
    return _median_length(rows) > max(_LONG_S, _LONG_WINDOWS * window_s)


def _likely_cause(rows: Sequence[Annotation], duration_s: float, window_s: float) -> str:
    if _is_absurd(rows, window_s) and max(row.end_s for row in rows) / 1000 <= duration_s:
        return "are its times in milliseconds instead of seconds?"
    if rows[0].begin_s < duration_s:
        return (
            "is it a table of several recordings that were opened as one, whose times run on, or "
            "that of another recording?"
        )
    return "is it the table of another recording, or are its times not in seconds?"


def fits_nothing(n_events: int, n_found: int, n_hits: int) -> bool:
    """Tell whether so many rows and detections without one hit look like another table."""
    return min(n_events, n_found) >= _ENOUGH and n_hits == 0


@dataclass(frozen=True)
class Scored:
    """What a table says, and what was found, in one recording."""

    truth: Sequence[Annotation]
    found: Sequence[Annotation]


def swapped_tables(recordings: Mapping[str, Scored]) -> dict[str, tuple[str, int, int]]:
    """Find tables that agree with what was found in another recording, and not in their own.

    Args:
        recordings: By name; tables that cannot be of their recording may be among them.

    Returns:
        For each such table the other recording, and how many of its rows were found there and in
        its own.
    """
    suspects = {}
    for name, scored in recordings.items():
        n = len(scored.truth)
        own = _n_hits(scored.truth, scored.found) if n >= _ENOUGH else n
        if own <= _DISAGREES * n and n >= _ENOUGH:
            suspects[name] = own
    swapped = {}
    for name, own in list(suspects.items())[:_MOST_SUSPECTS]:
        truth = recordings[name].truth
        hits = {
            other: _n_hits(truth, recordings[other].found)
            for other in list(suspects)[:_MOST_SUSPECTS]
            if other != name
        }
        best = max(hits, key=hits.__getitem__, default=None)
        if best is not None and hits[best] >= _AGREES * len(truth):
            swapped[name] = best, hits[best], own
    return swapped


def _n_hits(truth: Sequence[Annotation], found: Sequence[Annotation]) -> int:
    names = {row.name for row in truth}
    return sum(counts.tp for counts in count_events(truth, found, names).values())
