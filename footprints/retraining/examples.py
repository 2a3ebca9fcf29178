"""Reviewed prints as examples: cut out as the prepared photos were, and named."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from footprints.pictures.crops import centre_crop_of, cut, square_box, whole, whole_crop_of
from footprints.pictures.photos import PhotoError, load_photo, read_file
from footprints.pictures.png import png_of
from footprints.pictures.similarity import photo_hash
from footprints.preparation.crop_store import crop_key, crop_name
from footprints.reviewing.export_names import class_folders
from footprints.reviewing.judged import Judged
from footprints.reviewing.project import NO_PRINT
from footprints.scores.calibration import UNKNOWN
from footprints.scores.class_names import class_meant
from footprints.scores.strangers import is_other
from footprints.system import files
from footprints.system.settings import Settings
from footprints.system.text import printable


@dataclass(frozen=True)
class Example:
    """A reviewed print with its pictures.

    Attributes:
        row: What was decided.
        label: Its class, as the prepared set calls it; ``unknown``: an animal of no class.
        sha256: Of the photo's bytes.
        photo_hash: Perceptual hash of the photo, 16 hexadecimal digits.
        crop_hash: The same of the crop.
        pictures: PNG files by scale; they have one name.
        box_xyxy: The print in pixels of the upright photo.
        shape: Height and width of that.
    """

    row: Judged
    label: str
    sha256: str
    photo_hash: str
    crop_hash: str
    pictures: Mapping[str, Path]
    box_xyxy: tuple[float, float, float, float]
    shape: tuple[int, int]


def usable(rows: Sequence[Judged]) -> list[Judged]:
    """Return the rows of which it is known whose print they are."""
    return [row for row in rows if row.class_name not in (None, NO_PRINT) and not row.is_group]


def labels_of(rows: Sequence[Judged], classes: Sequence[str]) -> dict[str, str]:
    """Return what the prepared set calls each class of a review; new ones get a folder's name.

    An animal of no class stays ``unknown``.
    """
    folders = class_folders(row.class_name for row in rows)
    labels = {name: class_meant(name, classes) or folder for name, folder in folders.items()}
    strangers = [name for name in folders if name == UNKNOWN or is_other(name)]
    return labels | dict.fromkeys(strangers, UNKNOWN)


def cut_examples(
    rows: Sequence[Judged],
    labels: Mapping[str, str],
    folder: Path,
    settings: Settings,
    mode: str,
    scales: Sequence[str],
) -> tuple[list[Example], list[str]]:
    """Cut reviewed prints out of their photos.

    Args:
        rows: With a class each.
        labels: See ``labels_of``.
        folder: Where the pictures go.
        settings: How the prepared photos were cut.
        mode: The same, of ``crop_pool.Job``; what a row without a box gets.
        scales: Of which there are to be pictures.

    Returns:
        Examples, and photos that cannot be read with why.
    """
    by_photo: dict[Path, list[Judged]] = defaultdict(list)
    for row in rows:
        by_photo[row.photo.path].append(row)
    found, failed = [], []
    for path, some in by_photo.items():
        try:
            digest = hashlib.sha256(read_file(path)).hexdigest()
            rgb = load_photo(path)
        except PhotoError as error:
            failed.append(f"{printable(some[0].photo.name)} ({error.reason})")
            continue
        seen = photo_hash(rgb)
        for row in some:
            crop, box = _cut(rgb, row, settings, mode)
            pictures = {"crop": crop}
            if "photo" in scales:
                pictures["photo"] = whole(rgb, settings.image_size)
            label = labels[str(row.class_name)]
            name = crop_name(row.photo.name, crop_key(digest, f"{row.id} {box}"))
            paths = {}
            for scale in scales:
                paths[scale] = folder / scale / name
                files.write_bytes(paths[scale], png_of(pictures[scale]))
            found.append(
                Example(row, label, digest, seen, photo_hash(crop), paths, box, rgb.shape[:2])
            )
    return found, failed


def _cut(
    rgb: np.ndarray, row: Judged, settings: Settings, mode: str
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    if row.box is None:
        crop = (whole_crop_of if mode == "whole" else centre_crop_of)(rgb, settings)
        return crop.rgb, crop.box_xyxy
    height, width = rgb.shape[:2]
    x1, y1, x2, y2 = (
        round(part * side, 2) for part, side in zip(row.box, (width, height) * 2, strict=True)
    )
    square = square_box((x1, y1, x2, y2), rgb.shape, settings.margin, settings.min_crop_side)
    return cut(rgb, square, settings.image_size), (x1, y1, x2, y2)
