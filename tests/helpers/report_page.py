"""A report as its reader has it: what stands in the page, by names."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path


class ReportPage(HTMLParser):
    """Takes a page of a report apart.

    Attributes:
        facts: Text by name, of all lists of facts.
        values: Number by name, where a fact has one.
        tables: Rows of cells by the name of the table: ``(text, value or None)``.
        warnings: Text of each.
        pictures: Names of the figures.
        images: Addresses of the small pictures.
        text: All that is shown.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.facts: dict[str, str] = {}
        self.values: dict[str, float | None] = {}
        self.tables: dict[str, list[list[tuple[str, float | None]]]] = {}
        self.warnings: list[str] = []
        self.pictures: list[str] = []
        self.images: list[str] = []
        self.text = ""
        self._inside: list[str] = []  # dt, dd, td, warning
        self._table = self._term = ""
        self._value: float | None = None
        self._part = ""
        self.feed(Path(path).read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        kinds = (given.get("class") or "").split()
        if tag == "figure" and "table" in kinds:
            self._table = given["data-name"]
            self.tables[self._table] = []
        elif tag == "figure" and "picture" in kinds:
            self.pictures.append(given["data-name"])
        elif tag == "img":
            self.images.append(given["src"])
        elif tag == "tr" and self._table:
            self.tables[self._table].append([])
        elif tag in ("dt", "dd", "td") or (tag == "p" and "warning" in kinds):
            self._part = ""
            self._inside.append(tag)
            value = given.get("data-value")
            self._value = float(value) if value else None

    def handle_data(self, data):
        self._part += data
        self.text += data

    def handle_endtag(self, tag):
        if not self._inside or self._inside[-1] != tag:
            return
        self._inside.pop()
        if tag == "dt":
            self._term = self._part
        elif tag == "dd":
            self.facts[self._term], self.values[self._term] = self._part, self._value
        elif tag == "td":
            self.tables[self._table][-1].append((self._part, self._value))
        else:
            self.warnings.append(self._part)

    def column(self, table: str, number: int) -> list[float | None]:
        """Return the numbers of a column of a table."""
        return [row[number][1] for row in self.tables[table] if row]
