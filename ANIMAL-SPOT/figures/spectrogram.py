"""Spectrograms with axes: one, a grid of them, a page of clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from animal_spot.figures.look import (
    COLUMN_MM,
    PAGE_MM,
    in_our_look,
    new_figure,
    shown,
)

Spacing = Literal["linear", "mel", "mfcc"]

_MARK = "#40e0d0"  # of events, on dark colours
_WINDOW_MM = 56.0  # height of a picture of one window
_TILE_MM = 36.0  # height of one of a grid


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What the rows, columns and numbers of a network input mean.

    Attributes:
        duration_s: Length.
        f_min: Lowest frequency, Hz.
        f_max: Highest frequency, Hz.
        spacing: Of the frequencies; ``mfcc``: they are cepstral coefficients.
        level_name: What a number is, with its unit.
        level_range: What 0 and 1 of a network input stand for in that unit.
    """

    duration_s: float
    f_min: float
    f_max: float
    spacing: Spacing = "linear"
    level_name: str = "level (no unit)"
    level_range: tuple[float, float] = (0.0, 1.0)


@in_our_look()
def spectrogram_figure(features: np.ndarray, scale: Scale, *, title: str) -> Figure:
    """Draw a network input, low frequency below.

    Args:
        features: Shape ``(time, freq)``.
        scale: What it means.
        title: Written above, a line or two.
    """
    figure = new_figure(COLUMN_MM, _WINDOW_MM, finds_places=False)
    axes = figure.add_axes(_place(13, 11, 57, _WINDOW_MM - 22))
    low, high = scale.level_range
    levels = low + (high - low) * np.asarray(features, dtype=np.float32)
    image = _draw_image(axes, levels, scale)
    _name_axes(axes, scale)
    bar = figure.colorbar(image, cax=figure.add_axes(_place(72, 11, 2.2, _WINDOW_MM - 22)))
    bar.set_label(scale.level_name)
    bar.outline.set_visible(False)
    axes.set_title("\n".join(shown(line, 42) for line in title.split("\n")))
    return figure


@dataclass(frozen=True)
class Tile:
    """A spectrogram of a grid.

    Attributes:
        title: Written above, a line or two.
        values: Shape ``(time, freq)``.
        limits: Values of the darkest and the lightest colour.
    """

    title: str
    values: np.ndarray
    limits: tuple[float, float]


