"""How far apart two photos were taken."""

from __future__ import annotations

import math

from footprints.places.taken import Taken

_EARTH_M = 6_371_000.0


def distance_m(one: Taken, other: Taken) -> float:
    """Return the distance on a sphere (haversine), in metres; both say their place."""
    a, b, c, d = (
        math.radians(value)
        for value in (one.latitude, one.longitude, other.latitude, other.longitude)
    )
    h = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * _EARTH_M * math.asin(min(1.0, math.sqrt(h)))
