"""The tables that prepare writes beside a set of crops: how they are laid out, and read.

``manifest.csv`` says which pictures make up a set, and of which class, part and scale each is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from footprints.pictures.folders import SPLITS
from footprints.pictures.scales import SCALES, folder_of
from footprints.system.errors import UserError
from footprints.system.files import read_table
from footprints.system.text import printable

MANIFEST_COLUMNS = (
    "crop",
    "source",
    "sha256",
    "class",
    "split",
    "group",
    "x1",
    "y1",
    "x2",
    "y2",
    "confidence",
    "fallback",
    "width",
    "height",
)
SCALE_COLUMN = "scale"  # added where photos have pictures of several scales
LEFT_OUT_COLUMNS = ("source", "reason")


@dataclass(frozen=True)
class Picture:
    """A row of a manifest.

    Attributes:
        name: The picture's path from the set's folder on, as ``name_in_table`` gives it.
        label: Of its class.
        split: Its part, of ``SPLITS``.
        scale: Of ``SCALES``.
    """

    name: str
    label: str
    split: str
    scale: str


def pictures_of(path: Path) -> list[Picture]:
    """Return the pictures that a manifest names.

    Raises:
        UserError: If it is no manifest, names a picture twice, or where it does not belong.
    """
    pictures: dict[str, Picture] = {}
    for row in read_table(path):
        name = name_in_table(row.get("crop", ""))
        label, split = row.get("class", ""), row.get("split", "")
        one = Picture(name, label, split, row.get("scale") or SCALES[0])
        is_known = one.split in SPLITS and one.scale in SCALES and one.label
        place = f"{folder_of(one.split, one.scale)}/{name_in_table(one.label)}/"
        if not is_known or name in pictures or place != f"{name.rpartition('/')[0]}/":
            raise UserError(
                f"{printable(path)}: its row of {printable(name)!r} cannot be meant; "
                "footprints.prepare --replace_edited writes it anew"
            )
        pictures[name] = one
    return list(pictures.values())


def name_in_table(name: str) -> str:
    """Return what a file is called in a table, however a drive writes its letters."""
    return unicodedata.normalize("NFC", printable(name))


def refuse_differences(folder: Path, named: Set[str], there: Set[str]) -> None:
    """Make sure that the pictures in a set's folder are those that its manifest names.

    Args:
        folder: Of the set.
        named: Their names in the manifest.
        there: As ``name_in_table`` gives them.

    Raises:
        UserError: Naming the first one that was removed, or put there, by hand.
    """
    for names, what in ((there - named, "put here"), (named - there, "removed")):
        if names:
            raise UserError(
                f"{printable(folder / min(names))}: this crop was {what} by hand, and nothing was "
                "done. To leave a photo out, to add one, or to give it another class, move the "
                "photo itself; footprints.prepare --replace_edited puts the crops back"
            )
