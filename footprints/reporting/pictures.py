"""Figures as blocks of a report."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from footprints.scores.look import drawing, png_bytes, save, svg_text
from footprints.reporting.page import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER_DPI = 300  # pixels per inch, as journals want them


def picture(
    figure: Figure, name: str, title: str, caption: str = "", *, is_wide: bool = False
) -> Picture:
    """Return a figure as a block: inside the page, and as files for a paper.

    Args:
        figure: In the look of both halves.
        name: Stem of the files, unique in the report; letters, digits, ``-`` and ``_``.
        title: Stands above it.
        caption: Says what is to be seen.
        is_wide: As wide as the page.
    """
    with drawing():
        figure.draw_without_rendering()  # finds places for all parts, which takes most of the time
    figure.set_layout_engine("none")  # they stay there in each of the three files
    svg_file = io.BytesIO()
    save(figure, svg_file, "svg")
    files = {".svg": svg_file.getvalue(), ".png": png_bytes(figure, PAPER_DPI)}
    svg = svg_text(figure, title, f"{name}-")
    return Picture(name, title, svg, caption, files, is_wide, _has_title(figure))


def _has_title(figure: Figure) -> bool:
    """Tell whether a figure as a whole says what it shows; titles of panels do not."""
    if figure.get_suptitle():
        return True
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    return len(panels) == 1 and any(panels[0].get_title(loc) for loc in ("left", "center"))
