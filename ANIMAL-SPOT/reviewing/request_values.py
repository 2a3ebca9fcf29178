"""What requests of the page say, checked value by value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from animal_spot.reviewing.project import SOURCES, VERDICTS, Decision
from animal_spot.reviewing.queue import STATES, Filter
from animal_spot.utils.names import composed

MOST_ROWS = 1000  # that are sent at once
MOST_IDS = 5000  # detections that are decided at once
_HIGHEST_HZ = 1_000_000
_LONGEST_NAME, _LONGEST_NOTE = 100, 4000
_STATES = (*STATES, "decided")


class RequestError(ValueError):
    """A request that cannot be answered; one line says what of it is wrong."""


def whole(values: Mapping[str, Any], key: str, default: int | None, least: int, most: int) -> int:
    """Return a whole number; ``default`` None: it must be there.

    Raises:
        RequestError: If it is none, or out of bounds.
    """
    value = values.get(key, default)
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise RequestError(f"{key} must be a whole number")
    if not least <= int(text) <= most:
        raise RequestError(f"{key} must be {least} to {most}")
    return int(text)


def number(values: Mapping[str, Any], key: str, default: float | None = None) -> float | None:
    """Return a finite number, or ``default`` if it is not given.

    Raises:
        RequestError: If it is none.
    """
    value = values.get(key)
    if value is None or value == "":
        return default
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found) or abs(found) > 1e12:
        raise RequestError(f"{key} must be a number")
    return found


def frequency(values: Mapping[str, Any], key: str) -> float | None:
    """Return a frequency in Hz, or None if it is not given.

    Raises:
        RequestError: If it is none, or higher than any recorder hears.
    """
    found = number(values, key)
    if found is not None and not 0 <= found <= _HIGHEST_HZ:
        raise RequestError(f"{key} must be 0 to {_HIGHEST_HZ} Hz")
    return found


def needed_number(values: Mapping[str, Any], key: str) -> float:
    """Return a number that must be there.

    Raises:
        RequestError: If it is not.
    """
    found = number(values, key)
    if found is None:
        raise RequestError(f"{key} is missing")
    return found


def name(values: Mapping[str, Any], key: str, *, needed: bool = True) -> str | None:
    """Return a name: of a class, a reviewer; in Unicode form NFC, without blanks about it.

    Raises:
        RequestError: If it is missing, too long or holds control characters.
    """
    value = values.get(key)
    if value is None or value == "":
        if needed:
            raise RequestError(f"{key} is missing")
        return None
    if not isinstance(value, str) or len(value) > _LONGEST_NAME:
        raise RequestError(f"{key} must be a text of at most {_LONGEST_NAME} characters")
    found = composed(value).strip()
    if not found or not found.isprintable():
        raise RequestError(f"{key} must be a text of characters that can be seen")
    return found


def numbers_of(text: str) -> list[int]:
    """Read numbers of detections with commas between them.

    Raises:
        RequestError: If they are none, or too many.
    """
    parts = text.split(",")
    if not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in parts):
        raise RequestError("ids must be whole numbers with commas between them")
    if len(parts) > MOST_ROWS:
        raise RequestError(f"ids must be at most {MOST_ROWS} numbers")
    return list(dict.fromkeys(map(int, parts)))


def body_of(content: bytes) -> dict[str, Any]:
    """Read the JSON object of a request.

    Raises:
        RequestError: If it is none.
    """
    try:
        values = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise RequestError("send a JSON object")
    return values


def ids_of(values: Mapping[str, Any]) -> list[int]:
    """Return the numbers of detections, each once.

    Raises:
        RequestError: If they are none.
    """
    found = values.get("ids")
    if not isinstance(found, list) or not 1 <= len(found) <= MOST_IDS:
        raise RequestError(f"ids must be a list of 1 to {MOST_IDS} numbers of detections")
    if not all(type(one) is int and 0 < one < 2**62 for one in found):
        raise RequestError("ids must be whole numbers")
    return list(dict.fromkeys(found))


def decision_of(values: Mapping[str, Any]) -> Decision:
    """Return what is decided.

    Raises:
        RequestError: If something of it is wrong.
    """
    verdict = values.get("verdict")
    if verdict not in VERDICTS:
        raise RequestError(f"verdict must be one of {', '.join(VERDICTS)}")
    note = values.get("note") or None
    if note is not None and (not isinstance(note, str) or len(note) > _LONGEST_NOTE):
        raise RequestError(f"note must be a text of at most {_LONGEST_NOTE} characters")
    begin_s, end_s = number(values, "begin_s"), number(values, "end_s")
    low_hz, high_hz = frequency(values, "low_hz"), frequency(values, "high_hz")
    if begin_s is not None and begin_s < 0:
        raise RequestError("begin_s must not be below 0")
    return Decision(
        verdict,
        name(values, "class") if verdict == "other" else None,
        *(begin_s, end_s, low_hz, high_hz),
        None if note is None else _storable(note),
    )


def key_of(values: Mapping[str, Any]) -> str | None:
    """Return what tells this request from others, or None.

    Raises:
        RequestError: If it is no short text.
    """
    key = values.get("key")
    if key is not None and not (isinstance(key, str) and 1 <= len(key) <= _LONGEST_NAME):
        raise RequestError(f"key must be a text of at most {_LONGEST_NAME} characters")
    return key


def _storable(text: str) -> str:
    """Return a text that can be written as UTF-8."""
    return text.encode("utf-8", "replace").decode()


def filter_of(values: Mapping[str, str], several: Mapping[str, list[str]]) -> Filter:
    """Return which detections are wanted.

    Args:
        values: Of each key the last value.
        several: Of each key all values.

    Raises:
        RequestError: If something of it is wrong.
    """
    states = tuple(several.get("state", ()))
    for one in states:
        if one not in _STATES:
            raise RequestError(f"state must be one of {', '.join(_STATES)}")
    sources = tuple(several.get("source", ()))
    for one in sources:
        if one not in SOURCES:
            raise RequestError(f"source must be one of {', '.join(SOURCES)}")
    recording = whole(values, "recording", None, 1, 2**62) if values.get("recording") else None
    return Filter(
        tuple(several.get("class", ())),
        number(values, "min"),
        number(values, "max"),
        tuple(several.get("site", ())),
        recording,
        _moment(values, "from"),
        _moment(values, "to"),
        _hours(values.get("hours", "")),
        states,
        sources,
        name(values, "reviewer", needed=False),
    )


def _moment(values: Mapping[str, str], key: str) -> datetime | None:
    text = values.get(key, "")
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(f"{key} must be a time such as 2026-05-01 or 2026-05-01T20:30") from None


def _hours(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    first, _, last = text.partition("-")
    try:
        hours = float(first), float(last)
    except ValueError:
        hours = (math.nan, math.nan)
    if not all(0 <= hour <= 24 for hour in hours):
        raise RequestError("hours must be two hours of the day such as 21-5")
    return hours
