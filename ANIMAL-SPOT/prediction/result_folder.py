"""The output folder of a prediction: the results of each recording."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from animal_spot.audio.windows import WindowGrid
from animal_spot.data.noise_class import noise_name
from animal_spot.detections.annotation_tables import annotation_lines
from animal_spot.detections.annotations import Annotation
from animal_spot.detections.journal import Completed, Journal
from animal_spot.detections.result_writers import (
    SUFFIXES,
    WINDOW_WRITERS,
    Add,
    RunHeader,
    Source,
    WindowBatch,
    annotations_of,
    open_text,
)
from animal_spot.metadata.recording_time import NO_TIME, RecordingTime
from animal_spot.metadata.time_columns import time_columns
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.outcome import Outcome
from animal_spot.prediction.settled import Run
from animal_spot.remote.addresses import full_name
from animal_spot.utils.files import digest_of, file_digest

TABLES = ("raven", "audacity")  # kinds of results that people make too
WITH_TIMES = frozenset({"csv", "parquet", "latent", "raven"})  # kinds that say when and where
_ROWS = 4096  # windows that are written at a time


def source_of(outcome: Outcome, grid: WindowGrid, time: RecordingTime = NO_TIME) -> Source:
    """Return what results say of a recording."""
    n_features = outcome.embeddings.n_columns
    return Source(outcome.path, outcome.n_samples, grid.hop, outcome.channel, n_features, time)


def window_batches(
    outcome: Outcome, grid: WindowGrid, header: RunHeader, *, latent: bool = False
) -> Iterator[WindowBatch]:
    """Decide the windows of a recording and give them with their times.

    Args:
        outcome: Of the recording.
        grid: Windows at the rate of the first network.
        header: What the results have in common.
        latent: Give the feature vectors too.
    """
    first = 0
    vectors = outcome.embeddings.batches(_ROWS) if latent else itertools.repeat(None)
    for probabilities, features in zip(
        outcome.probabilities.batches(_ROWS), vectors, strict=latent
    ):
        start, end = grid.extents(first, len(probabilities), outcome.n_samples)
        first += len(probabilities)
        yield WindowBatch(
            *(start, end, grid.rounded_s(start), grid.rounded_s(end)),
            probabilities,
            header.rule.decide(probabilities),
            features,
        )


@dataclass(frozen=True)
class ResultWriter:
    """Writes the results of a recording into files that are given.

    Attributes:
        header: What the results have in common.
        grid: Windows at the rate of the first network.
        kinds: What to write for each recording, of ``SUFFIXES``.
        bands: Measures the band of each annotation of a recording; None: it is that of the model.
    """

    header: RunHeader
    grid: WindowGrid
    kinds: Sequence[str]
    bands: Callable[[Path, Sequence[Annotation]], list[tuple[float, float]]] | None = None

    def names_of(self, stem: str) -> dict[str, str]:
        """Return the file of each kind of result of a recording."""
        return {kind: stem + SUFFIXES[kind] for kind in self.kinds}

    def write(
        self, paths: Mapping[str, Path], outcome: Outcome, stem: str, run: str, time: RecordingTime
    ) -> Completed:
        """Write each kind of result, in one go over the windows.

        Args:
            paths: Where each kind goes that is wanted.
            outcome: What came of the recording.
            stem: What its results are called after.
            run: Hash of all that they depend on.
            time: When and where it was made.

        Returns:
            What is known of it when the files are in place.

        Raises:
            OSError: If something cannot be written.
        """
        rows, bands = self._write_all(paths, outcome, time)
        names, counts = self.names_of(stem), Counter(row.name for row in rows)
        return Completed(
            path=full_name(outcome.path),
            stem=stem,
            run=run,
            state=outcome.state,
            digest=outcome.digest,
            duration_s=outcome.duration_s,
            n_windows=outcome.n_windows,
            detections={name: counts[name] for name in self.header.names if counts[name]},
            seconds=round(outcome.seconds, 3),
            files={names[kind]: path.stat().st_size for kind, path in paths.items()},
            annotations=[list(row) for row in rows],
            channel=outcome.channel,
            warnings=list(outcome.warnings),
            bands=[list(band) for band in bands],
        )

    def _write_all(
        self, paths: Mapping[str, Path], outcome: Outcome, time: RecordingTime
    ) -> tuple[list[Annotation], list[tuple[float, float]]]:
        """Write each kind of result; return annotations and bands."""
        header, source = self.header, source_of(outcome, self.grid, time)
        with contextlib.ExitStack() as opened:
            writers = [
                opened.enter_context(WINDOW_WRITERS[kind](path, header, source))
                for kind, path in paths.items()
                if kind in WINDOW_WRITERS
            ]
            batches = window_batches(outcome, self.grid, header, latent="latent" in paths)
            rows = list(annotations_of(_handed_to(writers, batches), header))
        bands = self.bands(outcome.path, rows) if self.bands else []
        for kind in [kind for kind in TABLES if kind in paths]:
            with open_text(paths[kind]) as file:
                file.writelines(
                    annotation_lines(rows, kind, header.band_hz, source.channel, time, bands)
                )
        return rows, bands


@dataclass(frozen=True)
class WrittenFile:
    """A result that another process wrote.

    Attributes:
        path: Where it is.
        digest: Hash of its bytes.
    """

    path: Path
    digest: str


@dataclass(frozen=True)
class ResultFolder:
    """Puts results into place, each whole or not at all.

    Attributes:
        journal: Of the folder, which no other process writes to.
        writer: Writes the results of a recording.
        run: Hash of model and settings.
        times: When and where recordings were made.
    """

    journal: Journal
    writer: ResultWriter
    run: str
    times: Mapping[Path, RecordingTime]

    def time_of(self, path: Path) -> RecordingTime:
        """Return when and where a recording was made."""
        return self.times.get(path, NO_TIME)

    def run_of(self, path: Path) -> str:
        """Return the hash of all that the results of a recording depend on."""
        time = self.time_of(path)
        if not time_columns([time]) or not WITH_TIMES & set(self.writer.kinds):
            return self.run  # as before there were times: results stay complete
        said = [self.run, time.at(0), str(time.start and time.start.tzinfo), time.site]
        return digest_of(json.dumps(said).encode())

    def complete(self, stem_of: Mapping[Path, str]) -> Iterator[Path]:
        """Yield the recordings whose results are all there; say which of these were edited."""
        for path, stem in stem_of.items():
            names = self.writer.names_of(stem).values()
            entry = self.journal.find(path, self.run_of(path), names)
            if entry is not None:
                self.journal.say_edited(names, entry)
                yield path

    def _begin(self, path: Path, stem: str) -> dict[str, str]:
        """Note that a recording's results are replaced; return those that may be written."""
        names = self.writer.names_of(stem)
        wanted = {
            kind: name
            for kind, name in names.items()
            if self.journal.may_write(path, name, ours_by_name=kind not in TABLES)
        }
        self.journal.begin(path, stem, names.values())
        return wanted

    def write(self, outcome: Outcome, stem: str) -> Completed:
        """Write the results of a recording, and only then note that it is complete.

        Those that people made or edited are left alone, and a line says so.

        Raises:
            OSError: If something cannot be written.
        """
        path = outcome.path
        wanted = self._begin(path, stem)
        with contextlib.ExitStack() as files:
            temporary = {
                kind: files.enter_context(self.journal.own.writing(name, of=stem))
                for kind, name in reversed(wanted.items())  # so that they appear in their order
            }
            time = self.time_of(path)
            entry = self.writer.write(temporary, outcome, stem, self.run_of(path), time)
        entry = dataclasses.replace(entry, files={n: entry.files[n] for n in wanted.values()})
        self.journal.add(entry)
        return entry

    def take_over(
        self, path: Path, entry: Completed, written: Mapping[str, WrittenFile]
    ) -> Completed:
        """Put what another process wrote for a recording into place, as ``write`` does.

        Args:
            path: The recording.
            entry: What is known of it.
            written: The file of each kind of result.

        Raises:
            OSError: If something cannot be moved.
        """
        wanted = self._begin(path, entry.stem)
        for kind, name in wanted.items():
            file = written[kind]
            self.journal.own.adopt(name, file.path, digest=file.digest, of=entry.stem)
        entry = dataclasses.replace(entry, files={n: entry.files[n] for n in wanted.values()})
        self.journal.add(entry)
        return entry


