"""What sections of a report hold, by names."""

from __future__ import annotations

from collections.abc import Sequence

from animal_spot.reporting.page import Facts, Number, Section, Table


def table_in(sections: Sequence[Section], name: str) -> Table:
    """Return a table by its name."""
    (found,) = (
        block
        for section in sections
        for block in section.blocks
        if isinstance(block, Table) and block.name == name
    )
    return found


def facts_in(section: Section) -> dict[str, str]:
    """Return the facts as they are shown."""
    return {
        name: value.text if isinstance(value, Number) else value
        for block in section.blocks
        if isinstance(block, Facts)
        for name, value in block.rows
    }
