"""How much of a place is told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from footprints.places.privacy import Privacy, rounded
from footprints.places.taken import Taken

SETT = Taken("2026-03-01T07:15:00", 47.2345, 8.5432, 512.5, "Canon EOS R7")


def test_stripped_of_its_place() -> None:
    assert Privacy(strip=True).of(SETT) == Taken(SETT.taken_at, camera=SETT.camera)


def test_nothing_asked_nothing_changed() -> None:
    assert Privacy().of(SETT) is SETT


def test_rounded_place_has_no_altitude() -> None:
    found = Privacy(round_km=10).of(SETT)
    assert (found.latitude, found.longitude) == rounded(47.2345, 8.5432, 10)
    assert found.altitude_m is None


@pytest.mark.parametrize("km", [1, 10, 50])
def test_places_of_a_square_become_one_that_is_near(km) -> None:
    """The distance on a sphere to the middle of the square is at most half its diagonal."""
    rng = np.random.default_rng(1)
    for latitude, longitude in rng.uniform((-80, -180), (80, 180), (300, 2)):
        at = rounded(latitude, longitude, km)
        assert _km((latitude, longitude), at) <= 1.02 * km * math.sqrt(0.5) + 0.02
    near = {rounded(47.2 + d, 8.5 + e, km) for d in (0, 1e-4, 2e-4) for e in (0, 1e-4)}
    assert len(near) <= 2


@pytest.mark.parametrize("place", [(90.0, 0.0), (-90.0, 180.0), (0.0, -180.0), (0.0, 180.0)])
def test_ends_of_the_world(place) -> None:
    latitude, longitude = rounded(*place, 100)
    assert -90 <= latitude <= 90
    assert -180 <= longitude <= 180


def _km(one, other) -> float:
    """Return the distance on a great circle (haversine)."""
    a, b, c, d = map(math.radians, (*one, *other))
    h = math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2
    return 2 * 6371.0 * math.asin(math.sqrt(h))
