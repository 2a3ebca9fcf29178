"""Names of tables and pictures made unique where a report has several parts of one kind."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import overload

from animal_spot.reporting.page import Block, Picture, Section, Table


@overload
def with_prefix(block: Section, prefix: str) -> Section: ...
@overload
def with_prefix(block: Block, prefix: str) -> Block: ...
def with_prefix(block: Block | Section, prefix: str) -> Block | Section:
    """Return a block, and all in it, with a prefix before the names of tables and pictures.

    Ids inside pictures begin with the picture's name (``pictures.picture``), and get it too.

    Args:
        block: What stands in a report.
        prefix: Letters, digits and ``_``.
    """
    if isinstance(block, Section):
        return replace(block, blocks=[with_prefix(inside, prefix) for inside in block.blocks])
    if isinstance(block, Table):
        return replace(block, name=prefix + block.name)
    if isinstance(block, Picture):
        own_ids = re.compile(rf'( id="|url\(#|href="#)(?={re.escape(block.name)}-)')
        svg = own_ids.sub(rf"\g<1>{prefix}", block.svg)
        return replace(block, name=prefix + block.name, svg=svg)
    return block
