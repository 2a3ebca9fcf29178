"""What requests of the page say of boxes, decisions and filters, checked value by value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from footprints.reviewing.project import EDGES, SOURCES, Box, Decision
from footprints.reviewing.queue import Filter
from footprints.reviewing.request_parts import (
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
from footprints.reviewing.verdicts import DECIDED, STATES, VERDICTS

_LEAST = 0.001  # of the photo's width and height
_DECIMALS = 5


def box_of(values: Mapping[str, Any], *, needed: bool = False) -> Box | None:
    """Return a box in parts of the upright photo, or None if it is not given.

    Raises:
        RequestError: If it is none, empty, or missing though it is needed.
    """
    edges = [number(values, key) for key in EDGES]
    if edges == [None] * 4 and not needed:
        return None
    if None in edges:
        raise RequestError("a box has x1, y1, x2 and y2")
    x1, y1, x2, y2 = (round(edge, _DECIMALS) for edge in edges)
    if not (x1 >= 0 and x2 <= 1 and y1 >= 0 and y2 <= 1):
        raise RequestError("a box lies within the photo, 0 to 1")
    if x2 - x1 < _LEAST or y2 - y1 < _LEAST:
        raise RequestError("a box must be larger than nothing: x1 below x2, y1 below y2")
    return x1, y1, x2, y2


def decision_of(values: Mapping[str, Any]) -> Decision:
    """Return what is decided.

    Raises:
        RequestError: If something of it is wrong.
    """
    verdict = one_of(values, "verdict", VERDICTS)
    class_name = name(values, "class") if verdict == "other" else None
    return Decision(verdict, class_name, box_of(values), note_of(values))


def filter_of(values: Mapping[str, str], several: Mapping[str, list[str]]) -> Filter:
    """Return which boxes are wanted.

    Args:
        values: Of each key the last value.
        several: Of each key all values.

    Raises:
        RequestError: If something of it is wrong.
    """
    return Filter(
        tuple(several.get("class", ())),
        number(values, "min"),
        number(values, "max"),
        tuple("" if one == "." else one for one in several.get("folder", ())),
        values.get("trail") or None,
        whole(values, "photo", None, 1, 2**62) if values.get("photo") else None,
        moment(values, "from"),
        moment(values, "to"),
        hours(values.get("hours", "")),
        all_of(several, "state", (*STATES, DECIDED)),
        all_of(several, "source", SOURCES),
        name(values, "reviewer", needed=False),
    )
