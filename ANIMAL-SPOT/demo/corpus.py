"""Make a small corpus of orca-like calls to try the program on.

Every sound is computed here: pulsed calls, each class with its own melody, over sea noise that is
coloured by the recording ("tape") it is in. Clips follow the naming rule of real corpora.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

RATE = 44100  # Hz
CLIP_S = 1.2
YEAR = 2026


@dataclass(frozen=True)
class CallType:
    """A call type.

    Attributes:
        melody_hz: Fundamental frequency at equally spaced times of the call.
        duration_s: Typical length.
        tilt_db: Level from one harmonic to the next.
        share: Clips of this class, relative to the others.
    """

    melody_hz: tuple[float, ...]
    duration_s: float
    tilt_db: float
    share: float = 1.0


CALL_TYPES = {
    "N01": CallType((550, 900, 880, 860, 1250), 0.80, -3.0),
    "N04": CallType((1400, 1150, 700, 650, 640), 0.55, -4.0),
    "N07": CallType((620, 640, 650, 640, 620), 0.70, -2.0),
    "N09": CallType((700, 1300, 700, 1300, 700), 0.75, -4.0),
    "N23": CallType((900, 920, 1800, 1850, 1900), 0.45, -3.0, share=0.2),  # the rare one
}


def call_waveform(call: CallType, rng: np.random.Generator) -> np.ndarray:
    """Return one rendition of a call, shape ``(samples,)``, root mean square 1."""
    n_samples = int(RATE * call.duration_s * rng.uniform(0.85, 1.15))
    time = np.linspace(0, 1, n_samples)
    points = np.array(call.melody_hz) * rng.uniform(0.95, 1.05)
    points *= rng.normal(1, 0.015, len(points))
    knots = np.linspace(0, 1, len(points))
    smooth = np.interp(time, knots, points)
    width = max(1, n_samples // 12)
    smooth = np.convolve(np.pad(smooth, width, mode="edge"), np.ones(width) / width, "same")
    phase = 2 * np.pi * np.cumsum(smooth[width:-width]) / RATE
    highest = smooth.max()
    harmonics = range(1, int(12000 / highest) + 1)
    sound = sum(
        10 ** (call.tilt_db * (k - 1) / 20) * np.sin(k * phase + rng.uniform(0, 2 * np.pi))
        for k in harmonics
    )
    edge = np.minimum(1, np.minimum(time, 1 - time) / 0.08)
    pulses = 1 + 0.3 * np.sin(2 * np.pi * rng.uniform(60, 90) * time * call.duration_s)
    sound = sound * edge * pulses
    return sound / np.sqrt(np.mean(sound**2))


def sea_noise(n_samples: int, tape: int, rng: np.random.Generator) -> np.ndarray:
    """Return noise with the colour of a tape, shape ``(samples,)``, root mean square 1."""
    colour = np.random.default_rng(tape)
    spectrum = np.fft.rfft(rng.normal(size=n_samples))
    frequency = np.fft.rfftfreq(n_samples, 1 / RATE)
    slope_db = colour.uniform(-7, -3)  # per octave
    level_db = slope_db * np.log2(np.maximum(frequency, 50) / 50)
    centre, gain_db = colour.uniform(800, 9000), colour.uniform(-10, 10)
    level_db += gain_db * np.exp(-((np.log2(np.maximum(frequency, 50) / centre)) ** 2))
    noise = np.fft.irfft(spectrum * 10 ** (level_db / 20), n_samples)
    return noise / np.sqrt(np.mean(noise**2))


def make_clip(class_name: str, tape: int, rng: np.random.Generator) -> np.ndarray:
    """Return a clip of a class on a tape, shape ``(samples,)``, full scale 1."""
    n_samples = int(RATE * CLIP_S)
    clip = sea_noise(n_samples, tape, rng)
    if class_name in CALL_TYPES:
        call = call_waveform(CALL_TYPES[class_name], rng)
        start = int(rng.integers(n_samples - len(call) + 1))
        # The noise is mostly below the calls: 0 dB over all is plain to see in a spectrogram.
        clip[start : start + len(call)] += 10 ** (rng.uniform(-12, 3) / 20) * call
    level = 10 ** (rng.uniform(-34, -20) / 20)
    return np.clip(level * clip, -1, 1)


def synthesise(output_dir: Path, n_clips: int, n_tapes: int, seed: int) -> dict[str, int]:
    """Write a corpus, one folder a class; return the number of clips of each class."""
    counts = {}
    for class_name in [*CALL_TYPES, "noise"]:
        rng = np.random.default_rng([seed, *class_name.encode()])
        share = CALL_TYPES[class_name].share if class_name in CALL_TYPES else 1.0
        counts[class_name] = max(3, round(n_clips * share))
        folder = output_dir / class_name
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(counts[class_name]):
            tape = int(rng.integers(n_tapes)) if i >= 3 else (i * n_tapes) // 3
            start_ms = int(rng.integers(3_600_000))
            name = (
                f"{class_name}-synthetic_{i + 1}_{YEAR}_TAPE{tape + 1:02d}_"
                f"{start_ms}_{start_ms + int(CLIP_S * 1000)}.wav"
            )
            clip = make_clip(class_name, tape, rng)
            sf.write(folder / name, clip, RATE, subtype="PCM_16")
    return counts
