"""Small questions about many recordings: those about ones elsewhere are asked side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from animal_spot.remote.addresses import is_remote

Question = TypeVar("Question")
Answer = TypeVar("Answer")

_AT_ONCE = 32  # questions under way: an answer takes its time, but little work


def each(
    ask: Callable[[Question], Answer], questions: Sequence[Question], about: Iterable[Path]
) -> Iterator[Answer]:
    """Yield the answer to each question, in their order.

    Args:
        ask: Finds an answer.
        questions: What it is given.
        about: The recordings that they are about.
    """
    if not any(map(is_remote, about)):
        yield from map(ask, questions)
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(ask, questions)
