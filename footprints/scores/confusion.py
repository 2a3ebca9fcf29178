"""Which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from footprints.scores.look import (
    COLUMN_MM,
    INK,
    LONGEST_TICK,
    MM_PER_INCH,
    SHADES,
    all_shown,
    in_our_look,
    new_figure,
    shown,
)

Numbers = Literal["both", "counts", "shares", "none"]

_CELLS_MM = 56.0  # side of a matrix of few classes
_CELL_MM = (3.4, 14.0)  # least and largest side of a cell
_CHARACTER_MM = 1.4  # width of one of a label
_LEAST_HEIGHT_MM = 56.0  # for the words at the sides
_MOST_FOR_BOTH = 10  # classes whose cells have room for two lines
_DARK = "#111111"  # of numbers on pale cells, which stay pale on a dark page
_POINTS_PER_MM = 72 / MM_PER_INCH


@in_our_look()
def confusion_figure(
    counts: np.ndarray,
    names: Sequence[str],
    *,
    title: str,
    unit: str = "clips",
    numbers: Numbers = "both",
    axis_names: tuple[str, str] = ("true class", "predicted class"),
) -> Figure:
    """Draw a confusion matrix, coloured by the share of the true class.

    Cells of zero stay empty. Behind the name of each true class stands how many there are of it.

    Args:
        counts: Shape ``(true, predicted)``, whole numbers.
        names: Of the classes, in index order.
        title: Written above.
        unit: What is counted.
        numbers: What stands in a cell; with ``both`` shares are left out of large matrices.
        axis_names: Of the rows and of the columns.
    """
    counts = np.asarray(counts)
    totals = counts.sum(1)
    shares = counts / np.maximum(totals, 1)[:, None]
    labels = all_shown(names, LONGEST_TICK)
    n = len(labels)
    cell = float(np.clip(_CELLS_MM / max(n, 1), *_CELL_MM))
    rows = [f"{label} ({total})" for label, total in zip(labels, totals.tolist(), strict=True)]
    beside, below = (_CHARACTER_MM * max(map(len, words), default=0) for words in (rows, labels))
    upright = below > cell
    figure = new_figure(
        max(COLUMN_MM, n * cell + beside + 34),
        max(_LEAST_HEIGHT_MM, n * cell + (below if upright else 3) + 18),
    )
    axes = figure.add_subplot()
    image = axes.imshow(np.ma.masked_equal(shares, 0), cmap=SHADES, vmin=0, vmax=1)
    bar = figure.colorbar(
        image,
        ax=axes,
        fraction=0.05,
        pad=0.02,
        shrink=min(1.0, _CELLS_MM / max(n * cell, 1)),
        anchor=(0, 1),
        aspect=22,
        format=PercentFormatter(1, 0),
    )
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    axes.set_xticks(range(n), labels, rotation=90 if upright else 0)
    axes.set_yticks(range(n), rows)
    axes.set_xlabel(axis_names[1])
    axes.set_ylabel(f"{axis_names[0]} (number of {unit})")
    axes.set_title(shown(title, 120))
    _draw_lines(axes, n)
    if numbers == "both" and n > _MOST_FOR_BOTH:
        numbers = "counts"
    if numbers != "none":
        _write_numbers(axes, counts, shares, numbers, cell)
    return figure


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 else "<1%"


def _draw_lines(axes, n: int) -> None:
    """Part the cells."""
    between = np.arange(n + 1) - 0.5
    for draw in (axes.hlines, axes.vlines):
        draw(between, -0.5, n - 0.5, color=INK, alpha=0.15, linewidth=0.6, clip_on=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _write_numbers(axes, counts: np.ndarray, shares: np.ndarray, what: Numbers, cell: float):
    texts = {}
    for place in zip(*map(np.ndarray.tolist, counts.nonzero()), strict=True):
        parts = {"counts": f"{counts[place]:d}", "shares": _percent(shares[place])}
        texts[place] = "\n".join(parts.values()) if what == "both" else parts[what]
    widest = max((len(line) for text in texts.values() for line in text.split("\n")), default=1)
    size = min(7.0, 0.9 * cell * _POINTS_PER_MM / (0.64 * max(widest, 2)))
    for (i, j), text in texts.items():
        colour = "white" if shares[i, j] > 0.5 else _DARK
        number = axes.text(j, i, text, ha="center", va="center", fontsize=size, color=colour)
        number.set_in_layout(False)  # it stays in its cell, and measuring it takes long
