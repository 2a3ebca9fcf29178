"""A run of ``clips.py``: recordings and tables in, a corpus of clips out."""

from __future__ import annotations

from animal_spot.cutting.config import ClipsConfig


def run(config: ClipsConfig) -> int:
    """Run with these settings; return the exit status.

    Raises:
        ValueError: If something given cannot be used.
        OSError: If something cannot be read or written.
    """
    raise NotImplementedError
