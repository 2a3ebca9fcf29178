"""Photos sorted into folders: which class, which part of the data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from footprints.errors import UserError
from footprints.photos import PHOTO_SUFFIXES, walk
from footprints.text import printable

SPLITS = ("train", "val", "test")
Layout = Literal["splits", "classes"]


@dataclass(frozen=True)
class FiledPhoto:
    """A photo in a folder of classes.

    Attributes:
        path: Where it is.
        source: Its path from the data set's folder on, with ``/``.
        label: Name of its class folder; None outside of one.
        split: ``train``, ``val``, ``test``; None if the folder does not give one.
    """

    path: Path
    source: str
    label: str | None
    split: str | None


@dataclass(frozen=True)
class Listing:
    """What a data set's folder holds.

    Attributes:
        layout: ``splits`` for ``[cropped_imgs/]{train,val,test}/<class>``, else ``classes``.
        photos: In order of their names.
        splits: Those that have a folder.
        ignored: Number of other files by suffix.
    """

    layout: Layout
    photos: tuple[FiledPhoto, ...]
    splits: tuple[str, ...]
    ignored: dict[str, int]


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
    ignored: Counter[str] = Counter()
    try:
        files = walk(folder)
    except PermissionError as error:
        where = printable(error.filename or folder)
        raise UserError(f"{where}: no permission to look into this folder") from None
    for path in files:
        if path.suffix.lower() not in PHOTO_SUFFIXES:
            ignored[printable(path.suffix.lower()) or "no suffix"] += 1
            continue
        source = path.relative_to(folder).as_posix()
        label = split = None
        if path.is_relative_to(root):
            folders = list(path.relative_to(root).parts[:-1])
            if layout == "splits" and folders and folders[0] in splits:
                split = folders.pop(0)
            if folders and (layout == "classes" or split):
                label = folders[0]
        photos.append(FiledPhoto(path, source, label, split))
    present = splits if layout == "splits" else ()
    return Listing(layout, tuple(photos), present, dict(sorted(ignored.items())))
