"""Processes that know the detector, so that PyTorch and TensorFlow never share one.

The parent imports neither. A process ends when the pool is closed and when the parent dies, however
it dies. A process that dies at a photo, for want of memory or in a
decoder, takes that photo with it and no other: a new process takes its place.
"""

from __future__ import annotations

import contextlib
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from footprints.cropping.crop_worker import CropMaker, Job, Result
from footprints.system.errors import UserError
from footprints.system.guard import environment_for_children
from footprints.system.settings import Settings
from footprints.system.text import printable

__all__ = ["CropPool", "Job", "Result"]

_AHEAD = 4  # jobs a process that may be given out or waiting to be fetched
_SECONDS_TO_END = 5.0
_MOST_DEATHS = 3  # of processes, one after the other, without a photo that went well
_WORK = (str(Path(__file__).resolve().with_name("__main__.py")),)
_KILL = 9  # SIGKILL, also where Python has no such name
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def detector_named(text: str) -> Path | None:
    """Return the file of a detector, None for ``none``, as flags have it.

    Raises:
        UserError: If there is no such file.
    """
    if text == "none":
        return None
    path = Path(text)
    if not path.is_file():
        raise UserError(
            f"{path}: no such detector; train one with footprints.train_detector, or look at the "
            "centre of each photo with --detector none"
        )
    return path


