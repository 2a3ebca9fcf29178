"""What chance does to a training clip: level, pitch, speed, added noise and position.

Everything is drawn from one generator per clip and epoch, so that a clip's fate does not depend on
the loader's workers or on the batch that it is in.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data import dsp
from data.pipeline import PITCH_FACTORS, PowerBand, SpectrogramPipeline

GAIN_DB = (-6, 2)  # whole dB, both ends included
STRETCH_FACTORS = (0.5, 2.0)
NOISE_SNR_DB = (-3, 11)  # whole dB, both ends included


def clip_generator(seed: int, epoch: int, clip_path: str) -> np.random.Generator:
    """Return the generator of everything that happens to a clip in an epoch."""
    return np.random.default_rng([seed, epoch, zlib.crc32(clip_path.encode())])


@dataclass(frozen=True)
class Distortion:
    """One draw of level, pitch and speed.

    Attributes:
        gain_db: Added to the level.
        pitch: Factor on all frequencies.
        stretch: Factor on the duration.
    """

    gain_db: float = 0.0
    pitch: float = 1.0
    stretch: float = 1.0


def draw_distortion(rng: np.random.Generator, *, gain: bool = True) -> Distortion:
    """Draw gain evenly in dB, pitch and stretch evenly in their logarithm."""
    low, high = GAIN_DB
    gain_db = float(rng.integers(low, high + 1)) if gain else 0.0
    pitch = float(np.exp2(rng.uniform(*np.log2(PITCH_FACTORS))))
    stretch = float(np.exp2(rng.uniform(*np.log2(STRETCH_FACTORS))))
    return Distortion(gain_db, pitch, stretch)


def pitch_source_bins(bins: np.ndarray, n_stft_bins: int, factor: float) -> np.ndarray:
    """Return the STFT bin that each of ``bins`` shows after a pitch shift.

    The frequency axis is resized to ``round(n_stft_bins * factor)`` by nearest neighbour; above it
    there is nothing, marked -1.
    """
    n_shifted = round(n_stft_bins * factor)
    source = dsp.nearest_indices(n_stft_bins, n_shifted).numpy()
    return np.where(bins < n_shifted, source[np.minimum(bins, n_shifted - 1)], -1)


def distort(band: PowerBand, pipeline: SpectrogramPipeline, distortion: Distortion) -> Tensor:
    """Return the compressed power of a distorted clip, shape ``(time, bins)``."""
    n_rows = round(len(band.values) * distortion.stretch)
    rows = dsp.nearest_indices(len(band.values), max(1, n_rows)).numpy()
    bins = pitch_source_bins(pipeline.bins, band.n_stft_bins, distortion.pitch)
    power = pipeline.compress(band.take(rows, bins))
    return power * 10.0 ** (distortion.gain_db / 10.0)


def mix_noise(
    clip_power: Tensor, noise_power: Tensor, snr_db: float, rng: np.random.Generator
) -> Tensor:
    """Add noise, repeated or cut at random to the clip's length, at a signal-to-noise ratio.

    Args:
        clip_power: Shape ``(time, bins)``.
        noise_power: Shape ``(any time, bins)``; silent noise changes nothing.
        snr_db: Ratio of the summed powers.
        rng: Draws the position in the noise.
    """
    n_rows = len(clip_power)
    if len(noise_power) < n_rows:
        repeats = -(-n_rows // len(noise_power))
        noise_power = noise_power.repeat(repeats, 1)
    start = int(rng.integers(len(noise_power) - n_rows + 1))
    noise_power = noise_power[start : start + n_rows]
    noise_sum = noise_power.sum()
    if noise_sum <= 0:
        return clip_power
    return torch.add(
        clip_power, noise_power * (clip_power.sum() / noise_sum * 10.0 ** (-snr_db / 10.0))
    )
