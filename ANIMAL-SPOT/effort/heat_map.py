"""Pictures of activity: each day a column, each hour of the clock a row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from animal_spot.effort.counting import Activity, Hour
from animal_spot.effort.sun import sun_hours
from animal_spot.utils.plots import plot_label

SITES_A_PAGE = 6
_NOT_RECORDED = "0.88"  # grey


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
    sites = activity.sites
    grids = {site: rates(activity, name, site) for site in sites}
    top = max((float(np.nanmax(grid)) for grid in grids.values()), default=0) or 1.0
    for first in range(0, len(sites), SITES_A_PAGE):
        yield _page(activity, name, sites[first : first + SITES_A_PAGE], grids, top)


def _page(
    activity: Activity, name: str, sites: Sequence[str], grids: dict[str, np.ndarray], top: float
) -> Figure:
    days = activity.days
    width = min(14.0, max(6.0, 3.5 + 0.12 * len(days)))
    figure = Figure(figsize=(width, 0.8 + 2.6 * len(sites)), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(sites), 1, squeeze=False, sharex=True)[:, 0]
    edges = date2num(days).tolist()
    edges = np.array([*edges, edges[-1] + 1])
    for axes, site in zip(rows, sites, strict=True):
        axes.set_facecolor(_NOT_RECORDED)
        image = axes.pcolormesh(
            edges, np.arange(25), np.ma.masked_invalid(grids[site]), vmin=0, vmax=top, cmap="YlGnBu"
        )
        _draw_sun(axes, activity, site, edges)
        axes.set_ylim(0, 24)
        axes.set_yticks(range(0, 25, 6))
        axes.set_ylabel("hour of the day")
        axes.set_title(f"{plot_label(site)}: {_clock_of(activity, site)}", fontsize=9, loc="left")
    locator = AutoDateLocator(minticks=1, maxticks=10)
    locator.intervald[3] = [1, 2, 3, 7, 14, 21]  # whole days at least: a column is one
    rows[-1].xaxis.set_major_locator(locator)
    rows[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    bar = figure.colorbar(image, ax=list(rows), fraction=0.05)
    bar.set_label("detections per recorded hour")
    if lines := next((axes.lines for axes in rows if len(axes.lines)), None):
        figure.legend(handles=list(lines), loc="outside upper right", ncols=2, fontsize=8)
    figure.suptitle(f"{plot_label(name)} (grey: not recorded)", fontsize=11)
    return figure


def _draw_sun(axes, activity: Activity, site: str, edges: np.ndarray) -> None:
    place, clock = activity.places.get(site), activity.zones[site]
    if place is None or clock.tzinfo is None:
        return
    hours = [sun_hours(*place, day, clock) for day in activity.days]
    for number, (text, style) in enumerate((("sunrise", "-"), ("sunset", "--"))):
        line = np.array([math.nan if h[number] is None else h[number] for h in hours])
        steps = np.append(line, line[-1:])
        axes.step(edges, steps, where="post", color="darkorange", linestyle=style, label=text)


def _clock_of(activity: Activity, site: str) -> str:
    zone = activity.zones[site].tzinfo
    return "local time, zone unknown" if zone is None else f"clock of {zone}"


def save_picture(figure: Figure, path: Path, kind: str) -> None:
    """Write a figure as ``png`` or ``svg``: the same bytes for the same picture."""
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "animal-spot"}):
        figure.savefig(path, format=kind, dpi=120, metadata=metadata)
