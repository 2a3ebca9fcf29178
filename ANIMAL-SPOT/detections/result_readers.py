"""Read what a prediction wrote: the original's log, csv and parquet."""

from __future__ import annotations

import ast
import csv
import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from animal_spot.data.noise_class import noise_class_of
from animal_spot.detections.decisions import DecisionRule, Thresholds, winner_and_score
from animal_spot.detections.event_settings import EventSettings
from animal_spot.detections.result_times import COLUMNS as TIME_COLUMNS
from animal_spot.detections.result_times import ResultTimes
from animal_spot.metadata.moments import MomentError
from animal_spot.metadata.recording_time import NO_TIME, RecordingTime
from animal_spot.utils.csv_cells import plain_cell
from animal_spot.utils.environment import pip_install
from animal_spot.utils.names import composed, with_composed_names

# Columns of csv and parquet before those of the classes.
CLASS_PREFIX = "p_"
NOISE_COLUMN = "noise_class"  # only where that is not the class called noise
DECODER_COLUMN = "decoder"  # only where windows become events; in the first row alone

_NUMBER = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?"
_RECORD = re.compile(r"[^|]{0,40}\|(?:I|INFO)\|(.*)\n?\Z")
_OTHER_LEVEL = re.compile(r"[^|]{0,40}\|(?:[A-Z]|[A-Z]{4,8})\|")
_WINDOW = re.compile(
    rf"[^|]{{0,40}}\|(?:I|INFO)\|time=({_NUMBER})-({_NUMBER}), pred=[01]"
    rf"(?:, pred_class=(.+)-(\d+))?, prob=({_NUMBER})\n\Z"  # without its end it may be cut off
)
_EXTENT = re.compile(rf"prediction length: ({_NUMBER})\[s\], hop length: ({_NUMBER})\[s\]")

_SAMPLES = re.compile(r"size of the file\(samples\)=(\d{1,15})\Z")


class ResultError(ValueError):
    """A result file that cannot be used; one line says which, why and what to do."""


@dataclass(frozen=True, eq=False)
class Result:
    """What a prediction says about one recording.

    Attributes:
        file: Path of the recording, as it was given to the prediction.
        classes: Index of each class.
        start_s: Begin of each window in seconds, shape ``(window,)``, ascending.
        end_s: End of each window.
        winner: Index of the most probable class of each window.
        score: Its probability; with two classes that of class 1.
        probabilities: Shape ``(window, class)``.
        f_min: Lower end of the band in Hz, a whole number if it was written as one.
        f_max: Upper end of the band in Hz.
        sequence_len: Length of a window in seconds.
        hop: Seconds between windows.
        noise_class: Class that is no call, as the result says; None: the one called noise.
        length_s: Length of the recording, where the result says it.
        time: When and where it was made, where the result says it.
        decoder: How its windows become events, as the result says; None: by the original's rule.
    """

    file: str
    classes: dict[str, int]
    start_s: np.ndarray
    end_s: np.ndarray
    winner: np.ndarray
    score: np.ndarray
    probabilities: np.ndarray
    f_min: float
    f_max: float
    sequence_len: float
    hop: float
    noise_class: str | None = None
    length_s: float | None = None
    time: RecordingTime = NO_TIME
    decoder: EventSettings | None = None

    @property
    def names(self) -> list[str]:
        """Classes in index order."""
        return sorted(self.classes, key=self.classes.__getitem__)

    def rule(self, thresholds: Thresholds) -> DecisionRule:
        """Return how its windows are decided."""
        return DecisionRule(tuple(self.names), thresholds, self.noise_class)

    @property
    def duration_s(self) -> float:
        """End of the last window, which is that of the recording but for less than a hop."""
        return float(self.end_s[-1])

    @property
    def longest_s(self) -> float:
        """Most that the recording can last."""
        return max(self.duration_s, self.length_s or self.duration_s + self.hop)


