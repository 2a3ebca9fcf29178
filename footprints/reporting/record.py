"""What steps wrote as JSON, read value by value: absent ones are None, strange ones are refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from footprints.system.errors import UserError
from footprints.system.files import read_text
from footprints.system.text import printable
from footprints.system.typed import as_flag, as_number, as_text, as_whole, json_object

T = TypeVar("T")


class Record:
    """A JSON object of a file.

    Files of older releases lack values: each of them may be None.

    Args:
        path: Of the file, for messages.
        content: The object.
        place: Where in the file it stands, for messages.
    """

    def __init__(self, path: Path, content: Mapping[str, Any], place: str = "") -> None:
        self.path = path
        self._content = content
        self._place = place

    def has(self, key: str) -> bool:
        """Tell whether there is a value."""
        return self._content.get(key) is not None

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """Return a number; None where it is absent, or is none (NaN)."""
        value = self._content.get(key)
        if isinstance(value, float) and math.isnan(value):
            return None
        return self._value(key, lambda given: as_number(given, low, high))

    def share(self, key: str) -> float | None:
        """Return a number from 0 to 1."""
        return self.number(key, 0, 1)

    def count(self, key: str) -> int | None:
        """Return a whole number that is not negative."""
        return self._value(key, lambda given: as_whole(given, 0))

    def flag(self, key: str) -> bool | None:
        """Return true or false."""
        return self._value(key, as_flag)

    def text(self, key: str) -> str | None:
        """Return a text."""
        return self._value(key, as_text)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; an empty one if it is absent."""
        return tuple(as_text(one) for one in self._list(key, as_text))

    def interval(self, key: str) -> tuple[float | None, float | None]:
        """Return two ends from 0 to 1."""
        ends = self._list(key, lambda one: one is None or as_number(one, 0, 1))
        if len(ends) not in (0, 2):
            raise UserError(f"{self._named(key)} has no two ends")
        return (ends[0], ends[1]) if ends else (None, None)

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return a list of numbers; an empty one if it is absent."""
        return tuple(float(one) for one in self._list(key, as_number))

    def matrix(self, key: str, side: int) -> list[list[int]] | None:
        """Return a square of counts.

        Args:
            key: Its name.
            side: How many rows and columns it must have.
        """
        if not self.has(key):
            return None
        rows = self._list(key, lambda row: [as_whole(one, 0) for one in _as_list(row)])
        if len(rows) != side or any(len(row) != side for row in rows):
            raise UserError(f"{self._named(key)} is not {side} rows of {side} numbers")
        return rows

    def inside(self, key: str) -> Record:
        """Return an object in this one; one without values if it is absent."""
        value = self._content.get(key)
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise UserError(f"{self._named(key)} is no JSON object")
        return Record(self.path, value, f"{self._place}{key}.")

    def records(self, key: str) -> list[Record]:
        """Return a list of objects; an empty one if it is absent."""
        found = self._list(key, _refuse_other)
        return [Record(self.path, one, f"{self._place}{key}[{i}].") for i, one in enumerate(found)]

    def counts(self) -> dict[str, int]:
        """Return all that stands here, which must be whole numbers."""
        return {key: self.count(key) or 0 for key in self._content}

    def names(self) -> list[str]:
        """Return the names of what stands here."""
        return list(self._content)

    def _value(self, key: str, check: Callable[[Any], T]) -> T | None:
        value = self._content.get(key)
        if value is None:
            return None
        try:
            return check(value)
        except ValueError as error:
            raise UserError(f"{self._named(key)} {error}") from None

    def _list(self, key: str, check: Callable[[Any], Any]) -> list[Any]:
        found = self._value(key, _as_list) or []
        for one in found:
            try:
                check(one)
            except ValueError as error:
                raise UserError(f"{self._named(key)} holds what {error}") from None
        return found

    def _named(self, key: str) -> str:
        return f"{printable(self.path)}: its {printable(self._place + key)}"


def read_record(path: Path) -> Record:
    """Return what a file in JSON holds.

    Raises:
        UserError: If it cannot be read, or is no JSON object.
    """
    try:
        return Record(path, json_object(read_text(path)))
    except ValueError as error:
        raise UserError(f"{printable(path)}: cannot be read as JSON ({error})") from None


def _as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("is no list")
    return value


def _refuse_other(value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError("is no JSON object")
