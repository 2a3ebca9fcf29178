"""Pictures for TensorBoard."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from animal_spot.utils.text import printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

LONGEST_LABEL = 40  # characters


def plot_label(name: str) -> str:
    r"""Return the name of a class or a file as Matplotlib shows it: as it is, not as mathematics.

    Of names over ``LONGEST_LABEL`` characters the middle is left out.
    """
    text = printable(name)
    if len(text) > LONGEST_LABEL:
        half = LONGEST_LABEL // 2
        text = f"{text[:half]}…{text[-half:]}"
    return text.replace("$", r"\$")


def confusion_figure(
    values: Tensor | np.ndarray, names: Sequence[str], number_format: str | None
) -> Figure:
    """Draw a confusion matrix: rows are true classes, columns predicted ones.

    Args:
        values: Shape ``(true, predicted)``.
        names: In index order.
        number_format: How to write the number into each cell; None for no numbers.
    """
    side = max(4.0, 0.5 * len(names) + 2.0)
    figure = Figure(figsize=(side + 1.0, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    labels = [plot_label(name) for name in names]
    image = axes.imshow(values, cmap="hot_r", vmin=0)
    figure.colorbar(image)
    axes.set_xticks(range(len(names)), labels, rotation=90)
    axes.set_yticks(range(len(names)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if number_format is not None:
        dark = float(values.max()) / 2
        for (i, j), value in np.ndenumerate(np.asarray(values)):
            axes.text(
                j,
                i,
                number_format.format(value),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if value > dark else "black",
            )
    return figure


def roc_figure(labels: Tensor, scores: Tensor) -> tuple[Figure, float]:
    """Draw the receiver operating characteristic; equal scores make one step.

    Returns:
        The figure, and the area under the curve: NaN when a class is absent.
    """
    from sklearn.metrics import auc, roc_curve

    figure = Figure(figsize=(5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    area = math.nan
    if len(labels.unique()) == 2:
        fpr, tpr, _ = roc_curve(labels.numpy(), scores.float().numpy(), drop_intermediate=False)
        area = float(auc(fpr, tpr))
        axes.plot(fpr, tpr, label=f"AUC {area:.3f}")
    else:
        axes.plot([], [], label="AUC undefined: a class is absent")
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.legend(loc="lower right")
    return figure, area


def reliability_figure(partitions: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw how often answers of each confidence are right, before and after a temperature.

    Reliability diagrams as in Guo et al., On calibration of modern neural networks, ICML 2017: bars
    on the diagonal are perfect. The number of clips stands above each bar.

    Args:
        partitions: By name, what ``calibration.before_and_after`` returns.
    """
    n = len(partitions)
    figure = Figure(figsize=(11, 4.5 * n), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(n, 2, squeeze=False)
    for row, (partition, entry) in zip(grid, partitions.items(), strict=True):
        for axes, when in zip(row, ("before", "after"), strict=True):
            error = entry[when]["expected_calibration_error"]
            axes.set_title(f"{partition}, {when}: expected calibration error {error:.1%}")
            for part in entry[when]["bins"]:
                if not part["clips"]:
                    continue
                width = part["high"] - part["low"]
                axes.bar(part["low"], part["accuracy"], width, align="edge", edgecolor="white")
                place = (part["low"] + width / 2, part["accuracy"])
                axes.annotate(str(part["clips"]), place, ha="center", va="bottom", fontsize=7)
            axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1.1)
            axes.set_xlabel("probability of the answer")
            axes.set_ylabel("share of right answers")
    return figure


def window_figure(features: Tensor, duration_s: float, f_min: float, f_max: float) -> Figure:
    """Draw the network input ``(1, time, freq)`` of a window, low frequency below."""
    figure = Figure(figsize=(5, 10), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(
        features[0].T.cpu().numpy(),
        origin="lower",
        aspect="auto",
        cmap="viridis",
        extent=(0, duration_s, f_min, f_max),
    )
    figure.colorbar(image)
    axes.set_xlabel("time (s)")
    axes.set_ylabel("frequency (Hz)")
    return figure


def spectrogram_image(features: Tensor) -> np.ndarray:
    """Colour a network input ``(1, time, freq)``: ``(height, width, rgb)``, low frequency below."""
    values = features[0].T.flip(0).numpy()
    values = values - values.min()
    rgba = colormaps["viridis"](values / (values.max() + 1e-8), bytes=True)
    return np.ascontiguousarray(rgba[..., :3])


def caption(image: np.ndarray, text: str) -> np.ndarray:
    """Write lines of text under an image; a narrow image is widened so that they fit."""
    lines = printable_lines(text).split("\n")
    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    width = max(image.shape[1], *(math.ceil(probe.textlength(line)) + 4 for line in lines))
    height = image.shape[0] + 13 * len(lines)
    picture = Image.new("RGB", (width, height), "white")
    picture.paste(Image.fromarray(image), ((width - image.shape[1]) // 2, 0))
    draw = ImageDraw.Draw(picture)
    for i, line in enumerate(lines):
        draw.text((2, image.shape[0] + 13 * i), line, fill="black")
    return np.asarray(picture)
