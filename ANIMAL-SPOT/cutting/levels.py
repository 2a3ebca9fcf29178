"""How loud a recording is at many places: measured in one pass, in bounded memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from animal_spot.audio.sound_file import SoundError, SoundFile
from animal_spot.cutting.background import Place
from animal_spot.cutting.plan import AnnotatedRecording

_BLOCK = 2**19  # samples of all channels together that are read at a time


def levels_at(
    recording: AnnotatedRecording,
    places: Sequence[Place],
    check: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Measure root mean squares, without the offset, of all channels together.

    Args:
        recording: The recording.
        places: In the order of time, apart from each other.
        check: Called often; may raise to stop.

    Returns:
        Of each place, full scale 1, shape ``(places,)``; NaN from where the sound is broken on.
    """
    levels = np.full(len(places), np.nan)
    with (
        contextlib.suppress(SoundError, OSError),
        contextlib.closing(SoundFile(recording.path)) as sound,
    ):
        n_block = max(1, _BLOCK // sound.n_channels)
        position = 0
        for i, place in enumerate(places):
            if sound.is_exact and place.start > position:
                sound.seek(place.start)
                position = place.start
            sums = _Sums(sound.n_channels)
            while position < place.end:
                check()
                aim = place.end if position >= place.start else place.start
                block = sound.read(min(n_block, aim - position))
                if not len(block):
                    return levels
                if position >= place.start:
                    sums.add(block)
                position += len(block)
            levels[i] = sums.level
    return levels


def level_of(path: Path) -> float:
    """Return the root mean square of a clip, without the offset; NaN if it cannot be read."""
    try:
        with contextlib.closing(SoundFile(path)) as sound:
            sums = _Sums(sound.n_channels)
            while len(block := sound.read(_BLOCK // sound.n_channels)):
                sums.add(block)
            return sums.level
    except (SoundError, OSError):
        return float("nan")


class _Sums:
    """Sums of samples and of their squares, of each channel."""

    def __init__(self, n_channels: int) -> None:
        self._n = 0
        self._sum, self._squares = np.zeros(n_channels), np.zeros(n_channels)

    def add(self, block: np.ndarray) -> None:
        block = block.reshape(len(block), -1).astype(np.float64)
        self._n += len(block)
        self._sum += block.sum(axis=0)
        self._squares += np.einsum("ij,ij->j", block, block)

    @property
    def level(self) -> float:
        if not self._n:
            return float("nan")
        variance = self._squares / self._n - (self._sum / self._n) ** 2
        return float(np.sqrt(max(0.0, variance.mean())))
