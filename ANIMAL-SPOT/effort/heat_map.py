"""Pictures of activity: each day a column, each hour of the clock a row."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from animal_spot.effort.counting import Activity, Hour
from animal_spot.effort.sun import sun_hours
from animal_spot.figures.activity import SiteDays, heat_map_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SITES_A_PAGE = 6


def rates(activity: Activity, name: str, site: str) -> np.ndarray:
    """Return detections per recorded hour, shape ``(24, days)``; NaN where nothing was recorded."""
    days = activity.days
    grid = np.full((24, len(days)), math.nan)
    for i, day in enumerate(days):
        for hour in range(24):
            cell = Hour(site, day, hour)
            if cell in activity.effort_s:
                grid[hour, i] = activity.found[cell, name] * 3600 / activity.effort_s[cell]
    return grid


def heat_maps(activity: Activity, name: str) -> Iterator[Figure]:
    """Draw the activity of a class, a panel for each site, some sites on a page.

    Sunrise and sunset are drawn where position and zone of a site are known.

    Args:
        activity: What was counted.
        name: Of the class.
    """
    panels = [
        SiteDays(
            f"{site}: {_clock_of(activity, site)}",
            rates(activity, name, site),
            _sun(activity, site),
        )
        for site in activity.sites
    ]
    top = max((float(np.nanmax(panel.rates)) for panel in panels), default=0) or 1.0
    for first in range(0, len(panels), SITES_A_PAGE):
        page = panels[first : first + SITES_A_PAGE]
        yield heat_map_figure(page, activity.days, top, title=name)


def _sun(activity: Activity, site: str) -> np.ndarray | None:
    """Return hours of sunrise and sunset of each day, shape ``(2, days)``; None if not known."""
    place, clock = activity.places.get(site), activity.zones[site]
    if place is None or clock.tzinfo is None:
        return None
    hours = [sun_hours(*place, day, clock) for day in activity.days]
    return np.array([[math.nan if h is None else h for h in pair] for pair in hours]).T


def _clock_of(activity: Activity, site: str) -> str:
    zone = activity.zones[site].tzinfo
    return "local time, zone unknown" if zone is None else f"clock of {zone}"
