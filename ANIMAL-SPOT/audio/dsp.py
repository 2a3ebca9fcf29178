"""From a waveform to network input: pure functions on tensors.

Axis order is ``(..., time, freq)`` throughout. Formulas are those of ANIMAL-SPOT (Bergler et al.,
Scientific Reports 2022), which the tests hold against numbers measured on that program.
"""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from animal_spot.audio.signal_config import N_MFCC, Pcen


def preemphasise(waveform: Tensor, factor: float) -> Tensor:
    """Return ``y[n] = x[n] - factor * x[n - 1]`` along the last axis; ``y[0] = x[0]``."""
    result = waveform.clone()
    result[..., 1:] -= factor * waveform[..., :-1]
    return result


@functools.lru_cache(maxsize=8)
def hann_window(n_fft: int) -> Tensor:
    """Return the periodic Hann window of ``n_fft`` samples."""
    return torch.hann_window(n_fft, periodic=True)


def n_frames(n_samples: int, n_fft: int, hop_length: int) -> int:
    """Return how many whole STFT frames a waveform holds, at least the one it is padded to."""
    return 1 + max(0, n_samples - n_fft) // hop_length


def power_spectrogram(waveform: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Return the power of the short-time Fourier transform, scaled by the window's energy.

    Frames start at the first sample and are not centred. A waveform shorter than one frame is
    padded with zeros at its end.

    Args:
        waveform: Shape ``(channel, samples)``, full scale 1.
        n_fft: Length of window and transform, samples.
        hop_length: Samples between frame starts.

    Returns:
        Shape ``(channel, time, n_fft // 2 + 1)``.
    """
    if waveform.shape[-1] < n_fft:
        waveform = F.pad(waveform, (0, n_fft - waveform.shape[-1]))
    window = hann_window(n_fft).to(waveform.device)
    spectrum = torch.stft(
        waveform, n_fft, hop_length, window=window, center=False, return_complex=True
    )
    parts = torch.view_as_real(spectrum)
    power = parts.square().sum(-1) / window.square().sum()
    return power.transpose(-1, -2)


def linear_band(n_fft: int, sample_rate: int, f_min: float, f_max: float) -> tuple[int, int]:
    """Return the first STFT bin of the band and the one after its last."""
    low = max(0, math.floor(n_fft * f_min / sample_rate))
    high = min(n_fft - 1, math.ceil(n_fft * f_max / sample_rate))
    return low, min(high, n_fft // 2 + 1)


def nearest_indices(n_in: int, n_out: int) -> Tensor:
    """Return which input index each of ``n_out`` outputs takes in a nearest-neighbour resize."""
    scale = torch.tensor(n_in, dtype=torch.float32) / n_out
    indices = (torch.arange(n_out, dtype=torch.float32) * scale).floor().long()
    return indices.clamp_(max=n_in - 1)


@functools.lru_cache(maxsize=8)
def mel_bank(n_fft: int, sample_rate: int, f_min: float, f_max: float, n_mels: int) -> Tensor:
    """Return triangular filters, equally spaced in mel, with their corners on whole bins.

    mel(f) = 2595 log10(1 + f / 700). Where two neighbouring corners fall on one bin a filter can
    be empty; ``empty_mel_filters`` counts those.

    Returns:
        Weights of shape ``(n_fft // 2 + 1, n_mels)``, peak 1.
    """
    mel_min = 2595.0 * math.log10(1.0 + f_min / 700.0)
    mel_max = 2595.0 * math.log10(1.0 + f_max / 700.0)
    mel = torch.linspace(mel_min, mel_max, n_mels + 2, dtype=torch.float32)
    hertz = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    corner = torch.floor((n_fft + 1) * hertz / sample_rate).long()
    left, centre, right = corner[:-2], corner[1:-1], corner[2:]
    bins = torch.arange(n_fft // 2 + 1)[:, None]
    rising = (bins - left) / (centre - left).clamp(min=1)
    falling = (right - bins) / (right - centre).clamp(min=1)
    bank = torch.where((bins >= left) & (bins < centre), rising, torch.zeros(()))
    return torch.where((bins >= centre) & (bins < right), falling, bank).float()


def empty_mel_filters(bank: Tensor) -> int:
    """Count the filters of a mel bank that let nothing through."""
    return int((bank.sum(0) == 0).sum())


def power_to_db(power: Tensor, floor_db: float) -> Tensor:
    """Express power in dB re full scale, never under ``floor_db`` (below zero)."""
    return power.clamp(min=10.0 ** (floor_db / 10.0)).log10_().mul_(10.0)


@functools.lru_cache(maxsize=4)
def dct_basis(n_in: int, n_out: int) -> Tensor:
    """Return the unnormalised DCT-II rows 1 to ``n_out`` as a matrix ``(n_in, n_out)``."""
    n = torch.arange(n_in, dtype=torch.float64)[:, None]
    k = torch.arange(1, n_out + 1, dtype=torch.float64)
    return (2.0 * torch.cos(math.pi * k * (2.0 * n + 1.0) / (2.0 * n_in))).float()


def mfcc(mel_power: Tensor) -> Tensor:
    """Return cepstral coefficients 1 to 32 (fewer if there are fewer mel bands).

    Silent bands count as 0 dB, as in the original.

    Args:
        mel_power: Shape ``(..., time, mel)``.
    """
    level_db = 10.0 * mel_power.log10()
    level_db = torch.where(torch.isneginf(level_db), torch.zeros(()), level_db)
    n_mels = mel_power.shape[-1]
    return level_db @ dct_basis(n_mels, min(N_MFCC, n_mels - 1)).to(mel_power.device)


def normalise_db_range(level_db: Tensor, min_level_db: float, ref_level_db: float) -> Tensor:
    """Map ``ref + min .. ref`` dB (``min`` below zero) to 0..1, clamped."""
    return ((level_db - ref_level_db - min_level_db) / -min_level_db).clamp(0.0, 1.0)


def normalise_min_max(values: Tensor, extremes: Tensor | None = None) -> Tensor:
    """Map the smallest value to 0 and the largest to 1; constant input becomes all 0.

    Args:
        values: Any shape.
        extremes: Smallest and largest value, where ``values`` is only a part of what they are of.
    """
    low, high = values.aminmax() if extremes is None else extremes.unbind()
    span = high - low
    return (values - low).div_(torch.where(span > 0, span, 1.0))


def smoothing_matrix(n_frames: int, smoothing: float, device: torch.device | str = "cpu") -> Tensor:
    """Write a running mean over time as a matrix.

    ``matrix @ x`` is ``M[t] = (1 - s) M[t - 1] + s x[t]`` with ``M[0] = x[0]``: as if the first
    frame had lasted for ever before. Exact, and without a loop over frames, so that every runtime
    can do it.

    Args:
        n_frames: Length in time.
        smoothing: ``s``, above 0 and below 1.
        device: Where to compute.

    Returns:
        Lower triangular, shape ``(n_frames, n_frames)``.
    """
    t = torch.arange(n_frames, device=device)
    age = t[:, None] - t
    decay = torch.exp(age.clamp(min=0) * math.log1p(-smoothing))
    weight = torch.where(t > 0, smoothing, 1.0)  # the first frame stands for all that is older
    return torch.where(age >= 0, decay * weight, 0.0)


def pcen(power: Tensor, matrix: Tensor, floor_db: float, numbers: Pcen) -> Tensor:
    """Normalise each frequency by its own energy in the past, then compress it.

    ``(E / (floor + M)^gain + bias)^power - bias^power``, where ``M`` is the running mean of the
    energy ``E`` over time (Wang et al., Trainable frontend for robust and far-field keyword
    spotting, ICASSP 2017; Lostanlen et al., Per-channel energy normalization: why and how, IEEE
    Signal Processing Letters 2019). Silence becomes 0 and an onset more than a sound that goes on.

    Args:
        power: Energy, shape ``(..., time, freq)``.
        matrix: ``smoothing_matrix`` of that many frames.
        floor_db: Level in dB below which everything counts as silence.
        numbers: Gain, bias and power.

    Returns:
        The same shape, 0 or more.
    """
    floor, bias, exponent = 10.0 ** (floor_db / 10.0), numbers.bias, numbers.power
    relative = power * (matrix @ power + floor).pow(-numbers.gain)
    return (relative + bias).pow(exponent) - bias**exponent


def fit_length(spectrogram: Tensor, n_out: int, position: float = 0.5) -> Tensor:
    """Crop, or pad with zeros, along time to ``n_out`` frames.

    Args:
        spectrogram: Shape ``(channel, time, freq)``.
        n_out: Frames wanted.
        position: Where the crop (or the clip inside the padding) lies: 0 at the start, 0.5 in the
            centre, towards 1 at the end; in [0, 1).
    """
    excess = spectrogram.shape[-2] - n_out
    if excess > 0:
        return spectrogram.narrow(-2, crop_offset(excess, position), n_out)
    if excess < 0:
        before = crop_offset(-excess, position)
        return F.pad(spectrogram, (0, 0, before, -excess - before))
    return spectrogram


def crop_offset(excess: int, position: float) -> int:
    """Return the first frame of a crop that leaves out ``excess`` frames."""
    return excess // 2 if position == 0.5 else int(position * (excess + 1))
