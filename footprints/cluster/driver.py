"""The driver: it hands photos out to the workers of a Ray cluster, and watches over them."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from footprints.cluster.handing_out import DEATHS, HandingOut
from footprints.cluster.ray_cluster import (
    NODE_GONE,
    RayWorker,
    Shares,
    WorkerDied,
    answer,
    connected,
    first_ready,
    shared_out,
)
from footprints.cluster.worker import Order, Worker
from footprints.cropping.crop_pool import Job
from footprints.system.errors import UserError
from footprints.system.progress import say, warn

T = TypeVar("T")
_LOOK_S = 0.5  # between two looks at whether the program is to stop
_STARTS = 10  # deaths of workers that load the model, with nothing done between, end the run


@contextlib.contextmanager
def spread(
    address: str,
    n_workers: int | None,
    order: Order,
    jobs: Sequence[Job],
    given_up: Callable[[Job, str], T],
) -> Iterator[Iterator[T]]:
    """Have photos done by the workers of a cluster; give what came of each, in their order.

    Args:
        address: Of the cluster.
        n_workers: How many are wanted; None: all that find room.
        order: What is the same for all photos.
        jobs: The photos.
        given_up: Makes the result of a photo that cannot be done, of the reason.

    Raises:
        UserError: If there is no cluster, or its workers cannot work.
    """
    with connected(address) as ray:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        shares = shared_out(nodes, n_workers)
        cores = "a core" if shares.n_cores == 1 else f"{shares.n_cores} cores"
        say(f"Ray: {len(nodes)} nodes, {shares.n_workers} workers with {cores} each")
        yield _Driver(ray, shares, order, jobs, given_up).run()


class _Driver(Generic[T]):
    """Watches over the workers; arguments are those of ``spread``."""

    def __init__(
        self,
        ray: Any,
        shares: Shares,
        order: Order,
        jobs: Sequence[Job],
        given_up: Callable[[Job, str], T],
    ) -> None:
        self._ray, self._shares, self._order = ray, shares, order
        self._jobs, self._given_up = jobs, given_up
        self._handing_out: HandingOut[int, int] = HandingOut(iter(range(len(jobs))), len(jobs))
        self._numbers = itertools.count()
        self._workers: dict[int, RayWorker] = {}
        self._calls: dict[Any, tuple[int, bool]] = {}  # of which worker, and whether it begins
        self._n_early_deaths = 0

    def run(self) -> Iterator[T]:
        """Do all photos."""
        found: dict[int, T] = {}
        next_one = 0
        try:
            for _ in range(min(self._shares.n_workers, len(self._jobs))):
                self._start()
            while next_one < len(self._jobs):
                for call in first_ready(self._ray, list(self._calls), _LOOK_S):
                    if call in self._calls:  # else its worker died meanwhile
                        found.update(self._take(call))
                while next_one in found:
                    yield found.pop(next_one)
                    next_one += 1
        finally:
            for worker in self._workers.values():
                worker.end()

    def _start(self) -> None:
        number = next(self._numbers)
        worker = RayWorker(self._ray, Worker, self._shares, self._order, self._shares.n_cores)
        self._workers[number] = worker
        self._handing_out.join(number)
        self._calls[worker.call("begin")] = number, True

    def _take(self, call: Any) -> dict[int, T]:
        """Take the answer of a call, and give its worker more to do."""
        number, begins = self._calls.pop(call)
        try:
            content = answer(self._ray, call)
        except WorkerDied as death:
            return self._mourn(number, str(death), begins)
        found = {}
        if not begins:
            results, seconds, said = content
            sys.stderr.write(said)
            found = dict(zip(self._handing_out.done(number, seconds), results, strict=True))
            self._n_early_deaths = 0
        self._give(number)
        return found

    def _give(self, number: int) -> None:
        """Give a worker what it has room for."""
        while handful := self._handing_out.next_for(number):
            jobs = [self._jobs[one] for one in handful]
            self._calls[self._workers[number].call("do", jobs)] = number, False

    def _mourn(self, number: int, why: str, begins: bool) -> dict[int, T]:
        """Take a worker out, and start another in its place.

        Returns:
            The photos that are given up.

        Raises:
            UserError: If workers die before they have done anything.
        """
        self._calls = {call: of for call, of in self._calls.items() if of[0] != number}
        self._workers.pop(number).end()
        warn(f"a worker died{f': {why}' if why else ''}; its photos are done again")
        reason = f"its worker died {DEATHS} times: {why or 'out of memory?'}"
        lost = self._handing_out.died(number, by_its_work=why != NODE_GONE)
        self._n_early_deaths += begins
        if self._n_early_deaths >= _STARTS + self._shares.n_workers:
            raise UserError(
                f"workers die when they load the model ({why or 'out of memory?'}); fewer "
                "--ray_workers need less memory"
            )
        if not self._handing_out.is_done:
            self._start()
            beginning = {worker for worker, begins in self._calls.values() if begins}
            for other in self._workers.keys() - beginning:
                self._give(other)
        return {one: self._given_up(self._jobs[one], reason) for one in lost}
