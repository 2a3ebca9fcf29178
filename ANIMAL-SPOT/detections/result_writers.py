"""What prediction writes for a recording: log, tables, labels; in bounded memory.

Each writer of windows opens a file and gives the function that adds a batch of them.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from animal_spot.data.noise_class import noise_name
from animal_spot.detections.annotation_tables import AUDACITY_ENDING, RAVEN_ENDING, one_cell
from animal_spot.detections.annotations import Annotation, found_windows, merge_windows
from animal_spot.detections.decisions import DecisionRule, Decisions, Thresholds
from animal_spot.detections.decoding import EventDecoder
from animal_spot.detections.event_settings import EventSettings
from animal_spot.metadata.recording_time import NO_TIME, RecordingTime
from animal_spot.metadata.time_columns import time_columns, time_rows
from animal_spot.remote.addresses import shown
from animal_spot.utils.csv_cells import safe_cell

if TYPE_CHECKING:
    import pyarrow as pa

RESULT_MARK = "_predict_output"  # in the names of logs and tables of windows
SUFFIXES = {
    "log": f"{RESULT_MARK}.log",
    "csv": f"{RESULT_MARK}.csv",
    "parquet": f"{RESULT_MARK}.parquet",
    "raven": RAVEN_ENDING,
    "audacity": AUDACITY_ENDING,
    "latent": "_latent.parquet",
}


@dataclass(frozen=True)
class RunHeader:
    """What the results of all recordings of a run have in common.

    Attributes:
        model_path: Model files, joined by commas.
        data_opts: Signal path, as the model file holds it.
        min_max_norm: Whether windows are scaled by their own extremes.
        sequence_len: Window length, seconds.
        hop: Seconds between window starts.
        threshold: Least probability of a detection.
        names: Classes in index order.
        noise_class: The one that is no call; None: all are calls.
        class_thresholds: Those of single classes, of a calibrated model.
        debug: Whether logs hold the samples of each window.
        decoder: How windows become events; None: by the original's rule.
    """

    model_path: str
    data_opts: dict[str, Any]
    min_max_norm: bool
    sequence_len: float
    hop: float
    threshold: float
    names: tuple[str, ...]
    noise_class: str | None
    class_thresholds: dict[str, float] = field(default_factory=dict)
    debug: bool = False
    decoder: EventSettings | None = None

    @property
    def unusual_noise_class(self) -> str | None:
        """The noise class, if it is not called noise: then results have to say it."""
        return None if self.noise_class == noise_name(self.names) else self.noise_class

    @property
    def band_hz(self) -> tuple[float, float]:
        """Lowest and highest frequency that the model listens to."""
        return self.data_opts["fmin"], self.data_opts["fmax"]

    @functools.cached_property
    def rule(self) -> DecisionRule:
        """How windows are decided."""
        thresholds = Thresholds(self.threshold, self.class_thresholds)
        return DecisionRule(self.names, thresholds, self.noise_class)

    @functools.cached_property
    def decoder_text(self) -> str | None:
        """What results say of the decoder; None for the original's rule, which needs no word."""
        return None if self.decoder is None else self.decoder.to_json()


@dataclass(frozen=True)
class Source:
    """The recording that results are of.

    Attributes:
        path: As it was given.
        n_samples: Its length at the rate of the first network.
        hop_samples: Between window starts at that rate.
        channel: Number of the channel that was heard; 1 for the mix.
        n_features: Numbers in the feature vector of a window, if there are any.
        time: When and where it was made.
    """

    path: Path
    n_samples: int
    hop_samples: int
    channel: int = 1
    n_features: int = 0
    time: RecordingTime = NO_TIME


@dataclass(frozen=True)
class WindowBatch:
    """Windows of a recording in order, decided once for all that is written.

    Attributes:
        first: First sample of each.
        last: Last sample of each.
        start_s: The same in seconds, to three decimals.
        end_s: The same in seconds, to three decimals.
        probabilities: Shape ``(window, class)``, float32.
        decisions: What each is.
        vectors: Features of each ``(window, feature)``, if they are written.
    """

    first: Sequence[int]
    last: Sequence[int]
    start_s: Sequence[float]
    end_s: Sequence[float]
    probabilities: np.ndarray
    decisions: Decisions
    vectors: np.ndarray | None = None


Add = Callable[[WindowBatch], object]