def read_result(path: Path) -> Result:
    """Read a result file: csv and parquet by their ending, anything else as a log.

    Raises:
        ResultError: If it is not one, is incomplete, or holds no window.
        OSError: If it cannot be read.
    """
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    result = readers.get(path.suffix.lower(), _read_log)(path)
    arrays = (result.start_s, result.end_s, result.score, result.probabilities)
    if not all(np.isfinite(values).all() for values in arrays):
        _refuse(path, "holds values that are not finite")
    if (np.diff(result.start_s) < 0).any() or (result.end_s < result.start_s).any():
        _refuse(path, "windows are not in the order of time")
    noise = None if result.noise_class is None else composed(result.noise_class)
    return replace(result, classes=with_composed_names(result.classes), noise_class=noise)


def read_settled(path: Path, noise_class: str | None) -> Result:
    """Read a result file whose background class is as wanted, else as it says, else called noise.

    Raises:
        ValueError: If it cannot be used, or has no such class.
        OSError: If it cannot be read.
    """
    result = read_result(path)
    noise = noise_class_of(noise_class or result.noise_class, result.names)
    return dataclasses.replace(result, noise_class=noise)


def looks_like_log(path: Path) -> bool:
    """Tell whether the first line of a file is a log record."""
    with open(path, "rb") as file:
        return _RECORD.match(file.readline(4096).decode("utf-8", errors="replace")) is not None


def _read_log(path: Path) -> Result:
    with open(path, encoding="utf-8", errors="surrogateescape") as lines:
        header, first = _log_header(path, lines)
        classes = header["classes"]
        rows = _log_windows(path, itertools.chain((first,), lines), classes)
        table = np.fromiter(itertools.chain.from_iterable(rows), dtype=np.float64)
    table = table.reshape(-1, 4 + len(classes))
    start, end, winner, score = table[:, :4].T
    probabilities = table[:, 4:]
    if len(classes) == 2:
        probabilities = np.stack([1 - score, score], axis=1)
        winner, score = winner_and_score(probabilities)
    return Result(
        file=header["file"],
        classes=classes,
        start_s=start,
        end_s=end,
        winner=winner.astype(np.int64),
        score=score,
        probabilities=probabilities,
        f_min=header["f_min"],
        f_max=header["f_max"],
        sequence_len=header["sequence_len"],
        hop=header["hop"],
        noise_class=header.get("noise_class"),
        length_s=header.get("length_s"),
        decoder=header.get("decoder"),
    )


def _log_header(path: Path, lines: Iterable[str]) -> tuple[dict[str, Any], str]:
    """Read up to the first window; return what was said, and the line of that window."""
    header: dict[str, Any] = {}
    for number, line in enumerate(lines, 1):
        record = _RECORD.match(line)
        if record is None:
            if "file" not in header and line.strip() and not _OTHER_LEVEL.match(line):
                _refuse(path, f"line {number} is not a log record: {line[:60]!r}")
            continue
        message = record[1]
        if "file" not in header:
            header["file"] = message
        elif message.startswith("dataOpts:"):
            options = _literal_dict(path, number, message)
            for key, name in (("f_min", "fmin"), ("f_max", "fmax")):
                header[key] = options.get(name)
                if not _is_finite(header[key]):
                    _refuse(path, f"line {number}: dataOpts has no {name!r} that is a number")
            header["rate"] = options.get("sr")
        elif message.startswith("class distribution:"):
            header["classes"] = _checked_classes(path, _literal_dict(path, number, message))
        elif message.startswith("noise class:"):
            header["noise_class"] = message.partition(":")[2].strip()
        elif message.startswith("decoder:"):
            header["decoder"] = _decoder(path, message.partition(":")[2])
        elif message.startswith("prediction length"):
            extent = _EXTENT.match(message)
            if extent is None:
                _refuse(path, f"line {number}: no lengths in {message!r}")
            header["sequence_len"], header["hop"] = float(extent[1]), float(extent[2])
        elif (samples := _SAMPLES.match(message)) is not None:
            if _is_finite(rate := header.get("rate")) and rate >= 1:
                header["length_s"] = int(samples[1]) / rate
        elif message.startswith("time="):
            for key, what in (
                ("f_min", "dataOpts"),
                ("sequence_len", "prediction length"),
                ("classes", "class distribution"),
            ):
                if key not in header:
                    _refuse(path, f"no line {what!r} before the first window")
            return header, line
    _refuse(path, "holds no window")


