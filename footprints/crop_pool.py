"""Processes that know the detector, so that PyTorch and TensorFlow never share one.

The parent imports neither. A process computes with one thread; it ends when the pool is closed and
when the parent dies, however it dies.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from footprints.crop_worker import CropMaker, Job, Result
from footprints.errors import UserError
from footprints.guard import path_for_children
from footprints.settings import Settings
from footprints.text import printable

__all__ = ["CropPool", "Job", "Result"]

_AHEAD = 4  # jobs a process that may be given out or waiting to be fetched
_SECONDS_TO_END = 5.0
# With -c the current folder comes first in the search path, until our own takes its place.
_WORK = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from footprints.crop_worker import main; sys.exit(main())"
)
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class CropPool:
    """Turns photos into crops in several processes; to be used in a ``with`` statement.

    The processes are started on entry and load the detector while the parent goes on.

    Args:
        detector: A ``.pt`` or ``.onnx`` file; None to take the centre of every photo (flagged as
            fallback).
        settings: How crops are cut.
        processes: How many; 0 to work in this process, which must not have TensorFlow then.

    Raises:
        ValueError: If ``processes`` is negative.
        UserError: If there is no such detector.
    """

    def __init__(self, detector: Path | None, settings: Settings, processes: int = 1) -> None:
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
        self._workers: list[_Worker] = []
        self._maker: CropMaker | None = None

    def __enter__(self) -> CropPool:
        try:
            for _ in range(self._processes):
                self._workers.append(_Worker(self._detector, self._settings))
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
            ``reason``.

        Raises:
            UserError: If the detector cannot be used, or a process died, for want of memory for
                instance; names the photo it had in hand.
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
        idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for worker in self._workers:
            idle.put(worker)

        def work(job: Job) -> Result:
            worker = idle.get()
            try:
                return worker.do(job)
            finally:
                idle.put(worker)

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


class _Worker:
    """One process, from the parent's side."""

    def __init__(self, detector: Path | None, settings: Settings) -> None:
        path = path_for_children()
        environment = dict(os.environ)
        environment.update(dict.fromkeys(_ONE_THREAD, "1"), PYTHONSAFEPATH="1")
        given = environment.pop("PYTHONPATH", "")
        if absolute := [place for place in given.split(os.pathsep) if os.path.isabs(place)]:
            environment["PYTHONPATH"] = os.pathsep.join(absolute)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WORK, *path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._lock = threading.Lock()
        self._is_ready = False
        self._detector = detector
        self._send((detector, settings))

    def do(self, job: Job) -> Result:
        """Have one job done; see ``CropPool.map``."""
        with self._lock:
            if not self._is_ready:
                self._receive(self._detector)
                self._is_ready = True
            self._send(job)
            return self._receive(job.source)

    def end(self) -> None:
        """Tell the process to end."""
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
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):  # of what was not sent yet
                    pipe.close()

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # it has died; what it had to say is read next
            pickle.dump(message, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()

    def _receive(self, in_hand: Path | None) -> Any:
        try:
            answer = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError, OSError, ValueError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_SECONDS_TO_END)
            if self._process.poll() is None:  # it sends nothing that we understand
                self._process.kill()
            status = self._process.wait()
            cause = "it was killed, perhaps for want of memory" if status < 0 else "see above"
            raise UserError(
                f"{printable(in_hand or 'start')}: the process working on this photo ended "
                f"(status {status}: {cause}); try fewer --processes, or take the photo out"
            ) from None
        if isinstance(answer, BaseException):
            raise answer
        return answer
