"""Values that a request names, each checked: numbers, names, times; what is wrong is one line."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

MOST_ROWS = 1000  # that are sent at once
MOST_IDS = 5000  # detections that are decided at once
_LONGEST_NAME, _LONGEST_NOTE = 100, 4000


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


class NotThereError(LookupError):
    """What was asked for is not there."""


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
    found = unicodedata.normalize("NFC", value).strip()
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


def key_of(values: Mapping[str, Any]) -> str | None:
    """Return what tells this request from others, or None.

    Raises:
        RequestError: If it is no short text.
    """
    key = values.get("key")
    if key is not None and not (isinstance(key, str) and 1 <= len(key) <= _LONGEST_NAME):
        raise RequestError(f"key must be a text of at most {_LONGEST_NAME} characters")
    return key


def one_of(values: Mapping[str, Any], key: str, known: Iterable[str]) -> str:
    """Return one of some words.

    Raises:
        RequestError: If it is another one, or missing.
    """
    found = values.get(key)
    if not isinstance(found, str) or found not in known:
        raise RequestError(f"{key} must be one of {', '.join(known)}")
    return found


def all_of(several: Mapping[str, list[str]], key: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return all values of a key, which must be known words.

    Raises:
        RequestError: If one is not.
    """
    found = tuple(several.get(key, ()))
    for one in found:
        one_of({key: one}, key, known)
    return found


def note_of(values: Mapping[str, Any]) -> str | None:
    """Return what a reviewer wrote, or None.

    Raises:
        RequestError: If it is no text, or too long.
    """
    note = values.get("note") or None
    if note is not None and (not isinstance(note, str) or len(note) > _LONGEST_NOTE):
        raise RequestError(f"note must be a text of at most {_LONGEST_NOTE} characters")
    # As it can be written in UTF-8.
    return None if note is None else note.encode("utf-8", "replace").decode()


def moment(values: Mapping[str, str], key: str) -> datetime | None:
    """Return a time, or None if it is not given.

    Raises:
        RequestError: If it is none.
    """
    text = values.get(key, "")
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(f"{key} must be a time such as 2026-05-01 or 2026-05-01T20:30") from None


def hours(text: str) -> tuple[float, float] | None:
    """Return two hours of the day as ``21-5`` says them, or None if it is empty.

    Raises:
        RequestError: If it says others.
    """
    if not text:
        return None
    first, _, last = text.partition("-")
    try:
        found = float(first), float(last)
    except ValueError:
        found = (math.nan, math.nan)
    if not all(0 <= hour <= 24 for hour in found):
        raise RequestError("hours must be two hours of the day such as 21-5")
    return found
