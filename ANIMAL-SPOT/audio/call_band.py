"""Lowest and highest frequency of a call, from what stands out against the sound around it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

_FRAME_S = 0.032
_LEAST_FRAME, _MOST_FRAME = 64, 4096  # samples
_STANDS_OUT = 10.0  # times the background, of a mean over neighbouring cells
_WEAK = 0.03  # of the energy that stands out lies beyond each end
_LEAST_CELLS = 4  # of the spectrogram that stand out; fewer are a click


def call_band(
    waveform: np.ndarray, rate: int, begin_s: float, end_s: float, band_hz: tuple[float, float]
) -> tuple[float, float] | None:
    """Find the band of a call.

    Each frequency is compared with its own background: the median of the sound before and after
    the call, or of all there is if that is next to nothing.

    Args:
        waveform: The call with some sound around it, shape ``(samples,)``.
        rate: Hz.
        begin_s: Of the call in the waveform.
        end_s: Its end.
        band_hz: Where it is looked for.

    Returns:
        Hz; None if nothing stands out enough to tell.
    """
    size = 1 << int(np.clip(_FRAME_S * rate, _LEAST_FRAME, _MOST_FRAME)).bit_length() - 1
    if len(waveform) < 4 * size:
        return None
    hop = size // 2
    frames = np.lib.stride_tricks.sliding_window_view(waveform, size)[::hop]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)))
    hz = np.fft.rfftfreq(size, 1 / rate)
    inside = (hz >= band_hz[0]) & (hz <= band_hz[1])
    times = (np.arange(len(frames)) * hop + size / 2) / rate
    within = (times >= begin_s) & (times <= end_s)
    if not inside.any() or not within.any():
        return None
    power, hz = uniform_filter(power[:, inside], 3, mode="nearest"), hz[inside]
    around = ~within if (~within).sum() >= within.sum() / 4 else np.ones_like(within)
    background = np.median(power[around], axis=0)
    background = np.maximum(background, 1e-12 * max(float(power.max()), 1e-30))
    loud = np.where(power[within] >= _STANDS_OUT * background, power[within], 0.0)
    if (loud > 0).sum() < _LEAST_CELLS:
        return None
    stands_out = loud.sum(0)
    share = np.cumsum(stands_out) / stands_out.sum()
    low = int(np.searchsorted(share, _WEAK))
    high = int(np.searchsorted(share, 1 - _WEAK))
    half = rate / size / 2
    return max(band_hz[0], float(hz[low] - half)), min(band_hz[1], float(hz[high] + half))
