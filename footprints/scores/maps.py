"""Where photos were taken, as points on a plain graticule: no tiles, so no network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from footprints.scores.calibration import UNKNOWN
from footprints.scores.look import COLOURS, INK, PAGE_MM, PALE, in_our_look, new_figure, shown

GREY = "#7A7A7A"  # of photos without an answer
_KM_PER_DEGREE = 111.32  # of latitude, and of longitude at the equator
_LEAST_KM = 0.5  # across a map, so that one point has surroundings
_MARGIN = 0.12  # of the extent, on each side
_LONGEST, _NARROWEST = 2.2, 0.45  # height by width: a route is no line
_MARKERS = "osD^vP"  # change when all colours were used
_MOST_NAMES = 18  # in the legend

LatLon = tuple[float, float]


@dataclass(frozen=True)
class Window:
    """The part of the world that a map shows, in degrees.

    Attributes:
        west: May lie below -180, where a map goes across the date line.
        east: Likewise above 180.
        south: At least -90.
        north: At most 90.
    """

    west: float
    east: float
    south: float
    north: float

    @property
    def middle(self) -> float:
        """Latitude at which distances are right."""
        return (self.south + self.north) / 2

    @property
    def km_per_degree(self) -> float:
        """Kilometres of a degree of longitude in the middle."""
        return _KM_PER_DEGREE * _cosine(self.middle)


def colours_of(answers: Sequence[str]) -> dict[str, str]:
    """Return the colour of each answer, ``#RRGGBB``; of "unknown" grey, put last."""
    names = [name for name in dict.fromkeys(answers) if name != UNKNOWN]
    found = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    return found | ({UNKNOWN: GREY} if UNKNOWN in answers else {})


@in_our_look()
def map_figure(
    places: Mapping[str, Sequence[LatLon]], title: str, lines: Sequence[Sequence[LatLon]] = ()
) -> Figure:
    """Draw where the photos of each answer were taken.

    Longitudes are drawn narrower by the cosine of the middle latitude, so that a circle on the
    ground is one on the map (plate carrée, true at that latitude).

    Args:
        places: Latitude and longitude of each photo, in degrees, by answer, in the order of the
            legend.
        title: Written above.
        lines: Trails to draw below the points; their places are among these.
    """
    points = [place for of_answer in places.values() for place in of_answer]
    figure = new_figure(PAGE_MM, 112)
    axes = figure.add_subplot()
    axes.set_title(shown(title, 120))
    if not points:
        axes.text(
            0.5, 0.5, "no photo says where it was taken", ha="center", transform=axes.transAxes
        )
        axes.set_axis_off()
        return figure
    window = window_of(points)
    _graticule(axes, window)
    colours = colours_of(list(places))
    for line in lines:
        longitudes = [_into(window, longitude) for _, longitude in line]
        axes.plot(longitudes, [latitude for latitude, _ in line], color=INK, alpha=0.5, label="_")
    for number, (answer, of_answer) in enumerate(places.items()):
        longitudes = [_into(window, longitude) for _, longitude in of_answer]
        axes.plot(
            longitudes,
            [latitude for latitude, _ in of_answer],
            _MARKERS[number // len(COLOURS) % len(_MARKERS)],
            color=colours[answer],
            markerfacecolor="none" if answer == UNKNOWN else colours[answer],
            markersize=4.5,
            alpha=0.8,
            label=f"{shown(answer)} ({len(of_answer)})" if number < _MOST_NAMES else "_",
        )
    _scale_bar(axes, window)
    hidden = len(places) - _MOST_NAMES
    heading = f"answer (photos); {hidden} more" if hidden > 0 else "answer (photos)"
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), title=heading, alignment="left")
    return figure


