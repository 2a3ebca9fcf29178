"""What stands in the page of a report, read as a browser would."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path


@dataclass
class ReportPage:
    """The parts of a page.

    Attributes:
        text: All words, in order.
        warnings: Text of each warning.
        tables: By name, rows of cells: the full number where it is one, else the text.
        shown: The same with what is shown.
        pictures: Names of the pictures.
        n_audio: Number of sounds.
        scripts: Elements ``<script>``.
    """

    text: str = ""
    warnings: list[str] = field(default_factory=list)
    tables: dict[str, list[list[float | str]]] = field(default_factory=dict)
    shown: dict[str, list[list[str]]] = field(default_factory=dict)
    pictures: list[str] = field(default_factory=list)
    n_audio: int = 0
    scripts: int = 0


def read_page(path: Path) -> ReportPage:
    """Read a page."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    page = reader.page
    page.text = " ".join(" ".join(reader.words).split())
    return page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page, self.words = ReportPage(), []
        self._table, self._cell, self._value = "", None, None
        self._skips, self._warning = 0, None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        kind = (given.get("class") or "").split()
        if tag == "figure" and "table" in kind:
            self._table = given["data-name"]
            self.page.tables[self._table], self.page.shown[self._table] = [], []
        elif tag == "figure" and "picture" in kind:
            self.page.pictures.append(given["data-name"])
        elif tag == "tr" and self._table:
            self.page.tables[self._table].append([])
            self.page.shown[self._table].append([])
        elif tag == "td":
            self._cell, self._value = [], given.get("data-value")
        elif tag == "audio":
            self.page.n_audio += 1
        elif tag == "p" and "warning" in kind:
            self._warning = []
        if tag in ("script", "style"):
            self._skips += 1
            self.page.scripts += tag == "script"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._skips -= 1
        elif tag == "td":
            text = " ".join("".join(self._cell).split())
            self.page.shown[self._table][-1].append(text)
            is_number = self._value not in (None, "")
            self.page.tables[self._table][-1].append(float(self._value) if is_number else text)
            self._cell = None
        elif tag == "p" and self._warning is not None:
            self.page.warnings.append(" ".join("".join(self._warning).split()))
            self._warning = None

    def handle_data(self, data: str) -> None:
        if self._skips:
            return
        self.words.append(data)
        for kept in (self._cell, self._warning):
            if kept is not None:
                kept.append(data)
