"""What prediction writes for a recording: log, tables, labels; line by line, in bounded memory."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from animal_spot.data.noise_class import noise_name
from animal_spot.detections.annotation_tables import audacity_lines, one_cell, raven_lines
from animal_spot.detections.annotations import (
    Annotation,
    Thresholds,
    Window,
    decide,
    label_windows,
    merge_windows,
)
from animal_spot.utils.csv_cells import safe_cell

SUFFIXES = {
    "log": "_predict_output.log",
    "csv": "_predict_output.csv",
    "parquet": "_predict_output.parquet",
    "raven": ".Table.1.selections.txt",
    "audacity": ".audacity.txt",
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

    @property
    def unusual_noise_class(self) -> str | None:
        """The noise class, if it is not called noise: then results have to say it."""
        return None if self.noise_class == noise_name(self.names) else self.noise_class

    @property
    def limits(self) -> float | np.ndarray:
        """Least probability of a detection: of all classes, or of each ``(class,)``."""
        if not self.class_thresholds:
            return self.threshold
        thresholds = Thresholds(self.threshold, self.class_thresholds)
        return np.array([thresholds.of(name) for name in self.names])


@dataclass(frozen=True)
class WindowBatch:
    """Windows of a recording in order.

    Attributes:
        first: First sample of each.
        last: Last sample of each.
        start_s: The same in seconds, to three decimals.
        end_s: The same in seconds, to three decimals.
        probabilities: Shape ``(windows, classes)``, float32.
    """

    first: Sequence[int]
    last: Sequence[int]
    start_s: Sequence[float]
    end_s: Sequence[float]
    probabilities: np.ndarray


def decide_windows(
    probabilities: np.ndarray, threshold: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each window whether it is a detection, its class index and its probability.

    Args:
        probabilities: Shape ``(windows, classes)``.
        threshold: Of a detection, or that of each class ``(classes,)``.
    """
    winner, score = decide(probabilities)
    if isinstance(threshold, np.ndarray):
        threshold = threshold[1] if probabilities.shape[1] == 2 else threshold[winner]
    found = score.astype(np.float64) >= threshold
    if probabilities.shape[1] == 2:
        winner = found.astype(np.int64)
    return found, winner, score


def annotations_of(batches: Iterable[WindowBatch], header: RunHeader) -> Iterator[Annotation]:
    """Join overlapping detections of one class, by the original's rule."""
    return merge_windows(_windows(batches, header))


def _windows(batches: Iterable[WindowBatch], header: RunHeader) -> Iterator[Window]:
    thresholds = Thresholds(header.threshold, header.class_thresholds)
    for batch in batches:
        winner, score = decide(batch.probabilities.astype(np.float64))
        times = np.asarray(batch.start_s), np.asarray(batch.end_s)
        yield from label_windows(
            *(*times, winner, score, header.names, thresholds),
            noise=header.noise_class,
            skip_empty=True,
        )


def log_lines(
    batches: Iterable[WindowBatch],
    header: RunHeader,
    input_path: Path,
    n_samples: int,
    hop_samples: int,
) -> Iterator[str]:
    """Return the lines of the original's result log."""
    prefix = time.strftime("%H:%M:%S") + "|I|"
    opts = header.data_opts
    kind = "min-max of each window" if header.min_max_norm else "fixed dB range"
    if "pcen" in opts:
        kind = "per channel (PCEN), each window by itself"
    if "embedding_model" in opts:
        kind = f"none, embeddings of {opts['embedding_model']}"
    classes = {name: i for i, name in enumerate(header.names)}
    for message in (
        one_cell(str(input_path)),
        f"Model Path: {one_cell(header.model_path)}",
        f"dataOpts: {opts}",
        f"prediction length: {header.sequence_len}[s], hop length: {header.hop}[s], threshold: "
        f"{header.threshold}, prediction fmin: {opts['fmin']}[Hz] prediction fmax: "
        f"{opts['fmax']}[Hz]",
        f"class distribution: {classes}",
        f"normalization: {kind}",
        *([f"noise class: {header.unusual_noise_class}"] if header.unusual_noise_class else []),
        f"size of the file(samples)={n_samples}",
        f"size of hop(samples)={hop_samples}",
        f"stop time={max(1, n_samples // hop_samples)}",
    ):
        yield f"{prefix}{message}\n"
    for batch in batches:
        yield from _window_lines(batch, header)


