"""When and where a photo was taken, and what of that goes into a copy; never fails."""

from __future__ import annotations

from pathlib import Path

from footprints.pictures.opening import open_exif
from footprints.places.kept_exif import kept_exif
from footprints.places.taken import Taken, taken_from


def taken_of(source: bytes | Path) -> Taken:
    """Return what a photo says of when, where and by which camera it was taken.

    Args:
        source: Its bytes, or its file, of which the head is read.
    """
    if isinstance(source, Path) and not source.is_file():  # a pipe would block for ever
        return Taken()
    try:
        with open_exif(source) as exif:
            return taken_from(exif)
    except Exception:  # decoders of foreign bytes raise almost anything
        return Taken()


def exif_for_copy(data: bytes, *, with_place: bool) -> bytes:
    """Return EXIF for an upright copy of a photo, see ``places.kept_exif``."""
    try:
        with open_exif(data) as exif:
            return kept_exif(exif, with_place=with_place)
    except Exception:  # as above; a copy without is better than none
        return b""
