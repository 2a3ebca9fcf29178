"""The folds of a cross-validation side by side, each in a worker of a Ray cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from animal_spot.cluster.ray_cluster import (
    Messages,
    RayWorker,
    Shares,
    WorkerDied,
    answer,
    connected,
    first_ready,
    shared_out,
)
from animal_spot.data.corpus import Corpus
from animal_spot.experiments.cross_validation import SideBySide
from animal_spot.experiments.fold_result import FoldResult
from animal_spot.experiments.fold_worker import FoldOrder, FoldWorker
from animal_spot.models.precision import device_of
from animal_spot.training.config import TrainConfig
from animal_spot.training.run_setup import RunSetup
from animal_spot.utils.errors import RunError, one_line
from animal_spot.utils.interrupt import StopRequest

log = logging.getLogger(__name__)

_LOOK_S = 0.5  # between two looks at whether the program is to stop
_LAST_WORDS_S = 10.0  # that messages may take which were sent before an answer


class FoldsLostError(RunError):
    """Workers died, and with them the trainings of some folds; the others are complete."""


@dataclass(frozen=True)
class FoldWorkers:
    """Where folds are trained side by side.

    Attributes:
        address: Of the cluster, see ``connected``.
        n_workers: How many are wanted; None: all that find room.
        n_gpus: Of each; None: they compute on CPUs.
    """

    address: str
    n_workers: int | None
    n_gpus: float | None

    @classmethod
    def of(cls, config: TrainConfig) -> tuple[FoldWorkers, TrainConfig]:
        """Return the workers that settings want, and the settings of the same run without them."""
        workers = cls(config.ray, config.ray_workers, config.gpus_per_worker)
        alone = dataclasses.replace(config, ray=None, ray_workers=None, gpus_per_worker=None)
        if not workers.n_gpus and device_of(config.wanted_device).type != "cpu":
            alone = dataclasses.replace(alone, device="cpu")
        return workers, alone

    def train(
        self, setup: RunSetup, todo: Mapping[int, Corpus]
    ) -> Generator[FoldResult, None, None]:
        """Train and judge the networks of folds; yield each result when it is there.

        A fold whose worker dies does not keep the others from their end.

        Args:
            setup: Of all folds.
            todo: Clips of each fold, by number from 0.

        Raises:
            ValueError: If there is no room for a worker, or Ray is not installed.
            RunError: If there is no cluster, a training cannot go on, or workers died.
            Interrupted: If the program was asked to stop.
        """
        with connected(self.address) as ray:
            yield from self._train(ray, setup, todo)

    @contextlib.contextmanager
    def held(self) -> Iterator[SideBySide]:
        """Keep the cluster while the block runs; yields what trains folds on it as ``train`` does.

        A fold whose worker dies is gone on with once.

        Raises:
            ValueError: If Ray is not installed.
            RunError: If there is no cluster.
        """
        with connected(self.address) as ray:

            def train(
                setup: RunSetup, todo: Mapping[int, Corpus]
            ) -> Generator[FoldResult, None, None]:
                left = dict(todo)
                try:
                    for result in self._train(ray, setup, todo):
                        del left[result.fold]
                        yield result
                except FoldsLostError:
                    log.warning("folds whose workers died are trained once more")
                    yield from self._train(ray, setup, left)

            yield train

    def _train(
        self, ray: Any, setup: RunSetup, todo: Mapping[int, Corpus]
    ) -> Generator[FoldResult, None, None]:
        with StopRequest() as stop:
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            shares = shared_out(nodes, self.n_workers, self.n_gpus)
            log.info(
                "Ray: %d nodes, %d folds at once with %d cores%s each",
                *(len(nodes), min(shares.n_workers, len(todo)), shares.n_cores),
                f" and {shares.n_gpus:g} GPUs" if shares.n_gpus else "",
            )
            order = FoldOrder(
                setup.config,
                setup.folders,
                None if shares.n_gpus else setup.precision.name,
                shares.n_cores,
                os.getcwd(),
            )
            yield from _Driver(ray, order, shares, stop, dict(todo)).run()


class _Driver:
    """Watches over the workers."""

    def __init__(
        self,
        ray: Any,
        order: FoldOrder,
        shares: Shares,
        stop: StopRequest,
        waiting: dict[int, Corpus],
    ) -> None:
        self._ray, self._order, self._shares, self._stop = ray, order, shares, stop
        self._waiting = waiting
        self._calls: dict[Any, tuple[int, RayWorker]] = {}  # what is in work
        self._lost: dict[int, str] = {}  # folds whose worker died, and why
        self._messages = Messages(ray)

    def run(self) -> Iterator[FoldResult]:
        """Train all folds."""
        try:
            self._start()
            while self._calls:
                self._stop.check()
                for call in first_ready(self._ray, list(self._calls), _LOOK_S):
                    self._tell(_LAST_WORDS_S)
                    yield from self._take(call)
                self._tell()
                self._start()
        finally:
            for _, worker in self._calls.values():
                worker.end()
            self._messages.end()
        if self._lost:
            said = ", ".join(f"{fold + 1} ({why})" for fold, why in sorted(self._lost.items()))
            raise FoldsLostError(
                f"the worker died of fold {said}; complete folds and the last checkpoints are "
                "kept: start again to go on"
            )

    def _start(self) -> None:
        """Start a worker for each fold that there is room for."""
        while self._waiting and len(self._calls) < self._shares.n_workers:
            fold = min(self._waiting)
            worker = RayWorker(self._ray, FoldWorker, self._shares, self._order, self._messages)
            call = worker.call("train", fold, self._waiting.pop(fold))
            self._calls[call] = fold, worker

    def _take(self, call: Any) -> Iterator[FoldResult]:
        """Take what came of a fold, and end its worker."""
        fold, worker = self._calls.pop(call)
        try:
            result = answer(self._ray, call)
        except WorkerDied as death:
            self._lost[fold] = str(death) or "killed, or out of memory"
            log.warning("fold %d: its worker died: %s", fold + 1, self._lost[fold])
            return
        except (ValueError, OSError, RunError) as error:
            raise RunError(f"fold {fold + 1}: {one_line(error)}") from error
        finally:
            worker.end()
        log.info("fold %d of %d: complete", fold + 1, self._order.config.folds)
        yield result

    def _tell(self, seconds: float = 0.0) -> None:
        """Say what workers said."""
        said = self._messages.take(seconds)
        if seconds:  # the first may have been asked for before the last was sent
            said += self._messages.take(seconds)
        for fold, level, text in said:
            log.log(level, "fold %d: %s", fold + 1, text)