def annotations_of(batches: Iterable[WindowBatch], header: RunHeader) -> Iterable[Annotation]:
    """Turn windows into annotations, by the decoder or by the original's rule."""
    if header.decoder is not None:
        decoder = EventDecoder(header.names, header.noise_class, header.decoder)
        return decoder.annotations(
            (np.asarray(b.start_s), np.asarray(b.end_s), b.probabilities) for b in batches
        )
    return merge_windows(
        window
        for batch in batches
        for window in found_windows(batch.start_s, batch.end_s, batch.decisions, header.names)
    )


@contextlib.contextmanager
def log_writer(path: Path, header: RunHeader, source: Source) -> Iterator[Add]:
    """Open the original's result log."""
    with open_text(path) as file:
        file.writelines(log_head(header, source))
        yield lambda batch: file.writelines(log_lines(batch, header))


def log_head(header: RunHeader, source: Source) -> Iterator[str]:
    """Yield the lines of the log that come before windows."""
    prefix = time.strftime("%H:%M:%S") + "|I|"
    opts = header.data_opts
    kind = "min-max of each window" if header.min_max_norm else "fixed dB range"
    if "pcen" in opts:
        kind = "per channel (PCEN), each window by itself"
    if "embedding_model" in opts:
        kind = f"none, embeddings of {opts['embedding_model']}"
    classes = {name: i for i, name in enumerate(header.names)}
    for message in (
        one_cell(shown(source.path)),
        f"Model Path: {one_cell(header.model_path)}",
        f"dataOpts: {opts}",
        f"prediction length: {header.sequence_len}[s], hop length: {header.hop}[s], threshold: "
        f"{header.threshold}, prediction fmin: {opts['fmin']}[Hz] prediction fmax: "
        f"{opts['fmax']}[Hz]",
        f"class distribution: {classes}",
        f"normalization: {kind}",
        *([f"noise class: {header.unusual_noise_class}"] if header.unusual_noise_class else []),
        *([f"decoder: {header.decoder_text}"] if header.decoder_text else []),
        f"size of the file(samples)={source.n_samples}",
        f"size of hop(samples)={source.hop_samples}",
        f"stop time={max(1, source.n_samples // source.hop_samples)}",
    ):
        yield f"{prefix}{message}\n"


def log_lines(batch: WindowBatch, header: RunHeader) -> Iterator[str]:
    """Yield the lines of the log for windows."""
    time_text = time.strftime("%H:%M:%S")
    names = header.names
    found, winner, score = (column.tolist() for column in batch.decisions.in_tables)
    probabilities = batch.probabilities.tolist()
    for i, (start, end) in enumerate(zip(batch.start_s, batch.end_s, strict=True)):
        if header.debug:
            yield f"{time_text}|D|start extract={batch.first[i]}\n"
            yield f"{time_text}|D|end extract={batch.last[i]}\n"
        line = f"{time_text}|I|time={start}-{end}, pred={int(found[i])}, "
        if len(names) == 2:
            yield f"{line}prob={score[i]}\n"
            continue
        layer = "".join(
            f"{name}={value};\n" for name, value in zip(names, probabilities[i], strict=True)
        )
        yield (
            f"{line}pred_class={names[winner[i]]}-{winner[i]}, prob={score[i]}\n"
            f"output_layer:\n{layer}\n"
        )


@contextlib.contextmanager
def csv_writer(path: Path, header: RunHeader, source: Source) -> Iterator[Add]:
    """Open the table of all windows as text."""
    noise = [safe_cell(header.unusual_noise_class)] if header.unusual_noise_class else []
    decoder = [header.decoder_text] if header.decoder_text else []  # in the first row alone
    file, names = safe_cell(shown(source.path)), [safe_cell(name) for name in header.names]
    opts = header.data_opts
    times = time_columns([source.time])

    def rows(batch: WindowBatch) -> Iterator[list[Any]]:
        found, winner, score = (column.tolist() for column in batch.decisions.in_tables)
        probabilities = batch.probabilities.tolist()
        when = time_rows(times, source.time, batch.start_s, batch.end_s)
        extents = zip(batch.start_s, batch.end_s, when, strict=True)
        for i, (start, end, cells) in enumerate(extents):
            yield [
                *(file, start, end, int(found[i]), names[winner[i]], score[i]),
                *(opts["fmin"], opts["fmax"], *probabilities[i], *noise, *decoder),
                *map(safe_cell, cells),
            ]
            decoder[:] = [""] * len(decoder)

    with open_text(path) as sink:
        writer = csv.writer(sink, lineterminator="\n")
        further = [*["noise_class"] * len(noise), *["decoder"] * len(decoder)]
        writer.writerow([*_columns(header), *further, *times])
        yield lambda batch: writer.writerows(rows(batch))


