"""Which photos are of one trail."""

from __future__ import annotations

import pytest

from footprints.places.distance import middle_of
from footprints.places.taken import Taken
from footprints.places.trails import trails_by_folder, trails_by_time

DEGREE_M = 111_195  # of latitude, on a sphere of 6371 km


def at(time: str | None, metres_north: float | None = None, camera: str = "A") -> Taken:
    latitude = None if metres_north is None else 47 + metres_north / DEGREE_M
    taken_at = None if time is None else f"2026-03-01T{time}"
    return Taken(taken_at, latitude, None if latitude is None else 8.0, None, camera)


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        pytest.param(
            [at("07:00:00"), at("07:29:00"), at("07:58:00"), at("08:29:00")],
            ["trail 1", "trail 1", "trail 1", "trail 2"],
            id="neighbours-within-30-minutes",
        ),
        pytest.param(
            [at("07:00:00", 0), at("07:01:00", 90), at("07:02:00", 180), at("07:03:00", 290)],
            ["trail 1", "trail 1", "trail 1", "trail 2"],
            id="neighbours-within-100-metres",
        ),
        pytest.param(
            [at("07:00:00", 0), at("07:01:00"), at("07:02:00", 900)],
            ["trail 1", "trail 1", "trail 1"],
            id="without-a-place-by-time",
        ),
        pytest.param(
            [at("09:00:00"), at(None), at("07:00:00"), at("07:01:00", camera="B")],
            ["trail 3", None, "trail 1", "trail 2"],
            id="order-no-time-two-cameras",
        ),
        pytest.param(
            [at("07:00:00+01:00"), at("06:10:00+00:00"), at("07:00:00")],
            ["trail 1", "trail 1", "trail 2"],
            id="zones",
        ),
    ],
)
def test_trails_by_time(taken, expected):
    assert trails_by_time(taken, minutes=30, metres=100) == expected


def test_trails_by_folder():
    assert trails_by_folder(["a.jpg", "x/b.jpg", "x/y/c.jpg", "x/d.jpg"]) == [".", "x", "x/y", "x"]


def test_the_middle_of_places_across_the_date_line():
    """Taveuni lies on both sides of 180 degrees; the mean of the numbers is in Africa."""
    assert middle_of([(179.9, -16.8), (-179.9, -16.6)]) == (-16.7, -180.0)
    assert middle_of([(8.0, 47.0), (8.5, 47.5), (9.0, 48.0)]) == (47.5, 8.5)
