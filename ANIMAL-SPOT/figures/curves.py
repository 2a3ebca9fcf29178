"""Curves: precision and recall, receiver operating characteristic, learning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from animal_spot.figures.look import (
    COLOURS,
    COLUMN_MM,
    INK,
    MM_PER_INCH,
    PAGE_MM,
    PALE,
    in_our_look,
    new_figure,
    shown,
    write_with_key,
)

_MOST_COLUMNS = 4  # panels side by side
_PANEL_MM = 40.0  # height of one
# Around panels and between two rows, for words.
_LEFT_MM, _RIGHT_MM, _ABOVE_MM, _BELOW_MM, _BETWEEN_ROWS_MM = 18.0, 4.0, 12.0, 11.0, 9.0
_LEAST_GAP = 0.075  # between words at the ends of lines, as a share of the height


@in_our_look()
def precision_recall_figure(
    curves: Mapping[str, Sequence[Mapping[str, float | None]]],
    *,
    title: str,
    counts: Mapping[str, int] | None = None,
    unit: str = "events",
) -> Figure:
    """Draw precision over recall, a panel for each class; a point marks the best F1.

    Args:
        curves: For each class its points in order of ``threshold``, with ``precision``, ``recall``
            and ``f1`` in 0..1, or None where they are not defined.
        title: Of the whole figure.
        counts: How many events there are of each class; None: not said.
        unit: What is found.
    """
    figure, panels = _panels(len(curves), between_mm=7, sharex=True, sharey=True)
    for axes, (name, curve) in zip(panels, curves.items(), strict=False):
        number = f" ({counts[name]})" if counts is not None else ""
        axes.set_title(f"{shown(name, 24)}{number}", fontsize=7.5)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        axes.set_xticks([0, 0.5, 1])
        axes.set_yticks([0, 0.5, 1])
        axes.grid(True)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, 0))
        _draw_precision_recall(axes, curve)
    of = f" (in brackets the number of {unit})" if counts is not None else ""
    _name_panels(
        figure,
        f"{title}{of}",
        f"recall: share of the {unit} that are found",
        "precision: share of\nwhat is found that is right",
    )
    return figure


def _draw_precision_recall(axes, curve: Sequence[Mapping[str, float | None]]) -> None:
    right = [point for point in curve if point["f1"]]
    whole = [p for p in curve if p["precision"] is not None and p["recall"] is not None]
    if not right or not whole:
        axes.text(0.5, 0.5, "never right", ha="center", va="center", alpha=PALE + 0.15)
        return
    # The higher threshold of equals.
    best = max(right, key=lambda point: (point["f1"], point["threshold"]))
    xy = [(point["recall"], point["precision"]) for point in whole]
    axes.plot(*zip(*xy, strict=True), color=COLOURS[0], marker=".", markersize=3, linewidth=1)
    axes.plot(best["recall"], best["precision"], "o", color=COLOURS[1], markersize=5, zorder=3)
    # Where curves of any use do not go.
    text = f"best F1 {best['f1']:.2f}\nat {best['threshold']:g}"
    write_with_key(axes, text, (0.04, 0.05), COLOURS[1], "bottom")


@in_our_look()
def roc_figure(labels: np.ndarray, scores: np.ndarray, *, title: str) -> tuple[Figure, float]:
    """Draw the receiver operating characteristic; equal scores make one step.

    Args:
        labels: 0 or 1 of each clip.
        scores: Of class 1, one of each clip.
        title: Written above.

    Returns:
        The figure, and the area under the curve: NaN when a class is absent.
    """
    from sklearn.metrics import auc, roc_curve

    labels = np.asarray(labels)
    figure = new_figure(COLUMN_MM, COLUMN_MM, finds_places=False)
    axes = figure.add_axes((0.15, 0.12, 0.8, 0.8))
    area = math.nan
    text = "area undefined: a class is absent"
    if len(np.unique(labels)) == 2:
        fpr, tpr, _ = roc_curve(labels, np.asarray(scores), drop_intermediate=False)
        area = float(auc(fpr, tpr))
        axes.plot(fpr, tpr, color=COLOURS[0])
        text = f"area under the curve {area:.3f}"
    axes.plot([0, 1], [0, 1], linestyle=":", color=INK, alpha=PALE, linewidth=0.9)
    axes.text(0.97, 0.05, text, ha="right", transform=axes.transAxes)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xlabel("false positive rate: share of clips without a call")
    axes.set_ylabel("true positive rate: share of clips with a call")
    axes.set_title(shown(title, 120))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, 0))
    axes.grid(True)
    return figure, area


@in_our_look()
def learning_figure(
    quantities: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    title: str,
    first_epoch: int = 1,
    best_epoch: int | None = None,
) -> Figure:
    """Draw how numbers went over the epochs, a panel for each, lines named at their ends.

    Args:
        quantities: By what is drawn with its unit, as ``accuracy (share)``, the lines by name, as
            ``training``; a number for each epoch, NaN where there is none. Panels whose numbers
            are all in 0..1 and whose name holds no ``loss`` show all of 0..1.
        title: Of the whole figure.
        first_epoch: Number of the first.
        best_epoch: Number of the one that is kept; None: not marked.
    """
    n = max(len(quantities), 1)
    figure = new_figure(PAGE_MM if n > 1 else COLUMN_MM, 62)
    panels = figure.subplots(1, n, squeeze=False)[0]
    colours: dict[str, str] = {}
    for axes, (what, lines) in zip(panels, quantities.items(), strict=False):
        ends = []
        for name, values in lines.items():
            colour = colours.setdefault(name, COLOURS[len(colours) % len(COLOURS)])
            values = np.asarray(values, dtype=float)
            epochs = np.arange(first_epoch, first_epoch + len(values))
            known = np.isfinite(values)  # a line goes on over epochs without a number
            marker = "." if len(values) < 40 else None
            axes.plot(epochs[known], values[known], color=colour, marker=marker)
            if known.any():
                ends.append((float(values[known][-1]), shown(name, 24), colour))
        every = np.concatenate([np.asarray(v, float) for v in lines.values()] or [[]])
        every = every[np.isfinite(every)]
        if "loss" not in what and every.size and every.min() >= 0 and every.max() <= 1:
            axes.set_ylim(-0.02, 1.02)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=":", alpha=PALE)
            axes.annotate(
                f"best: {best_epoch}",
                (best_epoch, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 1),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=6.5,
            )
        n_epochs = max(map(len, lines.values()), default=1)
        axes.set_xlim(first_epoch - 0.5, first_epoch + max(n_epochs, 1) - 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel(what)
        axes.grid(True, axis="y")
        _name_ends(axes, ends)
    figure.suptitle(shown(title, 120), x=0.01, ha="left")
    return figure


def _name_ends(axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write each name at the end of its line, none over another."""
    low, high = axes.get_ylim()
    places = sorted(((value - low) / (high - low), name, colour) for value, name, colour in ends)
    floor = 0.0
    for i, (place, name, colour) in enumerate(places):
        room_above = 1 - _LEAST_GAP * (len(places) - 1 - i)
        at = max(floor, min(place, room_above))
        floor = at + _LEAST_GAP
        write_with_key(axes, name, (1, at), colour, "center", 3)


