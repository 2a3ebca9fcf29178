"""The driver: it lists, hands out, watches, and puts what workers made into its place."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from animal_spot.cluster.handing_out import AHEAD, DEATHS, HandingOut
from animal_spot.cluster.parts import parts_of_run, sections_of_runs
from animal_spot.cluster.ray_cluster import (
    NODE_GONE,
    RayWorker,
    Shares,
    WorkerDied,
    answer,
    connected,
    first_ready,
    shared_out,
)
from animal_spot.cluster.shared import SharedRecordings
from animal_spot.cluster.worker import Divided, Made, Order, SectionMade, Task, Worker
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.detectors import Arithmetic, looked_at
from animal_spot.prediction.result_folder import WrittenFile
from animal_spot.prediction.run import run as predict
from animal_spot.prediction.section_files import remove_section
from animal_spot.prediction.work import Done, Work
from animal_spot.utils.errors import RunError

log = logging.getLogger("PREDICT")

_LOOK_S = 0.5  # between two looks at whether the program is to stop
_STARTS = 10  # deaths of workers that load the model, with nothing done between, end the run


def run(config: PredictConfig) -> int:
    """Predict with the workers of a cluster; return the exit status.

    Raises:
        ValueError: If something given cannot be used, or Ray is not installed.
        OSError: If something cannot be read or written.
        RunError: If there is no cluster, or its workers cannot work.
        Interrupted: If the program was asked to stop.
    """
    return predict(config, _work_on_cluster)


def _work_on_cluster(work: Work) -> Iterator[Done]:
    """Do recordings on a cluster; yield each when its results are in place."""
    config = work.run.config
    folder = work.folder.absolute()
    with (
        connected(config.ray) as ray,
        parts_of_run(folder) as parts,
        sections_of_runs(folder) as sections,
    ):
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        shares = shared_out(nodes, config.ray_workers, config.gpus_per_worker)
        log.info(
            "Ray: %d nodes, %d workers with %d cores%s",
            *(len(nodes), shares.n_workers, shares.n_cores),
            f" and {shares.n_gpus:g} GPUs" if shares.n_gpus else "",
        )
        if shares.n_gpus == 0:  # as one process would, which sees no GPU here
            config = dataclasses.replace(config, device="cpu")
        shared = sections if shares.n_workers > 1 else None
        order = Order(config, work.run.header, parts, os.getcwd(), shared)
        yield from _Driver(ray, work, order, shares).run()


@dataclass
class _Driver:
    """Watches over the workers.

    Attributes:
        ray: The module, connected.
        work: What is to be done.
        order: What workers are told.
        shares: What each worker has.
        decided: The arithmetic that the first worker chose; None: not yet.
        calls: What each open call is: the number of its worker, and whether it begins.
        workers: By number.
    """

    ray: Any
    work: Work
    order: Order
    shares: Shares
    decided: list[Arithmetic | None] | None = None
    calls: dict[Any, tuple[int, bool]] = field(default_factory=dict)
    workers: dict[int, RayWorker] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._handing_out = HandingOut(self._tasks(), len(self.work.todo))
        self._shared = SharedRecordings()
        self._n_early_deaths = 0
        self._said: Counter[tuple[int, str]] = Counter()

    def _tasks(self) -> Iterator[Task]:
        results = self.work.results
        for path in self.work.todo:
            stem = self.work.stem_of[path]
            yield Task(path, stem, results.run_of(path), results.time_of(path))

    def run(self) -> Iterator[Done]:
        """Do all recordings."""
        try:
            self._start()  # the first decides on the arithmetic of all
            while not self._handing_out.is_done:
                self.work.run.check()
                for call in first_ready(self.ray, list(self.calls), _LOOK_S):
                    if call in self.calls:  # else its worker died meanwhile
                        yield from self._take(call)
        finally:
            for worker in self.workers.values():
                worker.end()

    def _start(self) -> None:
        """Start a worker."""
        number = next(self._numbers)
        worker = RayWorker(self.ray, Worker, self.shares, self.order, number, self.shares.n_cores)
        self.workers[number] = worker
        self._handing_out.join(number)
        sampled = looked_at(self.work.sampled) if self.decided is None else []
        call = worker.call("begin", sampled, self.decided)
        self.calls[call] = number, True

    def _take(self, call: Any) -> Iterator[Done]:
        """Take the answer of a call, and give its worker more to do."""
        number, begins = self.calls.pop(call)
        try:
            found = answer(self.ray, call)
        except WorkerDied as death:
            yield from self._mourn(number, str(death), begins)
            return
        if begins:
            for line in found.lines:
                self._said[line] += 1
                if self._said[line] == 1:
                    log.log(line[0], "%s", line[1])
            log.debug("worker %d is process %d", number, found.pid)
            if self.decided is None:
                self.decided = found.arithmetic
                for _ in range(min(self.shares.n_workers, len(self.work.todo)) - 1):
                    self._start()
        else:
            made, seconds = found
            is_news = not all(isinstance(one, Divided) for one in made)
            given = self._handing_out.done(number, seconds if is_news else None)
            self._n_early_deaths = 0
            for one in made:
                if isinstance(one, Divided):
                    (task,) = (task for task in given if task.path == one.path)
                    self._divide(task, one)
                elif isinstance(one, SectionMade):
                    yield from self._take_section(one)
                else:
                    yield self._in_place(number, one)
        self._give(number)

    def _divide(self, task: Task, divided: Divided) -> None:
        """Hand the sections of a recording out, to one more worker each if there may be more."""
        log.debug("%s: %d sections", task.path, len(divided.parts))
        self._handing_out.add(self._shared.begin(task, divided.parts))
        n_workers = min(self.shares.n_workers, len(self.workers) + len(divided.parts) - 1)
        while len(self.workers) < n_workers:
            self._start()
        for _ in range(AHEAD):  # one for each, before any has the next
            for number in self.workers:
                if self._is_ready(number):
                    self._give(number, most=1)

    def _take_section(self, made: SectionMade) -> Iterator[Done]:
        """Note what came of a section; see to it that its recording is finished."""
        if made.file is not None:
            self.work.on_progress(made.sound_s)
        found = self._shared.take(made)
        if isinstance(found, str):
            yield self._failed(made.path, found)
        elif found is not None:
            self._handing_out.add([found])
        self._handing_out.withdraw(self._shared.is_needed)

    def _failed(self, path: Path, reason: str) -> Done:
        self._forget(path)
        return Done(path, reason=reason)

    def _forget(self, path: Path) -> float:
        """Remove what sections of a recording left; return how much sound they were."""
        files, sound_s = self._shared.end(path) or ([], 0.0)
        for file in files:
            remove_section(file)
        return sound_s

    def _give(self, number: int, most: int = AHEAD) -> None:
        """Give a worker what it has room for, so many handfuls at most."""
        for _ in range(most):
            if not (handful := self._handing_out.next_for(number)):
                break
            self.calls[self.workers[number].call("do", handful)] = number, False

    def _in_place(self, number: int, made: Made) -> Done:
        """Put what a worker wrote into its place."""
        entry = made.entry
        if entry is not None:
            folder = self.order.folder / str(number)
            names = self.work.results.writer.names_of(entry.stem)
            written = {
                kind: WrittenFile(folder / names[kind], digest)
                for kind, digest in made.digests.items()
            }
            entry = self.work.results.take_over(made.path, entry, written)
        told_s = self._forget(made.path)
        if entry is not None:
            self.work.on_progress(max(0.0, entry.duration_s - told_s))
        return Done(made.path, entry, made.reason, made.rate, made.warnings)

    def _mourn(self, number: int, why: str, begins: bool) -> Iterator[Done]:
        """Take a worker out, and start another in its place.

        Raises:
            RunError: If workers die before they have done anything.
        """
        self.calls = {call: of for call, of in self.calls.items() if of[0] != number}
        self.workers.pop(number).end()
        log.warning("a worker died%s; its recordings are done again", f": {why}" if why else "")
        for task in self._handing_out.died(number, by_its_work=why != NODE_GONE):
            reason = f"its worker died {DEATHS} times: {why or 'out of memory?'}"
            if self._shared.is_needed(task):  # else another section failed before
                yield self._failed(task.path, reason)
        self._handing_out.withdraw(self._shared.is_needed)
        self._n_early_deaths += begins
        if self._n_early_deaths >= _STARTS + self.shares.n_workers:
            raise RunError(
                f"workers die when they load the model ({why or 'out of memory?'}): fewer "
                "--ray_workers need less memory"
            )
        if not self._handing_out.is_done:
            self._start()
            for other in self.workers:
                if other != number and self._is_ready(other):
                    self._give(other)

    def _is_ready(self, number: int) -> bool:
        """Tell whether a worker has begun."""
        return (number, True) not in self.calls.values()
