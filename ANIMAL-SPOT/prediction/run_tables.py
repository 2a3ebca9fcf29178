"""What is told of a whole prediction: tables over all its recordings, and the last lines."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from animal_spot.detections.annotation_tables import (
    RAVEN_ENDING,
    RAVEN_HEADER,
    one_cell,
    raven_cells,
    table_line,
)
from animal_spot.detections.annotations import Annotation
from animal_spot.detections.journal import Completed
from animal_spot.detections.result_writers import RunHeader
from animal_spot.metadata.recording_time import NO_TIME, RecordingTime
from animal_spot.metadata.time_columns import time_cells, time_columns
from animal_spot.prediction.shard import Shard
from animal_spot.remote.addresses import shown
from animal_spot.utils.csv_cells import csv_text
from animal_spot.utils.own_files import OwnFiles

log = logging.getLogger("PREDICT")

SUMMARY, FAILED = "summary.csv", "failed_files.csv"
ALL_RECORDINGS, RECORDING_LIST = f"all_recordings{RAVEN_ENDING}", "all_recordings.list.txt"


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
    """

    paths: Sequence[Path]
    not_read: Mapping[Path, str]
    skipped: Collection[Path]
    entries: dict[Path, Completed]
    failed: dict[Path, str] = field(default_factory=dict)
    slow_rates: set[int] = field(default_factory=set)
    times: Mapping[Path, RecordingTime] = field(default_factory=dict)


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
    unusable = {**tally.failed, **tally.not_read}
    failed = [(path, unusable[path]) for path in tally.paths if path in unusable]
    done = [(path, tally.entries[path]) for path in tally.paths if path in tally.entries]
    texts = {
        SUMMARY: csv_text(_summary(tally, names)),
        FAILED: csv_text([["file", "reason"], *([shown(p), why] for p, why in failed)]),
        ALL_RECORDINGS: "".join(_combined_lines(done, band_hz, tally.times)),
        RECORDING_LIST: "".join(f"{one_cell(entry.path)}\n" for _, entry in done),
    }
    for name, text in texts.items():
        if own.has_text(name, text) or own.may_write(name, ours_by_name=True):
            own.write_text(name, text)


def _summary(tally: Tally, names: Sequence[str]) -> Iterator[list[Any]]:
    """Yield a row for each recording, under the names of the columns."""
    columns = time_columns(tally.times.values())
    yield [
        *("file", "status", "duration_s", "windows", "detections"),
        *(f"detections_{name}" for name in names),
        *("seconds", "results", "reason", *columns),
    ]
    failed = {**tally.failed, **tally.not_read}
    for path in tally.paths:
        entry, time = tally.entries.get(path), tally.times.get(path, NO_TIME)
        when = time_cells(columns, time, 0.0, None if entry is None else entry.duration_s)
        if entry is None:
            status = "failed" if path in failed else "not reached"
            yield [shown(path), status, *[""] * (5 + len(names)), failed.get(path, ""), *when]
            continue
        counts = [entry.detections.get(name, 0) for name in names]
        status = "complete before" if path in tally.skipped else "complete"
        yield [
            *(shown(path), status, round(entry.duration_s, 3), entry.n_windows, sum(counts)),
            *(*counts, entry.seconds, entry.stem, "; ".join(entry.warnings), *when),
        ]


def _combined_lines(
    done: Sequence[tuple[Path, Completed]],
    model_band_hz: tuple[float, float],
    times: Mapping[Path, RecordingTime],
) -> Iterator[str]:
    """Return a Raven table with times that run over all recordings in their order."""
    files = ("Begin Path", "File Offset (s)", "Begin File")
    columns = time_columns(times.get(path, NO_TIME) for path, _ in done)
    yield table_line((*RAVEN_HEADER[:-2], *files, *RAVEN_HEADER[-2:], *columns))
    offset, number = 0.0, 0
    for original, entry in done:
        time = times.get(original, NO_TIME)
        path = one_cell(entry.path), one_cell(os.path.basename(entry.path))
        for index, (begin, end, name, score) in enumerate(entry.annotations):
            number += 1
            band = entry.bands[index] if entry.bands else model_band_hz
            row = Annotation(offset + begin, offset + end, name, score)
            cells = raven_cells(number, row, *band, entry.channel)
            when = map(one_cell, time_cells(columns, time, begin, end))
            yield table_line((*cells[:-2], path[0], f"{begin:.3f}", path[1], *cells[-2:], *when))
        offset += entry.duration_s


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
    new = [path for path in tally.paths if path in tally.entries and path not in tally.skipped]
    done = [tally.entries[path] for path in new]
    duration_s = sum(entry.duration_s for entry in done)
    log.info(
        "%d recordings, %.2f h of sound, %d windows, %d annotations in %.1f s: %.0f x real time",
        len(done),
        duration_s / 3600,
        sum(entry.n_windows for entry in done),
        sum(len(entry.annotations) for entry in done),
        seconds,
        duration_s / max(seconds, 1e-9),
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
