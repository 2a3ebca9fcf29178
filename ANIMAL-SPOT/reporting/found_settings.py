"""What the results of a prediction say of how it was made: model, windows, thresholds, warnings."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from animal_spot.detections.event_settings import EventSettings
from animal_spot.detections.result_writers import SUFFIXES
from animal_spot.reporting.found_tables import Recording

RUN_LOG = "PREDICT.log"
_N_HEAD, _N_TRIED = 40, 20  # lines of a log; recordings
_N = r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?)"
_EXTENT = re.compile(
    rf"prediction length: {_N}\[s\], hop length: {_N}\[s\], threshold: {_N}, "
    rf"prediction fmin: {_N}\[Hz\] prediction fmax: {_N}\[Hz\]"
)
_LINE = re.compile(r"[^|]{0,40}\|([A-Z]+)\|(.*)")
_CLASS_THRESHOLD = re.compile(rf"(?:^|, )(.+?) {_N} \(found on [^)]*\)")
_RATE = re.compile(r"recordings at \d+ Hz hold nothing above")
_LARGEST_LOG = 20_000_000  # bytes of its end that are read


@dataclass(frozen=True)
class Settings:
    """How a prediction was made, as far as its results say.

    Attributes:
        models: Model files.
        length_s: Of a window.
        hop_s: Between windows.
        threshold: Least score of a detection.
        class_thresholds: Those of single classes.
        fmin_hz: Lower end of the band that the model listens to.
        fmax_hz: Upper end.
        noise_class: Class that is no call, where it has another name than noise.
        decoder: How windows became events; None: overlapping ones were joined, or it is not known.
        warnings: Of the run.
    """

    models: tuple[str, ...] = ()
    length_s: float | None = None
    hop_s: float | None = None
    threshold: float | None = None
    class_thresholds: dict[str, float] = field(default_factory=dict)
    fmin_hz: float | None = None
    fmax_hz: float | None = None
    noise_class: str | None = None
    decoder: EventSettings | None = None
    warnings: tuple[str, ...] = ()

    def threshold_of(self, name: str) -> float | None:
        """Return the least score of a detection of a class; None: not known."""
        if self.decoder is not None:
            return self.decoder.threshold
        return self.class_thresholds.get(name, self.threshold)


def read_settings(folder: Path, recordings: Sequence[Recording]) -> Settings:
    """Find what there is: the head of a log, or a table of windows; and the log of the run."""
    found = Settings()
    stems = [one.stem for one in recordings if one.is_complete and one.stem][:_N_TRIED]
    readers = {"log": _of_log, "csv": _of_csv, "parquet": _of_parquet}
    for kind, stem in itertools.product(readers, stems):
        path = folder / (stem + SUFFIXES[kind])
        with contextlib.suppress(OSError, ValueError, LookupError):
            found = readers[kind](path)
            break
    return _with_run_log(found, folder / RUN_LOG)


def _of_log(path: Path) -> Settings:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = [_LINE.match(line.rstrip("\n")) for line in itertools.islice(file, _N_HEAD)]
    found = Settings()
    for said in [line[2] for line in lines if line]:
        if said.startswith("Model Path: "):
            found = replace(found, models=tuple(said.removeprefix("Model Path: ").split(",")))
        elif extent := _EXTENT.match(said):
            length_s, hop_s, threshold, fmin_hz, fmax_hz = map(float, extent.groups())
            found = replace(found, length_s=length_s, hop_s=hop_s, threshold=threshold)
            found = replace(found, fmin_hz=fmin_hz, fmax_hz=fmax_hz)
        elif said.startswith("noise class: "):
            found = replace(found, noise_class=said.removeprefix("noise class: "))
        elif said.startswith("decoder: "):
            found = replace(found, decoder=EventSettings.from_json(said.removeprefix("decoder: ")))
        elif said.startswith("size of the file"):
            break
    return found


def _of_csv(path: Path) -> Settings:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        row = next(csv.DictReader(file), {})
    decoder = row.get("decoder")
    return Settings(
        fmin_hz=float(row["fmin_hz"]),
        fmax_hz=float(row["fmax_hz"]),
        noise_class=row.get("noise_class") or None,
        decoder=EventSettings.from_json(decoder) if decoder else None,
    )


def _of_parquet(path: Path) -> Settings:
    import pyarrow.parquet as pq  # slow to import

    with open(path, "rb") as file:
        metadata = pq.read_schema(file).metadata or {}
    said = {key.decode(): value.decode() for key, value in metadata.items()}
    return Settings(
        models=tuple(said["model_path"].split(",")),
        length_s=float(said["sequence_len"]),
        hop_s=float(said["hop"]),
        threshold=float(said["threshold"]),
        class_thresholds=json.loads(said.get("class_thresholds", "{}")),
        noise_class=said.get("noise_class"),
        decoder=EventSettings.from_json(said["decoder"]) if "decoder" in said else None,
    )


def _with_run_log(found: Settings, path: Path) -> Settings:
    """Add what the last run says in its log, where that lies in the folder."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - _LARGEST_LOG))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return found
    lines = [line for line in map(_LINE.match, text.splitlines()) if line]
    starts = [i for i, line in enumerate(lines) if line[2].startswith("start on ")]
    lines = lines[starts[-1] :] if starts else lines
    thresholds = dict(found.class_thresholds)
    for line in lines:
        if line[2].startswith("thresholds of the model file: "):
            said = line[2].removeprefix("thresholds of the model file: ")
            thresholds |= {name: float(value) for name, value in _CLASS_THRESHOLD.findall(said)}
    warnings = [line[2] for line in lines if line[1] in ("W", "WARNING") and _RATE.match(line[2])]
    return replace(found, class_thresholds=thresholds, warnings=tuple(dict.fromkeys(warnings)))
