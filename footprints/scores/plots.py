"""Figures of training and evaluation, in the look of both halves; no window is ever opened."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from footprints.scores import confusion
from footprints.scores.intervals import wilson_interval
from footprints.scores.look import (
    COLOURS,
    COLUMN_MM,
    INK,
    LONGEST_TICK,
    PAGE_MM,
    PALE,
    all_shown,
    in_our_look,
    new_figure,
    room_for,
    save,
    shown,
)
from footprints.scores.metrics import Bin

_ROW_MM, _FRAME_MM = 4.4, 20.0  # a line of a list of classes, and what is around the list
_LOSSES = (("loss", "training"), ("val_loss", "validation"))
_SHARES = (
    ("accuracy", "training, accuracy"),
    ("val_accuracy", "validation, accuracy"),
    ("val_macro_f1", "validation, macro F1"),
)


def figure_files(figure: Figure) -> dict[str, bytes]:
    """Return the bytes of a figure's files, by their endings, ``png`` and ``svg``."""
    files = {kind: io.BytesIO() for kind in ("png", "svg")}
    for kind, file in files.items():
        save(figure, file, kind)
    return {kind: file.getvalue() for kind, file in files.items()}


def confusion_figure(matrix: np.ndarray, classes: Sequence[str], title: str = "") -> Figure:
    """Draw a confusion matrix of photos, coloured by the share of the true class.

    Args:
        matrix: Counts ``(true, predicted)``.
        classes: Names in index order.
        title: Written above.
    """
    return confusion.confusion_figure(
        matrix, classes, title=title, unit="photos", axis_names=("is", "named as")
    )


@in_our_look()
def curves_figure(rows: Sequence[Mapping[str, Any]], title: str = "") -> Figure:
    """Draw loss, accuracy and macro F1 over the epochs of a stage, its phases one after another.

    Args:
        rows: One record per epoch, in order: ``phase``, ``epoch``, ``loss``, ``accuracy``,
            ``val_loss``, ``val_accuracy``, ``val_macro_f1`` and ``is_best``.
        title: Written above.
    """
    figure = new_figure(PAGE_MM, 66)
    losses, shares = figure.subplots(1, 2)
    epochs = np.arange(1, len(rows) + 1)
    starts = [i for i, row in enumerate(rows) if i == 0 or row["phase"] != rows[i - 1]["phase"]]
    for axes, lines in ((losses, _LOSSES), (shares, _SHARES)):
        for key, label in lines:
            axes.plot(epochs, [row[key] for row in rows], marker=".", label=label)
        for number, start in enumerate(starts):
            if number:
                axes.axvline(start + 0.5, color=INK, alpha=PALE, linewidth=0.8, linestyle=":")
            axes.annotate(
                f"phase {shown(rows[start]['phase'])}",
                (start + 0.6, 1.0),
                xycoords=("data", "axes fraction"),
                va="bottom",
                fontsize=6.5,
                alpha=0.8,
            )
        best = [epoch for epoch, row in zip(epochs, rows, strict=True) if row["is_best"]]
        for epoch in best:
            axes.axvline(epoch, color=INK, linewidth=0.8, alpha=PALE)
        if best:
            _at_line(axes, best[-1], "best", best[-1] > (len(rows) + 1) / 2)
        _count_epochs(axes, len(rows))
        axes.set_xlabel("epoch of the stage")
        axes.legend(loc="best")
    losses.set_ylabel("loss")
    shares.set_ylabel("share")
    shares.set_ylim(0, 1.02)
    shares.yaxis.set_major_formatter(PercentFormatter(1, 0))
    figure.suptitle(shown(title, 120), x=0.01, ha="left")
    return figure


@in_our_look()
def shares_figure(
    names: Sequence[str],
    shares: Sequence[float | None],
    intervals: Sequence[tuple[float | None, float | None]],
    counts: Sequence[int],
    *,
    title: str,
    whole: float | None = None,
) -> Figure:
    """Draw the share of right answers for each class with its 95 % interval, the best on top.

    Args:
        names: Of the classes.
        shares: Of each, in 0..1; None for a class without photos.
        intervals: Lower and upper end of each, in 0..1.
        counts: Photos of each.
        title: Written above.
        whole: Share over all photos, drawn as a line.
    """
    values = np.array([math.nan if share is None else share for share in shares], dtype=float)
    order = sorted(range(len(names)), key=lambda i: (-np.nan_to_num(values[i], nan=-1), names[i]))
    labels = [f"{shown(names[i], LONGEST_TICK)} ({counts[i]})" for i in order]
    height = _FRAME_MM + _ROW_MM * max(len(names), 2)
    figure = new_figure(COLUMN_MM + room_for(labels), height)
    axes = figure.add_subplot()
    for row, i in enumerate(order):
        low, high = intervals[i]
        text = "no photos"
        if not math.isnan(values[i]):
            text = f"{values[i]:.0%}"
            if low is not None and high is not None:
                axes.plot((low, high), (row, row), color=COLOURS[0], linewidth=1.6, alpha=0.5)
            axes.plot(values[i], row, "o", color=COLOURS[0], markersize=4.5)
        _beside(axes, row, text)
    if whole is not None:
        axes.axvline(whole, color=INK, linewidth=0.8, linestyle=":")
        _at_line(axes, whole, f"all {whole:.0%}", whole > 0.5)
    _name_rows(axes, labels)
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.set_xlabel("share named rightly, with the 95 % interval")
    axes.set_ylabel("class (number of photos)")
    axes.set_title(shown(title, 120))
    return figure


