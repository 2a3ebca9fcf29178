"""Sliding networks over recordings: batching, computing, and handing on what comes out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from animal_spot.audio.channel_choice import MIX
from animal_spot.detections.calibration import tempered
from animal_spot.detections.decisions import DecisionRule
from animal_spot.prediction.detectors import Detector
from animal_spot.prediction.engines import MARGIN, Engine, infer_all, probabilities_of
from animal_spot.prediction.outcome import ArraySpool, Outcome, Part, RecordingEnd, SectionEdge
from animal_spot.prediction.read_ahead import read_ahead
from animal_spot.prediction.window_inputs import WindowInputs, grids_of, parts_of
from animal_spot.remote.local_copies import CopiesAhead, LocalCopies

_STRETCH_S = 60.0  # most sound that one batch of features is cut from
_PATIENCE_S = 1.0  # that windows wait for others to fill their batch
_NOT_FINITE = (
    "the network's answer is not a finite number: are the samples far too large, or is the model "
    "file damaged?"
)


@dataclass(frozen=True)
class _Part:
    """Network inputs of neighbouring windows of a recording, one tensor for each detector."""

    outcome: Outcome
    inputs: list[Tensor]

    def __len__(self) -> int:
        return len(self.inputs[0])

    def split(self, n: int) -> tuple[_Part, _Part]:
        """Return the first ``n`` windows and the others."""
        return (
            _Part(self.outcome, [x[:n] for x in self.inputs]),
            _Part(self.outcome, [x[n:] for x in self.inputs]),
        )


@dataclass
class _Pending:
    """Windows of one shape that wait until they fill a batch."""

    parts: deque[_Part] = field(default_factory=deque)
    n: int = 0
    since: float = 0.0

    def add(self, part: _Part) -> None:
        if not self.parts:
            self.since = time.perf_counter()
        self.parts.append(part)
        self.n += len(part)

    def take(self, n: int) -> list[_Part]:
        """Remove the first ``n`` windows, or all if there are fewer."""
        taken = []
        while n and self.parts:
            part = self.parts.popleft()
            if len(part) > n:
                part, rest = part.split(n)
                self.parts.appendleft(rest)
            taken.append(part)
            n -= len(part)
            self.n -= len(part)
        return taken


class _Waiting:
    """Windows that no network has seen yet, in groups of one shape."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._groups: dict[tuple, _Pending] = {}

    def add(self, part: _Part) -> Iterator[list[_Part]]:
        """Add windows and yield the batches that are full by them."""
        part.outcome.n_open += len(part)
        shape = tuple(x.shape[1:] for x in part.inputs)
        group = self._groups.setdefault(shape, _Pending())
        group.add(part)
        while group.n >= self._batch_size:
            yield group.take(self._batch_size)

    def overdue(self) -> Iterator[list[_Part]]:
        """Yield what has waited for long: no recording waits for another one of its odd length."""
        for group in self._groups.values():
            if group.n and time.perf_counter() - group.since > _PATIENCE_S:
                yield group.take(group.n)

    def rest(self) -> Iterator[list[_Part]]:
        """Yield all that is left."""
        for group in self._groups.values():
            while group.n:
                yield group.take(self._batch_size)