def writer_of(run: Run) -> ResultWriter:
    """Make what writes the results that a run wants."""
    config = run.config
    latent = ["latent"] if config.latent_extract and config.latent_format != "pickle" else []
    kinds = [*config.formats, *latent]
    return ResultWriter(run.header, run.grid_of(run.models[0]), kinds, _bands(run))


def _bands(run: Run) -> Callable[[Path, Sequence[Annotation]], list[tuple[float, float]]] | None:
    """Return what measures the band of each annotation of a recording, if that is wanted."""
    if not run.config.measure_band:
        return None
    from animal_spot.prediction.bands import measured_bands  # scipy, which few runs need

    opts, channel = run.header.data_opts, run.models[0].signal.channel
    band_hz = float(opts["fmin"]), float(opts["fmax"])
    return lambda path, rows: measured_bands(path, rows, channel, band_hz)


def _handed_to(writers: Sequence[Add], batches: Iterable[WindowBatch]) -> Iterator[WindowBatch]:
    """Give all writers each batch that passes by."""
    for batch in batches:
        for add in writers:
            add(batch)
        yield batch


def run_key(config: PredictConfig, header: RunHeader) -> str:
    """Return a hash of everything that the results depend on, but for the recordings."""
    files = [*config.model_path, *([config.checkpoint_path] if config.checkpoint_path else [])]
    of_header = dataclasses.asdict(dataclasses.replace(header, model_path=""))
    for name in ("class_thresholds", "decoder"):
        if not of_header[name]:
            del of_header[name]  # as before there were any: results stay complete
    if header.noise_class == noise_name(header.names):
        del of_header["noise_class"]
    content = {
        "version": 1,
        "models": [file_digest(Path(path)) for path in files],
        "header": of_header,
        "formats": config.formats,
        "last_window": config.last_window,
        "latent": config.latent_format if config.latent_extract else None,
        "visualize": config.visualize,
        "engine": config.engine,
        "precision": config.precision,
    }
    if config.measure_band:
        content["measure_band"] = True
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()
