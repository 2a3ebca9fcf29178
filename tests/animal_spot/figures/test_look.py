"""figures/look.py: figures as files and inside a page."""

from __future__ import annotations

import re
import warnings
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from animal_spot.figures import look
from animal_spot.figures.look import (
    COLOURS,
    INK,
    in_our_look,
    new_figure,
    png_bytes,
    save,
    shown,
    svg_text,
)

NAMES = ["$x$", r"$\frac{$", "<script>alert(1)</script>", "a & b", "écureuil", '"q"']


@in_our_look()
def picture() -> Figure:
    figure = new_figure(89, 60)
    axes = figure.add_subplot()
    axes.plot([1, 2, 3], [2, 3, 1], marker="o", label="a line")
    axes.imshow(np.eye(3))
    axes.set_xticks(range(len(NAMES)), NAMES)
    axes.set_title("black", color="black")
    axes.legend()
    return figure


def test_same_picture_same_bytes(tmp_path):
    for kind in ("png", "svg", "pdf"):
        save(picture(), tmp_path / "a", kind)
        save(picture(), tmp_path / "b", kind)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes(), kind
    assert svg_text(picture(), "a", "p-") == svg_text(picture(), "a", "p-")


@pytest.mark.parametrize("form", ["file", "page"])
def test_names_stay_text(tmp_path, form):
    if form == "file":
        save(picture(), tmp_path / "a.svg", "svg")
        root = ElementTree.parse(tmp_path / "a.svg").getroot()
    else:
        root = ElementTree.fromstring(svg_text(picture(), "<b>$x$", "p-"))
        assert root.attrib["aria-label"] == root[0].text == "<b>$x$"
    words = ["".join(e.itertext()) for e in root.iter() if e.tag.endswith("text")]
    assert set(NAMES) <= set(words)


def test_two_figures_in_a_page_do_not_meet():
    class Page(HTMLParser):
        ids: list[str] = []
        tags: set[str] = set()

        def handle_starttag(self, tag, attrs):
            self.tags.add(tag)
            self.ids += [value for key, value in attrs if key == "id"]

    page = svg_text(picture(), "one", "a-") + svg_text(picture(), "two", "b-")
    parser = Page()
    parser.feed(page)
    assert "style" not in parser.tags, "it would style the page"
    assert "script" not in parser.tags
    assert len(set(parser.ids)) == len(parser.ids) > 2
    used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page)
    assert {a or b for a, b in used} == set(parser.ids)


def test_a_page_gives_the_ink_and_the_background():
    page = svg_text(picture(), "one", "a-")
    assert INK not in page
    assert "currentColor" in page
    assert "fill: #ffffff" not in page.split("<text", 1)[0]
    for element in ElementTree.fromstring(page).iter("{http://www.w3.org/2000/svg}text"):
        assert "fill: currentColor" in element.attrib["style"], "black on a dark page"


def test_settings_of_the_process_stay():
    before = dict(matplotlib.rcParams)
    png_bytes(picture())
    assert dict(matplotlib.rcParams) == before


def test_labels_are_short_and_visible():
    assert shown("x" * 250) == f"{'x' * 20}…{'x' * 20}"
    assert shown("a\nb\udce9$") == r"a\nb\xe9$"


# Machado, Oliveira and Fernandes, A physiologically-based model for simulation of color vision
# deficiency, 2009, table of severity 1.0, on linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(rgb: np.ndarray, kind: str) -> np.ndarray:
    """Return CIE L*a*b* (D65) of sRGB colours as such an eye sees them."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(BLINDNESS[kind]).T, 0, 1)
    xyz = seen @ np.array(
        [
            [0.4124564, 0.2126729, 0.0193339],
            [0.3575761, 0.7151522, 0.1191920],
            [0.1804375, 0.0721750, 0.9503041],
        ]
    )
    f = np.cbrt(xyz / [0.95047, 1.0, 1.08883])
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


@pytest.mark.parametrize("kind", list(BLINDNESS))
def test_colours_can_be_told_apart(kind):
    with in_our_look():
        cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    assert [colour.upper() for colour in cycle] == list(COLOURS)
    seen = lab(np.array([matplotlib.colors.to_rgb(colour) for colour in cycle]), kind)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[np.triu_indices(len(cycle), 1)]
    assert apart.min() > 10, "a difference of 10 is seen at a glance, of 2 just so"
    assert apart[0] > 30, "the first two are those of most figures"


@in_our_look()
def named(name: str) -> Figure:
    figure = new_figure(30, 20)
    figure.text(0.5, 0.5, name)
    return figure


def test_characters_without_a_font_are_said_once_in_a_line(caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            png_bytes(named("a\ue123b"))
    (line,) = caplog.messages
    assert "\\ue123" in line
    assert "no font here" in line


def test_other_fonts_have_characters_that_that_of_the_style_lacks(caplog, monkeypatch):
    monkeypatch.setattr(look, "_OTHER_FONTS", ("Not Installed", "STIXNonUnicode"))
    look._style.cache_clear()
    try:
        png_bytes(named("\ue001"))  # of STIXNonUnicode, which comes with Matplotlib
    finally:
        look._style.cache_clear()
    assert not caplog.messages
