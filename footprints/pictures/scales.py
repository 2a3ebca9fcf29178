"""The scales at which the classifier sees a photo: the crop of the print, and the whole photo.

A model of both scales is one network with one input. In training each picture counts by itself;
the answer to a photo is the mean of the probabilities of its pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

SCALES = ("crop", "photo")
DEFAULT_SCALES = ("crop",)


def are_scales(value: Any) -> bool:
    """Tell whether what a model file says of its scales is something we know."""
    return value in (list(DEFAULT_SCALES), list(SCALES))


def scales_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the scales of a model from what its file says; older files have crops only."""
    return tuple(facts.get("scales", DEFAULT_SCALES))


def folder_of(split: str, scale: str) -> str:
    """Return the folder of a prepared set for one split and scale: ``train``, ``train_photo``."""
    return split if scale == "crop" else f"{split}_{scale}"


def mean_over_scales(probabilities: np.ndarray, n_scales: int) -> np.ndarray:
    """Return one answer per photo.

    Args:
        probabilities: ``(scales * photos, classes)``: all photos at the first scale, then the same
            photos in the same order at the next.
        n_scales: How many there are.

    Returns:
        ``(photos, classes)``.

    Raises:
        ValueError: If the rows cannot be shared out among the scales.
    """
    probabilities = np.asarray(probabilities)
    n_rows, n_classes = probabilities.shape
    if n_rows % n_scales:
        raise ValueError(f"{n_rows} pictures cannot be {n_scales} of each photo")
    return probabilities.reshape(n_scales, n_rows // n_scales, n_classes).mean(axis=0)