@dataclass(frozen=True)
class Predictor:
    """Classifies the windows of recordings; several detectors' probabilities are averaged.

    Recordings are read and turned into network inputs by threads, a few files ahead; batches may
    hold windows of several recordings. Memory does not depend on the length of a recording.

    Attributes:
        detectors: Networks with the same classes.
        n_readers: Threads that read; 0: the calling one.
        temporary_folder: Where results of long recordings wait until they are complete; None:
            the system's.
        keep_embeddings: Also collect the feature vectors, joined over the detectors.
        temperature: Of the average, or None.
        rule: How windows are decided; those that rounding could decide otherwise are computed
            again where a detector can do so exactly. None: none are.
        channel: What is heard of recordings with several, see ``audio.channels``.
        copies: Where recordings at addresses are copied to while they are read.
        on_windows: Called for each batch of a recording with the outcome, the number of its first
            window, the first detector's inputs and the probabilities.
        on_progress: Called with seconds of sound whenever windows were classified.
        check: Called often; may raise to stop.
    """

    detectors: Sequence[Detector]
    _: KW_ONLY
    n_readers: int
    temporary_folder: Path | None = None
    keep_embeddings: bool = False
    temperature: float | None = None
    rule: DecisionRule | None = None
    channel: str = MIX
    copies: LocalCopies = field(default_factory=LocalCopies)
    on_windows: Callable[[Outcome, int, Tensor, np.ndarray], None] | None = None
    on_progress: Callable[[float], None] = lambda seconds: None
    check: Callable[[], None] = lambda: None

    def run(self, paths: Sequence[Path], part: Part | None = None) -> Iterator[Outcome]:
        """Classify recordings; yield each when it is complete or has failed.

        Args:
            paths: The recordings.
            part: Of them, to do by itself; None: all.
        """
        with self.copies.ahead(paths) as copies:
            yield from self._run(paths, copies, part)

    def parts_of(self, path: Path) -> list[Part]:
        """Return the sections of a recording that may be done apart; none if it is not long."""
        return parts_of(path, grids_of(self.detectors), self.channel)

    def _run(
        self, paths: Sequence[Path], copies: CopiesAhead, part: Part | None
    ) -> Iterator[Outcome]:
        batch_size = max(detector.engine.batch_size for detector in self.detectors)
        n_parallel = min(detector.engine.n_parallel for detector in self.detectors)
        # Features are computed for several batches at a time, of not too long a stretch of sound.
        n_at_once = max(1, min(max(batch_size, 16), int(_STRETCH_S / self._hop_s)))
        inputs = WindowInputs(self.detectors, self.channel, n_at_once, copies, part)
        open_outcomes: list[Outcome] = []
        waiting = _Waiting(batch_size)
        in_flight: deque[tuple[Future, list[_Part]]] = deque()

        def submit(batches: Iterator[list[_Part]]) -> None:
            for parts in batches:
                in_flight.append((pool.submit(self._infer, parts), parts))

        def completed() -> Iterator[Outcome]:
            for outcome in [outcome for outcome in open_outcomes if outcome.is_complete]:
                open_outcomes.remove(outcome)
                yield outcome

        # A new thread computes with as many threads as any thread set last: say how many.
        n_threads = max(1, torch.get_num_threads() // n_parallel)
        pool = ThreadPoolExecutor(
            n_parallel, initializer=torch.set_num_threads, initargs=(n_threads,)
        )
        budget = max(128, 4 * n_at_once)
        try:
            for path, items in read_ahead(paths, inputs.of, self.n_readers, budget, self.check):
                outcome = Outcome(path=path, started=time.perf_counter())
                open_outcomes.append(outcome)
                for item in items:
                    self.check()
                    if isinstance(item, RecordingEnd):
                        outcome.end(item)
                    elif isinstance(item, SectionEdge):
                        submit(waiting.rest())
                    else:
                        submit(waiting.add(_Part(outcome, item)))
                    submit(waiting.overdue())
                    while in_flight and (len(in_flight) > 2 * n_parallel or in_flight[0][0].done()):
                        self._collect(*in_flight.popleft())
                    yield from completed()
            submit(waiting.rest())
            while in_flight:
                self.check()
                self._collect(*in_flight.popleft())
                yield from completed()
            yield from completed()
        finally:
            for future, _ in in_flight:
                future.cancel()
            pool.shutdown()

    @property
    def _hop_s(self) -> float:
        grid = self.detectors[0].grid
        return grid.hop / grid.sample_rate

    def _infer(self, parts: list[_Part]) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the mean probabilities of a batch, and the joined feature vectors if wanted."""
        inputs = [
            torch.cat([part.inputs[k] for part in parts]) if len(parts) > 1 else parts[0].inputs[k]
            for k in range(len(self.detectors))
        ]
        mean, vectors = self._mean([d.engine for d in self.detectors], inputs)
        exact = [detector.exact or detector.engine for detector in self.detectors]
        if self.rule is not None and any(d.exact is not None for d in self.detectors):
            rows = np.flatnonzero(self.rule.undecided(mean, MARGIN))
            if len(rows):
                chosen = torch.from_numpy(rows)
                mean[rows], again = self._mean(exact, [x[chosen] for x in inputs])
                if vectors is not None:
                    vectors[rows] = again
        return mean, vectors

    def _mean(
        self, engines: Sequence[Engine], inputs: Sequence[Tensor]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        total, vectors = None, []
        for engine, features in zip(engines, inputs, strict=True):
            logits, embedding = infer_all(engine, features)
            probabilities = probabilities_of(logits)
            total = probabilities if total is None else total + probabilities
            vectors.append(embedding)
        mean = total if len(engines) == 1 else total / np.float32(len(engines))
        if self.temperature not in (None, 1):
            mean = tempered(mean, self.temperature)
        return mean, np.concatenate(vectors, 1) if self.keep_embeddings else None

    def _collect(self, future: Future, parts: list[_Part]) -> None:
        """Hand the results of a batch to the recordings that they belong to."""
        probabilities, vectors = future.result()
        row = 0
        for part in parts:
            outcome, rows = part.outcome, slice(row, row + len(part))
            row += len(part)
            outcome.n_open -= len(part)
            if not (np.isfinite(probabilities[rows]).all() and _is_finite(vectors, rows)):
                outcome.reason = outcome.reason or _NOT_FINITE
            if outcome.reason:
                continue
            if outcome.probabilities is None:
                outcome.probabilities = ArraySpool(self.temporary_folder)
                outcome.embeddings = ArraySpool(self.temporary_folder)
            if self.on_windows is not None:
                self.on_windows(outcome, outcome.n_windows, part.inputs[0], probabilities[rows])
            outcome.probabilities.append(probabilities[rows])
            if vectors is not None:
                outcome.embeddings.append(vectors[rows])
            outcome.n_windows += len(part)
            outcome.seconds = time.perf_counter() - outcome.started
            self.on_progress(len(part) * self._hop_s)


def _is_finite(vectors: np.ndarray | None, rows: slice) -> bool:
    return vectors is None or bool(np.isfinite(vectors[rows]).all())