def window_of(points: Sequence[LatLon]) -> Window:
    """Return what a map of points must show: the shorter way round the world, with a margin.

    Args:
        points: Latitude and longitude in degrees; one at least.
    """
    latitudes = np.array([latitude for latitude, _ in points])
    west, east = _shorter_way([longitude for _, longitude in points])
    south, north = float(latitudes.min()), float(latitudes.max())
    cosine = _cosine((south + north) / 2)
    least = _LEAST_KM / _KM_PER_DEGREE
    high = max((north - south) * (1 + 2 * _MARGIN), least)
    wide = max((east - west) * (1 + 2 * _MARGIN), least / cosine)
    high = max(high, _NARROWEST * wide * cosine)
    wide = min(max(wide, high / cosine / _LONGEST), 360.0)
    x, y = (west + east) / 2, (south + north) / 2
    return Window(x - wide / 2, x + wide / 2, max(-90.0, y - high / 2), min(90.0, y + high / 2))


def scale_km(window: Window) -> float:
    """Return a round length, 1, 2 or 5 times a power of ten, of at most a third of the width."""
    most = (window.east - window.west) * window.km_per_degree / 3
    power = 10.0 ** math.floor(math.log10(most))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= most)


def _shorter_way(longitudes: Sequence[float]) -> tuple[float, float]:
    """Return west and east of the shortest arc that holds all; east may be above 180."""
    ordered = np.unique(np.mod(longitudes, 360.0))
    gaps = np.diff(ordered, append=ordered[0] + 360)
    widest = int(np.argmax(gaps))
    west = float(ordered[(widest + 1) % len(ordered)])
    west = west - 360 if west >= 180 else west
    return west, west + 360 - float(gaps[widest])


def _into(window: Window, longitude: float) -> float:
    """Return a longitude as one within the window, which may go across the date line."""
    return window.west + (longitude - window.west) % 360


def _cosine(latitude: float) -> float:
    return max(math.cos(math.radians(latitude)), 0.02)


def _graticule(axes: Axes, window: Window) -> None:
    axes.set_xlim(window.west, window.east)
    axes.set_ylim(window.south, window.north)
    axes.set_aspect(1 / _cosine(window.middle))
    for axis, low, high, sides in (
        (axes.xaxis, window.west, window.east, "EW"),
        (axes.yaxis, window.south, window.north, "NS"),
    ):
        locator = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])
        ticks = locator.tick_values(low, high)
        digits = max(0, -math.floor(math.log10((ticks[1] - ticks[0]) / 5)))
        axis.set_major_locator(locator)
        axis.set_major_formatter(
            FuncFormatter(lambda value, _, s=sides, d=digits: degrees_text(value, s, d))
        )
    axes.grid(True, color=INK, alpha=PALE / 4, linewidth=0.5)
    for spine in axes.spines.values():
        spine.set_visible(True)


def degrees_text(value: float, sides: str, digits: int) -> str:
    """Return degrees as maps have them: ``8.5° W`` for -8.5 and sides ``EW``.

    Args:
        value: Degrees; longitudes beyond 180 come round from the other side.
        sides: Letters of positive and negative ones.
        digits: Behind the point at most.
    """
    if sides == "EW":
        value = (value + 180) % 360 - 180
    text = f"{abs(value):.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if float(text) in ((0, 180) if sides == "EW" else (0,)):
        return f"{text}°"
    return f"{text}° {sides[int(value < 0)]}"


def _scale_bar(axes: Axes, window: Window) -> None:
    """Draw a length on the ground; right at the middle latitude."""
    length = scale_km(window)
    share = length / ((window.east - window.west) * window.km_per_degree)
    left, low = 0.03, 0.04
    axes.plot(
        (left, left + share), (low, low), color=INK, linewidth=2, transform=axes.transAxes,
        solid_capstyle="butt",
    )  # fmt: skip
    text = f"{length:g} km" if length >= 1 else f"{length * 1000:g} m"
    axes.annotate(
        text, (left, low), xycoords="axes fraction", xytext=(0, 3), textcoords="offset points",
        fontsize=7,
    )  # fmt: skip
