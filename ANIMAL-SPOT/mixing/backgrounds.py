"""What a mixed recording holds between and under the calls.

A background is laid out of pieces with cross-fades, in order, so that it can be as long as wanted
while memory holds the result and a few pieces.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from animal_spot.audio.channel_choice import MIX
from animal_spot.mixing.call_stretch import BAND_HZ, find_call, quiet_spectrum
from animal_spot.mixing.clips import MixClip, read_piece

FADE_S = 0.25  # pieces overlap by so much
LEVEL_DB = -34.0  # root mean square of clips and made noise, re full scale
CHANGE_DB = 6.0  # up and down from that, drawn for each piece
_SILENT_RMS = 1e-5
_MEMORY_BYTES = 128 * 2**20  # clips that are kept, since each comes many times
_MOST_TRIES = 100  # of pieces, until a background counts as silent
_MADE_S = 10.0  # length of a piece of made noise
_MOST_SPECTRA = 50  # clips whose background is imitated


class Background(ABC):
    """Sound without calls.

    Attributes:
        about: What it is, for people: ``clips of the noise class``.
    """

    about: str

    @abstractmethod
    def piece(self, rate: int, rng: np.random.Generator) -> np.ndarray:
        """Return the next piece, shape ``(samples,)``, float32, or an empty one to try again."""

    def sound(self, n_samples: int, rate: int, rng: np.random.Generator) -> np.ndarray:
        """Lay pieces one after another with cross-fades; short ones are repeated.

        Returns:
            Shape ``(n_samples,)``, float32.

        Raises:
            ValueError: If no piece can be used.
            ClipError: If a file cannot be read.
        """
        sound = np.zeros(n_samples, np.float32)
        fade = max(1, round(FADE_S * rate))
        # Pieces have nothing in common, so their powers add up: sines keep the level.
        rise = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32))
        position = n_refused = 0
        while position < n_samples:
            piece = self.piece(rate, rng)
            if not len(piece):
                n_refused += 1
                if n_refused >= _MOST_TRIES and position == 0:
                    raise ValueError(f"{self.about}: nothing can be heard in them")
                continue
            if len(piece) < 4 * fade:
                piece = np.resize(piece, 4 * fade)
            if position:
                piece[:fade] *= rise
            piece[-fade:] *= rise[::-1]
            n = min(len(piece), n_samples - position)
            sound[position : position + n] += piece[:n]
            position += len(piece) - fade
        return sound


class NoiseClips(Background):
    """Clips of the noise class at changing levels, some of them backwards.

    Args:
        clips: To draw from.
        channel: What is heard of them.

    Raises:
        ValueError: If there are none.
    """

    def __init__(self, clips: Sequence[MixClip], channel: str = MIX) -> None:
        if not clips:
            raise ValueError("no clips of background are given")
        self.about = f"{len(clips)} clips of background"
        self._clips = list(clips)
        self._channel = channel
        self._order: list[int] = []
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()

    def piece(self, rate: int, rng: np.random.Generator) -> np.ndarray:
        """Return a clip at another level."""
        if not self._order:  # each comes once before one comes again
            self._order = rng.permutation(len(self._clips)).tolist()
        clip = self._read(self._order.pop(), rate)
        change_db, backwards = rng.uniform(-CHANGE_DB, CHANGE_DB), rng.random() < 0.5
        level = np.sqrt(np.mean(clip**2, dtype=np.float64)) if len(clip) else 0.0
        if level < _SILENT_RMS:
            return clip[:0]
        return clip[:: -1 if backwards else 1] * np.float32(
            10 ** ((LEVEL_DB + change_db) / 20) / level
        )

    def sound(self, n_samples: int, rate: int, rng: np.random.Generator) -> np.ndarray:
        """Begin anew: what was made before does not matter."""
        self._order = []
        return super().sound(n_samples, rate, rng)

    def _read(self, index: int, rate: int) -> np.ndarray:
        kept = self._kept
        if (index, rate) not in kept:
            clip = self._clips[index]
            kept[index, rate] = read_piece(clip.path, rate, span=clip.span, channel=self._channel)
            while len(kept) > 1 and sum(x.nbytes for x in kept.values()) > _MEMORY_BYTES:
                kept.popitem(last=False)
        kept.move_to_end((index, rate))
        return kept[index, rate]


class Recordings(Background):
    """Windows of recordings without calls, at random, as loud as they are.

    Args:
        paths: Sound files of any length.
        channel: What is heard of them.

    Raises:
        ValueError: If there are none.
    """

    def __init__(self, paths: Sequence[Path], channel: str = MIX) -> None:
        if not paths:
            raise ValueError("no recordings of background are given")
        self.about = f"{len(paths)} recordings of background"
        self._paths = list(paths)
        self._channel = channel

    def piece(self, rate: int, rng: np.random.Generator) -> np.ndarray:
        """Return a window as it is."""
        path = self._paths[rng.integers(len(self._paths))]
        window = read_piece(path, rate, channel=self._channel, rng=rng)
        if not len(window) or np.sqrt(np.mean(window**2, dtype=np.float64)) < _SILENT_RMS:
            return window[:0]
        return window.copy()


class MadeNoise(Background):
    """Noise with the spectra of what is quiet in clips of calls, for those who have no background.

    It lacks everything that makes false alarms: boats, waves, other animals.

    Args:
        calls: Clips whose background is imitated.
        channel: What is heard of them.
        band_hz: Where their calls are.

    Raises:
        ValueError: If there are none.
    """

    def __init__(
        self,
        calls: Sequence[MixClip],
        channel: str = MIX,
        band_hz: tuple[float, float] = BAND_HZ,
    ) -> None:
        if not calls:
            raise ValueError("no clips are given whose background could be imitated")
        self.about = f"noise made after the quiet parts of {len(calls)} clips of calls"
        self._calls = list(calls)
        self._channel = channel
        self._band_hz = band_hz
        self._spectra: list[np.ndarray] = []

    def sound(self, n_samples: int, rate: int, rng: np.random.Generator) -> np.ndarray:
        """Look at the clips, and make noise like theirs."""
        self._spectra = []
        for index in rng.permutation(len(self._calls))[:_MOST_SPECTRA]:
            clip = self._calls[index]
            waveform = read_piece(clip.path, rate, span=clip.span, channel=self._channel)
            call = find_call(waveform, rate, self._band_hz)
            spectrum = quiet_spectrum(waveform, rate, call, self._band_hz)
            if spectrum is not None:
                self._spectra.append(spectrum)
        return super().sound(n_samples, rate, rng)

    def piece(self, rate: int, rng: np.random.Generator) -> np.ndarray:
        """Make noise like that of one of the clips."""
        n_samples = round(_MADE_S * rate)
        white = np.fft.rfft(rng.standard_normal(n_samples, dtype=np.float32))
        change_db = rng.uniform(-CHANGE_DB, CHANGE_DB)
        if not self._spectra:
            return np.empty(0, np.float32)
        spectrum = self._spectra[rng.integers(len(self._spectra))]
        place = np.linspace(0, len(spectrum) - 1, len(white))
        noise = np.fft.irfft(
            white * np.sqrt(np.interp(place, np.arange(len(spectrum)), spectrum)), n_samples
        ).astype(np.float32)
        level = np.sqrt(np.mean(noise**2, dtype=np.float64))
        return noise * np.float32(10 ** ((LEVEL_DB + change_db) / 20) / level)


def choose_background(
    calls: Sequence[MixClip],
    noise: Sequence[MixClip],
    recordings: Sequence[Path] = (),
    channel: str = MIX,
    band_hz: tuple[float, float] = BAND_HZ,
) -> Background:
    """Return the most real background there is: recordings, else clips of noise, else made noise.

    Args:
        calls: Clips of calls.
        noise: Clips of the noise class, which may be none.
        recordings: Without calls, which may be none.
        channel: What is heard.
        band_hz: Where calls are.

    Raises:
        ValueError: If there is nothing at all.
    """
    if recordings:
        return Recordings(recordings, channel)
    if noise:
        return NoiseClips(noise, channel)
    return MadeNoise(calls, channel, band_hz)
