"""Which of many examples are shown: drawn at random, the same ones each time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from animal_spot.reporting.found_examples import where_it_is
from animal_spot.reporting.page import Note
from animal_spot.reporting.wanted import Wanted

_SOUND_BYTES = 25_000  # of a sound with its picture, about
_MOST_SOUNDS = 60

T = TypeVar("T")


def most_sounds(wanted: Wanted, n_groups: int) -> int:
    """Return how many sounds of each group there is room for, at least one."""
    return max(1, min(_MOST_SOUNDS, wanted.sound_bytes // _SOUND_BYTES // n_groups))


def none_there(paths: Iterable[str], folder: Path | None) -> Note | None:
    """Return what to say where not one of the recordings is there; None: some are.

    Args:
        paths: Where they were.
        folder: Where they are now; None: where they were.
    """
    every = set(paths)
    if not every or any(where_it_is(path, folder).is_file() for path in every):
        return None
    said = "where they were" if folder is None else f"in {folder}"
    return Note(
        f"There are no examples to hear, since the recordings are not {said}. "
        "animal-spot report --recordings names the folder that they are in.",
        is_warning=True,
    )


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
