"""Whether tables seem to name every call of their recordings, or only some."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from animal_spot.cutting.background import free_stretches
from animal_spot.cutting.plan import AnnotatedRecording

_LONG_GAP_S, _LONG_GAP = 60.0, 10  # and so many times the usual gap of the recording
_MOST_IN_GAPS = 0.3  # of the time
_LONG_RECORDING_S, _LEAST_EVENTS_PER_S = 300.0, 1 / 600
_LEAST_EVENTS = 5  # of which a usual gap can be told


def doubts(recordings: Sequence[AnnotatedRecording], n_without_table: int) -> list[str]:
    """Return why calls may be heard where no table names them; empty if nothing speaks for it.

    Tables without a row do not count: somebody says that nothing is there.

    Args:
        recordings: Those with tables.
        n_without_table: Recordings that no table is of.
    """
    with_events = [recording for recording in recordings if recording.events]
    found = []
    sparse = [
        r
        for r in with_events
        if r.duration_s >= _LONG_RECORDING_S and len(r.events) < _LEAST_EVENTS_PER_S * r.duration_s
    ]
    if sparse:
        minutes = sparse[0].duration_s / 60
        found.append(
            f"{len(sparse)} of {len(recordings)} recordings have few rows, such as "
            f"{sparse[0].path.name} with {len(sparse[0].events)} in {minutes:.0f} minutes"
        )
    total_s = sum(recording.duration_s for recording in with_events)
    in_gaps_s = sum(map(_in_long_gaps_s, with_events))
    if in_gaps_s > _MOST_IN_GAPS * total_s:
        found.append(f"{in_gaps_s / total_s:.0%} of the time lies in unusually long gaps")
    if n_without_table:
        n = n_without_table + len(recordings)
        found.append(f"{n_without_table} of {n} recordings have no table")
    return found


def _in_long_gaps_s(recording: AnnotatedRecording) -> float:
    """Return how many seconds lie in gaps that are long beside the others of the recording."""
    if len(recording.events) < _LEAST_EVENTS:
        return 0.0
    gaps = [(gap.end - gap.start) / recording.rate for gap in free_stretches(recording, 0.0)]
    least = max(_LONG_GAP_S, _LONG_GAP * median(gaps)) if gaps else 0.0
    return sum(gap for gap in gaps if gap > least)
