"""How far apart two photos were taken."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def middle_of(places: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return latitude and longitude in the middle of places, also of some across 180 degrees.

    Args:
        places: Longitude and latitude of each, in degrees; one at least.
    """
    first = places[0][0]
    # Seen from the first place no other is farther than half around the earth.
    turned = [(longitude - first + 180) % 360 - 180 for longitude, _ in places]
    longitude = first + sum(turned) / len(turned)
    latitude = sum(latitude for _, latitude in places) / len(places)
    return round(latitude, 7), round((longitude + 180) % 360 - 180, 7)
