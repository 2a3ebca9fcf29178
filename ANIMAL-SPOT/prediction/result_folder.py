"""The output folder of a prediction: results of each recording, and tables of the whole run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from animal_spot.audio.windows import WindowGrid
from animal_spot.detections.annotation_tables import RAVEN_HEADER, one_cell
from animal_spot.detections.journal import Completed, Journal
from animal_spot.detections.result_writers import (
    SUFFIXES,
    RunHeader,
    WindowBatch,
    annotations_of,
    csv_lines,
    log_lines,
    table_lines,
    write_latent_parquet,
    write_parquet,
)
from animal_spot.prediction.predictor import Outcome
from animal_spot.utils.csv_cells import csv_text
from animal_spot.utils.own_files import OwnFiles

SUMMARY, FAILED = "summary.csv", "failed_files.csv"
ALL_RECORDINGS, RECORDING_LIST = "all_recordings.Table.1.selections.txt", "all_recordings.list.txt"
TABLES = ("raven", "audacity")  # kinds of results that people make too
_ROWS = 4096  # windows that are written at a time


def window_batches(outcome: Outcome, grid: WindowGrid) -> Iterator[WindowBatch]:
    """Give the probabilities of a recording with the times they belong to."""
    first = 0
    for probabilities in outcome.probabilities.batches(_ROWS):
        start, end = grid.extents(first, len(probabilities), outcome.n_samples)
        first += len(probabilities)
        yield WindowBatch(start, end, grid.rounded_s(start), grid.rounded_s(end), probabilities)


class ResultFolder:
    """Writes results, each whole or not at all.

    Args:
        folder: The output folder, which no other process writes to.
        header: What the results have in common.
        grid: Windows at the rate of the first network.
        formats: What to write for each recording.
        latent: Also write feature vectors.
        run: Hash of model and settings.
        journal: Of the folder.
    """

    def __init__(
        self,
        folder: Path,
        header: RunHeader,
        grid: WindowGrid,
        formats: Sequence[str],
        *,
        latent: bool,
        run: str,
        journal: Journal,
    ) -> None:
        self._folder = folder
        self._header = header
        self._grid = grid
        self._formats = [*formats, *(["latent"] if latent else [])]
        self._run = run
        self._journal = journal

    def names_of(self, stem: str) -> dict[str, str]:
        """Return the file of each kind of result of a recording."""
        return {kind: stem + SUFFIXES[kind] for kind in self._formats}

    def write(self, outcome: Outcome, stem: str) -> Completed:
        """Write the results of a recording, and only then note that it is complete.

        Those that people made or edited are left alone, and a line says so.

        Raises:
            OSError: If something cannot be written.
        """
        names = self.names_of(stem)
        wanted = {
            kind: name
            for kind, name in names.items()
            if self._journal.may_write(outcome.path, name, ours_by_name=kind not in TABLES)
        }
        self._journal.begin(outcome.path, stem, names.values())
        rows = list(annotations_of(window_batches(outcome, self._grid), self._header))
        files = {}
        for kind, name in wanted.items():
            with self._journal.own.writing(name, of=stem) as temporary:
                self._write_one(kind, temporary, outcome, rows)
                files[name] = temporary.stat().st_size
        counts = Counter(row.name for row in rows)
        entry = Completed(
            path=os.path.abspath(outcome.path),
            stem=stem,
            run=self._run,
            state=outcome.state,
            digest=outcome.digest,
            duration_s=outcome.duration_s,
            n_windows=outcome.n_windows,
            detections={name: counts[name] for name in self._header.names if counts[name]},
            seconds=round(outcome.seconds, 3),
            files=files,
            annotations=[list(row) for row in rows],
            channel=outcome.channel,
            warnings=list(outcome.warnings),
        )
        self._journal.add(entry)
        return entry

    def _write_one(self, kind: str, path: Path, outcome: Outcome, rows: list) -> None:
        header, grid = self._header, self._grid
        batches = window_batches(outcome, grid)
        if kind == "parquet":
            write_parquet(path, batches, header, outcome.path)
        elif kind == "latent":
            vectors = outcome.embeddings.batches(_ROWS)
            pairs = zip(batches, vectors, strict=True)
            write_latent_parquet(path, pairs, outcome.embeddings.n_columns, outcome.path)
        elif kind == "log":
            lines = log_lines(batches, header, outcome.path, outcome.n_samples, grid.hop)
            _write_lines(path, lines)
        elif kind == "csv":
            _write_lines(path, csv_lines(batches, header, outcome.path))
        else:
            _write_lines(path, table_lines(kind, rows, header, outcome.channel))


def write_run_tables(
    own: OwnFiles,
    header: RunHeader,
    paths: Sequence[Path],
    entries: dict[Path, Completed],
    skipped: set[Path],
    failed: dict[Path, str],
) -> None:
    """Write the summary, the list of failed files and one Raven table over all recordings.

    Those that were edited are left alone, and a line says so.

    Raises:
        OSError: If one cannot be written.
    """
    names = header.names

    def summary() -> Iterator[list[Any]]:
        yield [
            *("file", "status", "duration_s", "windows", "detections"),
            *(f"detections_{name}" for name in names),
            *("seconds", "results", "reason"),
        ]
        for path in paths:
            entry = entries.get(path)
            if entry is None:
                status = "failed" if path in failed else "not reached"
                yield [str(path), status, *[""] * (5 + len(names)), failed.get(path, "")]
                continue
            counts = [entry.detections.get(name, 0) for name in names]
            status = "complete before" if path in skipped else "complete"
            yield [
                *(str(path), status, round(entry.duration_s, 3), entry.n_windows, sum(counts)),
                *(*counts, entry.seconds, entry.stem, "; ".join(entry.warnings)),
            ]

    done = [(path, entries[path]) for path in paths if path in entries]
    texts = {
        SUMMARY: csv_text(summary()),
        FAILED: csv_text([["file", "reason"], *([str(p), why] for p, why in failed.items())]),
        ALL_RECORDINGS: "".join(_combined_lines(done, header)),
        RECORDING_LIST: "".join(f"{one_cell(entry.path)}\n" for _, entry in done),
    }
    for name, text in texts.items():
        if own.has_text(name, text) or own.may_write(name, ours_by_name=True):
            own.write_text(name, text)


def _combined_lines(done: Sequence[tuple[Path, Completed]], header: RunHeader) -> Iterator[str]:
    """Return a Raven table with times that run over all recordings in their order."""
    files = ("Begin Path", "File Offset (s)", "Begin File")
    yield "\t".join((*RAVEN_HEADER[:-2], *files, *RAVEN_HEADER[-2:])) + "\n"
    low, high = float(header.data_opts["fmin"]), float(header.data_opts["fmax"])
    offset, number = 0.0, 0
    for _, entry in done:
        for begin, end, name, score in entry.annotations:
            number += 1
            yield (
                f"{number}\tSpectrogram 1\t{entry.channel}\t"
                f"{offset + begin:.3f}\t{offset + end:.3f}\t{low}\t"
                f"{high}\t{one_cell(entry.path)}\t{begin:.3f}\t"
                f"{one_cell(os.path.basename(entry.path))}\t{one_cell(name)}\t"
                f"{score:.4f}\n"
            )
        offset += entry.duration_s


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.writelines(lines)
