"""A report as one HTML file that needs no network: text, tables, pictures and sounds.

Knows nothing of animals, and imports nothing of either package: both halves have a copy of this
file and of ``static`` (``docs/copy_look.py``).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

STATIC = Path(__file__).with_name("static")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_BIDI = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # would turn what stands beside


@dataclass(frozen=True)
class Number:
    """A number in a table: sorted by its value, shown as its text.

    Attributes:
        value: None: unknown, sorted last.
        text: What is shown.
    """

    value: float | None
    text: str


Cell = str | Number


def count(value: int | None) -> Number:
    """Return a whole number as a cell: ``12,345``."""
    return Number(value, "–" if value is None else f"{value:,}")


def decimal(value: float | None, digits: int = 2, unit: str = "") -> Number:
    """Return a number with so many digits behind the point."""
    return Number(value, "–" if value is None else f"{value:.{digits}f}{unit}")


def share(value: float | None, digits: int = 1) -> Number:
    """Return a share from 0 to 1 in percent: ``91.2 %``."""
    return Number(value, "–" if value is None else f"{100 * value:.{digits}f} %")


def interval(low: float | None, high: float | None, digits: int = 1) -> Number:
    """Return an interval of shares in percent, sorted by its lower end: ``81.6 to 100.0 %``."""
    if low is None or high is None:
        return Number(None, "–")
    return Number(low, f"{100 * low:.{digits}f} to {100 * high:.{digits}f} %")


@dataclass(frozen=True)
class Text:
    """Paragraphs of plain text."""

    kind: ClassVar[str] = "text"
    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Note:
    """Something to know, or with ``is_warning`` to beware of."""

    kind: ClassVar[str] = "note"
    text: str
    is_warning: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and values, one pair a line."""

    kind: ClassVar[str] = "facts"
    rows: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True)
class Table:
    """A table that sorts by a click on a heading.

    Attributes:
        name: Short, unique in the report, of letters, digits and ``_``.
        title: Stands above.
        columns: Headings.
        rows: Cells; numbers are set to the right.
        foot: Rows of sums or means, which stay last.
        note: Stands below.
        most: So many rows are shown at once; the others at a click.
    """

    kind: ClassVar[str] = "table"
    name: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    foot: Sequence[Sequence[Cell]] = ()
    note: str = ""
    most: int = 60


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        name: Stem of the files that it is saved as for papers, unique in the report.
        title: Stands above.
        svg: The element ``<svg>``, trusted: it is not escaped.
        caption: Says what is to be seen.
        files: Those files by ending, such as ``{".svg": ..., ".png": ...}``.
        is_wide: As wide as the page; else two stand side by side.
        has_title: The figure itself says its title, which then is not said again.
    """

    kind: ClassVar[str] = "picture"
    name: str
    title: str
    svg: str
    caption: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    is_wide: bool = False
    has_title: bool = False


@dataclass(frozen=True)
class Sound:
    """A short sound with its spectrogram.

    Attributes:
        title: What it is.
        lines: What else is known of it.
        png: Its spectrogram, or the photo; None: none.
        audio: The compressed sound; None: it cannot be had.
        media_type: Of ``audio``.
        alt: Says what the picture shows.
        image_type: Of ``png``, where that is no PNG.
    """

    title: str
    lines: tuple[str, ...] = ()
    png: bytes | None = None
    audio: bytes | None = None
    media_type: str = "audio/mpeg"
    alt: str = ""
    image_type: str = "image/png"


@dataclass(frozen=True)
class Sounds:
    """Sounds, or photos, side by side."""

    kind: ClassVar[str] = "sounds"
    title: str
    items: Sequence[Sound]
    note: str = ""


@dataclass(frozen=True)
class Copied:
    """Text that people copy, such as a paragraph for a paper."""

    kind: ClassVar[str] = "copied"
    title: str
    text: str


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        title: Its heading.
        blocks: What stands in it; sections of their own have smaller headings.
    """

    kind: ClassVar[str] = "section"
    title: str
    blocks: Sequence[Block | Section]


Block = Text | Note | Facts | Table | Picture | Sounds | Copied


@dataclass(frozen=True)
class Report:
    """A whole report.

    Attributes:
        title: Its heading.
        lead: What it is of, in a few lines.
        sections: Its parts.
        made_by: Program and version.
    """

    title: str
    lead: tuple[str, ...]
    sections: Sequence[Section]
    made_by: str = ""


def blocks_of(report: Report) -> Iterator[Block]:
    """Go through all that stands in a report, in order."""

    def inside(section: Section) -> Iterator[Block]:
        for block in section.blocks:
            if isinstance(block, Section):
                yield from inside(block)
            else:
                yield block

    for section in report.sections:
        yield from inside(section)


def html_of(report: Report) -> str:
    """Return the page. The same report gives the same text.

    Names of files, classes and so on stay text, whatever they hold.

    Raises:
        ValueError: If two tables or two pictures have one name.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    for kind in (Table, Picture):
        names = [block.name for block in blocks_of(report) if isinstance(block, kind)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two of {kind.__name__} are called {twice[0]}")
    style, script = (
        (STATIC / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    environment = Environment(
        loader=FileSystemLoader(STATIC),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalized,
    )
    environment.filters |= {"data_uri": _data_uri, "id": id, "runs": _runs}
    environment.tests["number"] = lambda cell: isinstance(cell, Number)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        report=report, style=style, script=script, script_digest=digest, anchors=_anchors(report)
    )


def clean(text: str) -> str:
    """Replace what may not stand in a page: control characters, and bytes that were no text."""
    return _BIDI.sub("", _CONTROL.sub("\ufffd", text))


def _finalized(value: object) -> object:
    return clean(value) if type(value) is str else value


def _data_uri(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _runs(blocks: Sequence[Block | Section]) -> list[list[Block | Section]]:
    """Group blocks: pictures that follow each other stand side by side."""
    runs: list[list[Block | Section]] = []
    for block in blocks:
        if runs and block.kind == runs[-1][0].kind == "picture":
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs


def _anchors(report: Report) -> dict[int, str]:
    """Return what each section is called in addresses, by the identity of the section."""
    found: dict[int, str] = {}
    used: set[str] = set()

    def add(section: Section) -> None:
        stem = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-") or "part"
        name, number = stem, 1
        while name in used:
            number += 1
            name = f"{stem}-{number}"
        used.add(name)
        found[id(section)] = name
        for block in section.blocks:
            if isinstance(block, Section):
                add(block)

    for section in report.sections:
        add(section)
    return found
