"""What requests of the page say of decisions and filters, checked value by value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from animal_spot.reviewing.project import SOURCES, Decision
from animal_spot.reviewing.queue import Filter
from animal_spot.reviewing.request_parts import (
    RequestError,
    all_of,
    hours,
    moment,
    name,
    note_of,
    number,
    one_of,
    whole,
)
from animal_spot.reviewing.verdicts import DECIDED, STATES, VERDICTS

_HIGHEST_HZ = 1_000_000


def frequency(values: Mapping[str, Any], key: str) -> float | None:
    """Return a frequency in Hz, or None if it is not given.

    Raises:
        RequestError: If it is none, or higher than any recorder hears.
    """
    found = number(values, key)
    if found is not None and not 0 <= found <= _HIGHEST_HZ:
        raise RequestError(f"{key} must be 0 to {_HIGHEST_HZ} Hz")
    return found


def decision_of(values: Mapping[str, Any]) -> Decision:
    """Return what is decided.

    Raises:
        RequestError: If something of it is wrong.
    """
    verdict = one_of(values, "verdict", VERDICTS)
    begin_s, end_s = number(values, "begin_s"), number(values, "end_s")
    low_hz, high_hz = frequency(values, "low_hz"), frequency(values, "high_hz")
    if begin_s is not None and begin_s < 0:
        raise RequestError("begin_s must not be below 0")
    return Decision(
        verdict,
        name(values, "class") if verdict == "other" else None,
        *(begin_s, end_s, low_hz, high_hz),
        note_of(values),
    )


def filter_of(values: Mapping[str, str], several: Mapping[str, list[str]]) -> Filter:
    """Return which detections are wanted.

    Args:
        values: Of each key the last value.
        several: Of each key all values.

    Raises:
        RequestError: If something of it is wrong.
    """
    states = all_of(several, "state", (*STATES, DECIDED))
    sources = all_of(several, "source", SOURCES)
    recording = whole(values, "recording", None, 1, 2**62) if values.get("recording") else None
    return Filter(
        tuple(several.get("class", ())),
        number(values, "min"),
        number(values, "max"),
        tuple(several.get("site", ())),
        recording,
        moment(values, "from"),
        moment(values, "to"),
        hours(values.get("hours", "")),
        states,
        sources,
        name(values, "reviewer", needed=False),
    )
