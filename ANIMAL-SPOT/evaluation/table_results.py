"""Predictions of which only tables of annotations were written: what the journal says of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animal_spot.data.noise_class import NOISE
from animal_spot.detections.annotation_tables import AUDACITY_ENDING, RAVEN_ENDING
from animal_spot.detections.annotations import Annotation
from animal_spot.detections.decisions import Thresholds
from animal_spot.detections.journal import FILE_NAME, Completed, Journal
from animal_spot.detections.result_readers import Result
from animal_spot.evaluation.found_results import result_stem
from animal_spot.utils.names import composed


@dataclass(frozen=True, eq=False)
class TableResult(Result):
    """A prediction without its windows: classes are those that were found in the whole folder.

    Attributes:
        stem: What its tables are called after.
        rows: What was found, as it was written, whatever became of the table since.
    """

    stem: str = ""
    rows: tuple[Annotation, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length of the recording."""
        return self.length_s

    def annotations(self, thresholds: Thresholds) -> list[Annotation]:
        """Return the rows that reach their threshold."""
        return [row for row in self.rows if row.score >= thresholds.of(row.name)]


def find_table_results(
    folder: Path, results: Iterable[Path], noise_class: str | None
) -> dict[Path, TableResult]:
    """Return what was found in recordings that have a table, and no result with windows.

    Args:
        folder: Of a prediction.
        results: Those with windows in it.
        noise_class: Class that is no call; None: the one called noise.

    Returns:
        By the path of the table, in the order of names.

    Raises:
        OSError: If the journal of the folder cannot be read.
    """
    if not (folder / FILE_NAME).is_file():
        return {}
    with contextlib.closing(Journal(folder)) as journal:
        entries = journal.completed
    with_windows = {result_stem(path) for path in results}
    found = {
        folder / name: entry
        for entry in entries
        if entry.stem not in with_windows and (name := _table_of(folder, entry))
    }
    noise = composed(noise_class or NOISE)
    names = sorted({noise, *(composed(name) for entry in entries for name in entry.detections)})
    return {path: _result(found[path], names, noise) for path in sorted(found)}


def _table_of(folder: Path, entry: Completed) -> str | None:
    names = [entry.stem + ending for ending in (RAVEN_ENDING, AUDACITY_ENDING)]
    return next((n for n in names if n in entry.files and (folder / n).is_file()), None)


def _result(entry: Completed, names: Sequence[str], noise: str) -> TableResult:
    rows = (Annotation(*row) for row in entry.annotations)
    nothing = np.empty(0)
    return TableResult(
        file=entry.path,
        classes={name: index for index, name in enumerate(names)},
        start_s=nothing,
        end_s=nothing,
        winner=nothing.astype(np.int64),
        score=nothing,
        probabilities=np.empty((0, len(names))),
        f_min=0,
        f_max=0,
        sequence_len=0,
        hop=0,
        noise_class=noise,
        length_s=entry.duration_s,
        stem=entry.stem,
        rows=tuple(row._replace(name=composed(row.name)) for row in rows),
    )