def _panels(n: int, between_mm: float, **shared: Any) -> tuple[Figure, list[Any]]:
    """Return a figure with ``n`` panels in rows; words of the outer ones only where shared.

    Args:
        n: Number of panels; without any the figure says that there is nothing.
        between_mm: Room between two side by side, for the words of the right one.
        **shared: Which axes are, as for ``Figure.subplots``.
    """
    columns = min(max(n, 1), _MOST_COLUMNS)
    rows = -(-max(n, 1) // columns)
    width = {1: COLUMN_MM, 2: 120.0}.get(columns, PAGE_MM)
    panel_mm = 50.0 if rows == columns == 1 else _PANEL_MM
    height = rows * panel_mm + _ABOVE_MM + _BELOW_MM
    figure = new_figure(width, height, finds_places=False)  # seconds for many panels
    across = (width - _LEFT_MM - _RIGHT_MM - (columns - 1) * between_mm) / columns
    panels = figure.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw={
            "left": _LEFT_MM / width,
            "right": 1 - _RIGHT_MM / width,
            "bottom": _BELOW_MM / height,
            "top": 1 - _ABOVE_MM / height,
            "wspace": between_mm / across,
            "hspace": _BETWEEN_ROWS_MM / (panel_mm - _BETWEEN_ROWS_MM),
        },
        **shared,
    )
    for axes in panels.flat[n:]:
        axes.set_axis_off()
    for axes in panels.flat[max(0, n - columns) : n]:
        axes.tick_params(labelbottom=True)
    if n == 0:
        panels[0, 0].text(0.5, 0.5, "nothing to draw", ha="center", va="center")
    return figure, list(panels.flat[:n])


def _name_panels(figure: Figure, title: str, below: str, beside: str) -> None:
    width, height = figure.get_size_inches() * MM_PER_INCH
    figure.suptitle(shown(title, 160), x=2 / width, y=1 - 2 / height, ha="left", va="top")
    figure.supxlabel(below, fontsize=7.5, y=1.5 / height, va="bottom")
    figure.supylabel(beside, fontsize=7.5, x=1.5 / width, ha="left")
