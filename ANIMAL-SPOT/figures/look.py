"""The look of all figures, and how they become files: PNG, SVG, SVG inside a page.

A function that draws is marked ``@in_our_look()``, since Matplotlib takes fonts and colours from
its settings at the moment in which each part of a figure is made.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Literal
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from animal_spot.utils.text import printable

Kind = Literal["png", "svg", "pdf"]

STYLE_FILE = Path(__file__).with_name("look.mplstyle")
COLUMN_MM = 89.0  # width of a column of a journal
PAGE_MM = 183.0  # width of two
MM_PER_INCH = 25.4
LONGEST_LABEL = 40  # characters
LONGEST_TICK = 24  # of a name beside an axis
INK = "#202124"  # of words and lines; a page may replace it
PALE = 0.55  # opacity of ink that stands back
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SHADES = "Blues"  # of shares and counts, white to dark

_USUAL_TICK, _CHARACTER_MM = 16, 1.4  # characters for which a column has room, width of one
_DOT_POINTS = 8.0  # width of the dot before words
# Fonts of the systems that people have, for names in scripts that the font of the style lacks.
_OTHER_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "WenQuanYi Zen Hei"),
    *("Microsoft YaHei", "PingFang SC", "Hiragino Sans", "Arial Unicode MS", "Segoe UI"),
    *("Noto Sans Devanagari", "Noto Sans Thai", "Nirmala UI", "Leelawadee UI", "Noto Sans"),
)
_LACKING = re.compile(r"^Glyph (\d+) ")  # a warning of Matplotlib
_said: set[str] = set()  # characters that were warned of

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_SALT = "animal-spot"  # of the ids in an SVG, which are random without one

log = logging.getLogger(__name__)


@functools.lru_cache(maxsize=1)
def _style() -> matplotlib.RcParams:
    style = matplotlib.rc_params_from_file(STYLE_FILE, use_default_template=False)
    installed = {font.name for font in font_manager.fontManager.ttflist}
    style["font.family"] += [name for name in _OTHER_FONTS if name in installed]
    return style


@contextlib.contextmanager
def in_our_look() -> Iterator[None]:
    """Draw in our style: a context for ``with``, and a mark, ``@in_our_look()``, of a function."""
    with matplotlib.rc_context({**_style(), "svg.hashsalt": _SALT}):
        yield


def new_figure(width_mm: float, height_mm: float, *, finds_places: bool = True) -> Figure:
    """Return an empty figure that belongs to no window system.

    Args:
        width_mm: Width on paper.
        height_mm: Height.
        finds_places: Let all parts find their places, which takes as long as drawing them twice
            more; without it the caller says where they are.
    """
    size = (width_mm / MM_PER_INCH, height_mm / MM_PER_INCH)
    figure = Figure(figsize=size, layout="constrained" if finds_places else None)
    FigureCanvasAgg(figure)
    return figure


def shown(name: str, longest: int = LONGEST_LABEL) -> str:
    r"""Return the name of a class or a file as a figure shows it.

    What is invisible becomes visible, as ``\x1b``; of a longer name the middle is left out.
    """
    text = printable(name)
    if len(text) > longest:
        half = longest // 2
        text = f"{text[:half]}…{text[-half:]}"
    return text


def room_for(labels: Sequence[str]) -> float:
    """Return how much wider than a column a figure must be for names beside its rows, in mm."""
    return _CHARACTER_MM * max(0, max(map(len, labels), default=0) - _USUAL_TICK)


def write_with_key(
    axes: Axes, text: str, at: tuple[float, float], colour: str, va: str, offset: float = 0.0
) -> None:
    """Write in ink behind a dot of a colour: small coloured words are hard to read in the dark.

    Args:
        axes: Where.
        text: A line, or several; the dot stands before the first.
        at: Left end, as shares of the axes.
        colour: Of the dot.
        va: Which part of the text lies at that height.
        offset: Points further to the right.
    """
    dot = "●" + "\n" * text.count("\n")
    for right, word, ink in ((offset, dot, colour), (offset + _DOT_POINTS, text, INK)):
        axes.annotate(
            word,
            at,
            xycoords="axes fraction",
            xytext=(right, 0),
            textcoords="offset points",
            va=va,
            fontsize=7,
            color=ink,
            annotation_clip=False,
        )


def all_shown(names: Sequence[str], longest: int = LONGEST_LABEL) -> list[str]:
    """Return ``shown`` of each name."""
    return [shown(name, longest) for name in names]


def save(figure: Figure, target: Path | IO[bytes], kind: Kind, dpi: float | None = None) -> None:
    """Write a figure: the same bytes for the same picture.

    Args:
        figure: What to write.
        target: File, or an open one.
        kind: Form of the file.
        dpi: Pixels per inch of a PNG; None for those of the style, which are fit for paper.

    Raises:
        OSError: If it cannot be written.
    """
    undated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with drawing():
        figure.savefig(target, format=kind, dpi=dpi, metadata=undated[kind])


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Draw; say once in a line which characters no font has, and nothing of words without room."""
    with in_our_look(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    found = (_LACKING.match(str(warning.message)) for warning in caught)
    lacking = sorted({chr(int(match[1])) for match in found if match} - _said)
    if lacking:
        _said.update(lacking)
        log.warning(
            "figures show boxes for %s: no font here has these characters; install one that has, "
            "such as Noto Sans CJK",
            printable(" ".join(lacking[:20])),
        )


def png_bytes(figure: Figure, dpi: float | None = None) -> bytes:
    """Return a figure as a PNG file; ``dpi`` as for ``save``."""
    buffer = io.BytesIO()
    save(figure, buffer, "png", dpi)
    return buffer.getvalue()


def pixels(figure: Figure) -> np.ndarray:
    """Return a figure as a picture for the screen: shape ``(height, width, rgb)``, 8 bits."""
    canvas = FigureCanvasAgg(figure)
    with drawing():
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def svg_text(figure: Figure, title: str, ids_prefix: str) -> str:
    """Return a figure as an ``<svg>`` element to be put inside a page.

    Words and lines take the colour of the page's text, the background is that of the page. Several
    such elements can stand in one page if each has its own prefix.

    Args:
        figure: What to write.
        title: What the figure shows, for those who do not see it.
        ids_prefix: Before each id in the element; letters, digits, ``-`` and ``_``.
    """
    face = figure.get_facecolor()
    buffer = io.BytesIO()
    figure.patch.set_facecolor("none")
    try:
        save(figure, buffer, "svg")
    finally:
        figure.patch.set_facecolor(face)
    root = ElementTree.fromstring(buffer.getvalue())
    _strip(root)
    _own_ids(root, ids_prefix)
    _free_ink(root)
    root.attrib.update(
        {
            "role": "img",
            "aria-label": title,
            "style": "stroke-linejoin: round; stroke-linecap: butt; max-width: 100%; height: auto",
        }
    )
    heading = ElementTree.Element("title")
    heading.text = title
    root.insert(0, heading)
    root.attrib["xmlns"] = _SVG
    return ElementTree.tostring(root, encoding="unicode")


def _strip(root: ElementTree.Element) -> None:
    """Take away what a page does not need, and the style sheet, which would style the whole page.

    Names of elements and attributes lose their name space: a page of HTML has none.
    """
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag == f"{{{_SVG}}}defs"]:
            if not len(child):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        element.text = element.text.strip() if element.text else None
        element.tail = None
        if href := element.attrib.pop(f"{{{_XLINK}}}href", None):
            element.attrib["href"] = href


def _own_ids(root: ElementTree.Element, prefix: str) -> None:
    """Give every id that is referred to a prefix, and take the others away."""
    points = re.compile(r"url\(#([^)]+)\)")
    used: set[str] = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "href" and value.startswith("#"):
                used.add(value[1:])
                element.attrib[key] = f"#{prefix}{value[1:]}"
            elif key != "id" and "url(#" in value:
                used.update(points.findall(value))
                element.attrib[key] = points.sub(rf"url(#{prefix}\1)", value)
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name in used:
            element.attrib["id"] = prefix + name


def _free_ink(root: ElementTree.Element) -> None:
    """Let words and lines have the colour of the text around the figure."""
    for element in root.iter():
        style = element.attrib.get("style", "")
        if INK in style:
            element.attrib["style"] = style.replace(INK, "currentColor")
        elif element.tag == "text" and "fill:" not in style:
            # Matplotlib leaves black out.
            element.attrib["style"] = f"{style}; fill: currentColor"
