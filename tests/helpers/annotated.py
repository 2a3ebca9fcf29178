"""Recordings with tables, and corpora that were cut out of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile as sf

RATE = 8000
RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tLabel"
)


def write_table(path: Path, events) -> None:
    """Write events ``(label, start_s, end_s)`` as Raven does."""
    rows = [
        f"{n}\tSpectrogram 1\t1\t{start:.6f}\t{end:.6f}\t500.0\t3000.0\t{label}"
        for n, (label, start, end) in enumerate(events, 1)
    ]
    path.write_text("\n".join([RAVEN, *rows]) + "\n")


def make_recording(folder: Path, stem: str, events, seconds: float = 20.0, seed: int = 0) -> Path:
    """Write noise and its table."""
    folder.mkdir(exist_ok=True)
    samples = np.random.default_rng(seed).integers(-9000, 9000, round(seconds * RATE), np.int16)
    sf.write(folder / f"{stem}.wav", samples, RATE, subtype="PCM_16")
    write_table(folder / f"{stem}.Table.1.selections.txt", events)
    return folder / f"{stem}.wav"


def rows_of(folder: Path, name: str = "labels.csv") -> list[dict[str, str]]:
    with open(folder / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of each file that a person sees."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
        if path.name[0] != "."
    }


def assert_is_of_its_source(corpus: Path, row: dict[str, str]) -> None:
    """Hold a clip against the recording, as ``labels.csv`` says where it is."""
    whole, rate = sf.read(row["source"], dtype="int16")
    start, end = (float(row[name]) * rate for name in ("source_start_s", "source_end_s"))
    assert abs(start - round(start)) < 0.01
    found, _ = sf.read(corpus / row["file"], dtype="int16")
    assert np.array_equal(found, whole[round(start) : round(end)])
