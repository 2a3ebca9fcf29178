"""What chance does to a training clip: level, pitch, speed, added noise and position.

Everything is drawn from one generator per clip and epoch, so that a clip's fate does not depend on
the loader's workers or on the batch that it is in.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from animal_spot.audio import dsp
from animal_spot.audio.spectrograms import PowerBand, SpectrogramPipeline
from animal_spot.data.augmentation_limits import Augmentation


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


def draw_distortion(
    limits: Augmentation, rng: np.random.Generator, *, gain: bool = True
) -> Distortion:
    """Draw gain evenly in dB, pitch and stretch evenly in their logarithm."""
    low, high = limits.gain_db
    gain_db = float(rng.integers(low, high + 1)) if gain else 0.0
    pitch = float(np.exp2(rng.uniform(*np.log2(limits.pitch))))
    stretch = float(np.exp2(rng.uniform(*np.log2(limits.stretch))))
    return Distortion(gain_db, pitch, stretch)


def clip_generator(seed: int, epoch: int, clip_path: str, n_before: int = 0) -> np.random.Generator:
    """Return the generator of everything that happens to a clip in an epoch.

    Args:
        seed: Of the run.
        epoch: Number of the epoch.
        clip_path: Name of the clip.
        n_before: How often the clip was drawn before in this epoch.
    """
    return np.random.default_rng(
        [seed, epoch, zlib.crc32(clip_path.encode(errors="surrogateescape"), n_before)]
    )


def pitch_source_bins(bins: np.ndarray, n_stft_bins: int, factor: float) -> np.ndarray:
    """Return the STFT bin that each of ``bins`` shows after a pitch shift.

    The frequency axis is resized to ``round(n_stft_bins * factor)`` by nearest neighbour; above it
    there is nothing, marked -1.
    """
    n_shifted = round(n_stft_bins * factor)
    source = dsp.nearest_indices(n_stft_bins, n_shifted).numpy()
    return np.where(bins < n_shifted, source[np.minimum(bins, n_shifted - 1)], -1)


def stretched_rows(n_rows: int, factor: float) -> np.ndarray:
    """Return the frame that each frame shows after a time stretch by nearest neighbour."""
    return dsp.nearest_indices(n_rows, max(1, round(n_rows * factor))).numpy()


def noise_rows(n_noise: int, n_rows: int, stretch: float, rng: np.random.Generator) -> np.ndarray:
    """Choose ``n_rows`` frames of a noise clip: a part of a longer one, or a shorter one repeated.

    Args:
        n_noise: Frames of the noise clip; beyond ``2 * n_rows`` a part is drawn before stretching.
        n_rows: Frames wanted.
        stretch: Factor on the duration of the noise.
        rng: Draws the positions.
    """
    first = 0
    if n_noise > 2 * n_rows:
        first = int(rng.integers(n_noise - 2 * n_rows + 1))
        n_noise = 2 * n_rows
    rows = first + stretched_rows(n_noise, stretch)
    repeats = -(-n_rows // len(rows))
    start = int(rng.integers(repeats * len(rows) - n_rows + 1))
    return rows[np.arange(start, start + n_rows) % len(rows)]


def mix_noise(clip_power: Tensor, noise_power: Tensor, snr_db: float) -> Tensor:
    """Add noise at a signal-to-noise ratio of the summed powers; silent noise changes nothing.

    Args:
        clip_power: Shape ``(time, bins)``.
        noise_power: The same shape.
        snr_db: Ratio in dB.
    """
    factor = clip_power.sum() / noise_power.sum() * 10.0 ** (-snr_db / 10.0)
    if not torch.isfinite(factor):
        return clip_power
    return torch.add(clip_power, noise_power * factor)


def random_filter_db(n_bins: int, strength_db: float, rng: np.random.Generator) -> Tensor:
    """Draw the response of a smooth filter: a sum of four cosines over the bins.

    Cosine k has a normally distributed amplitude of ``strength_db / k`` and any phase.

    Returns:
        Gain of each bin in dB, shape ``(n_bins,)``.
    """
    k = np.arange(1, 5)[:, None]
    position = np.linspace(0, 1, n_bins)
    phase = rng.uniform(0, 2 * np.pi, (4, 1))
    amplitude = strength_db / k * rng.standard_normal((4, 1))
    response = (amplitude * np.cos(np.pi * k * position + phase)).sum(0)
    return torch.from_numpy(response.astype(np.float32))


def augment(
    band: PowerBand,
    pipeline: SpectrogramPipeline,
    n_frames: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
    draw_noise: Callable[[], PowerBand] | None = None,
) -> Tensor:
    """Make a network input out of a clip that chance has altered.

    Args:
        band: The clip, kept wide enough for pitch shifts.
        pipeline: Signal path.
        n_frames: Length of the input.
        augmentation: How far chance may go.
        rng: The clip's generator.
        draw_noise: Gives the band of a noise clip to mix in; None for no noise.

    Returns:
        Shape ``(1, n_frames, n_features)``.
    """
    distortion = draw_distortion(augmentation, rng)
    rows = stretched_rows(len(band.values), distortion.stretch)
    if augmentation.time_shift:
        rows = np.roll(rows, rng.integers(len(rows)))
    if draw_noise is not None and rng.random() >= augmentation.noise_probability:
        draw_noise = None
    bins = pitch_source_bins(pipeline.bins, band.n_stft_bins, distortion.pitch)
    adds_nothing = draw_noise is None and not augmentation.filter_db
    signal = pipeline.config
    if adds_nothing and signal.freq_compression == "linear" and signal.pcen is None:
        return _augment_levels(band, rows, bins, distortion.gain_db, pipeline, n_frames, rng)
    power = pipeline.compress(band.to_power(band.gather(rows, bins)))
    power = power * 10.0 ** (distortion.gain_db / 10.0)
    if draw_noise is not None:
        if len(power) < n_frames:
            power = dsp.fit_length(power[None], n_frames, rng.random())[0]
        noise_band = draw_noise()
        change = draw_distortion(augmentation, rng, gain=False)
        rows = noise_rows(len(noise_band.values), len(power), change.stretch, rng)
        bins = pitch_source_bins(pipeline.bins, noise_band.n_stft_bins, change.pitch)
        noise_power = pipeline.compress(noise_band.to_power(noise_band.gather(rows, bins)))
        low, high = augmentation.snr_db
        power = mix_noise(power, noise_power, float(rng.integers(low, high + 1)))
    if augmentation.filter_db:
        response_db = random_filter_db(power.shape[1], augmentation.filter_db, rng)
        power = power * 10.0 ** (response_db / 10.0)
    return pipeline.finish_clip(power, n_frames, rng.random())


def _augment_levels(
    band: PowerBand,
    rows: np.ndarray,
    bins: np.ndarray,
    gain_db: float,
    pipeline: SpectrogramPipeline,
    n_frames: int,
    rng: np.random.Generator,
) -> Tensor:
    """Do the same where nothing adds powers: on levels, and only for the frames that are kept."""
    floor_db = pipeline.config.min_level_db
    position = rng.random()
    excess = max(0, len(rows) - n_frames)
    first = dsp.crop_offset(excess, position)
    kept = slice(first, first + n_frames)
    extremes = None
    if pipeline.config.min_max_norm:
        values = band.gather(rows, bins)
        span = np.array([values.min(), values.max()], dtype=values.dtype)
        extremes = (band.to_db(span, floor_db - gain_db) + gain_db).clamp(min=floor_db)
        values = values[kept]
    else:
        values = band.gather(rows[kept], bins)
    level = band.to_db(values, floor_db - gain_db) + gain_db
    return dsp.fit_length(pipeline.normalise(level, extremes)[None], n_frames, position)
