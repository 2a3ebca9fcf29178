"""Sliding networks over recordings: reading ahead, batching, and handing on what comes out."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.clip_files import n_resampled
from animal_spot.audio.recordings import Recording, RecordingError, StreamResampler
from animal_spot.audio.window_features import WindowFeatures
from animal_spot.audio.windows import WindowCutter, WindowGrid
from animal_spot.detections.calibration import tempered
from animal_spot.embeddings.embedding_pipeline import EmbeddingFeatures
from animal_spot.prediction.engines import Engine, infer_all, probabilities_of
from animal_spot.utils.errors import is_memory_error, one_line
from animal_spot.utils.files import file_digest, file_state

log = logging.getLogger(__name__)

MARGIN = 0.02  # most that a probability of a faster arithmetic may be off
_BLOCK_S = 20.0  # of sound that is read at a time
_STRETCH_S = 60.0  # most sound that one batch of features is cut from
_PATIENCE_S = 1.0  # that windows wait for others to fill their batch
_NOT_FINITE = (
    "the network's answer is not a finite number: are the samples far too large, or is the model "
    "file damaged?"
)
_SPOOL_BYTES = 16 * 2**20  # of results kept in memory before they go to a temporary file


@dataclass(frozen=True)
class Detector:
    """A network, and how recordings become its input.

    Attributes:
        engine: Computes the network.
        features: Computes its input.
        grid: Windows at its sampling rate.
        f_min: Lowest frequency that its input depends on, Hz.
        exact: Computes it in fp32, for windows that ``engine`` cannot decide; None: nothing does.
    """

    engine: Engine
    features: WindowFeatures | EmbeddingFeatures
    grid: WindowGrid
    f_min: float
    exact: Engine | None = None


@dataclass
class Outcome:
    """What came of one recording.

    Attributes:
        path: The recording.
        reason: Why it could not be used; empty if it could.
        duration_s: Its length.
        n_samples: Its length in samples at the rate of the first network.
        rate: Its own sampling rate, Hz.
        state: Size and times of the file.
        digest: Hash of its bytes.
        channel: Number of the channel that was heard; 1 for the mix.
        warnings: What is probably not as it was meant.
        n_windows: Windows classified.
        seconds: From the first window read to the last one classified.
    """

    path: Path
    reason: str = ""
    duration_s: float = 0.0
    n_samples: int = 0
    rate: int = 0
    state: list[int] = field(default_factory=list)
    digest: str = ""
    channel: int = 1
    warnings: tuple[str, ...] = ()
    n_windows: int = 0
    seconds: float = 0.0
    started: float = 0.0
    probabilities: ArraySpool | None = None
    embeddings: ArraySpool | None = None
    n_open: int = 0  # windows that the network has not returned yet
    ended: bool = False  # all windows were read

    @property
    def is_complete(self) -> bool:
        """Whether all of its windows are classified, or it has failed."""
        return self.ended and self.n_open == 0

    def close(self) -> None:
        """Forget the numbers."""
        for spool in (self.probabilities, self.embeddings):
            if spool is not None:
                spool.close()


class ArraySpool:
    """Rows of float32 numbers in order, on disk when there are many."""

    def __init__(self, folder: Path | None) -> None:
        self._file = tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=folder)  # noqa: SIM115
        self.n_columns = 0

    def append(self, rows: np.ndarray) -> None:
        """Add rows of shape ``(rows, columns)``."""
        self.n_columns = rows.shape[1]
        self._file.write(np.ascontiguousarray(rows, np.float32).data)

    def batches(self, n_rows: int) -> Iterator[np.ndarray]:
        """Yield all rows from the first, so many at a time."""
        self._file.seek(0)
        n_bytes = 4 * self.n_columns * n_rows
        while n_bytes and (content := self._file.read(n_bytes)):
            yield np.frombuffer(content, np.float32).reshape(-1, self.n_columns)

    def close(self) -> None:
        """Forget the rows."""
        self._file.close()


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
        taken, wanted = [], min(n, self.n)
        while wanted:
            part = self.parts.popleft()
            if len(part) > wanted:
                part, rest = part.split(wanted)
                self.parts.appendleft(rest)
            taken.append(part)
            wanted -= len(part)
            self.n -= len(part)
        return taken


@dataclass(frozen=True)
class _End:
    """The end of a recording, or where it turned out to be unusable."""

    duration_s: float = 0.0
    n_samples: int = 0
    rate: int = 0
    state: list[int] = field(default_factory=list)
    digest: str = ""
    channel: int = 1
    warnings: tuple[str, ...] = ()
    reason: str = ""


class _Shelf:
    """Where reading threads put network inputs until their recording's turn comes.

    The recording in hand may fill the whole shelf, those after it half of it; when it is full the
    recording in hand still gets one item through, so that nothing waits for ever.

    Args:
        budget: Windows that may lie there.
        n_files: Recordings that may be there or in reading.
    """

    def __init__(self, budget: int, n_files: int) -> None:
        self._budget, self._n_files = budget, n_files
        self._lanes: dict[int, deque] = {}
        self._n_windows = 0
        self._in_hand = 0
        self._stopped = False
        self._changed = threading.Condition()

    def begin(self, numbers: Iterator[int]) -> int | None:
        """Wait until another recording may be read and return its number; None for no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._lanes) < self._n_files)
            number = None if self._stopped else next(numbers, None)
            if number is not None:
                self._lanes[number] = deque()
                self._changed.notify_all()
            return number

    def put(self, number: int, item: list[Tensor] | _End | Exception) -> bool:
        """Wait until there is room for an item and put it there; False to stop reading."""
        n = len(item[0]) if isinstance(item, list) else 0
        with self._changed:
            lane = self._lanes[number]

            def has_room() -> bool:
                in_hand = number == self._in_hand
                budget = self._budget if in_hand else self._budget // 2
                return self._n_windows + n <= budget or n == 0 or (in_hand and not lane)

            self._changed.wait_for(lambda: self._stopped or has_room())
            lane.append(item)
            self._n_windows += n
            self._changed.notify_all()
            return not self._stopped

    def take(self, number: int) -> Iterator[list[Tensor] | _End]:
        """Yield the items of a recording as they come."""
        item = None
        with self._changed:
            self._in_hand = number
            self._changed.notify_all()
        while not isinstance(item, _End):
            with self._changed:
                self._changed.wait_for(lambda: self._lanes.get(number))
                item = self._lanes[number].popleft()
                self._n_windows -= len(item[0]) if isinstance(item, list) else 0
                if isinstance(item, _End):
                    del self._lanes[number]
                self._changed.notify_all()
            if isinstance(item, Exception):
                raise item
            yield item

    def stop(self) -> None:
        """Let all reading end."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


def undecided(probabilities: np.ndarray, threshold: float | np.ndarray) -> np.ndarray:
    """Tell which windows an error of ``MARGIN`` in a probability could decide otherwise.

    Args:
        probabilities: Shape ``(windows, classes)``.
        threshold: Of a detection, or that of each class ``(classes,)``.

    Returns:
        Shape ``(windows,)``, bool.
    """
    lowest = threshold
    if isinstance(threshold, np.ndarray):
        lowest = threshold.min()
        threshold = threshold[1 if len(threshold) == 2 else probabilities.argmax(1)]
    if probabilities.shape[1] == 2:
        return np.abs(probabilities[:, 1] - threshold) <= MARGIN
    second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
    rivals = (first - second <= 2 * MARGIN) & (first >= lowest - MARGIN)
    return rivals | (np.abs(first - threshold) <= MARGIN)


def _is_finite(vectors: np.ndarray | None, rows: slice) -> bool:
    return vectors is None or bool(np.isfinite(vectors[rows]).all())


class Predictor:
    """Classifies the windows of recordings; several detectors' probabilities are averaged.

    Recordings are read and turned into network inputs by threads, a few files ahead; batches may
    hold windows of several recordings. Memory does not depend on the length of a recording.

    Args:
        detectors: Networks with the same classes.
        n_readers: Threads that read; 0: the calling one.
        temporary_folder: Where results of long recordings wait until they are complete; None:
            the system's.
        keep_embeddings: Also collect the feature vectors, joined over the detectors.
        temperature: Of the average, or None.
        threshold: Of a detection, or that of each class ``(classes,)``; windows that rounding could
            carry across it are computed again where a detector can do so exactly.
        channel: What is heard of recordings with several, see ``audio.channels``.
        on_windows: Called for each batch of a recording with the outcome, the number of its first
            window, the first detector's inputs and the probabilities.
        on_progress: Called with seconds of sound whenever windows were classified.
        check: Called often; may raise to stop.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        *,
        n_readers: int,
        temporary_folder: Path | None = None,
        keep_embeddings: bool = False,
        temperature: float | None = None,
        threshold: float | np.ndarray | None = None,
        channel: str = MIX,
        on_windows: Callable[[Outcome, int, Tensor, np.ndarray], None] | None = None,
        on_progress: Callable[[float], None] = lambda seconds: None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.detectors = list(detectors)
        self._batch_size = max(d.engine.batch_size for d in detectors)
        self._n_parallel = min(d.engine.n_parallel for d in detectors)
        self._n_readers = n_readers
        self._temporary_folder = temporary_folder
        self._keep_embeddings = keep_embeddings
        self._temperature = temperature
        self._threshold = threshold
        self._channel = channel
        self._on_windows = on_windows
        self._on_progress = on_progress
        self._check = check
        first = self.detectors[0].grid
        self._hop_s = first.hop / first.sample_rate
        # Features are computed for several batches at a time, of not too long a stretch of sound.
        wanted = max(self._batch_size, 16)
        self._n_at_once = max(1, min(wanted, int(_STRETCH_S / self._hop_s)))

    def run(self, paths: Sequence[Path]) -> Iterator[Outcome]:
        """Classify recordings; yield each when it is complete or has failed."""
        waiting: list[Outcome] = []
        pending: dict[tuple, _Pending] = {}
        in_flight: deque[tuple[Future, list[_Part]]] = deque()

        def submit(parts: list[_Part]) -> None:
            in_flight.append((pool.submit(self._infer, parts), parts))

        def completed() -> Iterator[Outcome]:
            for outcome in [outcome for outcome in waiting if outcome.is_complete]:
                waiting.remove(outcome)
                yield outcome

        # A new thread computes with as many threads as any thread set last: say how many.
        n_threads = max(1, torch.get_num_threads() // self._n_parallel)
        pool = ThreadPoolExecutor(
            self._n_parallel, initializer=torch.set_num_threads, initargs=(n_threads,)
        )
        try:
            for path, items in self._read_ahead(paths):
                outcome = Outcome(path, started=time.perf_counter())
                waiting.append(outcome)
                for item in items:
                    self._check()
                    if isinstance(item, _End):
                        reason = outcome.reason or item.reason
                        for name, value in vars(item).items():
                            setattr(outcome, name, value)
                        outcome.reason = reason
                        outcome.ended = True
                    else:
                        part = _Part(outcome, item)
                        outcome.n_open += len(part)
                        shape = tuple(x.shape[1:] for x in item)
                        pending.setdefault(shape, _Pending()).add(part)
                        while pending[shape].n >= self._batch_size:
                            submit(pending[shape].take(self._batch_size))
                    for group in pending.values():
                        # A recording is not kept waiting for another one of its odd length.
                        if group.n and time.perf_counter() - group.since > _PATIENCE_S:
                            submit(group.take(group.n))
                    while in_flight and (
                        len(in_flight) > 2 * self._n_parallel or in_flight[0][0].done()
                    ):
                        self._collect(*in_flight.popleft())
                    yield from completed()
            for group in pending.values():
                while group.n:
                    submit(group.take(self._batch_size))
            while in_flight:
                self._check()
                self._collect(*in_flight.popleft())
                yield from completed()
            yield from completed()
        finally:
            for future, _ in in_flight:
                future.cancel()
            pool.shutdown()

    def _infer(self, parts: list[_Part]) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the mean probabilities of a batch, and the joined feature vectors if wanted."""
        inputs = [
            torch.cat([part.inputs[k] for part in parts]) if len(parts) > 1 else parts[0].inputs[k]
            for k in range(len(self.detectors))
        ]
        mean, vectors = self._mean([d.engine for d in self.detectors], inputs)
        exact = [detector.exact or detector.engine for detector in self.detectors]
        if self._threshold is not None and any(d.exact is not None for d in self.detectors):
            rows = np.flatnonzero(undecided(mean, self._threshold))
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
        if self._temperature not in (None, 1):
            mean = tempered(mean, self._temperature)
        return mean, np.concatenate(vectors, 1) if self._keep_embeddings else None

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
                outcome.probabilities = ArraySpool(self._temporary_folder)
                outcome.embeddings = ArraySpool(self._temporary_folder)
            if self._on_windows is not None:
                self._on_windows(outcome, outcome.n_windows, part.inputs[0], probabilities[rows])
            outcome.probabilities.append(probabilities[rows])
            if vectors is not None:
                outcome.embeddings.append(vectors[rows])
            outcome.n_windows += len(part)
            outcome.seconds = time.perf_counter() - outcome.started
            self._on_progress(len(part) * self._hop_s)

    def _read_ahead(
        self, paths: Sequence[Path]
    ) -> Iterator[tuple[Path, Iterator[list[Tensor] | _End]]]:
        """Yield each recording with its stretches, which threads prepare a few files ahead."""
        if self._n_readers == 0:
            for path in paths:
                yield path, self._read(path)
            return
        shelf = _Shelf(budget=max(128, 4 * self._n_at_once), n_files=8 * self._n_readers)
        numbers = iter(range(len(paths)))

        def read() -> None:
            torch.set_num_threads(1)  # of this thread; the network has the others
            while (number := shelf.begin(numbers)) is not None:
                items = self._read(paths[number])
                try:
                    for item in items:
                        if not shelf.put(number, item):
                            return
                except Exception as error:  # of memory: the run cannot go on
                    shelf.put(number, error)
                finally:
                    items.close()

        threads = [threading.Thread(target=read, daemon=True) for _ in range(self._n_readers)]
        for thread in threads:
            thread.start()
        try:
            for number, path in enumerate(paths):
                yield path, shelf.take(number)
        finally:
            shelf.stop()
            for thread in threads:
                thread.join(_PATIENCE_S)

    def _read(self, path: Path) -> Iterator[list[Tensor] | _End]:
        """Yield the network inputs of a recording's windows in stretches, then its end."""
        try:
            yield from self._windows_of(path)
        except RecordingError as error:
            yield _End(reason=str(error))
        except OSError as error:
            yield _End(reason=f"unreadable: {error.strerror or error}")
        except ValueError as error:  # such as a NUL in a name of a list
            log.debug("%s", path, exc_info=True)
            yield _End(reason=f"unreadable: {one_line(error)}")
        except Exception as error:  # one recording never stops the others
            if is_memory_error(error):
                raise
            log.debug("%s", path, exc_info=True)
            yield _End(reason=f"{type(error).__name__}: {error}".split("\n")[0])

    def _windows_of(self, path: Path) -> Iterator[list[Tensor] | _End]:
        detectors = self.detectors
        state = file_state(path)
        with Recording(path, self._channel) as recording:
            rate = recording.rate
            lowest = min(detector.f_min for detector in detectors)
            if rate <= 2 * lowest:
                raise RecordingError(
                    f"wrong rate: at {rate} Hz it holds nothing above {rate / 2:g} Hz, and the "
                    f"model listens from {lowest:g} Hz"
                )
            grids = list(dict.fromkeys(detector.grid for detector in detectors))
            streams = [StreamResampler(rate, grid.sample_rate) for grid in grids]
            cutters = [WindowCutter(grid, self._n_at_once) for grid in grids]
            cut = [deque() for _ in grids]

            def inputs() -> Iterator[list[Tensor]]:
                while all(cut):
                    stretches = dict(zip(grids, (c.popleft() for c in cut), strict=True))
                    n = min(n for _, n in stretches.values())  # rates may round the end otherwise
                    shared: dict[WindowFeatures | EmbeddingFeatures, Tensor] = {}
                    for detector in detectors:
                        if detector.features not in shared:
                            samples, _ = stretches[detector.grid]
                            shared[detector.features] = detector.features.of_stretch(samples, n)
                    yield [shared[detector.features] for detector in detectors]

            for block in recording.blocks(max(1, int(_BLOCK_S * rate))):
                for stretches, cutter, stream in zip(cut, cutters, streams, strict=True):
                    stretches.extend(cutter.feed(stream.feed(block)))
                yield from inputs()
            for stretches, cutter, stream in zip(cut, cutters, streams, strict=True):
                stretches.extend(cutter.feed(stream.finish()))
            n_samples = n_resampled(recording.n_frames, rate, grids[0].sample_rate)
            if n_samples == 0:
                raise RecordingError("empty: shorter than one sample")
            end = cutters[0].window_counts
            for stretches, cutter in zip(cut, cutters, strict=True):
                stretches.extend(cutter.finish(*end))
            yield from inputs()
            digest = file_digest(path)
            if file_state(path) != state:
                raise RecordingError("changed while it was read")
            yield _End(
                *(recording.duration_s, n_samples, rate, state, digest),
                channel=recording.channel,
                warnings=tuple(recording.problems()),
            )
