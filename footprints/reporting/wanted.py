"""How a report is to be made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from footprints.reporting.thumbnails import Thumbnails


@dataclass(frozen=True)
class Wanted:
    """What somebody wants of a report.

    Attributes:
        photos: Where the photos are now; None: where they were.
        examples: Small pictures of each answer; 0: none.
        seed: Of the drawing of examples.
        thumbnails: Makes all small pictures of the report.
    """

    photos: Path | None = None
    examples: int = 4
    seed: int = 0
    thumbnails: Thumbnails = field(default_factory=Thumbnails)
