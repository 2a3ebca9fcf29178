"""Small questions about many recordings: those about ones elsewhere are asked side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from animal_spot.remote.addresses import is_remote

Question = TypeVar("Question")
Answer = TypeVar("Answer")

_AT_ONCE = 32  # questions under way: an answer takes its time, but little work


def each(
    ask: Callable[[Question], Answer], questions: Iterable[Question], about: Iterable[Path]
) -> Iterator[Answer]:
    """Yield the answer to each question, in their order.

    Args:
        ask: Finds an answer.
        questions: What it is given.
        about: The recordings that they are about.
    """
    if any(map(is_remote, about)):
        yield from side_by_side(ask, questions, _AT_ONCE)
    else:
        yield from map(ask, questions)


def side_by_side(
    ask: Callable[[Question], Answer], questions: Iterable[Question], n_at_once: int
) -> Iterator[Answer]:
    """Yield the answer to each question, in their order; few more are asked than were taken."""
    pool = ThreadPoolExecutor(n_at_once)
    asked: deque[Future[Answer]] = deque()
    try:
        for question in questions:
            asked.append(pool.submit(ask, question))
            if len(asked) >= 2 * n_at_once:
                yield asked.popleft().result()
        while asked:
            yield asked.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
