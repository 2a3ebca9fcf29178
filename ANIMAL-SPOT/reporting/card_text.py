"""Blocks as Markdown, which people read as it is and web sites of code show as a page."""

from __future__ import annotations

import re
from collections.abc import Sequence

from animal_spot.reporting.page import (
    Block,
    Cell,
    Copied,
    Facts,
    Note,
    Number,
    Section,
    Table,
    Text,
    clean,
)

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$&])")


def markdown_of(title: str, sections: Sequence[Section]) -> str:
    """Return a text of sections under a heading."""
    lines = [f"# {_escaped(title)}", ""]
    for section in sections:
        lines += [f"## {_escaped(section.title)}", ""]
        for block in section.blocks:
            lines += [*_lines_of(block), ""]
    return "\n".join(lines)


def _lines_of(block: Block | Section) -> list[str]:
    if isinstance(block, Text):
        return "\n\n".join(map(_escaped, block.paragraphs)).split("\n")
    if isinstance(block, Note):
        return [f"> {'**Warning:** ' if block.is_warning else ''}{_escaped(block.text)}"]
    if isinstance(block, Facts):
        return [f"* {_escaped(name)}: {_escaped(_shown(value))}" for name, value in block.rows]
    if isinstance(block, Copied):
        return [f"{_escaped(block.title)}:", "", *(f"    {ln}" for ln in block.text.split("\n"))]
    if isinstance(block, Table):
        return _table(block)
    raise TypeError(f"{type(block).__name__} has no form in Markdown")


def _table(table: Table) -> list[str]:
    right = [bool(table.rows) and isinstance(cell, Number) for cell in (table.rows or [[]])[0]]
    right += [False] * (len(table.columns) - len(right))
    lines = [f"{_escaped(table.title)}:", ""]
    lines.append(_row(table.columns))
    lines.append(_row(["---:" if is_right else "---" for is_right in right], escape=False))
    lines += [_row(list(map(_shown, row))) for row in [*table.rows, *table.foot]]
    return [*lines, *(["", _escaped(table.note)] if table.note else [])]


def _row(cells: Sequence[str], *, escape: bool = True) -> str:
    return f"| {' | '.join(_escaped(cell) if escape else cell for cell in cells)} |"


def _shown(cell: Cell) -> str:
    return cell.text if isinstance(cell, Number) else cell


def _escaped(text: str) -> str:
    """Return text that stays as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(clean(text).split()))
