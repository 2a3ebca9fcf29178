"""Figures of what was found in recordings: rates over time, and scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from animal_spot.figures.look import (
    COLOURS,
    COLUMN_MM,
    INK,
    PAGE_MM,
    in_our_look,
    new_figure,
    shown,
)

MOST_PANELS = 6  # classes of a figure
_PANEL_MM, _EFFORT_MM, _REST_MM = 19.0, 17.0, 12.0  # heights
_NOT_RECORDED = 0.13  # opacity of ink
_N_BINS = 20


@dataclass(frozen=True)
class Places:
    """What stands along the lower edge.

    Attributes:
        label: What it is.
        ticks: Index and text of those that have one.
        is_wide: As wide as two columns.
    """

    label: str
    ticks: Sequence[tuple[float, str]]
    is_wide: bool = False


@in_our_look()
def rates_over(
    rates: Mapping[str, np.ndarray], hours: np.ndarray, places: Places, rate_label: str
) -> Figure:
    """Draw rates of classes, a panel for each, above how long was recorded.

    Args:
        rates: Of each class, shape ``(place,)``; NaN where nothing was recorded, which is grey.
        hours: Recorded at each place.
        places: What they are.
        rate_label: Of the rates, with their unit.
    """
    n = len(rates)
    width = PAGE_MM if places.is_wide else COLUMN_MM
    figure = new_figure(width, n * _PANEL_MM + _EFFORT_MM + _REST_MM)
    panels = figure.subplots(
        n + 1, 1, sharex=True, height_ratios=[_PANEL_MM] * n + [_EFFORT_MM], squeeze=False
    )[:, 0]
    for panel, (name, values) in zip(panels, rates.items(), strict=False):
        _bars(panel, values, COLOURS[0])
        _grey(panel, np.isnan(values))
        panel.set_title(shown(name), loc="left")
    _bars(panels[-1], hours, COLOURS[4])
    panels[-1].set_title("hours recorded", loc="left")
    figure.supylabel(rate_label, fontsize=rcParams["axes.labelsize"])
    panels[-1].set_xlim(-0.5, len(hours) - 0.5)
    panels[-1].set_xticks([at for at, _ in places.ticks], [text for _, text in places.ticks])
    panels[-1].set_xlabel(places.label)
    return figure


def is_wide(scores: Mapping[str, np.ndarray]) -> bool:
    """Tell whether ``score_histograms`` takes two columns of a page."""
    return len(scores) > 3


@in_our_look()
def score_histograms(
    scores: Mapping[str, np.ndarray], thresholds: Mapping[str, float | None]
) -> Figure:
    """Draw how many detections of each class have which score, and where the threshold is.

    Args:
        scores: Of each class, 0 to 1.
        thresholds: Of each class; None: not known.
    """
    n_columns = 2 if is_wide(scores) else 1
    n_rows = math.ceil(len(scores) / n_columns)
    figure = new_figure((COLUMN_MM, PAGE_MM)[n_columns - 1], n_rows * _PANEL_MM + _REST_MM)
    panels = figure.subplots(n_rows, n_columns, sharex=True, squeeze=False).ravel()
    for panel in panels[len(scores) :]:
        panel.set_visible(False)
    edges = np.linspace(0, 1, _N_BINS + 1)
    for panel, (name, values) in zip(panels, scores.items(), strict=False):
        counts, _ = np.histogram(np.clip(values, 0, 1), edges)
        panel.bar(edges[:-1], counts, width=1 / _N_BINS, align="edge", color=COLOURS[0])
        panel.set_ylim(0, max(1, counts.max()) * 1.08)
        panel.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        panel.set_title(shown(name), loc="left")
        threshold = thresholds.get(name)
        if threshold is not None:
            panel.axvline(threshold, color=COLOURS[1], linestyle="--")
            panel.set_title(f"threshold {threshold:.3g}", loc="right", color=COLOURS[1])
    panels[0].set_xlim(0, 1)
    figure.supxlabel("score", fontsize=rcParams["axes.labelsize"])
    figure.supylabel("detections", fontsize=rcParams["axes.labelsize"])
    return figure


def _bars(panel: Axes, values: np.ndarray, colour: str) -> None:
    """Draw bars as one outline, which takes few bytes however many there are."""
    heights = np.nan_to_num(values)
    panel.stairs(heights, np.arange(len(heights) + 1) - 0.5, fill=True, color=colour, linewidth=0)
    panel.set_ylim(0, max(float(heights.max(initial=0)), 1e-9) * 1.08)
    if not heights.any():
        panel.set_ylim(0, 1)
    panel.yaxis.set_major_locator(MaxNLocator(3))


def _grey(panel: Axes, is_missing: np.ndarray) -> None:
    """Mark places in which nothing was recorded, those side by side together."""
    steps = np.diff(np.concatenate(([0], is_missing.astype(int), [0])))
    for first, last in zip(np.flatnonzero(steps > 0), np.flatnonzero(steps < 0), strict=True):
        panel.axvspan(first - 0.5, last - 0.5, color=INK, alpha=_NOT_RECORDED, linewidth=0)


def some_ticks(texts: Sequence[str], most: int) -> list[tuple[float, str]]:
    """Return index and text of every so many-th, at most so many."""
    step = max(1, math.ceil(len(texts) / most))
    return [(i, texts[i]) for i in range(0, len(texts), step)]
