"""Figures as blocks of a report."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from footprints.reporting.page import Picture
from footprints.scores.look import png_bytes, save, svg_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_DPI = 300  # as journals ask for


def picture(
    figure: Figure, name: str, title: str, caption: str = "", *, is_wide: bool = False
) -> Picture:
    """Return a figure as a block: inside the page, and as files for a paper.

    Args:
        figure: As ``scores.plots`` draws it.
        name: Stem of the files, unique in the report; letters, digits, ``-`` and ``_``.
        title: Stands above it.
        caption: Says what is to be seen.
        is_wide: As wide as the page.
    """
    svg_file = io.BytesIO()
    save(figure, svg_file, "svg")
    files = {".svg": svg_file.getvalue(), ".png": png_bytes(figure, _DPI)}
    svg = svg_text(figure, title, f"{name}-")
    return Picture(name, title, svg, caption, files, is_wide, _has_title(figure))


def _has_title(figure: Figure) -> bool:
    """Tell whether a figure as a whole says what it shows; titles of panels do not."""
    if figure.get_suptitle():
        return True
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    return len(panels) == 1 and any(panels[0].get_title(loc) for loc in ("left", "center"))
