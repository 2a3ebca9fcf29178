"""How far a long step is: a bar on a terminal, a line now and then elsewhere; and warnings."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from footprints.system.text import printable

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 15.0


def progress(items: Iterable[T], total: int, label: str, unit: str = "photo") -> Iterator[T]:
    """Pass items on and show on standard error how many there were.

    Args:
        items: What is worked on.
        total: How many there will be.
        label: The work, in a word or two.
        unit: What the items are.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=label, unit=unit, dynamic_ncols=True)
        return
    start = last = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if number == total and total > 1:
            print(f"{label}: {total} {unit}s in {now - start:.0f} s", file=sys.stderr, flush=True)
        elif now - last >= SECONDS_BETWEEN_LINES:
            last = now
            print(f"{label}: {number} of {total} {unit}s", file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Print a line for the user."""
    print(printable(text), flush=True)


def warn(text: str) -> None:
    """Print a warning on standard error."""
    print(f"warning: {printable(text)}", file=sys.stderr, flush=True)


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