@in_our_look()
def grid_figure(tiles: Sequence[Tile], scale: Scale, *, columns: int) -> Figure:
    """Draw spectrograms of the same length and band side by side, as wide as a page."""
    rows = -(-len(tiles) // columns)
    figure = new_figure(PAGE_MM, 4 + _TILE_MM * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for number, (axes, tile) in enumerate(zip(grid.flat, tiles, strict=False)):
        _draw_image(axes, tile.values, scale, tile.limits)
        axes.set_title(tile.title, fontsize=6)
        _name_axes(axes, scale)
        axes.label_outer()
        if number + columns >= len(tiles):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("time (s)")
    for axes in grid.flat[len(tiles) :]:
        axes.set_axis_off()
    return figure


@dataclass(frozen=True, kw_only=True)
class SheetClip:
    """A clip on a page of clips.

    Attributes:
        title: Written above.
        seconds: Length.
        decibels: Shape ``(freq, time)``; None if the clip cannot be read.
        top_hz: Highest frequency of ``decibels``.
        drawn_s: How much of the clip they are of, from its start.
        limits: Decibels of the darkest and the lightest colour.
        event_s: Start and end of the event in the clip; None: there is none.
        event_hz: Lowest and highest frequency of the event; None: not known.
    """

    title: str
    seconds: float
    decibels: np.ndarray | None = None
    top_hz: float = 0.0
    drawn_s: float = 0.0
    limits: tuple[float, float] = (0.0, 1.0)
    event_s: tuple[float, float] | None = None
    event_hz: tuple[float, float] | None = None


@in_our_look()
def sheet_figure(
    clips: Sequence[SheetClip], top_hz: float, *, title: str, note: str, columns: int
) -> Figure:
    """Draw a page of clips, each with the box of its event, or lines without frequencies.

    Args:
        clips: What to draw, row by row.
        top_hz: Highest frequency of all.
        title: Of the page.
        note: Written below.
        columns: Clips in a row.
    """
    n_rows = math.ceil(len(clips) / columns)
    width_mm, height_mm = 56.0 * columns + 20, 39.0 * n_rows + 24
    figure = new_figure(width_mm, height_mm, finds_places=False)
    figure.suptitle(title, y=1 - 6 / height_mm, fontsize=12)
    grid = figure.subplots(n_rows, columns, squeeze=False)
    figure.subplots_adjust(
        left=14 / width_mm,
        right=1 - 3 / width_mm,
        bottom=12 / height_mm,
        top=1 - 19 / height_mm,
        wspace=0.08,
        hspace=0.45,
    )
    scale, unit = (1000.0, "kHz") if top_hz >= 2000 else (1.0, "Hz")
    for i, axes in enumerate(grid.flat):
        if i >= len(clips):
            axes.set_axis_off()
            continue
        clip = clips[i]
        axes.set_title(clip.title, fontsize=7, pad=2, loc="center")
        axes.set_xlim(0, clip.seconds)
        axes.set_ylim(0, top_hz / scale)
        axes.tick_params(labelsize=6, length=2, pad=1, labelleft=i % columns == 0)
        axes.set_facecolor("0.9")
        if clip.decibels is None:
            axes.text(0.5, 0.5, "unreadable", transform=axes.transAxes, ha="center", fontsize=7)
            continue
        axes.imshow(
            clip.decibels,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=clip.limits[0],
            vmax=clip.limits[1],
            extent=(0, clip.drawn_s, 0, clip.top_hz / scale),
            interpolation="auto",
        )
        axes.set_xlim(0, clip.seconds)
        axes.set_ylim(0, top_hz / scale)
        _mark_event(axes, clip, top_hz, scale)
    for axes in grid[:, 0]:
        axes.set_ylabel(f"frequency ({unit})", fontsize=6.5, labelpad=1)
    figure.text(0.5, 3 / height_mm, note, ha="center", fontsize=8)
    return figure


def _mark_event(axes, clip: SheetClip, top_hz: float, scale: float) -> None:
    if clip.event_s is None:
        return
    start, end = clip.event_s
    if clip.event_hz is None:
        for at_s in (start, end):
            axes.axvline(at_s, color=_MARK, linewidth=0.8, linestyle="--")
        return
    low, high = clip.event_hz[0] / scale, min(clip.event_hz[1], top_hz) / scale
    box = Rectangle(
        (start, low), end - start, high - low, fill=False, edgecolor=_MARK, linewidth=0.8
    )
    axes.add_patch(box)


def _place(left: float, bottom: float, width: float, height: float) -> list[float]:
    """Turn millimetres into shares of a picture of one window."""
    return [left / COLUMN_MM, bottom / _WINDOW_MM, width / COLUMN_MM, height / _WINDOW_MM]


def _draw_image(
    axes, values: np.ndarray, scale: Scale, limits: tuple[float, float] = (math.nan, math.nan)
):
    """Draw ``(time, freq)``; without limits from the smallest value to the largest."""
    bottom, top = (1, values.shape[1] + 1) if scale.spacing == "mfcc" else (0, 1)
    if scale.spacing == "linear":
        bottom, top = scale.f_min / 1000, scale.f_max / 1000
    low, high = (None if math.isnan(limit) else limit for limit in limits)
    return axes.imshow(
        np.asarray(values).T,
        origin="lower",
        aspect="auto",
        cmap="viridis",
        vmin=low,
        vmax=high,
        extent=(0, scale.duration_s, bottom, top),
    )


def _name_axes(axes, scale: Scale) -> None:
    axes.set_xlabel("time (s)")
    if scale.spacing == "mfcc":
        axes.set_ylabel("cepstral coefficient")
        return
    axes.set_ylabel("frequency (kHz)")
    if scale.spacing == "mel":
        _tick_mel(axes, scale.f_min, scale.f_max)


def _tick_mel(axes, f_min: float, f_max: float) -> None:
    """Write round frequencies at their places on the mel scale, of which 0..1 is the band."""

    def mel(hz):
        return 2595 * np.log10(1 + np.asarray(hz) / 700)

    places = np.linspace(mel(f_min), mel(f_max), 6)
    wanted = 700 * (10 ** (places / 2595) - 1)
    digits = 10.0 ** np.floor(np.log10(np.maximum(wanted, 10)) - 1)
    ticks = np.unique(np.round(wanted / digits) * digits)
    ticks = ticks[(ticks >= f_min) & (ticks <= f_max)]
    axes.set_yticks(
        (mel(ticks) - mel(f_min)) / (mel(f_max) - mel(f_min)), [f"{hz / 1000:g}" for hz in ticks]
    )
