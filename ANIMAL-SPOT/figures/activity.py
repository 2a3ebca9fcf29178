"""Detections over days and hours of the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from animal_spot.figures.look import (
    COLOURS,
    COLUMN_MM,
    INK,
    PAGE_MM,
    in_our_look,
    new_figure,
    shown,
)

_NOT_RECORDED = to_rgba(INK, 0.12)
_SUN = COLOURS[1]


@dataclass(frozen=True)
class SiteDays:
    """What one site contributes to a page.

    Attributes:
        title: Of its panel.
        rates: Detections per recorded hour, shape ``(24, days)``; NaN where nothing was recorded.
        sun: Hours of sunrise and of sunset of each day, shape ``(2, days)``, NaN where there is
            none; None: not known.
    """

    title: str
    rates: np.ndarray
    sun: np.ndarray | None = None


@in_our_look()
def heat_map_figure(
    sites: Sequence[SiteDays], days: Sequence[date], top: float, *, title: str
) -> Figure:
    """Draw detections per recorded hour: each day a column, each hour of the clock a row.

    Args:
        sites: A panel for each.
        days: In order, none left out.
        top: Rate of the darkest colour.
        title: Of the page.
    """
    width = float(np.clip(70 + 2.5 * len(days), COLUMN_MM, PAGE_MM))
    figure = new_figure(width, 16 + 46 * len(sites))
    rows = figure.subplots(len(sites), 1, squeeze=False, sharex=True)[:, 0]
    edges = date2num(list(days)).tolist()
    edges = np.array([*edges, edges[-1] + 1])
    for axes, site in zip(rows, sites, strict=True):
        axes.set_facecolor(_NOT_RECORDED)
        image = axes.pcolormesh(
            edges,
            np.arange(25),
            np.ma.masked_invalid(site.rates),
            vmin=0,
            vmax=top,
            cmap="YlGnBu",
            rasterized=site.rates.size > 5000,
        )
        if site.sun is not None:
            for line, text, style in zip(site.sun, ("sunrise", "sunset"), ("-", "--"), strict=True):
                steps = np.append(line, line[-1:])
                axes.step(edges, steps, where="post", color=_SUN, linestyle=style, label=text)
        axes.set_ylim(0, 24)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_yticks(range(0, 25, 6))
        axes.set_ylabel("hour of the day")
        axes.set_title(shown(site.title, 80), fontsize=7.5)
    _date_axis(rows[-1], len(days))
    bar = figure.colorbar(image, ax=list(rows), fraction=0.05, pad=0.02)
    bar.set_label("detections per recorded hour")
    bar.outline.set_visible(False)
    if lines := next((axes.lines for axes in rows if len(axes.lines)), None):
        figure.legend(handles=list(lines), loc="outside lower right", ncols=2)
    figure.suptitle(f"{shown(title)} (grey: not recorded)", x=0.01, ha="left")
    return figure


def _date_axis(axes, n_days: int) -> None:
    locator = AutoDateLocator(minticks=1 if n_days < 8 else 4, maxticks=10)
    locator.intervald[3] = [1, 2, 3, 7, 14, 21]  # whole days at least: a column is one
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
