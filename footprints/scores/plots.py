"""Pictures of training and evaluation, written as PNG; no window is ever opened."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from footprints.system.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _plainly(draw: Callable[..., bytes]) -> Callable[..., bytes]:
    """Let no text in a figure be read as mathematics, as names with dollar signs would be."""

    @functools.wraps(draw)
    def drawn(*args: Any, **options: Any) -> bytes:
        import matplotlib

        with matplotlib.rc_context({"text.parse_math": False, "text.usetex": False}):
            return draw(*args, **options)

    return drawn


@_plainly
def confusion_png(matrix: np.ndarray, classes: Sequence[str], title: str = "") -> bytes:
    """Draw a confusion matrix, coloured by the share of the true class, with counts.

    Args:
        matrix: Counts ``(true, predicted)``.
        classes: Names in index order.
        title: Written above.

    Returns:
        The bytes of a PNG file.
    """
    matrix = np.asarray(matrix)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(4.0, 0.42 * len(classes) + 2.5)
    figure = _figure(side + 1.0, side)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="share of the true class")
    names = [printable(name) for name in classes]
    axes.set_xticks(range(len(classes)), names, rotation=90)
    axes.set_yticks(range(len(classes)), names)
    axes.set_xlabel("named as")
    axes.set_ylabel("is")
    axes.set_title(printable(title))
    for (i, j), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, str(count), ha="center", va="center", fontsize=8, color=colour)
    return _png(figure)


@_plainly
def curves_png(rows: Sequence[dict[str, Any]], title: str = "") -> bytes:
    """Draw loss, accuracy and macro F1 over the epochs of a stage.

    Args:
        rows: One record per epoch, in order: ``phase``, ``epoch``, ``loss``, ``accuracy``,
            ``val_loss``, ``val_accuracy``, ``val_macro_f1`` and ``is_best``.
        title: Written above.

    Returns:
        The bytes of a PNG file.
    """
    figure = _figure(11.0, 4.2)
    loss_axes, score_axes = figure.subplots(1, 2)
    epochs = np.arange(1, len(rows) + 1)
    panels = (
        (loss_axes, "loss", (("loss", "training"), ("val_loss", "validation"))),
        (
            score_axes,
            "share of photos",
            (
                ("accuracy", "training accuracy"),
                ("val_accuracy", "validation accuracy"),
                ("val_macro_f1", "validation macro F1"),
            ),
        ),
    )
    starts = [i for i, row in enumerate(rows) if i == 0 or row["phase"] != rows[i - 1]["phase"]]
    for axes, what, lines in panels:
        for key, label in lines:
            axes.plot(epochs, [row[key] for row in rows], marker=".", label=label)
        for start in starts:
            axes.axvline(start + 0.5, color="grey", linewidth=0.8, linestyle=":")
            axes.annotate(
                rows[start]["phase"],
                (start + 0.6, 1.0),
                xycoords=("data", "axes fraction"),
                va="top",
                fontsize=8,
                color="grey",
            )
        for epoch, row in zip(epochs, rows, strict=True):
            if row["is_best"]:
                axes.axvline(epoch, color="green", linewidth=0.8)
        axes.set_xlabel("epoch")
        axes.set_ylabel(what)
        axes.legend(loc="best", fontsize=8)
    score_axes.set_ylim(0, 1)
    figure.suptitle(printable(title))
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    """Return a figure that belongs to no window system."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
