"""How often answers of each confidence are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from animal_spot.figures.look import (
    COLOURS,
    COLUMN_MM,
    INK,
    PAGE_MM,
    PALE,
    in_our_look,
    new_figure,
    shown,
    write_with_key,
)
from animal_spot.utils.metrics import wilson_interval

_SAID = {
    "before": "before the temperature: calibration error",
    "after": "after the temperature: calibration error",
    "as_it_is": "calibration error",
}
_WHEN = {
    "before": {"color": COLOURS[1], "marker": "s", "markerfacecolor": "none"},
    "after": {"color": COLOURS[0], "marker": "o"},
    "as_it_is": {"color": COLOURS[0], "marker": "o"},
}


@in_our_look()
def reliability_figure(partitions: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw how often answers of each confidence are right, before and after a temperature.

    Reliability diagrams as in Guo et al., On calibration of modern neural networks, ICML 2017:
    points on the diagonal are perfect. Bars are 95 % intervals (Wilson), and below stands how many
    clips each point is of.

    Args:
        partitions: By name, what ``calibration.before_and_after`` returns: under ``before`` and
            ``after`` an ``expected_calibration_error`` and ``bins`` with ``low``, ``high``,
            ``clips``, ``confidence`` and ``accuracy``. Of answers without a temperature of their
            own there is one such entry, under ``as_it_is``.
    """
    n = max(len(partitions), 1)
    figure = new_figure(COLUMN_MM if n == 1 else min(n, 2) * PAGE_MM / 2, 96 * -(-n // 2))
    parts = figure.subfigures(-(-n // 2), min(n, 2), squeeze=False).flat
    for part, (name, entry) in zip(parts, partitions.items(), strict=False):
        _draw(part, name, entry)
    return figure


def _draw(part, name: str, entry: Mapping[str, Any]) -> None:
    above, below = part.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    above.plot([0, 1], [0, 1], linestyle=":", color=INK, alpha=PALE, linewidth=0.9)
    looks = {when: look for when, look in _WHEN.items() if when in entry}
    for when, look in looks.items():
        bins = [b for b in entry[when]["bins"] if b["clips"]]
        limits = [wilson_interval(round(b["accuracy"] * b["clips"]), b["clips"]) for b in bins]
        x = [b["confidence"] for b in bins]
        above.vlines(x, *zip(*limits, strict=True), color=look["color"], alpha=0.45, linewidth=1.4)
        above.plot(
            x, [b["accuracy"] for b in bins], linewidth=0.9, markersize=4.2, clip_on=False, **look
        )
        every = entry[when]["bins"]
        edges = [b["low"] for b in every] + [every[-1]["high"]]
        below.stairs(
            [b["clips"] for b in every],
            edges,
            color=look["color"],
            fill=when != "before",
            alpha=1 if when == "before" else 0.45,
            linewidth=1.1,
        )
    for row, (when, look) in enumerate(looks.items()):
        text = f"{_SAID[when]} {entry[when]['expected_calibration_error']:.1%}"
        write_with_key(above, text, (0, 1.09 - 0.07 * row), look["color"], "baseline")
    n_clips = sum(b["clips"] for b in entry[next(iter(looks))]["bins"])
    above.set_title(f"Reliability, {shown(name, 24)}: {n_clips} clips", pad=26)
    above.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share of right answers")
    below.set(xlabel="probability of the answer", ylabel="clips")
    for axis in (above.xaxis, above.yaxis):
        axis.set_major_formatter(PercentFormatter(1, 0))
    above.set_yticks(np.linspace(0, 1, 6))
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    above.grid(True)