def _columns(header: RunHeader) -> list[str]:
    fixed = ["file", "start_s", "end_s", "pred", "pred_class", "prob", "fmin_hz", "fmax_hz"]
    return fixed + [f"p_{name}" for name in header.names]


def parquet_writer(
    path: Path, header: RunHeader, source: Source
) -> contextlib.AbstractContextManager[Add]:
    """Open the table of all windows, with the settings as the file's metadata."""
    import pyarrow as pa

    types = [
        *(pa.dictionary(pa.int32(), pa.string()), pa.float64(), pa.float64(), pa.int8()),
        *(pa.dictionary(pa.int32(), pa.string()), pa.float32(), pa.float64(), pa.float64()),
        *(pa.float32() for _ in header.names),
    ]
    metadata = {
        "model_path": _plain(header.model_path),
        "data_opts": str(header.data_opts),
        "sequence_len": str(header.sequence_len),
        "hop": str(header.hop),
        "threshold": str(header.threshold),
    }
    if header.unusual_noise_class:
        metadata["noise_class"] = header.unusual_noise_class
    if header.decoder_text:
        metadata["decoder"] = header.decoder_text
    if header.class_thresholds:
        metadata["class_thresholds"] = json.dumps(header.class_thresholds)
    schema = pa.schema(list(zip(_columns(header), types, strict=True)), metadata=metadata)
    names = pa.array(list(header.names))

    def columns(batch: WindowBatch) -> Iterator[pa.Array]:
        found, winner, score = batch.decisions.in_tables
        yield pa.array(found.astype(np.int8))
        yield pa.DictionaryArray.from_arrays(winner.astype(np.int32), names)
        yield pa.array(score.astype(np.float32))
        yield pa.array(np.full(len(found), float(header.data_opts["fmin"])))
        yield pa.array(np.full(len(found), float(header.data_opts["fmax"])))
        for column in batch.probabilities.T:
            yield pa.array(np.ascontiguousarray(column))

    return _parquet_file(path, schema, source, columns)


def latent_writer(
    path: Path, _: RunHeader, source: Source
) -> contextlib.AbstractContextManager[Add]:
    """Open the table of feature vectors: file, start, end, vector."""
    import pyarrow as pa

    schema = pa.schema(
        [
            ("file", pa.dictionary(pa.int32(), pa.string())),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("vector", pa.list_(pa.float32(), source.n_features)),
        ]
    )

    def columns(batch: WindowBatch) -> Iterator[pa.Array]:
        flat = pa.array(np.ascontiguousarray(batch.vectors, np.float32).reshape(-1))
        yield pa.FixedSizeListArray.from_arrays(flat, source.n_features)

    return _parquet_file(path, schema, source, columns)


@contextlib.contextmanager
def _parquet_file(
    path: Path,
    schema: pa.Schema,
    source: Source,
    further: Callable[[WindowBatch], Iterable[pa.Array]],
) -> Iterator[Add]:
    """Open a table of windows; ``further`` gives the columns after recording, begin and end.

    Those of when and where come last, where it is known.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pa.array([_plain(source.path)])
    times = time_columns([source.time])
    for name in times:
        schema = schema.append(pa.field(name, pa.string()))

    def rows(batch: WindowBatch) -> pa.RecordBatch:
        columns = [
            pa.DictionaryArray.from_arrays(np.zeros(len(batch.start_s), np.int32), file),
            pa.array(np.asarray(batch.start_s)),
            pa.array(np.asarray(batch.end_s)),
        ]
        when = time_rows(times, source.time, batch.start_s, batch.end_s) if times else ()
        last = [pa.array(column, pa.string()) for column in zip(*when, strict=True)]
        return pa.record_batch([*columns, *further(batch), *last], schema=schema)

    with open(path, "wb") as sink, pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        yield lambda batch: writer.write_batch(rows(batch))


WINDOW_WRITERS = {
    "log": log_writer,
    "csv": csv_writer,
    "parquet": parquet_writer,
    "latent": latent_writer,
}


def open_text(path: Path) -> TextIO:
    """Open a file for text as it is given, also for names that are not UTF-8."""
    return open(path, "w", encoding="utf-8", errors="surrogateescape", newline="")


def _plain(path: Path | str) -> str:
    """Return a path as text that every program can read, also if its bytes are not UTF-8."""
    return shown(path).encode(errors="surrogateescape").decode(errors="replace")
