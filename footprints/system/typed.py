"""What is read from files becomes typed, bounded values here, or a ``ValueError``.

Files that we wrote may have been edited, damaged or planted; none of their values is used before
it is shown to be of its kind.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_TEXT = 100_000  # characters of one value


def as_number(value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number within bounds, both included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a number, not {_short(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not low <= number <= high:
        raise ValueError(f"must be a number {_range(low, high)}, not {_short(value)}")
    return number


def as_whole(value: Any, low: float = -math.inf, high: float = math.inf) -> int:
    """Return a whole number within bounds, both included."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"must be a whole number {_range(low, high)}, not {_short(value)}")
    return value


def as_flag(value: Any) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {_short(value)}")
    return value


def as_text(value: Any, pattern: str = r"(?s:.*)", longest: int = MAX_TEXT) -> str:
    """Return a text that fits a regular expression as a whole."""
    if not isinstance(value, str) or len(value) > longest or not re.fullmatch(pattern, value):
        raise ValueError(f"is no such text: {_short(value)}")
    return value


def as_numbers(value: Any, count: int, low: float, high: float) -> tuple[float, ...]:
    """Return a list of finite numbers within bounds."""
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise ValueError(f"must be {count} numbers, not {_short(value)}")
    return tuple(as_number(one, low, high) for one in value)


def json_object(text: str | bytes) -> dict[str, Any]:
    """Return the object that a text in JSON is; keys are texts, values still unchecked."""
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("is no JSON object")
    return content


def _range(low: float, high: float) -> str:
    if math.isinf(low) and math.isinf(high):
        return "that is finite"
    return f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a huge one"
    return text if len(text) <= 60 else f"{text[:57]}..."
