"""Names of exported files and folders: fit for each drive, the same each time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from footprints.reviewing.project import NO_PRINT, Photo
from footprints.scores.calibration import UNKNOWN

OTHER = "other"  # folder of animals that are of no class, as training takes them
_NOT_ON_DRIVES = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?\Z")  # on Windows
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9-]+")
_LONGEST = 60  # characters


def class_folders(names: Iterable[str]) -> dict[str, str]:
    """Return the folder of each class; two that a drive takes for one get a number.

    ``unknown`` is ``OTHER``; there is none for ``NO_PRINT``.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted({*names} - {NO_PRINT}):
        plain = OTHER if name == UNKNOWN else _plain_folder(name)
        folder, number = plain, 1
        while folder.casefold() in taken and name != UNKNOWN:
            number += 1
            folder = f"{plain} {number}"
        taken.add(folder.casefold())
        found[name] = folder
    return found


def file_stem(photo: Photo) -> str:
    """Return a name made of that of a photo; its number, which follows, makes it unique."""
    stem = photo.path.stem.encode("utf-8", "replace").decode()
    plain = _NOT_PLAIN.sub(
        "_", unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    )
    return f"{plain[:_LONGEST].strip('_') or 'photo'}_{photo.id:06d}"


def _plain_folder(name: str) -> str:
    folder = _NOT_ON_DRIVES.sub("_", name).strip(" .")
    return f"{folder}_" if not folder or _RESERVED.match(folder) else folder
