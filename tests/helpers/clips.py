"""Things that several test modules make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile as sf

YEAR = 2020


def clip_name(class_name: str, number: int, tape: str, start_ms: int = 0, end_ms: int = 300) -> str:
    """Return a base name in the naming convention."""
    return f"{class_name}-call_{number}_{YEAR}_{tape}_{start_ms}_{end_ms}.wav"


def tone(frequency: float, seconds: float, rate: int, amplitude: float = 0.4) -> np.ndarray:
    """Return a sine."""
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


def make_corpus(
    folder: Path,
    classes: dict[str, list[str]],
    seconds: float = 0.3,
    rate: int = 22050,
    seed: int = 0,
) -> Path:
    """Write one short clip for each tape of each class, in a folder for each class.

    A class is told by its tone (900, 2200, 3500 ... Hz, in the order of ``classes``) in weak noise.
    A tape that is listed twice gets two clips. Same arguments, same bytes.
    """
    rng = np.random.default_rng(seed)
    for index, (class_name, tapes) in enumerate(classes.items()):
        (folder / class_name).mkdir(parents=True, exist_ok=True)
        frequency = 900 + 1300 * index % int(0.4 * rate)
        for number, tape in enumerate(tapes):
            samples = tone(frequency, seconds, rate)
            samples += 0.01 * rng.standard_normal(len(samples))
            name = clip_name(class_name, number, tape, 0, int(1000 * seconds))
            sf.write(folder / class_name / name, samples, rate, subtype="PCM_16")
    return folder
