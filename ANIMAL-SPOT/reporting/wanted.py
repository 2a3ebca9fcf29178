"""How a report is to be made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wanted:
    """What somebody wants of a report.

    Attributes:
        recordings: Where the recordings are now; None: where they were.
        clips: Where the clips are now; None: where they were.
        examples: Sounds of each class; 0: none.
        seed: Of the drawing of examples.
        sound_bytes: What all sounds and their pictures may take together, before encoding as text.
    """

    recordings: Path | None = None
    clips: Path | None = None
    examples: int = 6
    seed: int = 0
    sound_bytes: int = 5_000_000
