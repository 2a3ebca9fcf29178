"""The same calls as people keep them: named, in folders under any names, in one recording."""

from __future__ import annotations

import csv
import random
import shutil
from pathlib import Path

import numpy as np
import soundfile as sf

from animal_spot.data.labels import parse_clip


def as_class_folders(named: Path, folder: Path, seed: int = 0) -> Path:
    """Copy named clips into a folder for each class, as ``<random>-<tape>_<number>.wav``."""
    rng = random.Random(seed)
    word, number = f"{rng.randrange(16**6):06x}x", {}
    for path in sorted(named.rglob("*.wav")):
        clip = parse_clip(path.name)
        tape = clip.tape.replace("_", "")
        number[tape] = number.get(tape, 0) + rng.randint(1, 9)
        place = folder / clip.class_name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / f"{word}-{tape}_{number[tape]:04d}.wav")
    return folder


def as_one_recording(named: Path, folder: Path, ending: str = "wav", gap_s: float = 0.2) -> Path:
    """Write named clips one after the other into one recording, and a table of them beside it."""
    folder.mkdir(parents=True)
    parts, rows, n_samples = [], [], 0
    for path in sorted(named.rglob("*.wav")):
        clip = parse_clip(path.name)
        samples, rate = sf.read(path, dtype="int16")
        begin, n_samples = n_samples, n_samples + len(samples)
        row = ("day1." + ending, clip.class_name, begin / rate, n_samples / rate, clip.tape)
        rows.append((*row, "a note, with a comma"))
        silence = np.zeros(int(gap_s * rate), np.int16)
        parts += [samples, silence]
        n_samples += len(silence)
    sf.write(folder / f"day1.{ending}", np.concatenate(parts), rate)
    write_table(folder / "labels.csv", rows, ("file", "label", "start_s", "end_s", "tape", "note"))
    return folder


def write_table(path: Path, rows: list[tuple], names: tuple[str, ...], **how: str) -> Path:
    """Write a table; ``how`` may give ``delimiter`` and ``encoding``."""
    with open(path, "w", newline="", encoding=how.get("encoding", "utf-8")) as file:
        writer = csv.writer(file, delimiter=how.get("delimiter", ","))
        writer.writerow(names)
        writer.writerows(rows)
    return path
