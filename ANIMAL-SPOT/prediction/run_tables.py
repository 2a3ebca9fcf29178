"""What is told of a whole prediction: tables over all its recordings, and the last lines."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from animal_spot.detections.annotation_tables import (
    RAVEN_ENDING,
    RAVEN_HEADER,
    one_cell,
    raven_cells,
    table_line,
)
from animal_spot.detections.annotations import Annotation
from animal_spot.detections.journal import Completed, Journal
from animal_spot.detections.result_writers import RunHeader
from animal_spot.metadata.recording_time import NO_TIME, RecordingTime
from animal_spot.metadata.time_columns import time_cells, time_columns
from animal_spot.prediction.shard import Shard
from animal_spot.remote.addresses import full_name, shown
from animal_spot.utils.csv_cells import csv_text
from animal_spot.utils.own_files import OwnFiles

log = logging.getLogger("PREDICT")

SUMMARY, FAILED = "summary.csv", "failed_files.csv"
ALL_RECORDINGS, RECORDING_LIST = f"all_recordings{RAVEN_ENDING}", "all_recordings.list.txt"


@dataclass
class Sums:
    """How much recordings are, and what was found in them."""

    n_recordings: int = 0
    duration_s: float = 0.0
    n_windows: int = 0
    n_annotations: int = 0

    def add(self, entry: Completed) -> None:
        """Count a recording."""
        self.n_recordings += 1
        self.duration_s += entry.duration_s
        self.n_windows += entry.n_windows
        self.n_annotations += len(entry.annotations)


class NotedEntries(Mapping[Path, Completed]):
    """What is known of complete recordings, read from the journal when it is asked for.

    Args:
        journal: Has all of them.
        paths: The recordings.
        full_of: Returns what the journal knows a path by.
    """

    def __init__(
        self,
        journal: Journal,
        paths: Collection[Path],
        full_of: Callable[[Path], str] = full_name,
    ) -> None:
        self._journal, self._paths, self._full_of = journal, paths, full_of

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Path]:
        return iter(self._paths)

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def __getitem__(self, path: Path) -> Completed:
        entry = self._journal.entry_of(self._full_of(path)) if path in self._paths else None
        if entry is None:
            raise KeyError(path)
        return entry


@dataclass
class Tally:
    """What came of the recordings of a run.

    Attributes:
        paths: Recordings, and files that are of kinds which cannot be read.
        not_read: The latter, and why.
        skipped: Recordings that were complete before.
        entries: Of recordings that are complete.
        failed: Recordings that could not be used, and why.
        slow_rates: Sampling rates, Hz, too low for all that the model listens to.
        times: When and where recordings were made.
        sums: Of the recordings that were not complete before.
    """

    paths: Sequence[Path]
    not_read: Mapping[Path, str]
    skipped: Collection[Path]
    entries: Mapping[Path, Completed]
    failed: dict[Path, str] = field(default_factory=dict)
    slow_rates: set[int] = field(default_factory=set)
    times: Mapping[Path, RecordingTime] = field(default_factory=dict)
    sums: Sums = field(default_factory=Sums)


def write_run_tables(
    own: OwnFiles, names: Sequence[str], band_hz: tuple[float, float], tally: Tally
) -> None:
    """Write the summary, the list of failed files and one Raven table over all recordings.

    Those that were edited are left alone, and a line says so.

    Args:
        own: The files of the folder.
        names: Classes in index order.
        band_hz: Of annotations that were not measured.
        tally: What came of the recordings.

    Raises:
        OSError: If one cannot be written.
    """
    own.update((SUMMARY, FAILED, ALL_RECORDINGS, RECORDING_LIST), _lines(names, band_hz, tally))


def _lines(
    names: Sequence[str], band_hz: tuple[float, float], tally: Tally
) -> Iterator[tuple[str, str]]:
    """Yield the lines of all tables, each after the name of its table.

    All at once, since what is known of a recording is read from the journal.
    """
    failed = {**tally.failed, **tally.not_read}
    summary, combined = _Summary(names, failed, tally), _Combined(band_hz, tally)
    yield SUMMARY, summary.head()
    yield FAILED, csv_text([["file", "reason"]])
    yield ALL_RECORDINGS, combined.head()
    for path in tally.paths:
        entry, time = tally.entries.get(path), tally.times.get(path, NO_TIME)
        yield SUMMARY, summary.line(path, entry, time)
        if path in failed:
            yield FAILED, csv_text([[shown(path), failed[path]]])
        if entry is not None:
            yield ALL_RECORDINGS, combined.lines(entry, time)
            yield RECORDING_LIST, f"{one_cell(entry.path)}\n"


class _Summary:
    """A row for each recording, under the names of the columns."""

    def __init__(self, names: Sequence[str], failed: Mapping[Path, str], tally: Tally) -> None:
        self._names, self._failed, self._skipped = names, failed, tally.skipped
        self._columns = time_columns(tally.times.values())

    def head(self) -> str:
        columns = (
            *("file", "status", "duration_s", "windows", "detections"),
            *(f"detections_{name}" for name in self._names),
            *("seconds", "results", "reason", *self._columns),
        )
        return csv_text([columns])

    def line(self, path: Path, entry: Completed | None, time: RecordingTime) -> str:
        when = time_cells(self._columns, time, 0.0, None if entry is None else entry.duration_s)
        if entry is None:
            status = "failed" if path in self._failed else "not reached"
            nothing = [""] * (5 + len(self._names))
            return csv_text([[shown(path), status, *nothing, self._failed.get(path, ""), *when]])
        counts = [entry.detections.get(name, 0) for name in self._names]
        status = "complete before" if path in self._skipped else "complete"
        row = [
            *(shown(path), status, round(entry.duration_s, 3), entry.n_windows, sum(counts)),
            *(*counts, entry.seconds, entry.stem, "; ".join(entry.warnings), *when),
        ]
        return csv_text([row])


class _Combined:
    """A Raven table with times that run over all recordings in their order."""

    def __init__(self, model_band_hz: tuple[float, float], tally: Tally) -> None:
        self._band_hz = model_band_hz
        its = (time for path, time in tally.times.items() if path in tally.entries)
        self._columns = time_columns(its)
        self._offset_s, self._n = 0.0, 0

    def head(self) -> str:
        files = ("Begin Path", "File Offset (s)", "Begin File")
        return table_line((*RAVEN_HEADER[:-2], *files, *RAVEN_HEADER[-2:], *self._columns))

    def lines(self, entry: Completed, time: RecordingTime) -> str:
        """Return the rows of the next recording."""
        lines = []
        path = one_cell(entry.path), one_cell(os.path.basename(entry.path))
        for index, (begin, end, name, score) in enumerate(entry.annotations):
            self._n += 1
            band = entry.bands[index] if entry.bands else self._band_hz
            row = Annotation(self._offset_s + begin, self._offset_s + end, name, score)
            cells = raven_cells(self._n, row, *band, entry.channel)
            when = map(one_cell, time_cells(self._columns, time, begin, end))
            place = path[0], f"{begin:.3f}", path[1]
            lines.append(table_line((*cells[:-2], *place, *cells[-2:], *when)))
        self._offset_s += entry.duration_s
        return "".join(lines)


def say_what_was_done(
    tally: Tally, header: RunHeader, output_dir: Path, seconds: float, shard: Shard | None = None
) -> None:
    """End the log of a run, or of a shard: how much, how fast, where it is, and what failed."""
    for rate in sorted(tally.slow_rates):
        log.warning(
            "recordings at %d Hz hold nothing above %g Hz, and the model listens up to %g Hz",
            rate,
            rate / 2,
            header.data_opts["fmax"],
        )
    sums = tally.sums
    log.info(
        "%d recordings, %.2f h of sound, %d windows, %d annotations in %.1f s: %.0f x real time",
        *(sums.n_recordings, sums.duration_s / 3600, sums.n_windows, sums.n_annotations),
        *(seconds, sums.duration_s / max(seconds, 1e-9)),
    )
    if shard is not None:
        log.info(
            "results: %s; when all %d shards are done: animal-spot merge %s",
            *(output_dir, shard.of, shlex.quote(str(output_dir))),
        )
    else:
        log.info("results: %s, summary in %s", output_dir, output_dir / SUMMARY)
    if tally.failed:
        where = "" if shard is not None else f"; see {output_dir / FAILED}"
        log.error("%d recordings failed%s", len(tally.failed), where)
