"""Views: the same picture mirrored, turned a little and nearer, as training shows it.

A print lies in the mud as it lies, so a network should say the same of all views of it. The mean of
what it says of several is often a better answer, for as many times the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

# How many views there may be: the picture; and mirrored; and each of both also turned either way
# and nearer.
COUNTS = (1, 2, 8)

_TURN = 15.0  # degrees; training turns by up to 36
_NEARER = 1 / 16  # of the side is cut off at each edge


def views_of_model(facts: Mapping[str, Any]) -> int:
    """Return the number of views from what a model file says of itself; older files have one."""
    return facts.get("views", 1)


def mean_over_views(
    run: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray, n_views: int
) -> np.ndarray:
    """Return the mean of what a network says of the views of pictures.

    Args:
        run: Takes pictures, returns probabilities ``(n, classes)``.
        pictures: ``(n, size, size, 3)`` uint8 RGB.
        n_views: One of ``COUNTS``.

    Returns:
        ``(n, classes)``, float64.
    """
    said = [np.asarray(run(seen), np.float64) for seen in views(pictures, n_views)]
    return np.mean(said, axis=0)


def views(pictures: np.ndarray, n_views: int) -> Iterator[np.ndarray]:
    """Yield views of pictures ``(n, size, size, 3)`` uint8, each of the same shape and type.

    Raises:
        ValueError: If ``n_views`` is not one of ``COUNTS``.
    """
    if n_views not in COUNTS:
        raise ValueError(f"there are {', '.join(map(str, COUNTS))} views, not {n_views}")
    both = [pictures] if n_views == 1 else [pictures, np.ascontiguousarray(pictures[:, :, ::-1])]
    yield from both
    if n_views > 2:
        for change in (_nearer, lambda one: _turned(one, _TURN), lambda one: _turned(one, -_TURN)):
            for seen in both:
                yield np.stack([change(picture) for picture in seen])


def _nearer(picture: np.ndarray) -> np.ndarray:
    side = picture.shape[0]
    edge = side * _NEARER
    box = (edge, edge, side - edge, side - edge)
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box))


def _turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    """Turn counter-clockwise about the centre; beyond the edges the picture is mirrored."""
    side = picture.shape[0]
    pad = side // 2
    wide = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), "symmetric")
    turned = Image.fromarray(wide).rotate(degrees, Image.Resampling.BILINEAR)
    return np.asarray(turned)[pad : pad + side, pad : pad + side]
