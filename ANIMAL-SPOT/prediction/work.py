"""Recordings that are to be done, and who does them: this process, or others for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from animal_spot.detections.journal import Completed
from animal_spot.prediction.predictor import Predictor
from animal_spot.prediction.result_folder import ResultFolder
from animal_spot.prediction.settled import Run

if TYPE_CHECKING:
    from animal_spot.prediction.window_extras import WindowExtras  # draws with matplotlib


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes:
        run: What is the same for all recordings.
        sampled: Recordings to compare a faster arithmetic with fp32 on: the whole list, so that a
            run that goes on, or does a share, computes as one that does all.
        todo: Recordings that are to be done.
        stem_of: What the results of each are called after.
        results: Where they go.
        folder: The output folder.
        on_progress: Called with seconds of sound whenever windows were classified.
        extras: What is kept of single windows.
    """

    run: Run
    sampled: Sequence[Path]
    todo: Sequence[Path]
    stem_of: Mapping[Path, str]
    results: ResultFolder
    folder: Path
    on_progress: Callable[[float], None]
    extras: WindowExtras | None = None


class Done(NamedTuple):
    """A recording that is done.

    Attributes:
        path: The recording.
        entry: What is known of it; None: it could not be used.
        reason: Why not.
        rate: Its sampling rate, Hz.
        warnings: What is probably not as it was meant.
    """

    path: Path
    entry: Completed | None = None
    reason: str = ""
    rate: int = 0
    warnings: Sequence[str] = ()


Hands = Callable[[Work], Iterator[Done]]


def work_here(work: Work) -> Iterator[Done]:
    """Do recordings in this process; yield each when its results are in place.

    Raises:
        ValueError: At once, if an engine or a precision cannot be had.
    """
    extras = work.extras
    predictor = work.run.predictor(
        work.sampled,
        temporary_folder=work.folder,
        keep_embeddings=work.run.config.latent_extract,
        on_windows=extras.add if extras else None,
        on_progress=work.on_progress,
    )
    return _done_by(predictor, work)


def _done_by(predictor: Predictor, work: Work) -> Iterator[Done]:
    extras = work.extras
    for outcome in predictor.run(work.todo):
        path = outcome.path
        entry = None if outcome.reason else work.results.write(outcome, work.stem_of[path])
        yield Done(path, entry, outcome.reason, outcome.rate, outcome.warnings)
        if extras is not None:
            extras.end(outcome)
        outcome.close()
