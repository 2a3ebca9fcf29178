"""Background as it changes in recordings: another sound takes over, swells, falls silent.

Clips of background are short and alike from end to end. In a recording a wave breaks, rain sets in,
a recorder stops for a moment, and a network that has never heard such a change takes it for a call.
All is done on power spectrograms ``(frames, bands)``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from animal_spot.data.augment import random_filter_db

_TAKES_OVER = 0.5  # share of changed windows in which another background takes over
_SWELLS = 0.5  # and in which the level goes up and down
_FALLS_SILENT = 0.15  # and in which there is digital silence for a while
_LEVEL_DB = 12.0  # most between two backgrounds
_SWELL_DB = 4.0  # strength of the slow changes of level
_FILTER_DB = 6.0  # of a filter, as of another hydrophone or place
_LONGEST_FADE = 12  # frames
_LONGEST_SILENCE = 0.5  # of a window


def change_background(
    power: Tensor, draw: Callable[[int], Tensor | None], rng: np.random.Generator
) -> Tensor:
    """Let chance change a window of background.

    Args:
        power: Shape ``(frames, bands)``.
        draw: Gives so many frames of another background, or None.
        rng: Draws everything.

    Returns:
        The same shape.
    """
    n_frames, n_bands = power.shape
    power = power * _factors(random_filter_db(n_bands, _FILTER_DB, rng))
    if rng.random() < _TAKES_OVER and (other := draw(n_frames)) is not None:
        other = other * _factors(random_filter_db(n_bands, _FILTER_DB, rng))
        power = _taken_over(power, other, rng)
    if rng.random() < _SWELLS:
        power = power * _factors(random_filter_db(n_frames, _SWELL_DB, rng))[:, None]
    if rng.random() < _FALLS_SILENT:
        power = power.clone()
        length = int(rng.integers(1, max(2, int(_LONGEST_SILENCE * n_frames))))
        start = int(rng.integers(0, n_frames))
        power[start : start + length] = 0
    return power


def _taken_over(power: Tensor, other: Tensor, rng: np.random.Generator) -> Tensor:
    """Let another background fade in at some moment and level, while the first fades out."""
    n_frames = len(power)
    level_db = rng.uniform(-_LEVEL_DB, _LEVEL_DB)
    ratio = float(power.mean() / other.mean()) if float(other.mean()) > 0 else 0.0
    fade = int(rng.integers(1, _LONGEST_FADE + 1))
    moment = rng.integers(0, n_frames)
    into = np.clip((np.arange(n_frames) - moment) / fade, 0, 1).astype(np.float32)
    if rng.random() < 0.5:
        into = into[::-1].copy()
    share = torch.from_numpy(into)[:, None]
    return power * (1 - share) + other * (share * ratio * 10.0 ** (level_db / 10.0))


def _factors(response_db: Tensor) -> Tensor:
    return 10.0 ** (response_db / 10.0)
