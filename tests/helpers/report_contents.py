"""What stands in the page of a report, read back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from animal_spot.reporting.page import Facts, Number, Section, Table


@dataclass
class PageTable:
    """A table: headings, and rows of pairs of text and value, with those of the foot."""

    columns: list[str] = field(default_factory=list)
    rows: list[list[tuple[str, str | None]]] = field(default_factory=list)

    def row(self, name: str) -> dict[str, tuple[str, str | None]]:
        """Return the row of a first cell by the headings; the last of two equal ones counts."""
        (row,) = (row for row in self.rows if row[0][0] == name)
        return dict(zip(self.columns, row, strict=True))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, PageTable] = {}
        self._now: PageTable | None = None
        self._text: list[str] | None = None
        self._value: str | None = None

    def handle_starttag(self, tag, attrs) -> None:
        attributes = dict(attrs)
        if tag == "figure":
            is_table = attributes.get("class") == "table"
            self._now = (
                self.tables.setdefault(attributes["data-name"], PageTable()) if is_table else None
            )
        elif self._now is not None and tag == "tr":
            self._now.rows.append([])
        elif tag in ("td", "th"):
            self._text, self._value = [], attributes.get("data-value")

    def handle_data(self, data) -> None:
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag) -> None:
        if tag not in ("td", "th") or self._now is None or self._text is None:
            return
        text = "".join(self._text).strip()
        if tag == "th":
            self._now.columns.append(text)
        else:
            self._now.rows[-1].append((text, self._value))
        self._text = None


def tables_of(page: Path) -> dict[str, PageTable]:
    """Return the tables of a page by their names."""
    reader = _Reader()
    reader.feed(page.read_text())
    for table in reader.tables.values():
        table.rows = [row for row in table.rows if row]
    return reader.tables


def headings(page: Path) -> list[str]:
    """Return the headings of a page in order."""
    return re.findall(r"<h[2-5][^>]*>(.*?)</h", page.read_text())


def warnings(page: Path) -> list[str]:
    """Return the warnings in a page."""
    return re.findall(r'<p class="warning"><strong>Warning:</strong> (.*?)</p>', page.read_text())


def table_in(sections: list[Section], name: str) -> Table:
    """Return a table of sections by its name."""
    (found,) = (
        block
        for section in sections
        for block in section.blocks
        if isinstance(block, Table) and block.name == name
    )
    return found


def facts_in(section: Section) -> dict[str, str]:
    """Return the facts of a section as they are shown."""
    return {
        name: value.text if isinstance(value, Number) else value
        for block in section.blocks
        if isinstance(block, Facts)
        for name, value in block.rows
    }
