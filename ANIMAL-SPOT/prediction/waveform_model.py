"""A classifier with its whole signal path inside: waveform in, probabilities out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from animal_spot.audio import dsp
from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline


class WaveformModel(nn.Module):
    """Waveforms ``(batch, samples)`` to class probabilities ``(batch, classes)``.

    The waveforms are mono float32 at the model's rate, full scale 1. Each takes the path of
    ``SpectrogramPipeline.features``. Its transform is written as a convolution with those rows of
    the DFT that are needed, which every runtime can do; in float32 it is as exact as the FFT, from
    which it differs in bands that hold no more than rounding errors. Batch size and length stay
    free in an export.

    Args:
        network: Spectrogram ``(batch, 1, time, freq)`` to logits ``(batch, classes)``.
        signal: The signal path that the network was trained on.

    Raises:
        ValueError: If no STFT bin lies in the band.
    """

    def __init__(self, network: nn.Module, signal: SignalConfig) -> None:
        super().__init__()
        self.signal = signal
        self.network = network
        pipeline = SpectrogramPipeline(signal)
        bins, columns = np.unique(pipeline.bins, return_inverse=True)
        self.register_buffer("dft", dft_rows(signal.n_fft, bins))
        if signal.freq_compression == "linear":
            self.register_buffer("columns", torch.from_numpy(columns))
        else:
            self.register_buffer("bank", pipeline.compress(torch.eye(len(bins))))
        if signal.freq_compression == "mfcc":
            dct = dsp.dct_basis(signal.n_freq_bins, pipeline.n_features)
            self.register_buffer("dct", dct.clone())

    def forward(self, waveform: Tensor) -> Tensor:
        """Apply signal path, network and softmax."""
        return self.network(self.features(waveform)[:, None]).softmax(-1)

    def features(self, waveform: Tensor) -> Tensor:
        """Waveforms to network input, shape ``(batch, time, freq)``."""
        compressed, signal = self._compress(self._power(waveform)), self.signal
        if signal.pcen is not None:
            n_frames = compressed.shape[1]
            matrix = dsp.smoothing_matrix(n_frames, signal.smoothing, compressed.device)
            return dsp.pcen(compressed, matrix, signal.min_level_db, signal.pcen)
        level = self._level(compressed)
        if not signal.min_max_norm:
            return dsp.normalise_db_range(level, signal.min_level_db, signal.ref_level_db)
        extremes = torch.stack([level.amin((1, 2), keepdim=True), level.amax((1, 2), keepdim=True)])
        return dsp.normalise_min_max(level, extremes)

    def _power(self, waveform: Tensor) -> Tensor:
        """Return the power at the bins that are needed, shape ``(batch, time, bins)``."""
        delayed = F.pad(waveform, (1, 0))[:, :-1]
        emphasised = waveform - self.signal.preemphases * delayed
        n_samples = waveform.shape[1]
        emphasised = F.pad(emphasised, (0, _max(n_samples, self.signal.n_fft) - n_samples))
        parts = F.conv1d(emphasised[:, None], self.dft, stride=self.signal.hop_length)
        cosines, sines = parts.transpose(1, 2).chunk(2, dim=-1)
        return cosines * cosines + sines * sines

    def _compress(self, power: Tensor) -> Tensor:
        if self.signal.freq_compression == "linear":
            return power.index_select(-1, self.columns)
        return power @ self.bank

    def _level(self, compressed: Tensor) -> Tensor:
        if self.signal.freq_compression != "mfcc":
            return dsp.power_to_db(compressed, self.signal.min_level_db)
        level_db = 10.0 * compressed.log10()
        return torch.where(compressed == 0, torch.zeros_like(level_db), level_db) @ self.dct


class WaveformEnsemble(nn.Module):
    """Several ``WaveformModel`` of one sampling rate; the mean of their probabilities.

    Args:
        models: Waveforms ``(batch, samples)`` to probabilities ``(batch, classes)``.
        temperature: Of the mean.
    """

    def __init__(self, models: Sequence[WaveformModel], temperature: float = 1.0) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self.temperature = temperature

    def forward(self, waveform: Tensor) -> Tensor:
        """Average, and apply the temperature."""
        mean = torch.stack([model(waveform) for model in self.models]).mean(0)
        if self.temperature == 1:
            return mean
        return (mean.log() / self.temperature).softmax(-1)


def dft_rows(n_fft: int, bins: np.ndarray) -> Tensor:
    """Return rows of the DFT, times the Hann window, divided by the root of its energy.

    The window is the float32 one of ``dsp``: near its ends, where it is small, its rounding shows
    in decibels.

    Args:
        n_fft: Length of the transform, samples.
        bins: STFT bins, shape ``(bins,)``.

    Returns:
        Cosines, then sines, as weights of a convolution: ``(2 * bins, 1, n_fft)``.
    """
    window = dsp.hann_window(n_fft)
    window = window.double() / math.sqrt(float(window.square().sum()))
    turns = torch.from_numpy(np.outer(bins, np.arange(n_fft)) % n_fft / n_fft)
    angles = 2 * math.pi * turns
    return (torch.cat([angles.cos(), angles.sin()]) * window).float()[:, None]


def _max(length: int | Tensor, least: int) -> int | Tensor:
    """Return the larger in a form that a trace (``length`` is a tensor) and an export both keep."""
    return length.clamp(min=least) if isinstance(length, Tensor) else torch.sym_max(length, least)
