"""Crops and photos in a folder for each class."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from footprints.pictures.crops import cut, square_box
from footprints.pictures.photos import PhotoError, load_photo, read_file
from footprints.reviewing.export_names import class_folders, file_stem
from footprints.reviewing.judged import Judged
from footprints.reviewing.project import NO_PRINT, Project
from footprints.reviewing.written_files import WrittenFiles
from footprints.system.settings import Settings
from footprints.system.text import printable

CROPS, PHOTOS = "crops", "photos"  # folders
LARGEST_CROP = 1024  # pixels a side
_QUALITY = 95
_SHOWN = 3  # names in a note

Report = tuple[list[dict[str, Any]], list[str]]


def write_crops(project: Project, rows: list[Judged], written: WrittenFiles) -> Report:
    """Write ``crops/<class>/<photo>_<number>.jpg``: the print with the surroundings of training.

    Returns:
        Classes with the number of crops, and notes.
    """
    named, notes = _with_class(rows)
    boxed = [row for row in named if row.box is not None]
    if len(boxed) < len(named):
        notes.append(f"{len(named) - len(boxed)} rows have a class but no box, and so no crop")
    margin = project.setting("facts", {}).get("settings", {}).get("margin", Settings().margin)
    folders = class_folders(row.class_name for row in boxed)
    names, failed, counts = [], [], Counter[str]()
    for path, some in _by_photo(boxed).items():
        try:
            rgb = load_photo(path)
        except PhotoError as error:
            failed.append(f"{printable(path.name)} ({error.reason})")
            names += [_crop_name(row, folders) for row in some]  # an earlier crop of it stays
            continue
        for row in some:
            name = _crop_name(row, folders)
            written.write(name, _crop(rgb, row, float(margin)))
            names.append(name)
            counts[folders[row.class_name]] += 1
    return _reported(written, CROPS, names, failed, counts, notes)


def write_photos(_: Project, rows: list[Judged], written: WrittenFiles) -> Report:
    """Write ``photos/<class>/``: copies of the photos as they are, what they say of places too.

    A photo with prints of several classes is in the folder of each.

    Returns:
        Classes with the number of photos, and notes.
    """
    named, notes = _with_class(rows)
    folders = class_folders(row.class_name for row in named)
    names, failed, counts = [], [], Counter[str]()
    mixed = 0
    for path, some in _by_photo(named).items():
        classes = {row.class_name for row in some}
        mixed += len(classes) > 1
        places = {
            one: f"{PHOTOS}/{folders[one]}/{file_stem(some[0].photo)}{path.suffix.lower()}"
            for one in sorted(classes)
        }
        names += places.values()
        try:
            content = read_file(path)
        except PhotoError as error:
            failed.append(f"{printable(path.name)} ({error.reason})")
            continue
        for class_name, name in places.items():
            written.write(name, content)
            counts[folders[class_name]] += 1
    if mixed:
        notes.append(f"{mixed} photos have prints of several classes, and are in each folder")
    return _reported(written, PHOTOS, names, failed, counts, notes)


def _with_class(rows: list[Judged]) -> tuple[list[Judged], list[str]]:
    """Return the rows of which it is known whose print it is, and what is to be said of others."""
    known = [row for row in rows if row.class_name not in (None, NO_PRINT)]
    named = [row for row in known if not row.is_group]
    notes = []
    n_wrong = sum(row.verdict == "wrong" for row in rows)
    if n_wrong:
        notes.append(f"{n_wrong} rows are wrong without another class, and in no folder")
    n_unknown = sum(row.verdict == "right" and row.class_name is None for row in rows)
    if n_unknown:
        notes.append(
            f"{n_unknown} rows are rightly unknown, without saying which animal, and in no folder"
        )
    if len(named) < len(known):
        n = len(known) - len(named)
        notes.append(f"{n} rows are right as a group, without a species, and in no folder")
    return named, notes


def _by_photo(rows: list[Judged]) -> dict[Path, list[Judged]]:
    found: dict[Path, list[Judged]] = defaultdict(list)
    for row in rows:
        found[row.photo.path].append(row)
    return found


def _crop_name(row: Judged, folders: dict[str, str]) -> str:
    return f"{CROPS}/{folders[row.class_name]}/{file_stem(row.photo)}_{row.id}.jpg"


def _crop(rgb: np.ndarray, row: Judged, margin: float) -> bytes:
    height, width = rgb.shape[:2]
    edges = [part * side for part, side in zip(row.box, (width, height) * 2, strict=True)]
    square = square_box((edges[0], edges[1], edges[2], edges[3]), rgb.shape, margin)
    side = min(LARGEST_CROP, int(square[2] - square[0]))
    file = io.BytesIO()
    Image.fromarray(cut(rgb, square, side)).save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()


def _reported(
    written: WrittenFiles,
    folder: str,
    names: list[str],
    failed: list[str],
    counts: Counter[str],
    notes: list[str],
) -> Report:
    n_gone = written.remove_others(f"{folder}/", names)
    if n_gone:
        notes.append(
            f"{n_gone} of an earlier export, of which something else is said now, are gone"
        )
    if failed:
        more = f" and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        notes.append(f"photos that cannot be read: {', '.join(failed[:_SHOWN])}{more}")
    return [{"name": name, "rows": n} for name, n in sorted(counts.items())], notes
