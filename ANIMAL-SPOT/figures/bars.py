"""One number for each class, beside its name."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from animal_spot.figures.look import (
    COLOURS,
    COLUMN_MM,
    INK,
    LONGEST_TICK,
    PALE,
    in_our_look,
    new_figure,
    room_for,
    shown,
)

_ROW_MM = 4.4
_LEAST_HEIGHT_MM = 40.0
_FRAME_MM = 20.0  # title, axis, and its name


@in_our_look()
def accuracy_figure(
    names: Sequence[str],
    accuracies: Sequence[float | None],
    intervals: Sequence[tuple[float, float]],
    counts: Sequence[int],
    *,
    title: str,
    whole: float | None = None,
    what: str = "accuracy",
    unit: str = "clips",
) -> Figure:
    """Draw a share for each class with its 95 % interval, the best on top.

    Args:
        names: Of the classes.
        accuracies: Of each, in 0..1; None or NaN for a class without clips.
        intervals: Lower and upper end of each, in 0..1.
        counts: Number of clips of each.
        title: Written above.
        whole: Share over all clips, drawn as a line; None: no line.
        what: Name of the share.
        unit: What is counted.
    """
    values = np.array([math.nan if a is None else a for a in accuracies], dtype=float)
    order = sorted(range(len(names)), key=lambda i: (-np.nan_to_num(values[i], nan=-1), names[i]))
    labels = [f"{shown(names[i], LONGEST_TICK)} ({counts[i]})" for i in order]
    figure = new_figure(
        COLUMN_MM + room_for(labels),
        max(_LEAST_HEIGHT_MM, _FRAME_MM + _ROW_MM * len(names)),
    )
    axes = figure.add_subplot()
    rows = np.arange(len(order))
    for row, i in enumerate(order):
        if math.isnan(values[i]):
            _beside(axes, row, "no clips" if unit == "clips" else "none")
            continue
        axes.plot(intervals[i], (row, row), color=COLOURS[0], linewidth=1.6, alpha=0.5)
        axes.plot(values[i], row, "o", color=COLOURS[0], markersize=4.5)
        _beside(axes, row, f"{values[i]:.0%}")
    if whole is not None:
        axes.axvline(whole, color=INK, linewidth=0.8, linestyle=":")
        axes.annotate(
            f"all {whole:.0%}",
            (whole, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-2 if whole > 0.5 else 2, -1),
            textcoords="offset points",
            ha="right" if whole > 0.5 else "left",
            va="top",
            fontsize=6.5,
            alpha=0.8,
        )
    _name_rows(axes, rows, labels)
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.set_xlabel(f"{what}, with the 95 % interval")
    axes.set_ylabel(f"class ({unit})")
    axes.set_title(shown(title, 120))
    return figure


def _beside(axes, row: int, text: str) -> None:
    """Write at the right end of a row."""
    axes.annotate(
        text,
        (1, row),
        xycoords=("axes fraction", "data"),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=7,
        annotation_clip=False,
    )


def _name_rows(axes, rows: np.ndarray, labels: Sequence[str]) -> None:
    axes.set_yticks(rows, labels)
    axes.set_ylim(max(len(rows), 1) - 0.4, -0.9)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.hlines(rows, 0, 1, transform=axes.get_yaxis_transform(), color=INK, alpha=PALE / 5, lw=0.5)
