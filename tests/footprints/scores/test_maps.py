"""Maps: what they show, and at what scale."""

from __future__ import annotations

import math

import pytest

from footprints.scores import maps
from footprints.scores.look import png_bytes
from footprints.scores.maps import colours_of, degrees_text, map_figure, scale_km, window_of

FIJI = [(-16.8, 179.9), (-16.9, -179.7), (-16.5, 179.2)]


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([(47.2345, 8.5432)], id="one"),
        pytest.param(FIJI, id="date-line"),
        pytest.param([(47 + i / 10_000, 8.0) for i in range(30)], id="route"),
        pytest.param([(60, -170), (-50, 100), (10, 5), (0, 179)], id="world"),
        pytest.param([(89.99, 10.0), (89.98, -170.0)], id="pole"),
    ],
)
def test_all_points_lie_in_the_map_and_in_its_legend(points) -> None:
    figure = map_figure({"fox": points}, "Where")
    [axes] = figure.axes
    (west, east), (south, north) = axes.get_xlim(), axes.get_ylim()
    drawn = axes.lines[0]
    for x, y, (latitude, longitude) in zip(*drawn.get_data(), points, strict=True):
        assert west < x < east
        assert south <= y <= north
        assert (y, math.cos(math.radians(x))) == (
            latitude,
            pytest.approx(math.cos(math.radians(longitude))),
        )
    assert axes.get_legend().texts[0].get_text() == f"fox ({len(points)})"
    assert png_bytes(figure, 50)[:4] == b"\x89PNG"


def test_date_line_is_crossed_the_short_way() -> None:
    window = window_of(FIJI)
    assert window.east - window.west < 2
    assert window.west < 179.2 < 180.3 < window.east


def test_map_of_one_point_shows_its_surroundings() -> None:
    window = window_of([(60.0, 8.0)])
    width_m = (window.east - window.west) * 111_320 * math.cos(math.radians(60))
    assert 499 <= width_m <= 1200
    assert (window.west + window.east) / 2 == pytest.approx(8.0)


def test_without_places_it_says_so() -> None:
    figure = map_figure({}, "Where")
    assert "no photo says" in figure.axes[0].texts[0].get_text()
    png_bytes(figure, 50)


@pytest.mark.parametrize("latitude", [0, 47, 68])
def test_scale_bar_is_as_long_as_it_says(latitude) -> None:
    """Against the distance on a sphere (haversine, radius 6371 km; the bar's is 0.1 % larger)."""
    points = [(latitude, 8.0), (latitude + 0.02, 8.05)]
    figure = map_figure({"fox": points}, "Where")
    [axes] = figure.axes
    bar = axes.lines[-1]
    (left, right), (west, east) = bar.get_xdata(), axes.get_xlim()
    degrees = (right - left) * (east - west)
    middle = math.radians(sum(axes.get_ylim()) / 2)
    half = math.cos(middle) * math.sin(math.radians(degrees) / 2)
    km = 2 * 6371.0 * math.asin(half)
    text = axes.texts[-1].get_text()
    value, unit = text.split()
    assert km == pytest.approx(float(value) / (1000 if unit == "m" else 1), rel=0.003)
    assert scale_km(window_of(points)) == pytest.approx(km, rel=0.003)
    assert axes.get_aspect() == pytest.approx(1 / math.cos(middle), rel=1e-6)


@pytest.mark.parametrize(
    ("value", "sides", "digits", "text"),
    [
        (8.5, "EW", 2, "8.5° E"),
        (-8.5, "EW", 2, "8.5° W"),
        (180.5, "EW", 1, "179.5° W"),
        (180.0, "EW", 0, "180°"),
        (-180.0, "EW", 0, "180°"),
        (0.0, "NS", 0, "0°"),
        (-16.8, "NS", 1, "16.8° S"),
        (100.0, "EW", 0, "100° E"),
    ],
)
def test_degrees(value, sides, digits, text) -> None:
    assert degrees_text(value, sides, digits) == text


def test_colours_belong_to_answers_and_unknown_is_grey() -> None:
    found = colours_of(["unknown", "wolf", "fox", "wolf"])
    assert list(found) == ["wolf", "fox", "unknown"]
    assert found["unknown"] == maps.GREY
    assert len({*found.values()}) == 3
