"""Sampling rates of recordings, for tables whose times count samples."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from animal_spot.audio.sound_file import SoundError, SoundFile
from animal_spot.audio.sound_kinds import READ
from animal_spot.tables.numbers import RowError
from animal_spot.tables.table_text import shortened

_FOLDERS = ("", "Wave", "wav")  # beside a table, where recordings of such tables are


@functools.lru_cache(maxsize=4096)  # what is not found is looked for again
def rate_of(recording: str, table: Path) -> int:
    """Return the samples a second of a recording that is where its table is.

    Args:
        recording: Its name or path as the table has it; "": it is called as the table.
        table: The table.

    Raises:
        RowError: If there is none that can be read.
    """
    if recording:
        name = re.split(r"[\\/]", recording)[-1]
        places = [Path(recording), *(table.parent / folder / name for folder in _FOLDERS)]
    else:
        stem = table.name.partition(".")[0]
        places = [
            table.with_name(stem + ending)
            for small in sorted(READ)
            for ending in (small, small.upper())
        ]
    for place in places:
        try:
            if not place.is_file():
                continue
            file = SoundFile(place)
        except (SoundError, OSError):  # also a name that is too long
            continue
        file.close()
        return file.rate
    name = shortened(recording or table.name.partition(".")[0])
    raise RowError(
        f"its times count samples, and the recording {name}, which has so many a second, is not "
        "beside the table"
    )