def _log_windows(
    path: Path, lines: Iterator[str], classes: dict[str, int]
) -> Iterator[tuple[float, ...]]:
    """Yield start, end, class index, probability and all probabilities of each window."""
    names = sorted(classes, key=classes.__getitem__)
    n = len(names)
    layer = re.compile(
        r"output_layer:\n" + "".join(rf"{re.escape(x)}=({_NUMBER});\n" for x in names) + r"\n?\Z"
    )
    nothing = (math.nan,) * n
    in_other = False  # the text of a debug message may go over several lines
    for line in lines:
        window = _WINDOW.match(line)
        if window is None:
            record = _RECORD.match(line)
            if record is not None and record[1][:5] == "time="[: len(record[1])]:
                _refuse(path, f"a window is cut off or broken: {line.strip()[:60]!r}")
            in_other = in_other or _OTHER_LEVEL.match(line) is not None
            if line.strip() and not in_other:
                _refuse(path, f"a line was not expected: {line.strip()[:60]!r}")
            continue
        in_other = False
        start, end, name, index, probability = window.groups()
        if n == 2 and name is None:
            yield float(start), float(end), math.nan, float(probability), *nothing
            continue
        if name is None or classes.get(name) != int(index):
            _refuse(path, f"class {name}-{index} at {start} s is not one of {', '.join(names)}")
        outputs = layer.match("".join(itertools.islice(lines, n + 2)))
        if outputs is None:
            _refuse(path, f"the class probabilities at {start} s are cut off or broken")
        yield (
            float(start),
            float(end),
            float(index),
            float(probability),
            *map(float, outputs.groups()),
        )


def _read_csv(path: Path) -> Result:
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        numbers = _number_columns(path, header)
        recordings: set[str] = set()
        noise: set[str] = set()
        decoders: set[str] = set()
        times = ResultTimes()
        values = itertools.chain.from_iterable(
            _csv_rows(path, rows, header, numbers, recordings, noise, decoders, times)
        )
        try:
            table = np.fromiter(values, dtype=np.float64)
        except csv.Error as error:
            _refuse(path, f"line {rows.line_num} is broken ({error})")
    columns = table.reshape(-1, len(numbers)).T
    found = dict(zip(numbers, columns, strict=True))
    decoder = max(decoders, default="")
    return _from_columns(path, recordings, found, min(noise, default=None), times, decoder)


def _csv_rows(
    path: Path,
    rows: Any,
    header: list[str],
    numbers: list[str],
    recordings: set[str],
    noise: set[str],
    decoders: set[str],
    times: ResultTimes,
) -> Iterator[list[float]]:
    """Yield the numbers of each row; collect what else is said, and times."""
    wanted = [header.index(name) for name in numbers]
    file = header.index("file")
    noise_column = header.index(NOISE_COLUMN) if NOISE_COLUMN in header else None
    decoder_column = header.index(DECODER_COLUMN) if DECODER_COLUMN in header else None
    of_times = [header.index(name) if name in header else None for name in TIME_COLUMNS]
    has_times = any(i is not None for i in of_times)
    for row in rows:
        if len(row) != len(header):
            _refuse(path, f"line {rows.line_num} is cut off or has other columns")
        recordings.add(plain_cell(row[file]))
        if noise_column is not None:
            noise.add(plain_cell(row[noise_column]))
        if decoder_column is not None:
            decoders.add(row[decoder_column])
        try:
            values = [float(row[i]) for i in wanted]
        except ValueError as error:
            _refuse(path, f"line {rows.line_num}: {error}")
        if has_times:
            times.add(*values[:2], ["" if i is None else plain_cell(row[i]) for i in of_times])
        yield values


