"""The part of a report that tells of review."""

from __future__ import annotations

from pathlib import Path

from animal_spot.reporting.page import Section, Text
from animal_spot.reporting.wanted import Wanted


def sections(path: Path, wanted: Wanted) -> list[Section]:
    """Return what there is to say.

    Raises:
        SourceError: If what the files hold cannot be used.
        OSError: If something cannot be read.
    """
    return [Section("Files", [Text((f"Of {path}.",))])]
