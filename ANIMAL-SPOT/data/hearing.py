"""What of the clips the network does not hear: their ends, and sound outside of its band."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from animal_spot.audio.channels import ChannelError, pick
from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.sound_file import SoundError, SoundFile
from animal_spot.data.clip_dataset import Sample
from animal_spot.data.labels import names_by_index

_LONGER = 1.05  # times what is heard, from which on a clip counts as longer
_CLIPS, _CLIPS_OF_A_CLASS = 120, 10  # that are looked at for sound outside of the band
_LOOK_S = 3.0  # of each
_WINDOW_S = 0.02
_STANDS_OUT = 8.0  # times the median power of a frequency
_CHANCE = 0.056  # ten times the mean excess over that in noise, per cell of a spectrogram
_NEARLY_ALL = 0.95


@dataclass(frozen=True)
class Standing:
    """What stands out of the background of a clip.

    Attributes:
        share_outside: Share of it outside of the band, 0 to 1.
        nothing_inside: Whether there is nothing in the band that chance would not explain.
        peak_hz: Where most of it lies outside of the band.
    """

    share_outside: float
    nothing_inside: bool
    peak_hz: float

    @property
    def is_outside(self) -> bool:
        """Whether the network hears next to nothing of it."""
        return self.share_outside > 0.5 and (
            self.nothing_inside or self.share_outside > _NEARLY_ALL
        )


def hearing_warnings(
    samples: Mapping[str, Sequence[Sample]],
    classes: Mapping[str, int],
    signal: SignalConfig,
    sequence_len_ms: float,
) -> list[str]:
    """Say what the network does not hear of the clips that it is trained and judged on.

    Args:
        samples: Clips of each partition.
        classes: Class name to index.
        signal: Its band.
        sequence_len_ms: How much of a clip it hears.
    """
    longer = length_warning([s for part in samples.values() for s in part], sequence_len_ms)
    return [*([longer] if longer else []), *band_warnings(samples["train"], classes, signal)]


def length_warning(samples: Sequence[Sample], sequence_len_ms: float) -> str | None:
    """Say how many clips are longer than what is heard of them; None if no one is."""
    heard_s = sequence_len_ms / 1000
    longer = [s.duration_s for s in samples if s.duration_s > _LONGER * heard_s]
    if not longer:
        return None
    return (
        f"{len(longer)} of {len(samples)} clips are longer than the {heard_s:g} s that the network "
        f"hears of each, which are those in the middle (half of these clips last "
        f"{np.median(longer):.1f} s or more): raise --sequence_len, or cut clips about the calls"
    )


def band_warnings(
    samples: Sequence[Sample], classes: Mapping[str, int], signal: SignalConfig
) -> list[str]:
    """Say of which classes the calls lie outside of the band, as some clips of each show."""
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_class[sample.label].append(sample)
    n_each = max(3, min(_CLIPS_OF_A_CLASS, _CLIPS // max(1, len(by_class))))
    found = []
    for index, name in enumerate(names_by_index(dict(classes))):
        clips = by_class[index]
        chosen = [clips[i] for i in np.linspace(0, len(clips) - 1, n_each).round().astype(int)]
        standing = list(_standing_of(dict.fromkeys(chosen), signal)) if clips else []
        outside = [clip for clip in standing if clip.is_outside]
        if 2 * len(outside) > len(standing):
            top = min(signal.fmax, signal.sr / 2)
            found.append(
                f"the network does not hear the calls of class {name}: in {len(outside)} of "
                f"{len(standing)} clips all that stands out lies outside of {signal.fmin:g} to "
                f"{top:g} Hz, mostly near {np.median([c.peak_hz for c in outside]):.0f} Hz; change "
                "--fmin, --fmax and, above half of it, --sr"
            )
    return found


def _standing_of(samples: Iterable[Sample], signal: SignalConfig) -> Iterable[Standing]:
    for sample in samples:
        with (
            contextlib.suppress(SoundError, ChannelError, OSError),  # said where it is trained on
            contextlib.closing(SoundFile(sample.path)) as file,
        ):
            first, n_samples = sample.span or (0, file.n_frames)
            n = int(_LOOK_S * file.rate)
            n = n if sample.span is None else min(n, n_samples)
            file.seek(first + max(0, (n_samples - n) // 2))
            heard = pick(file.read(n), signal.channel)
            clip = standing_out(heard, file.rate, signal.fmin, min(signal.fmax, signal.sr / 2))
            if clip is not None:
                yield clip


def standing_out(waveform: np.ndarray, rate: int, low_hz: float, high_hz: float) -> Standing | None:
    """Look for what stands out of the background in a clip, and whether it lies in a band.

    That is power far above the median of its frequency, or, where nothing changes in time, above
    the median of all frequencies from the band's lower end.

    Args:
        waveform: Shape ``(samples,)``.
        rate: Hz.
        low_hz: Lower end of the band.
        high_hz: Upper end of the band.

    Returns:
        What was found; None if nothing stands out.
    """
    n_fft = 1 << max(4, int(np.ceil(np.log2(_WINDOW_S * rate))))
    if len(waveform) < 4 * n_fft or not np.isfinite(waveform).all():
        return None
    frames = np.lib.stride_tricks.sliding_window_view(waveform, n_fft)[:: n_fft // 2]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(n_fft), axis=1)))
    if not power.any():
        return None
    hz = np.fft.rfftfreq(n_fft, 1 / rate)
    inside = (hz >= low_hz) & (hz <= high_hz)
    floor = 1e-8 * power.max()
    excess = _excess(power, np.maximum(np.median(power, axis=0), floor))
    if excess.sum() < _CHANCE * power.size:
        mean = power.mean(0)
        mean[hz < low_hz] = 0
        excess = _excess(mean, max(float(np.median(mean[hz >= low_hz])), floor))
        n_frames = 1
    else:
        n_frames = len(power)
    total, within = excess.sum(), excess[inside].sum()
    if total < _CHANCE * n_frames * len(hz):
        return None
    outside = np.where(inside, 0, excess)
    return Standing(
        1 - float(within / total),
        bool(within < _CHANCE * n_frames * inside.sum()),
        float(hz[outside.argmax()]),
    )


def _excess(power: np.ndarray, background: np.ndarray | float) -> np.ndarray:
    """Return by how much powers stand out: summed over time, if there is any, ``(bins,)``."""
    excess = np.maximum(0, power / background - _STANDS_OUT)
    return excess.sum(0) if excess.ndim == 2 else excess
