"""Channels of a sound file: which of them is heard, and what becomes of them in a mix."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from animal_spot.audio.channel_choice import LOUDEST, MIX

_CANCELLED_DB = 3.0  # further below a channel than one channel alone would be in the mix
_SILENT_DB = 55.0  # below a channel: more is rounding
_EMPTY_DB = 40.0  # below another channel
_HUM_HZ = 300.0  # mean frequency of a channel that holds little but hum
_HUM_RATIO = 4.0  # at least so many times as high is that of another channel


class ChannelError(ValueError):
    """A file that does not have the wanted channel; the message says why."""


def pick(samples: np.ndarray, channel: str = MIX) -> np.ndarray:
    """Reduce ``(samples, channel)`` to the wanted channel or mean ``(samples,)``.

    Raises:
        ChannelError: If there is no such channel.
    """
    n_channels = samples.shape[1]
    require(channel, n_channels)
    if channel not in (MIX, LOUDEST):
        return np.ascontiguousarray(samples[:, int(channel) - 1])
    if n_channels == 1:
        return samples[:, 0]
    if channel == LOUDEST:
        return np.ascontiguousarray(samples[:, ChannelLevels.of(samples).loudest])
    if n_channels == 2:  # the same to the bit, and five times as fast
        return (samples[:, 0] + samples[:, 1]) / np.float32(2)
    return samples.mean(axis=1, dtype=np.float32)


def require(channel: str, n_channels: int) -> None:
    """Make sure that a file has the wanted channel.

    Raises:
        ChannelError: If it has not.
    """
    if channel not in (MIX, LOUDEST) and int(channel) > n_channels:
        have = "one channel" if n_channels == 1 else f"{n_channels} channels"
        raise ChannelError(f"no channel {channel}: the file has {have}")


@dataclass
class ChannelLevels:
    """Sums over a file, added to block by block: what each channel and their mix hold.

    Levels are those of differences between neighbouring samples, which count a sound the more the
    higher it is: so hum, wind and offsets do not decide.

    Attributes:
        difference: Energy of the differences of each channel, shape ``(channel,)``.
        plain: Energy of each channel about the mean of each block.
        mix: Energy of the differences of the mean of all channels.
    """

    difference: np.ndarray
    plain: np.ndarray
    mix: float = 0.0

    @classmethod
    def none(cls, n_channels: int) -> ChannelLevels:
        """Return those of nothing yet."""
        return cls(np.zeros(n_channels), np.zeros(n_channels))

    @classmethod
    def of(cls, samples: np.ndarray) -> ChannelLevels:
        """Return those of a block ``(samples, channel)``."""
        levels = cls.none(samples.shape[1])
        levels.add(samples)
        return levels

    def add(self, samples: np.ndarray) -> None:
        """Count a block ``(samples, channel)`` too."""
        channels = np.ascontiguousarray(samples.T)
        steps = np.diff(channels, axis=1)
        products = (steps @ steps.T).astype(np.float64)
        self.difference = self.difference + products.diagonal()
        self.mix += max(0.0, float(products.sum())) / len(channels) ** 2
        offsets = len(samples) * channels.mean(1, dtype=np.float64) ** 2
        energy = np.array([np.dot(row, row) for row in channels], np.float64)
        self.plain = self.plain + np.maximum(0, energy - offsets)

    def join(self, other: ChannelLevels) -> None:
        """Count what another part of the file holds too."""
        self.difference = self.difference + other.difference
        self.plain = self.plain + other.plain
        self.mix += other.mix

    @property
    def loudest(self) -> int:
        """Index of the channel that holds most, from 0."""
        return int(np.nan_to_num(self.difference, nan=0.0, posinf=0.0).argmax())

    def mean_hz(self, rate: int) -> np.ndarray:
        """Return about where the sound of each channel lies: root mean square frequency, Hz."""
        ratio = np.divide(
            self.difference, self.plain, out=np.zeros_like(self.plain), where=self.plain > 0
        )
        return rate / (2 * math.pi) * np.sqrt(ratio)

    def problems(self, rate: int) -> list[str]:
        """Say what makes the mix of these channels something else than what was recorded."""
        n = len(self.difference)
        loudest = float(self.difference.max(initial=0.0))
        if n < 2 or loudest == 0:
            return []
        found = []
        lost_db = _below_db(self.mix, loudest)
        if lost_db > 20 * math.log10(n) + _CANCELLED_DB:
            left = "silent" if lost_db > _SILENT_DB else f"{lost_db:.0f} dB below one of them"
            found.append(f"channels cancel each other: their mix is {left}")
        empty = [i + 1 for i in range(n) if _below_db(self.difference[i], loudest) > _EMPTY_DB]
        mean_hz = self.mean_hz(rate)
        hum = [
            i + 1
            for i in range(n)
            if i + 1 not in empty
            and mean_hz[i] < _HUM_HZ
            and mean_hz.max() > _HUM_RATIO * mean_hz[i]
        ]
        hum += [i for i in empty if 0 < mean_hz[i - 1] < _HUM_HZ and self._is_loud(i - 1)]
        empty = [i for i in empty if i not in hum]
        for numbers, what in ((empty, "empty"), (sorted(hum), "hum")):
            if numbers:
                verb = "is" if len(numbers) == 1 else "are"
                names = " and ".join(map(str, numbers))
                found.append(f"channel{'s' * (len(numbers) > 1)} {names} {verb} {what}")
        return [f"{text}; choose what is heard with --channel" for text in found]

    def _is_loud(self, index: int) -> bool:
        return _below_db(self.plain[index], float(self.plain.max())) <= _EMPTY_DB


def _below_db(energy: float, reference: float) -> float:
    """Return how far an energy lies below another, dB; at most 200."""
    return -10 * math.log10(max(energy / reference, 1e-20))
