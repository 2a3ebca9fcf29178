"""Spectra by a transform that is not the program's, and what rounding may change.

PyTorch's transform rounds otherwise on each kind of processor, so what was measured on the original
is met to the last digits only where the energy is. A transform of 32 bits is off by a few units in
the last place of the strongest amplitude of its frame, in every bin.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.signal
import torch
from torch import Tensor

from animal_spot.audio import dsp
from animal_spot.audio.spectrograms import SpectrogramPipeline

_ROUNDING = 4 * 2.0**-23  # of an amplitude, relative to the strongest one of its frame


def scipy_compressed(pipeline: SpectrogramPipeline, waveform: Tensor) -> list[Tensor]:
    """Turn a waveform ``(1, samples)`` into compressed power, by scipy in 32 and in 64 bits.

    Returns:
        Two tensors of shape ``(1, time, bands)``, for ``pipeline.finish``.
    """
    config = pipeline.config
    compressed = []
    for dtype in (np.float32, np.float64):
        hann = scipy.signal.get_window("hann", config.n_fft).astype(dtype)
        emphasised = dsp.preemphasise(waveform, config.preemphases)[0].numpy().astype(dtype)
        frames = np.lib.stride_tricks.sliding_window_view(emphasised, config.n_fft)
        spectra = scipy.fft.rfft(frames[:: config.hop_length] * hann)
        power = np.square(np.abs(spectra)) / np.square(hann).sum()
        at_bins = torch.from_numpy(power[:, pipeline.bins].astype(np.float32))[None]
        compressed.append(pipeline.compress(at_bins))
    return compressed


def power_bound(power: Tensor) -> Tensor:
    """Return how far power ``(..., time, stft bins)`` may be from that of another transform."""
    amplitude = power.sqrt()
    off = _ROUNDING * amplitude.amax(-1, keepdim=True)
    return 1e-5 * power + 2 * amplitude * off + off**2


def with_spread(found: Tensor, others: list[Tensor]) -> tuple[float, float]:
    """Return the sum of values, and what it differs in from those of other transforms at most."""
    sums = [float(values.double().sum()) for values in (found, *others)]
    return sums[0], max(sums) - min(sums)


def level_bound(power: Tensor, bound: Tensor, floor_db: float) -> Tensor:
    """Return how far levels in dB may be, of power that may be off by ``bound``."""
    return 1e-3 + 10 * torch.log10(1 + bound / power.clamp(min=10 ** (floor_db / 10)))


def normalised_bound(pipeline: SpectrogramPipeline, level: Tensor, bound_db: Tensor) -> Tensor:
    """Return how far normalised levels may be, of levels that may be off by ``bound_db``."""
    if not pipeline.config.min_max_norm:
        return 1e-5 + bound_db / -pipeline.config.min_level_db
    span = level.max() - level.min()
    extremes = bound_db.flatten()[level.argmin()] + bound_db.flatten()[level.argmax()]
    return 1e-5 + (bound_db + extremes) / span.clamp(min=1e-9)
