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


@dataclass(frozen=True)
class _Hearing:
    """What is heard of a sound: its rate in Hz, its channel and the band where levels count."""

    rate: int
    channel: str
    band_hz: tuple[float, float]

    def power(self, waveform: np.ndarray) -> float:
        return band_power(waveform, self.rate, self.band_hz)

    def __str__(self) -> str:
        return f"from {self.band_hz[0]:g} to {self.band_hz[1]:g} Hz"


@dataclass(frozen=True)
class _Cut:
    """A call cut out of its clip: ``(samples,)`` with faded edges, and its samples between them."""

    sound: np.ndarray
    call: slice


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
    heard = _Hearing(rate, channel, (band_hz[0], min(band_hz[1], rate / 2)))
    n_calls = round(calls_per_hour * minutes / 60)
    if n_calls and not calls:
        raise ValueError("no clips of calls are given")
    rng_background, rng_calls = rng.spawn(2)
    n_samples = round(minutes * 60 * rate)
    waveform = background.sound(n_samples, rate, rng_background)
    events = []
    if n_calls:
        cuts = _cut_each(choose(calls, n_calls, rng_calls), heard)
        events = _add_calls(waveform, cuts, snr_db, heard, rng_calls)
        if not events:
            raise ValueError(
                f"{background.about}: silent {heard}, so that no call can be so many dB over it"
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


def _cut_each(clips: Sequence[MixClip], heard: _Hearing) -> list[tuple[MixClip, _Cut]]:
    """Cut the call out of each clip, once out of one that comes again."""
    cuts: dict[MixClip, _Cut] = {}
    for clip in clips:
        if clip not in cuts:
            cuts[clip] = _cut(clip, heard)
    return [(clip, cuts[clip]) for clip in clips]


def _add_calls(
    waveform: np.ndarray,
    calls: Sequence[tuple[MixClip, _Cut]],
    snr_db: tuple[float, float],
    heard: _Hearing,
    rng: np.random.Generator,
) -> list[MixedCall]:
    """Mix calls into a waveform, in place; return them, none if it is silent under all."""
    rate = heard.rate
    starts = random_starts([len(cut.sound) for _, cut in calls], len(waveform), rate, rng)
    under = [
        heard.power(waveform[start + cut.call.start : start + cut.call.stop])
        for (_, cut), start in zip(calls, starts, strict=True)
    ]
    least = np.mean(under) * 10 ** (_HOLE_DB / 10)
    if not least > 0:
        return []
    events = []
    for (clip, cut), start, power in zip(calls, starts, under, strict=True):
        level_db = float(rng.uniform(*snr_db))
        of_call = heard.power(cut.sound[cut.call])
        gain = np.sqrt(max(power, least) / of_call * 10 ** (level_db / 10))
        waveform[start : start + len(cut.sound)] += np.float32(gain) * cut.sound
        begin_s, end_s = (start + cut.call.start) / rate, (start + cut.call.stop) / rate
        events.append(MixedCall(begin_s, end_s, clip.label, level_db, clip))
    return events


def _cut(clip: MixClip, heard: _Hearing) -> _Cut:
    """Cut the call out of a clip."""
    waveform = read_piece(clip.path, heard.rate, span=clip.span, channel=heard.channel)
    call = find_call(waveform, heard.rate, heard.band_hz)
    if not heard.power(waveform[call.begin : call.end]) > 0:
        raise ClipError(f"{clip.path}: nothing can be heard {heard}")
    edge = round(_EDGE_S * heard.rate)
    first, last = max(0, call.begin - edge), min(len(waveform), call.end + edge)
    sound = waveform[first:last].copy()
    n_fade = min(edge, len(sound) // 4)
    rise = np.linspace(0, 1, n_fade, dtype=np.float32)
    sound[:n_fade] *= rise
    sound[len(sound) - n_fade :] *= rise[::-1]
    return _Cut(sound, slice(call.begin - first, call.end - first))


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