def _window_lines(batch: WindowBatch, header: RunHeader) -> Iterator[str]:
    time_text = time.strftime("%H:%M:%S")
    names = header.names
    found, winner, score = (a.tolist() for a in decide_windows(batch.probabilities, header.limits))
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


def csv_lines(batches: Iterable[WindowBatch], header: RunHeader, input_path: Path) -> Iterator[str]:
    """Return the lines of the table of all windows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    noise = [safe_cell(header.unusual_noise_class)] if header.unusual_noise_class else []
    file, names = safe_cell(str(input_path)), [safe_cell(name) for name in header.names]
    writer.writerow(_columns(header) + ["noise_class"] * len(noise))
    opts = header.data_opts
    for batch in batches:
        found, winner, score = (
            a.tolist() for a in decide_windows(batch.probabilities, header.limits)
        )
        probabilities = batch.probabilities.tolist()
        writer.writerows(
            [
                *(file, start, end, int(found[i]), names[winner[i]], score[i]),
                *(opts["fmin"], opts["fmax"], *probabilities[i], *noise),
            ]
            for i, (start, end) in enumerate(zip(batch.start_s, batch.end_s, strict=True))
        )
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def _columns(header: RunHeader) -> list[str]:
    fixed = ["file", "start_s", "end_s", "pred", "pred_class", "prob", "fmin_hz", "fmax_hz"]
    return fixed + [f"p_{name}" for name in header.names]


def write_parquet(
    path: Path, batches: Iterable[WindowBatch], header: RunHeader, input_path: Path
) -> None:
    """Write the table of all windows, with the settings as the file's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

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
    if header.class_thresholds:
        metadata["class_thresholds"] = json.dumps(header.class_thresholds)
    schema = pa.schema(list(zip(_columns(header), types, strict=True)), metadata=metadata)
    names = pa.array(list(header.names))
    file = pa.array([_plain(input_path)])
    with open(path, "wb") as sink, pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in batches:
            found, winner, score = decide_windows(batch.probabilities, header.limits)
            n = len(found)
            columns = [
                pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), file),
                pa.array(np.asarray(batch.start_s)),
                pa.array(np.asarray(batch.end_s)),
                pa.array(found.astype(np.int8)),
                pa.DictionaryArray.from_arrays(winner.astype(np.int32), names),
                pa.array(score.astype(np.float32)),
                pa.array(np.full(n, float(header.data_opts["fmin"]))),
                pa.array(np.full(n, float(header.data_opts["fmax"]))),
                *(pa.array(np.ascontiguousarray(column)) for column in batch.probabilities.T),
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def write_latent_parquet(
    path: Path, batches: Iterable[tuple[WindowBatch, np.ndarray]], n_features: int, input_path: Path
) -> None:
    """Write the feature vector of each window: file, start, end, vector."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pa.array([_plain(input_path)])
    schema = pa.schema(
        [
            ("file", pa.dictionary(pa.int32(), pa.string())),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("vector", pa.list_(pa.float32(), n_features)),
        ]
    )
    with open(path, "wb") as sink, pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch, vectors in batches:
            flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
            columns = [
                pa.DictionaryArray.from_arrays(np.zeros(len(vectors), np.int32), file),
                pa.array(np.asarray(batch.start_s)),
                pa.array(np.asarray(batch.end_s)),
                pa.FixedSizeListArray.from_arrays(flat, n_features),
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def table_lines(
    kind: str, annotations: Iterable[Annotation], header: RunHeader, channel: int = 1
) -> Iterator[str]:
    """Return the lines of a ``raven`` or ``audacity`` file.

    Args:
        kind: Which of the two.
        annotations: Rows.
        header: What the results of the run have in common.
        channel: Number of the channel that was heard; 1 for the mix.
    """
    if kind == "audacity":
        return audacity_lines(annotations)
    opts = header.data_opts
    return raven_lines(annotations, opts["fmin"], opts["fmax"], channel)


def _plain(path: Path | str) -> str:
    """Return a path as text that every program can read, also if its bytes are not UTF-8."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")
