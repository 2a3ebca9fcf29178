"""What a training window is that holds parts of calls: class weights out of shares. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from animal_spot.data.scene_limits import SceneLimits


@dataclass(frozen=True)
class SceneWeights:
    """How much of a window's target goes where; the sum is 1, or 0: the window does not count.

    Attributes:
        own: To the class of its clip.
        second: To the class of the call that was added.
        noise: To the noise class.
    """

    own: float = 1.0
    second: float = 0.0
    noise: float = 0.0


def class_weights(shares: Sequence[float], limits: SceneLimits, *, has_noise: bool) -> SceneWeights:
    """Say what a window is.

    A share becomes a presence: 0 up to the lower bound, 1 from the upper one. Between them it

    * rises evenly with ``soft``: the class gets as much, the noise class the rest;
    * is unknown with ``ignore``: the window does not count in the loss;
    * is 0 with ``noise``.

    Two calls that are both there have half the target each; the noise class gets what the one that
    is more present leaves. Without a noise class nothing could be said of a window that is partly
    or wholly background, so windows with less than the upper bound do not count.

    Args:
        shares: Of the clip's own call, and of the second one if there is one: how much of it lies
            in the window, 0 to 1.
        limits: Bounds, and what lies between them.
        has_noise: Whether there is a noise class.
    """
    low, high = limits.bounds
    presence = np.array([_presence(share, low, high) for share in shares])
    between = (presence > 0) & (presence < 1)
    if limits.targets == "noise":
        presence[between] = 0.0
    elif (limits.targets == "ignore" or not has_noise) and between.any():
        return SceneWeights(0.0, 0.0, 0.0)
    most = float(presence.max())
    if most < 1 and not has_noise:
        return SceneWeights(0.0, 0.0, 0.0)
    weights = most * presence / presence.sum() if most else presence
    return SceneWeights(float(weights[0]), float(weights[1:].sum()), 1.0 - most)


def _presence(share: float, low: float, high: float) -> float:
    if share >= high:
        return 1.0
    return 0.0 if share <= low else (share - low) / (high - low)
