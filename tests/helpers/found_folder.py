"""The folder of a prediction, with recordings made for it: calls at known places."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import soundfile as sf

from animal_spot.detections.annotations import Annotation
from animal_spot.detections.journal import FILE_NAME, Completed
from animal_spot.detections.result_writers import RunHeader
from animal_spot.metadata.recording_time import RecordingTime
from animal_spot.prediction.run_tables import Tally, write_run_tables
from animal_spot.utils.own_files import JsonLines, OwnFiles

RATE = 8000  # Hz
CALL_S = 0.2
TONES = {"chirp": 2500.0, "hum": 600.0}  # Hz
BAND = {"fmin": 300, "fmax": 3500}


@dataclass
class FoundFolder:
    """What is to be written.

    Attributes:
        folder: Gets ``recordings`` and ``found``.
        classes: That are calls.
        rows: Detections of each recording.
        duration_s: Of each recording.
        starts: Of recordings, by name; others have none.
        sites: Likewise.
        failed: Reason of recordings that could not be used.
        odd: Warning of recordings.
    """

    folder: Path
    rows: dict[str, list[Annotation]]
    classes: tuple[str, ...] = tuple(TONES)
    duration_s: float = 30.0
    starts: dict[str, datetime] = field(default_factory=dict)
    sites: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    odd: dict[str, list[str]] = field(default_factory=dict)

    @property
    def recordings(self) -> Path:
        return self.folder / "recordings"

    @property
    def found(self) -> Path:
        return self.folder / "found"

    def write_sounds(self) -> None:
        """Write recordings in which each detection is a tone, the higher the class the longer."""
        self.recordings.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        noise = 0.003 * rng.standard_normal(round(self.duration_s * RATE))
        t = np.arange(round(CALL_S * RATE)) / RATE
        for name, rows in self.rows.items():
            samples = noise.copy()
            for row in rows:
                first = round(row.begin_s * RATE)
                tone_hz = TONES.get(row.name, 1500.0)
                part = samples[first : first + len(t)]
                part += 0.1 * np.sin(2 * np.pi * tone_hz * t[: len(part)])
            sf.write(self.recordings / name, samples, RATE)

    def write_tables(self) -> None:
        """Write what predict writes over all recordings."""
        self.found.mkdir(parents=True, exist_ok=True)
        names = (*self.classes, "noise")
        header = RunHeader("model.pk", {"sr": RATE, **BAND}, False, 0.5, 0.25, 0.5, names, "noise")
        paths = [self.recordings / name for name in (*self.rows, *self.failed)]
        entries, times = {}, {}
        for name, rows in self.rows.items():
            path = self.recordings / name
            times[path] = RecordingTime(self.starts.get(name), site=self.sites.get(name))
            entries[path] = Completed(
                path=str(path),
                stem=name,
                run="run",
                state=[1, 2, 3],
                digest="",
                duration_s=self.duration_s,
                n_windows=int(4 * self.duration_s),
                detections=dict(Counter(row.name for row in rows)),
                seconds=0.1,
                files={},
                annotations=[list(row) for row in rows],
                warnings=self.odd.get(name, []),
            )
        failed = {self.recordings / name: why for name, why in self.failed.items()}
        tally = Tally(paths, {}, frozenset(), entries, failed, times=times)
        with contextlib.closing(JsonLines(self.found / FILE_NAME)) as lines:
            write_run_tables(OwnFiles(self.found, lines), header.names, header.band_hz, tally)


def made(
    folder: Path,
    n_recordings: int,
    n_each: int,
    *,
    with_times: bool = True,
    duration_s: float = 30.0,
    classes: tuple[str, ...] = tuple(TONES),
) -> FoundFolder:
    """Return recordings of several nights, named by the clock, in each as many detections."""
    rng = np.random.default_rng(3)
    rows, starts = {}, {}
    for number in range(n_recordings):
        start = datetime(2024, 5, 1, 20) + timedelta(minutes=50) * number
        name = f"{start:%Y%m%d_%H%M%S}.wav"
        starts[name] = start
        begins = np.sort(rng.uniform(0, duration_s - CALL_S, n_each)).round(3)
        scores = (0.5 + 0.5 * rng.beta(3, 1.5, n_each)).round(4)
        rows[name] = [
            Annotation(
                float(b), float(b) + CALL_S, classes[int(rng.integers(len(classes)))], float(s)
            )
            for b, s in zip(begins, scores, strict=True)
        ]
    return FoundFolder(folder, rows, classes, duration_s, starts=starts if with_times else {})
