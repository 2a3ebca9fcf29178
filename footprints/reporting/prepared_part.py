"""The part of a report on a prepared set of photos."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from footprints.preparation.manifest import LEFT_OUT_COLUMNS
from footprints.reporting.data_tables import (
    PARTS,
    PhotoCounts,
    counts_of_manifest,
    photos_table,
    warnings_of,
)
from footprints.reporting.page import (
    Block,
    Cell,
    Facts,
    Note,
    Section,
    Sounds,
    Table,
    count,
    share,
)
from footprints.reporting.record import Record, read_record
from footprints.reporting.wanted import Wanted
from footprints.system.files import path_inside, read_table
from footprints.system.text import printable

_HOW = {
    "detect": "a detector found the print",
    "centre": "the centre of each photo",
    "whole": "whole photos, which are crops already",
}
_MOST_CLASSES = 40  # that have an example


def sections(path: Path, wanted: Wanted, prefix: str) -> list[Section]:
    """Return the sections on a prepared set.

    Args:
        path: Its ``manifest.csv``.
        wanted: How the report is to be made.
        prefix: Before the names of tables and figures, which are unique in a report.

    Raises:
        UserError: If one of its files cannot be read.
    """
    counts = counts_of_manifest(path)
    facts = path.with_name("prepare.json")
    made = read_record(facts) if facts.is_file() else Record(facts, {})
    left_out = path.with_name("left_out.csv")
    absent = read_table(left_out) if left_out.is_file() else []
    blocks: list[Block] = [_facts(counts, made, len(absent)), *warnings_of(counts)]
    mode = made.text("mode")
    if counts.n_centre and mode == "detect":
        blocks.append(
            Note(
                f"No print was found on {counts.n_centre:,} of {counts.total():,} photos; their "
                "centre was taken.",
                is_warning=True,
            )
        )
    blocks.append(photos_table(counts, f"{prefix}_classes"))
    if absent:
        first, second = LEFT_OUT_COLUMNS
        rows = [[row.get(first, ""), row.get(second, "")] for row in absent]
        blocks.append(
            Table(f"{prefix}_left_out", "Files that are left out", ("file", "why"), rows, most=20)
        )
    if wanted.examples:
        blocks.append(_examples(path, wanted))
    return [Section("Photos", blocks)]


def _facts(counts: PhotoCounts, made: Record, n_absent: int) -> Facts:
    total = counts.total()
    rows: list[tuple[str, Cell]] = [
        ("photos", count(total)),
        ("classes", count(len(counts.photos))),
        *((f"photos for {PARTS[part]}", count(counts.total(part))) for part in counts.parts),
        ("files left out", count(n_absent)),
    ]
    if counts.groups:
        n_groups = sum(sum(one.values()) for one in counts.groups.values())
        rows.append(("groups of photos that look alike, in a class and part", count(n_groups)))
    if mode := made.text("mode"):
        rows.append(("crops", _HOW.get(mode, mode)))
    if counts.n_centre is not None and made.text("mode") == "detect" and total:
        rows.append(("photos with a print that was found", share(1 - counts.n_centre / total)))
    return Facts(tuple(rows))


def _examples(path: Path, wanted: Wanted) -> Sounds:
    """Return a crop of each class, drawn at random."""
    of_class = defaultdict(list)
    for row in read_table(path):
        of_class[row.get("class", "")].append(row)
    rng = np.random.default_rng([wanted.seed, len(of_class)])
    items = []
    for label in sorted(of_class)[:_MOST_CLASSES]:
        row = of_class[label][int(rng.integers(len(of_class[label])))]
        try:
            crop = path_inside(path.parent, row.get("crop", ""))
        except ValueError:
            crop = None
        lines = (printable(row.get("source", "")),)
        there = crop if crop is not None and crop.is_file() else None
        items.append(wanted.thumbnails.of(there, label, lines))
    note = "" if len(of_class) <= _MOST_CLASSES else f"The first {_MOST_CLASSES} classes."
    return Sounds("One crop of each class, drawn at random", items, note)
