"""Names of classes, compared as people read them.

A letter with a mark can be written as one character or as two: macOS names files the second way,
other systems the first. Inside the program names are in the first form (NFC).
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any


def composed(name: str) -> str:
    """Return a name in Unicode form NFC."""
    return unicodedata.normalize("NFC", name)


def with_composed_names(by_name: Mapping[str, Any]) -> dict[str, Any]:
    """Return a dictionary by name with composed names; as it is if two would become one."""
    result = {composed(name): value for name, value in by_name.items()}
    return result if len(result) == len(by_name) else dict(by_name)


def look_alikes(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of names that differ only in case, blanks or Unicode form."""
    groups: dict[str, set[str]] = defaultdict(set)
    for name in names:
        groups[" ".join(composed(name).split()).casefold()].add(name)
    return [sorted(group) for _, group in sorted(groups.items()) if len(group) > 1]


def refuse_look_alikes(names: Iterable[str], cure: str) -> None:
    """Make sure that no two names differ only in case or blanks.

    Raises:
        ValueError: If two do; it names them and ends with ``cure``.
    """
    for group in look_alikes(names):
        raise ValueError(f"{' and '.join(map(repr, group))} differ only in case or blanks; {cure}")
