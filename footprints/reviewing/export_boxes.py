"""Boxes in YOLO's format, with their photos, as ``footprints train_detector`` takes them."""

from __future__ import annotations

import hashlib
import io
import json
from collections import defaultdict
from typing import Any

from PIL import Image

from footprints.pictures.finding import RAW_SUFFIXES, SUFFIXES_OF
from footprints.pictures.photos import PhotoError, load_photo, read_file
from footprints.reviewing.export_names import file_stem
from footprints.reviewing.judged import Judged
from footprints.reviewing.project import NO_PRINT, Box, Photo, Project
from footprints.reviewing.written_files import WrittenFiles
from footprints.system.text import printable

FOLDER = "yolo"
CLASS_NAME = "footprint"
VAL_SHARE = 0.2
_QUALITY = 95
_SHOWN = 3  # names in a note
# What all programs that read such data open; other photos become JPEG.
_PLAIN = SUFFIXES_OF["JPEG"] | SUFFIXES_OF["PNG"] | SUFFIXES_OF["BMP"]


def write_boxes(
    project: Project, rows: list[Judged], written: WrittenFiles
) -> tuple[list[dict[str, Any]], list[str]]:
    """Write ``yolo/images``, ``yolo/labels`` and ``yolo/data.yaml``.

    Only photos of which each box is decided are taken: a print without a box would be learned as
    background. Photos of one trail are in one part.

    Returns:
        Parts with the number of photos, and notes.
    """
    whole, n_partly = _whole_photos(project, rows)
    part_of = _parts([photo for photo, _ in whole])
    names, failed = [], []
    n_photos: dict[str, int] = defaultdict(int)
    for photo, boxes in whole:
        part = part_of[photo.id]
        try:
            suffix, content = _picture(photo)
        except PhotoError as error:
            failed.append(f"{printable(photo.path.name)} ({error.reason})")
            names += _names(photo, part, photo.path.suffix.lower())  # an earlier copy stays
            continue
        image, label = _names(photo, part, suffix)
        written.write(image, content)
        written.write(label, "".join(map(_line, boxes)).encode())
        names += [image, label]
        n_photos[part] += 1
    data = {part: f"images/{part}" for part in ("train", "val") if n_photos[part]}
    if data:
        names.append(f"{FOLDER}/data.yaml")
        content = json.dumps(data | {"names": [CLASS_NAME]}, indent=2)  # is YAML
        written.write(names[-1], content.encode() + b"\n")
    n_gone = written.remove_others(f"{FOLDER}/", names)
    notes = _notes(n_partly, failed, data, sum(not boxes for _, boxes in whole))
    if n_gone:
        notes.append(f"{n_gone} files of an earlier export are gone")
    return [{"name": part, "rows": n_photos[part]} for part in data], notes


def _names(photo: Photo, part: str, suffix: str) -> tuple[str, str]:
    """Return the names of picture and label."""
    stem = file_stem(photo)
    return f"{FOLDER}/images/{part}/{stem}{suffix}", f"{FOLDER}/labels/{part}/{stem}.txt"


def _whole_photos(
    project: Project, rows: list[Judged]
) -> tuple[list[tuple[Photo, list[Box]]], int]:
    """Return photos of which everything is known, with their boxes, and the number of others."""
    by_photo: dict[int, list[Judged]] = defaultdict(list)
    for row in rows:
        by_photo[row.photo.id].append(row)
    decided = {row.id for row in rows}
    found = []
    for photo_id, some in by_photo.items():
        is_decided = decided.issuperset(_shown(project, photo_id, decided))
        if is_decided and all(map(_is_known, some)):
            boxes = [row.box for row in some if row.class_name != NO_PRINT and row.box is not None]
            found.append((some[0].photo, boxes))
    return found, len(by_photo) - len(found)


def _shown(project: Project, photo_id: int, decided: set[int]) -> list[int]:
    """Return the rows of a photo but those that somebody drew and took back."""
    ids = project.rows_of_photo(photo_id)
    drawn = {row["id"] for row in project.detections(ids) if row["source"] == "drawn"}
    return [number for number in ids if number in decided or number not in drawn]


def _is_known(row: Judged) -> bool:
    """Tell whether a row says where a print is, or that there is none."""
    if row.class_name == NO_PRINT:
        return True
    return row.verdict in ("right", "other") and row.box is not None


def _parts(photos: list[Photo]) -> dict[int, str]:
    """Draw the part of each photo from its name or trail, so that it stays the same."""
    draws = {group: _draw(group) for group in map(_group, photos)}
    in_order = sorted(draws, key=draws.__getitem__)
    held_back = {group for group in in_order if draws[group] < VAL_SHARE}
    if len(in_order) > 1:
        held_back = held_back or {in_order[0]}
    held_back -= {*in_order[-1:]}  # something is trained on, whatever the draw
    return {photo.id: "val" if _group(photo) in held_back else "train" for photo in photos}


def _group(photo: Photo) -> str:
    return f"trail {photo.trail}" if photo.trail else f"photo {photo.name}"


def _draw(group: str) -> float:
    """Return a number that looks random, 0 to 1, the same each time."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64


def _picture(photo: Photo) -> tuple[str, bytes]:
    """Return suffix and content of a photo that every program opens."""
    suffix = photo.path.suffix.lower()
    if suffix in _PLAIN and suffix not in RAW_SUFFIXES:
        return suffix, read_file(photo.path)
    file = io.BytesIO()
    Image.fromarray(load_photo(photo.path)).save(file, "JPEG", quality=_QUALITY)
    return ".jpg", file.getvalue()


def _line(box: Box) -> str:
    x1, y1, x2, y2 = box
    return f"0 {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}\n"


def _notes(n_partly: int, failed: list[str], data: dict[str, str], n_empty: int) -> list[str]:
    notes = []
    if n_partly:
        notes.append(
            f"{n_partly} photos are left out: something on them is undecided, unsure, wrong "
            "without saying what it is, or has no box"
        )
    if n_empty:
        notes.append(f"{n_empty} photos have no print: the detector learns from them what is none")
    if failed:
        more = f" and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        notes.append(f"photos that cannot be read: {', '.join(failed[:_SHOWN])}{more}")
    if len(data) == 1:
        notes.append("one part alone: train_detector needs both, so decide on more photos")
    return notes
