"""Clips with silence or holes in them, and background that is laid under. Pure functions.

Denoising leaves cells of no power between call and noise, editing leaves digital silence, and short
clips are padded with it. Recordings have none of that, so a network must not learn classes by it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_HOLE_DB = 25.0  # under the upper quartile of its band; of noise 1 cell in 200 lies there
_SHARE_OF_HOLES = 0.01  # of the cells of a clip, from which it has holes
_LEVEL_DB = (-6.0, 3.0)  # of the background, relative to the clip's own


def has_holes(power: np.ndarray) -> bool:
    """Tell whether a clip has silence in it or cells far below its own noise.

    Args:
        power: Shape ``(frames, bands)``.
    """
    usual = np.percentile(power, 75, axis=0)
    return bool((power <= usual * 10 ** (-_HOLE_DB / 10)).mean() > _SHARE_OF_HOLES)


def floor_of(power: Tensor) -> Tensor:
    """Return the background of each band: the median of what is no silence, shape ``(bands,)``.

    Args:
        power: Shape ``(frames, bands)``.
    """
    heard = torch.where(power > 0, power, torch.nan)
    return torch.nan_to_num(heard.nanmedian(dim=0).values, nan=0.0)


def noise_of_floor(floor: Tensor, n_frames: int, rng: np.random.Generator) -> Tensor:
    """Make noise that has the background's spectrum: the power of Gaussian noise is exponential.

    Args:
        floor: See ``floor_of``.
        n_frames: Length.
        rng: Draws it.
    """
    drawn = rng.standard_exponential((n_frames, len(floor))).astype(np.float32)
    return torch.from_numpy(drawn) * floor


def lay_under(power: Tensor, background: Tensor | None, rng: np.random.Generator) -> Tensor:
    """Lay background under a clip, about as loud as its own.

    Args:
        power: The clip, shape ``(frames, bands)``.
        background: The same shape; None or silent: noise with the spectrum of the clip's own.
        rng: Draws the level.
    """
    floor, level_db = floor_of(power), rng.uniform(*_LEVEL_DB)
    if background is None or not background.sum() > 0:
        background = noise_of_floor(floor, len(power), rng)
    factor = floor.sum() * len(power) / background.sum() * 10.0 ** (level_db / 10.0)
    return power + background * factor if torch.isfinite(factor) else power
