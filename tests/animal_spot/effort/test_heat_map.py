"""The pictures of activity: what is in them, and where the sun is."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from PIL import Image

from animal_spot.effort.counting import Recorded, count
from animal_spot.effort.heat_map import SITES_A_PAGE, heat_maps, rates
from animal_spot.effort.sun import sun_hours
from animal_spot.figures.look import save

BERLIN = ZoneInfo("Europe/Berlin")


def activity_of(*recordings):
    return count(recordings, ["owl"])[0]


def test_rates_tell_silence_from_gaps():
    start = datetime(2024, 5, 1, 23, 30)
    grid = rates(activity_of(Recorded("1", "a", start, 3600, (("owl", 1), ("owl", 2)))), "owl", "a")
    assert grid.shape == (24, 2)
    assert (grid[23, 0], grid[0, 1]) == (4, 0)
    assert np.isnan(grid).sum() == 46


@pytest.mark.parametrize(
    ("place", "zone", "offset_h"),
    [
        ((52.52, 13.41), "Europe/Berlin", 2),
        ((21.31, -157.86), "Pacific/Honolulu", -10),
        ((-17.8, 177.4), "Pacific/Fiji", 12),
    ],
)
@pytest.mark.parametrize(
    ("day", "declination", "equation_min"),  # of an almanac, to a tenth
    [(date(2024, 6, 21), 23.4, -1.9), (date(2024, 4, 20), 11.7, 1.2)],
)
def test_sun_rises_and_sets_by_the_clock(place, zone, offset_h, day, declination, equation_min):
    """The sunrise equation: the sun's upper edge at the horizon, with refraction, at -0.833°."""
    latitude, tilt, edge = map(math.radians, (place[0], declination, -0.833))
    cosine = (math.sin(edge) - math.sin(latitude) * math.sin(tilt)) / (
        math.cos(latitude) * math.cos(tilt)
    )
    noon = 12 + offset_h - place[1] / 15 - equation_min / 60
    half = math.degrees(math.acos(cosine)) / 15
    found = sun_hours(*place, day, datetime(2024, 1, 1, tzinfo=ZoneInfo(zone)))
    assert found == pytest.approx((noon - half, noon + half), abs=3 / 60)


def test_sun_does_not_set_in_a_polar_summer():
    clock = datetime(2024, 1, 1, tzinfo=timezone.utc)
    assert sun_hours(78, 15, date(2024, 6, 21), clock) == (None, None)


def test_sun_jumps_by_an_hour_where_clocks_do():
    clock = datetime(2024, 1, 1, tzinfo=BERLIN)
    before, after = (sun_hours(52.5, 13.4, date(2024, 3, day), clock)[0] for day in (30, 31))
    assert after - before == pytest.approx(1, abs=0.1)


def test_picture_shows_each_site_and_the_sun_where_it_is_known(tmp_path):
    start = datetime(2024, 5, 1, 20, tzinfo=BERLIN)
    recordings = [
        Recorded("1", "with $place", start, 7200, (("owl", 1),), 52.5, 13.4),
        Recorded("2", "without", start + timedelta(days=1), 7200),
    ]
    (figure,) = heat_maps(activity_of(*recordings), "owl")
    first, second = figure.axes[:2]
    assert [line.get_label() for line in first.lines] == ["sunrise", "sunset"]
    assert len(second.lines) == 0
    assert "Europe/Berlin" in first.get_title("left")
    drawn = first.collections[0].get_array()
    assert drawn.shape == (24, 2)
    assert (drawn.count(), drawn.max()) == (2, 1)
    for kind in ("png", "svg"):
        save(figure, tmp_path / f"a.{kind}", kind)
    assert Image.open(tmp_path / "a.png").size[0] > 500
    assert "<svg" in (tmp_path / "a.svg").read_text()[:400]


def test_many_sites_take_several_pages():
    start = datetime(2024, 5, 1, 20)
    n = 2 * SITES_A_PAGE + 1
    activity = activity_of(*(Recorded(str(i), f"s{i:02}", start, 60) for i in range(n)))
    pages = list(heat_maps(activity, "owl"))
    assert [len(page.axes) - 1 for page in pages] == [SITES_A_PAGE, SITES_A_PAGE, 1]
    assert not math.isnan(pages[-1].axes[0].collections[0].norm.vmax)
