"""Make recordings with calls at known times, and the Raven tables that name them.

The calls are those of ``demo.corpus``, in other renditions, and each recording is a tape of
its own, so that a model can be tried on sound that it has not heard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from animal_spot.demo.corpus import CALL_TYPES, RATE, call_waveform, sea_noise
from animal_spot.detections.annotation_tables import (
    RAVEN_ENDING,
    RAVEN_HEADER,
    raven_cells,
    table_line,
)
from animal_spot.detections.annotations import Annotation
from animal_spot.mixing.placement import random_starts
from animal_spot.utils.files import atomic_path, write_text_atomic

STEM = "recording"  # and a number
FIRST_TAPE = 1_000_000  # far from the tapes of any corpus
LEVELS_DB = (-12, 3)  # of a call against the noise, as in the corpus
NOISE_DB = -27  # re full scale


@dataclass(frozen=True)
class PlacedCall:
    """A call in the recording.

    Attributes:
        class_name: Call type.
        start: Sample it begins at.
        waveform: Shape ``(samples,)``, full scale 1.
    """

    class_name: str
    start: int
    waveform: np.ndarray

    @property
    def end(self) -> int:
        """Sample after its last."""
        return self.start + len(self.waveform)


def choose_types(n_calls: int, rng: np.random.Generator) -> list[str]:
    """Return call types in random order: each at least once, else by their share."""
    total = sum(call.share for call in CALL_TYPES.values())
    names = [
        name
        for name, call in CALL_TYPES.items()
        for _ in range(max(1, round(n_calls * call.share / total)))
    ]
    return [str(name) for name in rng.permutation(names)]


def place_calls(n_samples: int, n_calls: int, rng: np.random.Generator) -> list[PlacedCall]:
    """Return calls in order of time, ``LEAST_GAP_S`` and random times apart.

    Raises:
        ValueError: If the recording is too short for so many.
    """
    names = choose_types(n_calls, rng)
    sounds = [call_waveform(CALL_TYPES[name], rng) for name in names]
    starts = random_starts([len(sound) for sound in sounds], n_samples, RATE, rng)
    calls = []
    for name, sound, start in zip(names, sounds, starts, strict=True):
        level_db = NOISE_DB + rng.uniform(*LEVELS_DB)
        calls.append(PlacedCall(name, start, 10 ** (level_db / 20) * sound))
    return calls


def occupied_band(waveform: np.ndarray) -> tuple[float, float]:
    """Return the frequencies in Hz between which 98 % of the energy of a sound lies."""
    energy = np.cumsum(np.abs(np.fft.rfft(waveform)) ** 2)
    low, high = np.searchsorted(energy, np.array([0.01, 0.99]) * energy[-1])
    return float(low) * RATE / len(waveform), float(high) * RATE / len(waveform)


def selection_table(calls: list[PlacedCall]) -> str:
    """Return the calls as a selection table of Raven."""
    rows = [RAVEN_HEADER]
    for number, call in enumerate(calls, start=1):
        band_hz = (round(hz, 1) for hz in occupied_band(call.waveform))
        row = Annotation(call.start / RATE, call.end / RATE, call.class_name, math.nan)
        rows.append(raven_cells(number, row, *band_hz))
    return "".join(table_line(row[:-1]) for row in rows)  # nobody gave a score


def synthesise(
    output_dir: Path,
    minutes: float,
    calls_per_minute: float,
    seed: int,
    number: int = 1,
    name: str = STEM,
) -> int:
    """Write a recording and its table; return the number of calls.

    Args:
        output_dir: Where to.
        minutes: Length.
        calls_per_minute: Each type comes at least once.
        seed: Other numbers, other recordings.
        number: Of the recording, from 1: it has another sea and other calls.
        name: Of the file, before its number.

    Raises:
        ValueError: If the recording is too short for the calls.
        OSError: If a file cannot be written.
    """
    stem = f"{name}{number}"
    rng = np.random.default_rng([seed, *f"{STEM}{number}".encode()])
    n_samples = int(minutes * 60 * RATE)
    calls = place_calls(n_samples, round(minutes * calls_per_minute), rng)
    sound = 10 ** (NOISE_DB / 20) * sea_noise(n_samples, number * FIRST_TAPE + seed, rng)
    for call in calls:
        sound[call.start : call.end] += call.waveform
    output_dir.mkdir(parents=True, exist_ok=True)
    with atomic_path(output_dir / f"{stem}.wav") as temporary:
        sf.write(temporary, np.clip(sound, -1, 1), RATE, subtype="PCM_16", format="WAV")
    write_text_atomic(output_dir / f"{stem}{RAVEN_ENDING}", selection_table(calls))
    return len(calls)
