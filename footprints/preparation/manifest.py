"""The tables that prepare writes beside a set of crops: how they are laid out, and read."""

from __future__ import annotations

import contextlib
import csv
from collections import defaultdict
from pathlib import Path

from footprints.system.text import text_of_cell

MANIFEST_COLUMNS = (
    "crop",
    "source",
    "sha256",
    "class",
    "split",
    "group",
    "x1",
    "y1",
    "x2",
    "y2",
    "confidence",
    "fallback",
    "width",
    "height",
)
SCALE_COLUMN = "scale"  # added where photos have pictures of several scales
LEFT_OUT_COLUMNS = ("source", "reason")


def read_manifest(path: Path) -> list[dict[str, str]]:
    """Return the rows of a manifest, or of ``left_out.csv``, with the texts that were meant.

    A cell that is not there is empty; a table that cannot be read gives the rows before the fault.
    """
    rows = []
    with (
        open(path, encoding="utf-8", errors="replace", newline="") as file,
        contextlib.suppress(csv.Error),
    ):
        for row in csv.DictReader(file):
            texts = {key: text for key, text in row.items() if isinstance(text, str)}
            rows.append(defaultdict(str, {key: text_of_cell(texts[key]) for key in texts}))
    return rows
