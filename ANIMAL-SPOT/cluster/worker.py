"""What a worker does: it loads the networks once, and writes the results of recordings.

This module imports nothing heavy, so that a process can be told its share of the cores before the
packages that compute are there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from animal_spot.remote.addresses import full_name, is_remote
from animal_spot.utils.hardware import CORES

if TYPE_CHECKING:
    from animal_spot.detections.journal import Completed
    from animal_spot.detections.result_writers import RunHeader
    from animal_spot.metadata.recording_time import RecordingTime
    from animal_spot.prediction.config import PredictConfig
    from animal_spot.prediction.detectors import Arithmetic
    from animal_spot.prediction.outcome import Part

_LONG_BYTES = 2**20  # a shorter file is never opened only to see how long it is


@dataclass(frozen=True)
class Order:
    """What is the same for all recordings.

    Attributes:
        config: The flags.
        header: What results have in common, as the driver settled it.
        folder: Where parts go.
        working_dir: The folder that relative paths are relative to.
        sections: Where sections of long recordings are kept until all are there; None: one worker
            does the whole recording.
    """

    config: PredictConfig
    header: RunHeader
    folder: Path
    working_dir: str
    sections: Path | None = None


class Task(NamedTuple):
    """A recording to do, or one of its sections.

    Attributes:
        path: The recording.
        stem: What its results are called after.
        run: Hash of all that they depend on.
        time: When and where it was made.
        part: The section to do; None: all. With ``sections`` any of them.
        sections: Files of all sections, to be joined.
    """

    path: Path
    stem: str
    run: str
    time: RecordingTime
    part: Part | None = None
    sections: tuple[Path, ...] = ()


class Made(NamedTuple):
    """What came of a recording.

    Attributes:
        path: The recording.
        entry: What is known of it; None: it could not be used.
        digests: Hash of the bytes of each kind of result.
        reason: Why it could not be used.
        rate: Its sampling rate, Hz.
        warnings: What is probably not as it was meant.
    """

    path: Path
    entry: Completed | None
    digests: dict[str, str]
    reason: str
    rate: int
    warnings: tuple[str, ...]


class Divided(NamedTuple):
    """A long recording, of which nothing is done yet.

    Attributes:
        path: The recording.
        parts: Its sections, for any workers to do.
    """

    path: Path
    parts: list[Part]


class SectionMade(NamedTuple):
    """What came of a section.

    Attributes:
        path: The recording.
        index: Which section.
        file: Where its numbers are; None: it could not be used.
        reason: Why not.
        sound_s: How much sound it is.
    """

    path: Path
    index: int
    file: Path | None
    reason: str
    sound_s: float


class Ready(NamedTuple):
    """What a worker says when it can begin.

    Attributes:
        arithmetic: What it computes each network in.
        lines: What it has to say, and at which level.
        pid: Of its process.
    """

    arithmetic: list[Arithmetic | None]
    lines: list[tuple[int, str]]
    pid: int


class Worker:
    """A process that does recordings.

    Args:
        order: What is the same for all of them.
        number: Which worker it is; its parts go into a folder of that name.
        n_cores: How many cores it may use.
    """

    def __init__(self, order: Order, number: int, n_cores: int) -> None:
        os.environ[CORES] = str(n_cores)
        os.environ["OMP_NUM_THREADS"] = str(n_cores)
        os.chdir(order.working_dir)
        self._order, self._n_cores = order, n_cores
        self._parts = order.folder / str(number)
        self._parts.mkdir(exist_ok=True)

    def begin(
        self, sampled: Sequence[Path], decided: Sequence[Arithmetic | None] | None = None
    ) -> Ready:
        """Load the networks.

        Args:
            sampled: Recordings to compare a faster arithmetic with fp32 on.
            decided: What another worker decided on; None: it is decided here.
        """
        import dataclasses

        import torch

        from animal_spot.prediction.result_folder import writer_of
        from animal_spot.prediction.settled import load_models, settled

        torch.set_num_threads(self._n_cores)
        lines: list[tuple[int, str]] = []
        config = self._order.config
        readers = min(config.num_workers, self._n_cores + 1)
        config = dataclasses.replace(config, num_workers=readers)
        with _Kept(lines, logging.ERROR):  # of the model files the driver has spoken
            run = settled(config, load_models(config))
            run = dataclasses.replace(run, header=self._order.header)
        self._writer = writer_of(run)
        with _Kept(lines, logging.INFO):
            self._predictor = run.predictor(
                sampled,
                decided,
                temporary_folder=self._parts,
                keep_embeddings=config.latent_extract,
            )
        arithmetic = [detector.arithmetic for detector in self._predictor.detectors]
        return Ready(arithmetic, lines, os.getpid())

    def do(self, tasks: Sequence[Task]) -> tuple[list[Made | Divided | SectionMade], float]:
        """Do recordings; return what came of them, and the seconds that took."""
        started = time.perf_counter()
        made, whole = [], {}
        for task in tasks:
            if task.sections:
                made.append(self._join(task))
            elif task.part is not None:
                made.append(self._section(task))
            elif parts := self._parts_of(task.path):
                made.append(Divided(task.path, parts))
            else:
                whole[task.path] = task
        for outcome in self._predictor.run(list(whole)):
            made.append(self._write(outcome, whole[outcome.path]))
            outcome.close()
        return made, time.perf_counter() - started

    def _parts_of(self, path: Path) -> list[Part]:
        """Return the sections that workers share; none where one does the whole recording."""
        if self._order.sections is None or is_remote(path):  # each worker would copy all of it
            return []
        with contextlib.suppress(OSError):
            if path.stat().st_size >= _LONG_BYTES:
                return self._predictor.parts_of(path)
        return []

    def _section(self, task: Task) -> SectionMade:
        """Do a section, and keep its numbers; one that an earlier run kept is done."""
        from animal_spot.prediction.section_files import keep_section, kept_section

        path, part, reason = task.path, task.part, ""
        file = self._order.sections / f"{self._key_of(task)}.{part.index}"
        n_windows = kept_section(file)
        if n_windows is None:
            (outcome,) = self._predictor.run([path], part)
            n_windows, reason = outcome.n_windows, outcome.reason
            if outcome.heard is None:
                file = None
            else:
                keep_section(file, outcome)
            outcome.close()
        grid = self._writer.grid
        return SectionMade(path, part.index, file, reason, n_windows * grid.hop / grid.sample_rate)

    def _key_of(self, task: Task) -> str:
        """Return a hash of all that the numbers of a recording's sections depend on."""
        from animal_spot.utils.files import digest_of

        arithmetic = [
            known
            and (
                *(known.engine, known.precision),
                None if known.correction is None else known.correction.tolist(),
            )
            for known in (detector.arithmetic for detector in self._predictor.detectors)
        ]
        sections = task.part.n_sections, task.part.state[:2], task.part.channel
        content = task.run, full_name(task.path), sections, arithmetic
        return digest_of(json.dumps(content).encode())

    def _join(self, task: Task) -> Made:
        """Write the results of a recording whose sections are done."""
        from animal_spot.prediction.section_files import joined

        outcome = joined(task.path, task.sections, task.part, self._writer.grid, self._parts)
        made = self._write(outcome, task)
        outcome.close()
        return made

    def _write(self, outcome: object, task: Task) -> Made:
        from animal_spot.utils.files import file_digest

        if outcome.reason:
            return Made(task.path, None, {}, outcome.reason, outcome.rate, outcome.warnings)
        names = self._writer.names_of(task.stem)
        paths = {kind: self._parts / name for kind, name in names.items()}
        entry = self._writer.write(paths, outcome, task.stem, task.run, task.time)
        for path in paths.values():
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        digests = {kind: file_digest(path) for kind, path in paths.items()}
        return Made(task.path, entry, digests, "", outcome.rate, outcome.warnings)


class _Kept(logging.Handler):
    """Keeps messages from a level on while a block runs."""

    def __init__(self, said: list[tuple[int, str]], level: int) -> None:
        super().__init__(level)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append((record.levelno, record.getMessage()))

    def __enter__(self) -> None:
        for name in ("PREDICT", "animal_spot"):
            logging.getLogger(name).setLevel(logging.INFO)
        logging.getLogger().addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)
