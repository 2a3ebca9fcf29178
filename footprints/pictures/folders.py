"""Photos sorted into folders: which class, which part of the data."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from footprints.pictures.finding import UnusedFile, sort_out, walk
from footprints.scores.calibration import UNKNOWN, is_unknown
from footprints.scores.strangers import OTHER
from footprints.system.errors import UserError
from footprints.system.text import printable

SPLITS = ("train", "val", "test")
OTHERS_SOURCE = "(others)"  # for the folder of --others in tables, where real ones have classes
Layout = Literal["splits", "classes"]


@dataclass(frozen=True)
class FiledPhoto:
    """A photo in a folder of classes.

    Attributes:
        path: Where it is.
        source: Its path from the data set's folder on, with ``/``.
        label: Name of its class: that of the folder in Unicode's composed form (NFC), without
            blanks around it; None outside of one.
        split: ``train``, ``val``, ``test``; None if the folder does not give one.
        class_folder: Path of the class folder from the data set's folder on, as it stands there.
    """

    path: Path
    source: str
    label: str | None
    split: str | None
    class_folder: str | None = None


@dataclass(frozen=True)
class Listing:
    """What a data set's folder holds.

    Attributes:
        folder: That was looked through.
        layout: ``splits`` for ``[cropped_imgs/]{train,val,test}/<class>``, else ``classes``.
        photos: In order of their names.
        splits: Those that have a folder.
        unused: Other files, and why they are not used.
    """

    folder: Path
    layout: Layout
    photos: tuple[FiledPhoto, ...]
    splits: tuple[str, ...]
    unused: tuple[UnusedFile, ...] = ()

    def source_of(self, path: Path) -> str:
        """Return a file's path from the folder on, with ``/``."""
        return path.relative_to(self.folder).as_posix()


def list_photos(folder: Path) -> Listing:
    """Find the photos of a data set, with class and split as its folders say.

    Two layouts are known: ``<class>/**`` and ``{train,val,test}/<class>/**``, the latter also
    below ``cropped_imgs/``. Hidden files and folders are skipped.

    Raises:
        UserError: If there is no such folder, or one in it may not be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "there is no such folder"
        raise UserError(f"{printable(folder)}: {what}")
    root = folder / "cropped_imgs" if (folder / "cropped_imgs").is_dir() else folder
    splits = tuple(name for name in SPLITS if (root / name).is_dir())
    layout: Layout = "splits" if "train" in splits and len(splits) > 1 else "classes"
    photos = []
    try:
        paths, unused = sort_out(walk(folder))
    except PermissionError as error:
        where = printable(error.filename or folder)
        raise UserError(f"{where}: no permission to look into this folder") from None
    for path in paths:
        source = path.relative_to(folder).as_posix()
        label = split = class_folder = None
        if path.is_relative_to(root):
            folders = list(path.relative_to(root).parts[:-1])
            if layout == "splits" and folders and folders[0] in splits:
                split = folders.pop(0)
            if folders and (layout == "classes" or split):
                label = class_name(folders[0])
                above = path.parents[len(folders) - 1]
                class_folder = above.relative_to(folder).as_posix()
        photos.append(FiledPhoto(path, source, label, split, class_folder))
    present = splits if layout == "splits" else ()
    return Listing(folder, layout, tuple(photos), present, tuple(unused))


def list_others(folder: Path, label: str = OTHER) -> tuple[FiledPhoto, ...]:
    """Find photos of animals of no class, in whatever folders below one.

    Args:
        folder: Of the photos.
        label: What their folder of crops is called.

    Raises:
        UserError: If there is no such folder, or no photo in it.
    """
    listing = list_photos(folder)
    if not listing.photos:
        raise UserError(f"{printable(folder)}: no photos in it")
    return tuple(
        FiledPhoto(one.path, f"{OTHERS_SOURCE}/{one.source}", label, None, OTHERS_SOURCE)
        for one in listing.photos
    )


def class_name(folder: str) -> str:
    """Return the name of a class from that of its folder: composed (NFC), no blanks around it."""
    return unicodedata.normalize("NFC", folder).strip()


def mistaken_names(listing: Listing) -> list[str]:
    """Describe class names that would make two classes of one, or mean something else.

    Returns:
        A line for each mistake: names that differ in case or blanks only, with their folders, and
        a class that is called like the answer "unknown".
    """
    alike: dict[str, dict[str, str]] = defaultdict(dict)  # key -> name -> first folder
    for photo in listing.photos:
        if photo.class_folder is not None:
            name = unicodedata.normalize("NFC", photo.class_folder.rsplit("/", 1)[-1])
            key = "".join(name.split()).casefold()
            alike[key].setdefault(name, printable(photo.class_folder))
    lines = []
    for names in alike.values():
        folders = [repr(folder) for folder in names.values()]
        if len(folders) > 1:
            lines.append(
                f"{' and '.join(folders)} differ only in case or blanks; give one class one name"
            )
        elif is_unknown(next(iter(names))):
            lines.append(
                f"{folders[0]}: {UNKNOWN!r} is the answer to photos that are too doubtful, so no "
                "class can be called so; rename this folder, or move it elsewhere"
            )
    return lines
