"""Which worker does which photos next, and what becomes of those whose worker died.

Pure bookkeeping: nothing here knows of processes.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Task = TypeVar("Task", bound=Hashable)
Worker = TypeVar("Worker", bound=Hashable)

AHEAD = 2  # handfuls that a worker has: one in work, one that waits
LONGEST_S = 5.0  # that a handful shall take: this much is lost when its worker dies
MOST = 64  # photos in a handful
DEATHS = 2  # of workers that had a photo alone


@dataclass
class _Hands(Generic[Task]):
    """A worker's handfuls, and how fast it is."""

    given: deque[tuple[Task, ...]] = field(default_factory=deque)
    seconds_each: float | None = None


class HandingOut(Generic[Task, Worker]):
    """Gives photos out in handfuls, small at first and towards the end.

    Of a worker that died, the photos of the handful in work are suspects: each is given out
    again to a worker that has nothing else. One that such a worker died of twice is given up.

    Args:
        tasks: What is to be done; looked at only as far as needed.
        n_tasks: How many there are.
    """

    def __init__(self, tasks: Iterator[Task], n_tasks: int) -> None:
        self._tasks = tasks
        self._n_left = n_tasks
        self._again: deque[tuple[Task, ...]] = deque()
        self._suspects: deque[Task] = deque()
        self._deaths: dict[Task, int] = {}
        self._workers: dict[Worker, _Hands[Task]] = {}

    def join(self, worker: Worker) -> None:
        """Take a worker in."""
        self._workers[worker] = _Hands()

    @property
    def is_done(self) -> bool:
        """Whether nothing is left or in work."""
        return (
            not self._n_left
            and not self._again
            and not self._suspects
            and not any(hands.given for hands in self._workers.values())
        )

    def next_for(self, worker: Worker) -> tuple[Task, ...]:
        """Give a worker a handful; empty if it has enough, or nothing is left."""
        hands = self._workers[worker]
        # An answer may be lost when its worker dies of what comes next.
        if len(hands.given) >= AHEAD or any(self._is_suspect(given) for given in hands.given):
            return ()
        if self._suspects and not hands.given:
            handful = (self._suspects.popleft(),)
        elif self._again:
            handful = self._again.popleft()
        else:
            handful = self._new(hands)
        if handful:
            hands.given.append(handful)
        return handful

    def _is_suspect(self, handful: tuple[Task, ...]) -> bool:
        return len(handful) == 1 and handful[0] in self._deaths

    def _new(self, hands: _Hands[Task]) -> tuple[Task, ...]:
        wanted = 1
        if hands.seconds_each is not None:
            by_time = LONGEST_S / max(hands.seconds_each, 1e-6)
            share = self._n_left / (2 * AHEAD * len(self._workers))
            wanted = max(1, int(min(by_time, share, MOST)))
        handful = tuple(itertools.islice(self._tasks, wanted))
        self._n_left -= len(handful)
        return handful

    def add(self, tasks: Sequence[Task]) -> None:
        """Take in what is to be done besides, each by itself and before what is new."""
        self._again.extend((task,) for task in tasks)

    def withdraw(self, is_needed: Callable[[Task], bool]) -> None:
        """Forget what waits for another worker and is not needed any more."""
        self._again = deque(kept for given in self._again if (kept := (*filter(is_needed, given),)))
        self._suspects = deque(filter(is_needed, self._suspects))

    def done(self, worker: Worker, seconds: float | None) -> tuple[Task, ...]:
        """Note that a worker has done its oldest handful; return that.

        Args:
            worker: Which one.
            seconds: That it took; None: they say nothing about others.
        """
        hands = self._workers[worker]
        handful = hands.given.popleft()
        if seconds is not None:
            hands.seconds_each = seconds / len(handful)
        return handful

    def died(self, worker: Worker, *, by_its_work: bool = True) -> Sequence[Task]:
        """Note that a worker is gone; return the photos that are given up.

        Args:
            worker: Which one.
            by_its_work: Whether that may be for what it had in work; not if its node is gone.
        """
        handfuls = self._workers.pop(worker).given
        in_work = handfuls.popleft() if handfuls else ()
        self._again.extend(handfuls)
        given_up = []
        for task in in_work:
            # The first death may be of another photo of the handful.
            n_deaths = self._deaths.get(task, -1) + by_its_work
            self._deaths[task] = max(0, n_deaths)
            if n_deaths >= DEATHS:
                given_up.append(task)
            else:
                self._suspects.append(task)
        return given_up
