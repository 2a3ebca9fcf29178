"""Some of many, drawn at random, the same ones each time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


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