@in_our_look()
def reliability_figure(bins: Sequence[Bin], title: str) -> Figure:
    """Draw how often answers of each probability are right, and how many there are.

    A reliability diagram as in Guo et al., On calibration of modern neural networks, ICML 2017:
    points on the diagonal are perfect; bars are 95 % intervals (Wilson).

    Args:
        bins: Of ``scores.metrics.calibration_bins``.
        title: Written above.
    """
    figure = new_figure(COLUMN_MM, 84)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    above.plot([0, 1], [0, 1], linestyle=":", color=INK, alpha=PALE, linewidth=0.9)
    for one in bins:
        if one.photos:
            ends = wilson_interval(one.right, one.photos)
            x = one.mean_probability
            above.plot((x, x), ends, color=COLOURS[0], alpha=0.45, linewidth=1.4)
            above.plot(x, one.right / one.photos, "o", color=COLOURS[0], markersize=4.2)
    edges = [one.low for one in bins] + [bins[-1].high]
    below.stairs([one.photos for one in bins], edges, color=COLOURS[0], fill=True, alpha=0.45)
    above.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share of right answers")
    below.set(xlabel="probability of the answer", ylabel="photos")
    for axis in (above.xaxis, above.yaxis):
        axis.set_major_formatter(PercentFormatter(1, 0))
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    above.grid(True)
    above.set_title(shown(title, 120))
    return figure


@in_our_look()
def answers_figure(names: Sequence[str], counts: Sequence[int], title: str) -> Figure:
    """Draw how many photos got each answer.

    Args:
        names: Answers, from top to bottom.
        counts: Photos of each.
        title: Written above.
    """
    figure = new_figure(COLUMN_MM, _FRAME_MM + _ROW_MM * max(len(names), 2))
    axes = figure.add_subplot()
    rows = np.arange(len(names))
    axes.hlines(rows, 0, counts, color=COLOURS[0], alpha=0.5, linewidth=1.6)
    axes.plot(counts, rows, "o", color=COLOURS[0], markersize=4.5)
    for row, count in enumerate(counts):
        _beside(axes, row, f"{count}")
    _name_rows(axes, all_shown(names, LONGEST_TICK))
    axes.set_xlim(0, max([*counts, 1]) * 1.03)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("number of photos")
    axes.set_title(shown(title, 120))
    return figure


@in_our_look()
def probabilities_figure(
    probabilities: Sequence[float], threshold: float | None, title: str
) -> Figure:
    """Draw how probable the best class of each photo is, and from where on it is an answer.

    Args:
        probabilities: Of the best class of each photo, 0 to 1.
        threshold: Below it the answer is "unknown"; None or 0: never.
        title: Written above.
    """
    figure = new_figure(COLUMN_MM, 60)
    axes = figure.add_subplot()
    edges = np.linspace(0, 1, 21)
    axes.hist(probabilities, edges, color=COLOURS[0], edgecolor="white", linewidth=0.4)
    if threshold:
        axes.axvline(threshold, color=COLOURS[1], linewidth=1.2)
        _at_line(axes, threshold, f"unknown below {threshold:.0%}", threshold > 0.5)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("probability of the best class")
    axes.set_ylabel("photos")
    axes.set_title(shown(title, 120))
    return figure


@in_our_look()
def detector_figure(epochs: Sequence[int], scores: Mapping[str, Sequence[float]]) -> Figure:
    """Draw how a detector's scores on validation photos grew.

    Args:
        epochs: From 1.
        scores: By the name of the score, a number in 0..1 for each epoch.
    """
    figure = new_figure(COLUMN_MM, 66)
    axes = figure.add_subplot()
    for name, values in scores.items():
        axes.plot(epochs, values, marker="." if len(epochs) < 40 else None, label=shown(name))
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
    _count_epochs(axes, max(epochs, default=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel("score on validation photos")
    axes.set_title("How the detector learned")
    axes.legend(loc="best")
    return figure


def _count_epochs(axes: Axes, n: int) -> None:
    """Give an axis whole epochs from 1 to ``n``, with room for a single one."""
    if n < 2:
        axes.set_xlim(0.5, 1.5)
        axes.set_xticks([1])
    else:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))


def _at_line(axes: Axes, x: float, text: str, is_left: bool) -> None:
    """Write beside an upright line, at its top."""
    axes.annotate(
        text,
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-2 if is_left else 2, -1),
        textcoords="offset points",
        ha="right" if is_left else "left",
        va="top",
        fontsize=6.5,
        alpha=0.8,
    )


def _beside(axes: Axes, row: int, text: str) -> None:
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


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    rows = np.arange(len(names))
    axes.set_yticks(rows, names)
    axes.set_ylim(max(len(names), 2) - 0.4, -0.9)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.hlines(rows, 0, 1, transform=axes.get_yaxis_transform(), color=INK, alpha=PALE / 5, lw=0.5)
