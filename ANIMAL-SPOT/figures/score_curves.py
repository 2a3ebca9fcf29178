"""How often detections of a score are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from animal_spot.figures.look import COLOURS, PAGE_MM, in_our_look, new_figure, shown

_COLUMNS = 3
_PANEL_MM = 48.0


@dataclass(frozen=True)
class ScoreCurvePanel:
    """What is known of a class.

    Attributes:
        name: Of the class.
        curve: Score, probability of being right, and the ends of its interval; shape
            ``(point, 4)``. Empty: no curve could be fitted.
        bins: Lowest and highest score of a bin, its share of right ones, the ends of that share's
            interval, and how many were reviewed; shape ``(bin, 6)``.
        thresholds: Precision that is wanted, and the score from which on it is reached.
    """

    name: str
    curve: np.ndarray
    bins: np.ndarray
    thresholds: Sequence[tuple[float, float]] = ()


@in_our_look()
def score_curves_figure(panels: Sequence[ScoreCurvePanel], *, title: str) -> Figure:
    """Draw a panel for each class: reviewed bins, fitted curve, thresholds as upright lines.

    Args:
        panels: At least one.
        title: Of the whole figure.
    """
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    figure = new_figure(PAGE_MM * (0.4 + 0.3 * (columns - 1)), _PANEL_MM * rows + 12)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        axes.set_title(shown(panel.name, 24), fontsize=7.5)
        axes.set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
        axes.set_yticklabels(["0 %", "50 %", "100 %"])
        axes.grid(True)
        _draw(axes, panel)
    figure.suptitle(shown(title, 160), x=0.01, ha="left")
    figure.supxlabel("score", fontsize=7.5)
    figure.supylabel("right", fontsize=7.5)
    return figure


def _draw(axes, panel: ScoreCurvePanel) -> None:
    if len(panel.curve):
        score, value, low, high = panel.curve.T
        axes.fill_between(score, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
        axes.plot(score, value, color=COLOURS[0], linewidth=1.2)
    for left, right, value, low, high, n in panel.bins:
        middle = (left + right) / 2
        axes.plot([left, right], [value, value], color=COLOURS[1], linewidth=1)
        axes.plot([middle, middle], [low, high], color=COLOURS[1], linewidth=0.7)
        axes.plot(middle, value, "o", color=COLOURS[1], markersize=2 + min(3.0, np.sqrt(n) / 3))
    for number, (wanted, score) in enumerate(panel.thresholds):
        axes.axvline(score, color=COLOURS[2], linewidth=0.8, linestyle="--")
        axes.annotate(
            f"{wanted:.0%}",
            (score, 0.02 + 0.12 * number),
            xytext=(-2, 0),
            textcoords="offset points",
            ha="right",
            fontsize=6.5,
            color=COLOURS[2],
        )
