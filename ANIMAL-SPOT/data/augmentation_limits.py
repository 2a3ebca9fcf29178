"""How far augmentation may go; without PyTorch, for command lines."""

from __future__ import annotations

import math
from dataclasses import dataclass

from animal_spot.audio.signal_config import PITCH_FACTORS


@dataclass(frozen=True)
class Augmentation:
    """How far chance may go. The defaults are those of the original program.

    Attributes:
        gain_db: Lowest and highest gain; whole dB are drawn. Without effect where each clip is
            normalised by its own level.
        pitch: Lowest and highest factor on all frequencies, within ``PITCH_FACTORS``.
        stretch: Lowest and highest factor on the duration.
        snr_db: Lowest and highest signal-to-noise ratio of added noise; whole dB are drawn.
        noise_probability: Share of clips that noise is added to.
        time_shift: Rotate the clip in time by a random part of its length.
        filter_db: Strength of a random smooth filter, as of another hydrophone; see
            ``augment.random_filter_db``.
    """

    gain_db: tuple[int, int] = (-6, 2)
    pitch: tuple[float, float] = PITCH_FACTORS
    stretch: tuple[float, float] = (0.5, 2.0)
    snr_db: tuple[int, int] = (-3, 11)
    noise_probability: float = 1.0
    time_shift: bool = False
    filter_db: float = 0.0

    def __post_init__(self) -> None:
        lowest, highest = PITCH_FACTORS
        if not lowest <= self.pitch[0] <= self.pitch[1] <= highest:
            raise ValueError(
                f"the pitch range must lie in {lowest:g} to {highest:g}, got {self.pitch}"
            )
        if not 0 < self.stretch[0] <= self.stretch[1] < math.inf:
            raise ValueError(f"the stretch range must be two rising factors, got {self.stretch}")
        if self.filter_db < 0:
            raise ValueError(f"the filter strength must be at least 0 dB, got {self.filter_db}")
        for name, (low, high) in (("gain", self.gain_db), ("noise ratio", self.snr_db)):
            if low > high:
                raise ValueError(f"the {name} range must be two rising dB, got {(low, high)}")
        if not 0 <= self.noise_probability <= 1:
            raise ValueError(f"the noise probability must be in 0..1, got {self.noise_probability}")
