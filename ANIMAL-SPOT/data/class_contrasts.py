"""What tells classes apart besides their calls: recorders, levels, holes; and classes with too few.

A network takes the easiest difference. Where all clips of a class come from one recorder, are
louder, or were cut out of silence, it learns that, and fails on recordings.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from animal_spot.audio.channels import ChannelError, pick
from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.sound_file import SoundError, SoundFile
from animal_spot.data.clip_dataset import Sample
from animal_spot.data.labels import names_by_index

_FEW_CLIPS, _FEW_TAPES = 10, 3
_CLIPS_OF_A_CLASS = 12  # that are looked at
_FEWEST_LOOKED_AT = 4  # with fewer, chance alone sets a class apart
_LOOK_S = 10.0  # of each
_HOLE_S = 0.01  # from which on equal samples are no sound
_HOLES = 0.02  # share of a clip, from which on it has holes
_NEARLY_ALL, _FEW = 0.8, 0.2  # shares of clips that set a class apart
_LEVEL_DB = 10.0  # between the medians of two sets of clips that do not overlap
_NAMED = 5  # classes in a line


@dataclass(frozen=True)
class Traits:
    """What a clip is like, whatever animal calls in it.

    Attributes:
        rate: Sampling rate, Hz.
        level_db: Root mean square of what is no hole, dB of full scale.
        has_holes: Whether stretches of it are digital silence.
    """

    rate: int
    level_db: float
    has_holes: bool


def contrast_warnings(
    samples: Mapping[str, Sequence[Sample]],
    classes: Mapping[str, int],
    signal: SignalConfig,
    noise_class: str | None,
) -> list[str]:
    """Say which classes have few clips, and which differ from the others by more than their calls.

    Args:
        samples: Clips of each partition.
        classes: Class name to index.
        signal: What the network hears.
        noise_class: The class that is no call, which may be softer than calls.
    """
    names = names_by_index(dict(classes))
    clips = [sample for part in samples.values() for sample in part]
    traits = _traits_of_classes(samples["train"], signal)
    looked_at = {names[label]: found for label, found in traits.items()}
    return [
        *_few(clips, names),
        *_other_rate(looked_at, signal),
        *_other_level(looked_at, noise_class),
        *_other_holes(looked_at),
    ]


def _few(clips: Sequence[Sample], names: Sequence[str]) -> list[str]:
    counts = Counter(sample.label for sample in clips)
    tapes: dict[int, set[str | None]] = defaultdict(set)
    for sample in clips:
        tapes[sample.label].add(sample.tape)
    few = [
        f"{name} {counts[i]} on {len(tapes[i])}"
        for i, name in enumerate(names)
        if counts[i] < _FEW_CLIPS or len(tapes[i]) < _FEW_TAPES
    ]
    if not few:
        return []
    return [
        f"classes with under {_FEW_CLIPS} clips or {_FEW_TAPES} tapes (clips on tapes): "
        f"{_some(few)}; they are learned badly, and figures of them say little: add clips from "
        "further recordings"
    ]


def _other_rate(looked_at: Mapping[str, Sequence[Traits]], signal: SignalConfig) -> list[str]:
    found = []
    for name, of_class, others in _each_against_others(looked_at):
        rate, n = Counter(t.rate for t in of_class).most_common(1)[0]
        alike = sum(t.rate == rate for t in others) / len(others)
        usual = Counter(t.rate for t in others).most_common(1)[0][0]
        # Above half of the lower rate one of the two is empty, and that can be seen.
        is_seen = min(rate, usual) / 2 < min(signal.fmax, signal.sr / 2)
        if n >= _NEARLY_ALL * len(of_class) and alike <= _FEW and is_seen:
            found.append(f"{name} {rate} Hz, the others mostly {usual} Hz")
    if not found:
        return []
    return [
        f"clips of a class have another sampling rate than those of the others: {_some(found)}; "
        "the network can learn the recorder in place of the call: add clips of both kinds, or set "
        "--fmax below half of the lowest rate"
    ]


def _other_level(looked_at: Mapping[str, Sequence[Traits]], noise_class: str | None) -> list[str]:
    found = []
    calls = {name: traits for name, traits in looked_at.items() if name != noise_class}
    for name, of_class, others in _each_against_others(calls):
        own, rest = (np.array([t.level_db for t in some]) for some in (of_class, others))
        difference = float(np.median(own) - np.median(rest))
        low, high = (own, rest) if difference < 0 else (rest, own)
        apart = np.quantile(low, _NEARLY_ALL) < np.quantile(high, _FEW)
        if abs(difference) > _LEVEL_DB and apart:
            found.append(f"{name} by {difference:+.0f} dB")
    if not found:
        return []
    return [
        f"clips of a class are louder or softer than those of the others: {_some(found)}; the "
        "network can learn the level in place of the call: train with --augmentation and a wide "
        "--gain, or with --min_max_norm, or add clips of other levels"
    ]


def _other_holes(looked_at: Mapping[str, Sequence[Traits]]) -> list[str]:
    found = []
    for name, of_class, others in _each_against_others(looked_at):
        own, rest = (sum(t.has_holes for t in some) / len(some) for some in (of_class, others))
        if (own >= _NEARLY_ALL and rest <= _FEW) or (own <= _FEW and rest >= _NEARLY_ALL):
            found.append(f"{name} {own:.0%}, the others {rest:.0%}")
    if not found:
        return []
    return [
        f"digital silence stands in clips of some classes alone: {_some(found)} of the clips; the "
        "network can learn the silence in place of the call: cut clips anew from the recordings, "
        "with the sound around the call"
    ]


def _each_against_others(
    looked_at: Mapping[str, Sequence[Traits]],
) -> list[tuple[str, Sequence[Traits], list[Traits]]]:
    """Return each class with enough clips, its traits, and those of all others."""
    return [
        (name, own, others)
        for name, own in looked_at.items()
        if len(own) >= _FEWEST_LOOKED_AT
        and len(others := [t for n, some in looked_at.items() if n != name for t in some])
        >= _FEWEST_LOOKED_AT
    ]


def _traits_of_classes(samples: Sequence[Sample], signal: SignalConfig) -> dict[int, list[Traits]]:
    """Look at some clips of each class, spread over all of it."""
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_class[sample.label].append(sample)
    found = {}
    for label, clips in sorted(by_class.items()):
        chosen = np.linspace(0, len(clips) - 1, min(len(clips), _CLIPS_OF_A_CLASS)).round()
        traits = (_traits_of(clips[i], signal) for i in chosen.astype(int))
        found[label] = [t for t in traits if t is not None]
    return found


def _traits_of(sample: Sample, signal: SignalConfig) -> Traits | None:
    """Look at a clip; None if it cannot be read, which is said where it is trained on."""
    with (
        contextlib.suppress(SoundError, ChannelError, OSError),
        contextlib.closing(SoundFile(sample.path)) as file,
    ):
        first, n_samples = sample.span or (0, file.n_frames)
        file.seek(first)
        heard = pick(file.read(min(n_samples, int(_LOOK_S * file.rate))), signal.channel)
        return traits_of(heard, file.rate)
    return None


def traits_of(waveform: np.ndarray, rate: int) -> Traits | None:
    """Describe a waveform ``(samples,)``, full scale 1; None if it is empty or no sound at all."""
    n = max(1, round(_HOLE_S * rate))
    blocks = waveform[: len(waveform) // n * n].reshape(-1, n)
    if not len(blocks) or not np.isfinite(blocks).all():
        return None
    is_hole = (blocks == blocks[:, :1]).all(1)
    if is_hole.all():
        return None
    power = float(np.mean(np.square(blocks[~is_hole], dtype=np.float64)))
    return Traits(rate, 10 * np.log10(max(power, 1e-20)), bool(is_hole.mean() >= _HOLES))


def _some(items: Sequence[str]) -> str:
    more = len(items) - _NAMED
    return ", ".join([*items[:_NAMED], *([f"{more} more"] if more > 0 else [])])
