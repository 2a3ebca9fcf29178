"""Recordings with calls at known times, made out of clips.

Thresholds and decoders have to be judged on recordings, and few people have annotated ones. Here
calls that a network never heard are cut out of their clips and mixed into background at random
times and levels, so that what is in the recording is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.clip_files import ClipError
from animal_spot.mixing.backgrounds import Background
from animal_spot.mixing.call_stretch import BAND_HZ, band_power, find_call
from animal_spot.mixing.clips import MixClip, read_piece
from animal_spot.mixing.placement import random_starts

_EDGE_S = 0.02  # beyond the call, in which it fades in and out
_PEAK = 0.95  # full scale 1
_HOLE_DB = -30.0  # below its mean a background is a hole, and does not say how loud a call is


@dataclass(frozen=True)
class MixedCall:
    """A call in a mixed recording.

    Attributes:
        begin_s: First sample of the call, seconds.
        end_s: Its end.
        label: Its class.
        snr_db: Its level over the background under it, both in the band of the mixture.
        clip: What it was cut out of.
    """

    begin_s: float
    end_s: float
    label: str
    snr_db: float
    clip: MixClip


@dataclass(frozen=True)
class Mixture:
    """A mixed recording.

    Attributes:
        waveform: Shape ``(samples,)``, float32, full scale 1.
        rate: Hz.
        events: What is in it, in the order of time.
        background: What the rest is.
    """

    waveform: np.ndarray
    rate: int
    events: list[MixedCall]
    background: str


def mix(
    calls: Sequence[MixClip],
    background: Background,
    *,
    minutes: float,
    calls_per_hour: float,
    snr_db: tuple[float, float],
    rate: int,
    rng: np.random.Generator,
    channel: str = MIX,
    band_hz: tuple[float, float] = BAND_HZ,
) -> Mixture:
    """Make a recording.

    Classes come as often as they do among the clips, but each at least once where there is room.
    With the same seed the background is the same with calls and without.

    Args:
        calls: Each comes once before one comes again.
        background: Under and between them.
        minutes: Length, above 0.
        calls_per_hour: 0: none.
        snr_db: Least and greatest level of a call over the background under it.
        rate: Hz.
        rng: Says everything.
        channel: What is heard of the calls.
        band_hz: Where levels are measured and calls are looked for.

    Raises:
        ValueError: If a number is out of range, there are no calls, or they do not fit.
        ClipError: If a clip cannot be read.
    """
    _check(minutes, calls_per_hour, snr_db, rate)
    band_hz = (band_hz[0], min(band_hz[1], rate / 2))
    n_calls = round(calls_per_hour * minutes / 60)
    if n_calls and not calls:
        raise ValueError("no clips of calls are given")
    rng_background, rng_calls = rng.spawn(2)
    n_samples = round(minutes * 60 * rate)
    waveform = background.sound(n_samples, rate, rng_background)
    events = []
    if n_calls:
        events = _add_calls(
            *(waveform, background.about, choose(calls, n_calls, rng_calls)),
            *(snr_db, rate, channel, band_hz, rng_calls),
        )
    peak = float(max(waveform.max(), -waveform.min()))
    if peak > _PEAK:
        waveform *= np.float32(_PEAK / peak)
    return Mixture(waveform, rate, events, background.about)


def choose(calls: Sequence[MixClip], n_calls: int, rng: np.random.Generator) -> list[MixClip]:
    """Draw clips in random order, each class by its share."""
    of_class: dict[str, list[MixClip]] = {}
    for i in rng.permutation(len(calls)):
        of_class.setdefault(calls[i].label, []).append(calls[i])
    # The j-th of n clips of a class comes at j / n: every beginning holds all by their share.
    ranked = [
        (j / len(clips), float(rng.random()), clip)
        for clips in of_class.values()
        for j, clip in enumerate(clips)
    ]
    order = [clip for *_, clip in sorted(ranked, key=lambda item: item[:2])]
    drawn = [order[i % len(order)] for i in range(n_calls)]
    return [drawn[i] for i in rng.permutation(n_calls)]


def _add_calls(
    waveform: np.ndarray,
    about: str,
    clips: Sequence[MixClip],
    snr_db: tuple[float, float],
    rate: int,
    channel: str,
    band_hz: tuple[float, float],
    rng: np.random.Generator,
) -> list[MixedCall]:
    """Mix calls into a waveform, in place; return them."""
    cut: dict[MixClip, tuple[np.ndarray, int, int]] = {}
    for clip in clips:
        if clip not in cut:
            cut[clip] = _cut(clip, rate, channel, band_hz)
    starts = random_starts([len(cut[clip][0]) for clip in clips], len(waveform), rate, rng)
    under = [
        band_power(waveform[start + cut[clip][1] : start + cut[clip][2]], rate, band_hz)
        for clip, start in zip(clips, starts, strict=True)
    ]
    least = np.mean(under) * 10 ** (_HOLE_DB / 10)
    if not least > 0:
        raise ValueError(
            f"{about}: silent from {band_hz[0]:g} to {band_hz[1]:g} Hz, so that no call can be "
            "so many dB over it"
        )
    events = []
    for clip, start, power in zip(clips, starts, under, strict=True):
        sound, begin, end = cut[clip]
        level_db = float(rng.uniform(*snr_db))
        of_call = band_power(sound[begin:end], rate, band_hz)
        gain = np.sqrt(max(power, least) / of_call * 10 ** (level_db / 10))
        waveform[start : start + len(sound)] += np.float32(gain) * sound
        events.append(
            MixedCall((start + begin) / rate, (start + end) / rate, clip.label, level_db, clip)
        )
    return events


def _cut(
    clip: MixClip, rate: int, channel: str, band_hz: tuple[float, float]
) -> tuple[np.ndarray, int, int]:
    """Return a call with faded edges, and where between them it begins and ends."""
    waveform = read_piece(clip.path, rate, span=clip.span, channel=channel)
    call = find_call(waveform, rate, band_hz)
    if not band_power(waveform[call.begin : call.end], rate, band_hz) > 0:
        raise ClipError(
            f"{clip.path}: nothing can be heard from {band_hz[0]:g} to {band_hz[1]:g} Hz"
        )
    edge = round(_EDGE_S * rate)
    first, last = max(0, call.begin - edge), min(len(waveform), call.end + edge)
    sound = waveform[first:last].copy()
    n_fade = min(edge, len(sound) // 4)
    rise = np.linspace(0, 1, n_fade, dtype=np.float32)
    sound[:n_fade] *= rise
    sound[len(sound) - n_fade :] *= rise[::-1]
    return sound, call.begin - first, call.end - first


def _check(minutes: float, calls_per_hour: float, snr_db: tuple[float, float], rate: int) -> None:
    if not 0 < minutes < float("inf"):
        raise ValueError(f"minutes must be above 0, got {minutes:g}")
    if not 0 <= calls_per_hour < float("inf"):
        raise ValueError(f"calls per hour must be at least 0, got {calls_per_hour:g}")
    low, high = snr_db
    if not -100 <= low <= high <= 100:
        raise ValueError(
            f"the SNR must be two numbers of dB, the lesser first, got {low:g} {high:g}"
        )
    if rate < 1000:
        raise ValueError(f"the rate must be at least 1000 Hz, got {rate}")