def _read_parquet(path: Path) -> Result:
    try:
        import pyarrow.lib
        import pyarrow.parquet
    except ImportError:
        _refuse(path, "cannot be read without pyarrow", f"install it: {pip_install('pyarrow')}")
    try:
        # Opened here, since pyarrow takes no name that is not UTF-8.
        with open(path, "rb") as opened, pyarrow.parquet.ParquetFile(opened) as file:
            numbers = _number_columns(path, file.schema_arrow.names)
            of_times = [name for name in TIME_COLUMNS if name in file.schema_arrow.names]
            table = file.read(columns=["file", *numbers, *of_times])
            metadata = file.schema_arrow.metadata or {}
            noise, decoder = (
                metadata.get(name.encode(), b"").decode() for name in (NOISE_COLUMN, DECODER_COLUMN)
            )
        recordings = set(table["file"].unique().to_pylist())
        columns = {name: table[name].to_numpy().astype(np.float64) for name in numbers}
        times = ResultTimes()
        if of_times:
            texts = [
                table[name].to_pylist() if name in of_times else [""] * len(table)
                for name in TIME_COLUMNS
            ]
            for start, end, *cells in zip(
                columns["start_s"], columns["end_s"], *texts, strict=True
            ):
                times.add(float(start), float(end), [str(cell or "") for cell in cells])
    except pyarrow.lib.ArrowException as error:
        _refuse(path, f"is not a complete parquet file ({str(error).splitlines()[0]})")
    return _from_columns(path, recordings, columns, noise or None, times, decoder)


def _number_columns(path: Path, header: Sequence[str]) -> list[str]:
    """Return the names of the columns to read, but for that of the recording."""
    needed = ["start_s", "end_s", "fmin_hz", "fmax_hz"]
    missing = [name for name in ("file", *needed) if name not in header]
    probabilities = [name for name in header if name.startswith(CLASS_PREFIX)]
    if missing or len(probabilities) < 2:
        _refuse(path, f"has no column {missing[0] if missing else 'p_<class> for two classes'}")
    if len(set(header)) < len(header):
        _refuse(path, "has two columns of one name")
    return needed + probabilities


def _from_columns(
    path: Path,
    recordings: set[str],
    columns: dict[str, np.ndarray],
    noise: str | None,
    times: ResultTimes,
    decoder: str,
) -> Result:
    """Make a result of the columns that ``_number_columns`` names, and of those of times."""
    if len(recordings) != 1:
        _refuse(path, f"holds {len(recordings)} recordings" if recordings else "holds no window")
    for name, values in columns.items():
        if not np.isfinite(values).all():
            _refuse(path, f"column {name} holds values that are not finite")
    (start, end, f_min, f_max), p = list(columns.values())[:4], list(columns.values())[4:]
    names = [name.removeprefix(CLASS_PREFIX) for name in columns if name.startswith(CLASS_PREFIX)]
    probabilities = np.stack(p, axis=1)
    winner, score = winner_and_score(probabilities)
    try:
        time = times.finish()
    except MomentError as error:
        _refuse(path, f"columns of times: {error}")
    return Result(
        file=recordings.pop(),
        classes={name: i for i, name in enumerate(names)},
        start_s=start,
        end_s=end,
        winner=winner,
        score=score,
        probabilities=probabilities,
        f_min=_whole(f_min[0]),
        f_max=_whole(f_max[0]),
        sequence_len=round(float(end[0] - start[0]), 3),
        hop=round(float(start[1] - start[0] if len(start) > 1 else end[0] - start[0]), 3),
        noise_class=noise,
        time=time,
        decoder=_decoder(path, decoder) if decoder else None,
    )


def _decoder(path: Path, text: str) -> EventSettings:
    try:
        return EventSettings.from_json(text)
    except ValueError as error:
        _refuse(path, f"what it says of its decoder cannot be used: {error}")


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < math.inf


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else float(value)


def _literal_dict(path: Path, number: int, message: str) -> dict[Any, Any]:
    try:
        value = ast.literal_eval(message.partition(":")[2].strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, dict):
        _refuse(path, f"line {number} holds no dictionary: {message[:60]!r}")
    return value


def _checked_classes(path: Path, classes: dict[Any, Any]) -> dict[str, int]:
    if len(classes) < 2 or sorted(map(str, classes.values())) != sorted(
        map(str, range(len(classes)))
    ):
        _refuse(path, f"its classes are not numbered 0, 1 ...: {classes}")
    return {str(name): int(index) for name, index in classes.items()}


def _refuse(path: Path, why: str, advice: str = "predict this recording again") -> NoReturn:
    raise ResultError(f"{path}: {why}; {advice}")
