"""The photos and boxes that a ``data.yaml`` in YOLO's format, or a table of found boxes, names."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from footprints.detector.detector_data import DetectorData, LabelledPhoto, plain_name
from footprints.detector.labels import Box, checked, label_path, read_labels
from footprints.pictures.finding import counted, sort_out, walk
from footprints.pictures.folders import SPLITS
from footprints.system.errors import UserError
from footprints.system.files import path_inside, read_table, read_text
from footprints.system.text import reason_of

_MOST_CLASSES = 10_000
_MOST_YAML = 2**20  # characters; a list of classes and three folders
_NO_PHOTOS = {".txt", ".yaml", ".yml", ".json", ".xml", ".cache"}  # beside photos by right


def read_data_yaml(path: Path) -> DetectorData:
    """Read a data set in YOLO's format: folders or lists of photos, a ``.txt`` of boxes for each.

    Relative paths start from the folder of the file. Labels lie in ``labels`` where the photos lie
    in ``images``, or beside the photo. A photo without labels shows no print.

    Raises:
        UserError: If the file or a folder it names is missing or of another form.
    """
    path = Path(path)
    content = _mapping(path)
    for part in SPLITS:
        if isinstance(content.get(part), str):
            content[part] = [content[part]]
        entries = content.get(part) or []
        if not (isinstance(entries, list) and all(isinstance(one, str) for one in entries)):
            raise UserError(f"{path}: {part} must be the name of a folder, or a list of names")
    if not content.get("train"):
        raise UserError(f"{path}: must name the folders of photos: train, val and perhaps test")
    if not content.get("val"):
        raise UserError(f"{path}: has no val part; photos that are not trained on are needed")
    if not isinstance(content.get("path") or "", str):
        raise UserError(f"{path}: its path must be the name of a folder")
    data = DetectorData(names=_class_names(path, content))
    root = path.resolve().parent / (content.get("path") or ".")
    for part in SPLITS:
        entries = content.get(part) or []
        if entries:
            data.given[part] = ", ".join(entries)
        for entry in entries:
            _add_entry(data, part, path, root, entry)
    if data.given.get("test") and not data.parts["test"]:
        data.notes.append("no usable photo in the test part: the scores will be those of val")
    return data


def _mapping(path: Path) -> dict[str, Any]:
    """Return what a file in YAML maps from what."""
    import yaml

    text = read_text(path)
    if len(text) > _MOST_YAML:
        raise UserError(f"{path}: too large for a data.yaml, {len(text)} characters")
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise UserError(f"{path}: not YAML: {reason_of(error, 150)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: must name the folders of photos: train, val and perhaps test")
    return content


def read_pseudo_labels(data: DetectorData, table: Path, folder: Path) -> None:
    """Add photos whose boxes a detector found to the training part.

    Args:
        data: Is added to.
        table: Columns ``file``, ``x``, ``y`` (upper left corner), ``width``, ``height``, as parts
            of the photo's width and height.
        folder: File names start from here.

    Raises:
        UserError: If the table lacks a column or names no photo that exists.
    """
    rows = read_table(table)
    wanted = ["file", "x", "y", "width", "height"]
    if not rows or not set(wanted) <= set(rows[0]):
        raise UserError(f"{table}: needs the columns {','.join(wanted)} and at least one row")
    boxes: dict[str, list[Box]] = {}
    bad: set[str] = set()
    for row in rows:
        name = str(row["file"])
        try:
            x, y, width, height = (float(row[key]) for key in wanted[1:])
            box = 0, x + width / 2, y + height / 2, width, height
            box, sticks_out = checked(box, data.names)
            boxes.setdefault(name, []).append(box)
            data.n_clipped += sticks_out
        except (TypeError, ValueError) as error:
            bad.add(name)
            data.unusable(Path(folder) / name, f"{Path(table).name}: {error}")
    n_found = 0
    for name, found in boxes.items():
        if name in bad:
            continue
        try:
            photo = path_inside(folder, name)
        except ValueError:
            data.unusable(Path(name), f"{Path(table).name}: leads out of --pseudo_photos")
            continue
        if not photo.is_file():
            data.unusable(photo, f"{Path(table).name}: no such photo")
        else:
            n_found += 1
            data.parts["train"].append(LabelledPhoto(photo, found, True, plain_name(name)))
    if not n_found:
        raise UserError(f"{table}: none of its {len(boxes)} photos is in {folder}")


def _add_entry(data: DetectorData, part: str, yaml_path: Path, root: Path, entry: str) -> None:
    """Add the photos of a folder or a list, and note what lies among them and is not used."""
    place = root / entry
    if not place.exists() and entry.startswith("../"):  # as Roboflow writes, and means ./
        place = root / entry.removeprefix("../")
    if place.is_dir():
        stems = set()
        photos, others = sort_out(walk(place))
        for photo in photos:
            stems.add(label_path(photo))
            _add(data, part, photo, root)
        unused = [one for one in others if one.path.suffix.lower() not in _NO_PHOTOS]
        data.left_out += [(str(one.path), one.reason) for one in unused]
        if unused:
            data.notes.append(f"{place}: {counted(unused)} not used (left_out.csv)")
        _note_labels_without_photo(data, stems)
    elif place.is_file() and place.suffix == ".txt":
        for line in read_text(place).splitlines():
            name = line.replace("\0", "").strip()
            if name:
                _add(data, part, place.parent / name, root)
    elif part == "test" and not place.exists():
        data.notes.append(f"the test part is not there ({place})")
    else:
        raise UserError(
            f"{yaml_path}: {entry} is neither a folder nor a .txt list (looked for {place})"
        )


def _note_labels_without_photo(data: DetectorData, expected: set[Path]) -> None:
    """Say where boxes lie whose photo is missing, or is of a kind that is not read."""
    for folder in sorted({label.parent for label in expected if "labels" in label.parts}):
        if not folder.is_dir():
            continue
        orphans = [
            file
            for file in sorted(folder.iterdir())
            if file.suffix == ".txt" and file not in expected and file.name != "classes.txt"
        ]
        if orphans:
            data.notes.append(
                f"{folder}: {len(orphans)} of its files with boxes have no photo that is read, as "
                f"{orphans[0].name}"
            )


def _add(data: DetectorData, part: str, photo: Path, root: Path) -> None:
    try:
        boxes, n_clipped = read_labels(label_path(photo), data.names)
    except (ValueError, OSError, UserError) as error:
        data.unusable(photo, f"its labels: {error}")
        return
    data.n_clipped += n_clipped
    name = os.path.relpath(photo, root)
    data.parts[part].append(LabelledPhoto(photo, boxes, name=plain_name(name)))


def _class_names(path: Path, content: dict[str, Any]) -> list[str]:
    names, count = content.get("names"), content.get("nc")
    if names is None and isinstance(count, int) and 0 < count <= _MOST_CLASSES:
        names = [f"class_{i}" for i in range(count)]
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not 0 < len(names) <= _MOST_CLASSES:
        raise UserError(f"{path}: needs names, as 'names: {{0: footprint}}'")
    if not all(isinstance(name, (str, int, float)) and str(name).strip() for name in names):
        raise UserError(f"{path}: each of its names must be a word")
    names = [str(name) for name in names]
    if doubled := [name for name, n in Counter(names).items() if n > 1]:
        raise UserError(f"{path}: two of its classes have the name {doubled[0]}")
    return names
