"""Which files of a folder are photos, and what of the others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from footprints.system.errors import UserError
from footprints.system.text import printable

SUFFIXES_OF = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "MPO": {".jpg", ".jpeg", ".jpe", ".mpo"},  # JPEG with further pictures, from phones
    "PNG": {".png"},
    "BMP": {".bmp"},
    "DIB": {".bmp", ".dib"},
    "GIF": {".gif"},
    "WEBP": {".webp"},
    "TIFF": {".tif", ".tiff"},
    "AVIF": {".avif"},
    "HEIF": {".heic", ".heif", ".hif"},  # of iPhones, and of many other phones and cameras
}
RAW_SUFFIXES = {  # what the sensors of cameras saw; refused with advice where rawpy is missing
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".gpr", ".iiq", ".kdc", ".mos",
    ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw",
    ".x3f",
}  # fmt: skip
_READABLE_SUFFIXES = frozenset(set().union(*SUFFIXES_OF.values()))
PHOTO_SUFFIXES = _READABLE_SUFFIXES | RAW_SUFFIXES
_FILM_SUFFIXES = {".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".webm"}


@dataclass(frozen=True)
class UnusedFile:
    """A file among photos that is not used; ``reason`` says why, and what would help."""

    path: Path
    reason: str


def sort_out(files: list[Path]) -> tuple[list[Path], list[UnusedFile]]:
    """Tell photos from other files by their suffixes.

    RAW photos are among the photos, so that they fail by name where they cannot be used; but one
    is no loss where its JPEG, or the like, lies beside it.
    """
    photos, unused = [], []
    readable = {
        path.with_suffix(""): path for path in files if path.suffix.lower() in _READABLE_SUFFIXES
    }
    for path in files:
        suffix, twin = path.suffix.lower(), readable.get(path.with_suffix(""))
        if suffix in RAW_SUFFIXES and twin is not None:
            unused.append(UnusedFile(path, f"RAW photo; {twin.name} beside it is used"))
        elif suffix in PHOTO_SUFFIXES:
            photos.append(path)
        elif suffix in _FILM_SUFFIXES:
            unused.append(UnusedFile(path, "a film; save pictures of it as photos"))
        else:
            unused.append(UnusedFile(path, "no photo by its name"))
    return photos, unused


def not_written(files: list[Path], output_dir: Path, names: Iterable[str]) -> list[Path]:
    """Leave out what an earlier run wrote: files and folders of these names in a folder."""
    ours = [(output_dir / name).resolve() for name in names]
    return [
        path for path in files if not any(path.resolve().is_relative_to(place) for place in ours)
    ]


def counted(unused: Iterable[UnusedFile]) -> str:
    """Count files that are not used by their suffixes, as ``12 .nef, 1 .txt``."""
    suffixes = Counter(suffix_of(one) for one in unused)
    return ", ".join(f"{n} {suffix}" for suffix, n in sorted(suffixes.items()))


def suffix_of(one: UnusedFile) -> str:
    """Return the kind of a file, from its name."""
    return printable(one.path.suffix.lower()) or "no suffix"


def find_photos(folder: Path) -> list[Path]:
    """Return the files below a folder that have a photo's suffix, in order of their names.

    Hidden files and folders are skipped. Linked folders are entered, but not in circles. Links to
    nowhere are returned too, so that they are reported and not overlooked.

    Raises:
        NotADirectoryError: If ``folder`` is no folder.
        OSError: If a folder cannot be listed.
    """
    return sort_out(walk(folder))[0]


def walk(folder: Path) -> list[Path]:
    """Return all files below a folder that are not hidden; see ``find_photos``."""
    found: list[Path] = []

    def enter(place: Path, above: frozenset[tuple[int, int]]) -> None:
        status = os.stat(place)
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    enter(place / entry.name, above | {here})
                else:
                    found.append(place / entry.name)

    enter(Path(folder), frozenset())
    return sorted(found, key=lambda path: path.parts)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def photos_at(
    given: Path, output_dir: Path | None, ours: Iterable[str]
) -> tuple[Path, list[Path], list[UnusedFile]]:
    """Return the photos that a step is to look at.

    Args:
        given: A photo or a folder.
        output_dir: Of the step. What an earlier run wrote there is none of the user's.
        ours: Names of the files and folders that the step writes there.

    Returns:
        The folder that photos are named relative to, the photos, and the other files there.

    Raises:
        UserError: If there are none.
    """
    if not given.exists():
        raise UserError(f"{given}: no such photo or folder")
    if not given.is_dir():
        return given.parent, [given], []
    files = walk(given)
    if output_dir is not None:
        files = not_written(files, output_dir, ours)
    photos, unused = sort_out(files)
    if not photos:
        there = f" (other files: {counted(unused)})" if unused else ""
        raise UserError(f"{given}: no photo is in this folder, nor in the folders in it{there}")
    return given, photos, unused
