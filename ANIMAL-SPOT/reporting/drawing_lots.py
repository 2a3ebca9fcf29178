"""Some of many, drawn at random, the same ones each time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from animal_spot.reporting.wanted import Wanted

_SOUND_BYTES = 25_000  # of a sound with its picture, about
_MOST_SOUNDS = 60

T = TypeVar("T")


def most_sounds(wanted: Wanted, n_groups: int) -> int:
    """Return how many sounds of each group there is room for, at least one."""
    return max(1, min(_MOST_SOUNDS, wanted.sound_bytes // _SOUND_BYTES // n_groups))


def drawn(rows: Sequence[T], n: int, seed: str) -> list[T]:
    """Return ``n`` of many in the order in which they were; all, if there are no more.

    Args:
        rows: All.
        n: How many are wanted.
        seed: The same one draws the same.
    """
    if len(rows) <= n:
        return list(rows)
    return [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), n))]
