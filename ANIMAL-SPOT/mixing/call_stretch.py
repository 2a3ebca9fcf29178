"""Where in a clip the call is, told by what is louder than the clip's own background."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

BAND_HZ = (300.0, 12000.0)  # where calls are; without the hum that most hydrophones have
FRAME_S = 0.02
HOP_S = 0.01
QUIET_SHARE = 0.2  # of the frames of a clip, at each frequency, are background
LEAST_DB = 9.0  # over the background; noise alone, smoothed, is hardly ever beyond
MOST_DB = 15.0  # more at one frequency does not count more, so that breadth does
SHARES = (0.4, 0.25, 0.15)  # of its highest value, over which the call stands out
SHORT_S = 0.3  # a call that seems shorter is looked for with the next share
_CLICK_FRAMES = 7  # what is shorter than half of this does not count
_CLOSE_S = 0.15  # parts so close are one call
_LEAST_MEAN_DB = 0.12  # over all frequencies; chance in noise alone gives less
_SMALLEST = 1e-12  # power, so that digital silence has a level


@dataclass(frozen=True)
class Stretch:
    """A part of a clip.

    Attributes:
        begin: First sample.
        end: Sample after the last.
    """

    begin: int
    end: int


def frame_powers(waveform: np.ndarray, rate: int, band_hz: tuple[float, float]) -> np.ndarray:
    """Return the power of 20 ms frames every 10 ms, at each frequency of a band.

    Args:
        waveform: Shape ``(samples,)``; what is shorter than a frame is filled up with zeros.
        rate: Hz.
        band_hz: Lowest and highest frequency.

    Returns:
        Shape ``(frames, frequencies)``.

    Raises:
        ValueError: If no frequency of the frames lies in the band.
    """
    size, hop = round(FRAME_S * rate), round(HOP_S * rate)
    if len(waveform) < size:
        waveform = np.pad(waveform, (0, size - len(waveform)))
    hz = np.fft.rfftfreq(size, 1 / rate)
    inside = (hz >= band_hz[0]) & (hz <= band_hz[1])
    if not inside.any():
        raise ValueError(
            f"nothing can be heard from {band_hz[0]:g} to {band_hz[1]:g} Hz at {rate} Hz"
        )
    frames = np.lib.stride_tricks.sliding_window_view(waveform, size)[::hop]
    spectra = np.fft.rfft(frames * np.hanning(size).astype(np.float32), axis=1)[:, inside]
    return spectra.real**2 + spectra.imag**2


def band_power(waveform: np.ndarray, rate: int, band_hz: tuple[float, float]) -> float:
    """Return the mean power of ``(samples,)`` in a band, in the unit of ``frame_powers``."""
    return float(frame_powers(waveform, rate, band_hz).sum(axis=1).mean(dtype=np.float64))


def find_call(waveform: np.ndarray, rate: int, band_hz: tuple[float, float]) -> Stretch:
    """Find the call of a clip.

    Each frequency is compared with its own background in the clip, so that hum and boats do not
    count; clicks are smoothed away. Of what is over the background counts how many frequencies it
    holds as much as its level. Of several calls with more than 0.15 s between them that one is
    taken which stands out most (decibels times seconds), so that one clip is one event. Where
    nothing stands out, as in a clip that is call from end to end, the clip is the call.

    Args:
        waveform: Shape ``(samples,)``.
        rate: Hz.
        band_hz: Where calls are.
    """
    over_db = _standing_out(frame_powers(waveform, rate, band_hz))
    highest = float(over_db.max())
    if highest <= _LEAST_MEAN_DB:
        return Stretch(0, len(waveform))
    hop, size = round(HOP_S * rate), round(FRAME_S * rate)
    for share in SHARES:
        beyond_db = over_db - share * highest
        parts = _joined(_runs(beyond_db > 0), round(_CLOSE_S / HOP_S))
        first, last = max((beyond_db[a:b].clip(0).sum(), a, b) for a, b in parts)[1:]
        if last - first >= SHORT_S / HOP_S:
            break
    return Stretch(first * hop, min(len(waveform), (last - 1) * hop + size))


def _standing_out(powers: np.ndarray) -> np.ndarray:
    """Return by how many dB frames are over the background of their clip.

    Args:
        powers: Shape ``(frames, frequencies)``.

    Returns:
        Mean of the frequencies, of which each counts 0 to ``MOST_DB``, shape ``(frames,)``.
    """
    smooth = median_filter(powers + _SMALLEST, size=(_CLICK_FRAMES, 1), mode="nearest")
    background = np.quantile(smooth, QUIET_SHARE, axis=0)
    over_db = 10 * np.log10(smooth / background) - LEAST_DB
    return np.clip(over_db, 0, MOST_DB).mean(axis=1)


def quiet_spectrum(
    waveform: np.ndarray, rate: int, call: Stretch, band_hz: tuple[float, float]
) -> np.ndarray | None:
    """Return the spectrum of a clip's background, or None if it is silent.

    Args:
        waveform: Shape ``(samples,)``.
        rate: Hz.
        call: Left out, unless nothing would be left.
        band_hz: The frames that are quiet in this band are the background.

    Returns:
        Mean power at ``rfftfreq(FRAME_S * rate)``, shape ``(frequencies,)``.
    """
    size = round(FRAME_S * rate)
    powers = frame_powers(waveform, rate, (0, rate / 2))
    start = np.arange(len(powers)) * round(HOP_S * rate)
    outside = (start + size <= call.begin) | (start >= call.end)
    if outside.sum() >= len(powers) * QUIET_SHARE:
        powers = powers[outside]
    hz = np.fft.rfftfreq(size, 1 / rate)
    levels = powers[:, (hz >= band_hz[0]) & (hz <= band_hz[1])].sum(axis=1)
    heard = levels > len(hz) * _SMALLEST
    if not heard.any():
        return None
    powers, levels = powers[heard], levels[heard]
    return powers[levels <= np.median(levels)].mean(axis=0)


def _runs(on: np.ndarray) -> list[tuple[int, int]]:
    """Return first and one after the last of each run of ``True``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _joined(runs: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Join runs with fewer than ``gap`` frames between them."""
    if not runs:
        return []
    ends = [i for i, (a, b) in enumerate(itertools.pairwise(runs)) if b[0] - a[1] >= gap]
    firsts = [0, *(i + 1 for i in ends)]
    return [(runs[i][0], runs[j][1]) for i, j in zip(firsts, [*ends, len(runs) - 1], strict=True)]