class CropPool:
    """Turns photos into crops in several processes; to be used in a ``with`` statement.

    The processes are started on entry and load the detector while the parent goes on.

    Args:
        detector: A ``.pt`` or ``.onnx`` file; None to take the centre of every photo (flagged as
            fallback).
        settings: How crops are cut.
        processes: How many; 0 to work in this process, which must not have TensorFlow then.
        threads: Of each process; None: as the detector chooses, which is for one process.

    Raises:
        ValueError: If ``processes`` is negative.
        UserError: If there is no such detector.
    """

    def __init__(
        self,
        detector: Path | None,
        settings: Settings,
        processes: int = 1,
        threads: int | None = 1,
    ) -> None:
        if processes < 0:
            raise ValueError(f"processes must not be negative, got {processes}")
        if detector is not None:
            detector = Path(detector)
            if detector.suffix.lower() not in (".pt", ".onnx"):
                raise UserError(f"{printable(detector)}: a detector is a .pt or an .onnx file")
            if not detector.is_file():
                raise UserError(f"{printable(detector)}: no such detector")
        self._detector = detector
        self._settings = settings
        self._processes = processes
        self._threads = threads
        self._workers: list[_Worker] = []
        self._maker: CropMaker | None = None
        self._deaths = 0  # since the last photo that went well

    def __enter__(self) -> CropPool:
        try:
            for _ in range(self._processes):
                self._workers.append(_Worker(self._detector, self._settings, self._threads))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; what they are working on is lost."""
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            worker.wait()
        self._workers = []

    def map(self, jobs: Iterable[Job]) -> Iterator[Result]:
        """Work through jobs; only a few are taken ahead of the results.

        Yields:
            One result a job, in the order of the jobs. A photo that cannot be used has a
            ``reason``; so has one at which its process died.

        Raises:
            UserError: If the detector cannot be used, or one process after the other died.
            OSError: If a crop cannot be written.
            RuntimeError: If something unforeseen happened; with the process's traceback.
        """
        if self._processes == 0:
            if self._maker is None:
                self._maker = CropMaker(self._detector, self._settings, threads=None)
            yield from map(self._maker, jobs)
            return
        if not self._workers:
            raise RuntimeError("use CropPool in a with statement")
        idle = _Idle(self._workers)

        def work(job: Job) -> Result:
            return self._work(job, idle)

        waiting: deque[Future[Result]] = deque()
        executor = ThreadPoolExecutor(self._processes, thread_name_prefix="crop-pool")
        try:
            for job in jobs:
                waiting.append(executor.submit(work, job))
                if len(waiting) >= _AHEAD * self._processes:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            self.close()  # a thread that waits for an answer is freed by the end of its process
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def _work(self, job: Job, idle: _Idle) -> Result:
        """Have one job done, at most twice: the second time while no other is worked on."""
        with idle.one() as worker:
            try:
                return self._done(worker, job)
            except _DiedError as death:
                if death.in_hand and (death.is_crash or self._processes == 1):
                    return self._given_up(job, death)
        with idle.all() as worker:  # the memory may have been taken by another's photo
            while True:
                try:
                    return self._done(worker, job)
                except _DiedError as death:
                    result = self._given_up(job, death)
                    if death.in_hand:
                        return result

    def _done(self, worker: _Worker, job: Job) -> Result:
        result = worker.do(job)
        self._deaths = 0
        return result

    def _given_up(self, job: Job, death: _DiedError) -> Result:
        """Return the result of a photo whose process died, unless that happens all the time."""
        self._deaths += 1
        if self._deaths >= _MOST_DEATHS:
            where = "at this photo" if death.in_hand else "before it could begin"
            fewer = ", try fewer --processes," if self._processes > 1 else ""
            raise UserError(
                f"{printable(job.source)}: {_MOST_DEATHS} processes working on photos ended one "
                f"after the other, the last {where}: it {death}; close other programs{fewer} "
                "or take such photos out"
            ) from None
        return Result(job, reason=f"its worker process {death}", is_passing=True)


class _DiedError(Exception):
    """A process ended unasked; the text says how, to go on from "it".

    Args:
        how: That text.
        in_hand: Whether it had a photo in hand.
        is_crash: Whether it ended by itself, so that no other process can be the cause.
    """

    def __init__(self, how: str, in_hand: bool, is_crash: bool) -> None:
        super().__init__(how)
        self.in_hand = in_hand
        self.is_crash = is_crash


class _ClosedError(Exception):
    """The pool was closed while a job was under way; nobody waits for it."""


class _Idle:
    """Processes that have nothing to do."""

    def __init__(self, workers: list[_Worker]) -> None:
        self._count = len(workers)
        self._workers: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._turn = threading.Lock()  # nobody takes one while somebody waits for all
        for worker in workers:
            self._workers.put(worker)

    @contextlib.contextmanager
    def one(self) -> Iterator[_Worker]:
        """Wait for a process, and keep it for a while."""
        with self._turn:
            worker = self._workers.get()
        try:
            yield worker
        finally:
            self._workers.put(worker)

    @contextlib.contextmanager
    def all(self) -> Iterator[_Worker]:
        """Wait until no process works, and keep them all while one of them does."""
        with self._turn:
            workers = [self._workers.get() for _ in range(self._count)]
        try:
            yield workers[0]
        finally:
            for worker in workers:
                self._workers.put(worker)


class _Worker:
    """One process, from the parent's side; where it died, the next job has another started."""

    def __init__(self, detector: Path | None, settings: Settings, threads: int | None) -> None:
        self._detector = detector
        self._threads = threads
        self._settings = settings
        self._lock = threading.Lock()  # of the pipes
        self._process_lock = threading.Lock()
        self._is_closed = False
        self._start()

    def _start(self) -> None:
        environment = environment_for_children()
        if self._threads is not None:
            environment.update(dict.fromkeys(_THREADS, str(self._threads)))
        with self._process_lock:
            if self._is_closed:
                raise _ClosedError
            self._process = subprocess.Popen(
                [sys.executable, *_WORK],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
            )
        self._is_ready = self._is_dead = False
        self._send((self._detector, self._settings, self._threads))

    def do(self, job: Job) -> Result:
        """Have one job done; see ``CropPool.map``.

        Raises:
            _DiedError: If the process died of it, or before it could begin.
        """
        with self._lock:
            if self._is_dead or (self._is_ready and self._process.poll() is not None):
                self._close_pipes()
                self._start()
            if not self._is_ready:
                self._receive(in_hand=False)
                self._is_ready = True
            self._send(job)
            return self._receive(in_hand=True)

    def end(self) -> None:
        """Tell the process to end; no other is started."""
        with self._process_lock:
            self._is_closed = True
            if self._process.poll() is None:
                self._process.terminate()

    def wait(self) -> None:
        """Wait until the process has ended, and see to it."""
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._lock:
            self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # of what was not sent yet
                pipe.close()

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # it has died; what it had to say is read next
            pickle.dump(message, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()

    def _receive(self, in_hand: bool) -> Any:
        try:
            answer = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError, OSError, ValueError):
            self._is_dead = True
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_SECONDS_TO_END)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
                raise _DiedError("sent nothing that we understand", in_hand, True) from None
            status = self._process.returncode
            raise _DiedError(_ending(status), in_hand, status != -_KILL) from None
        if isinstance(answer, BaseException):
            raise answer
        return answer


def _ending(status: int) -> str:
    """Say how a process ended, from its exit status."""
    if status == -_KILL:
        return "was killed, probably for want of memory"
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"crashed ({signal.Signals(-status).name})"
    return f"ended (status {status})"
