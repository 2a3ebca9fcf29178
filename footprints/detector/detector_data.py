"""Photos and boxes that a detector is trained on: read, checked, and copied for Ultralytics.

The copy keeps Ultralytics away from the user's folders, where it would write caches and "restore"
damaged photos in place. The copied photos are upright and RGB, so boxes mean the upright photo.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from footprints.pictures.photos import PhotoError, counted, decode_photo, read_file, sort_out, walk
from footprints.pictures.similarity import DEFAULT_MAX_DISTANCE, photo_hash
from footprints.system.errors import UserError
from footprints.system.files import naming, path_inside, read_text, write_text
from footprints.system.progress import progress
from footprints.system.text import printable, text_of_cell

PARTS = ("train", "val", "test")
Box = tuple[int, float, float, float, float]  # class, centre x, centre y, width, height; 0 to 1
OVERHANG = 0.05  # boxes that stick out by up to this part of the photo's side are clipped
_ROUNDING = 1e-3  # what a box may stick out without a word
_MOST_CLASSES = 10_000
_MOST_YAML = 2**20  # characters; a list of classes and three folders
_SHOWN = 3  # reasons in an error
_NO_PHOTOS = {".txt", ".yaml", ".yml", ".json", ".xml", ".cache"}  # beside photos by right


@dataclass
class LabelledPhoto:
    """A photo with its boxes, not yet decoded."""

    path: Path
    boxes: list[Box]
    pseudo: bool = False
    name: str = ""  # from the folder of its data set on, with slashes


@dataclass
class DetectorData:
    """The parts of a data set, and what does not go into it."""

    names: list[str]
    parts: dict[str, list[LabelledPhoto]] = field(
        default_factory=lambda: {name: [] for name in PARTS}
    )
    left_out: list[tuple[str, str]] = field(default_factory=list)
    n_unusable: int = 0  # of those left out, the ones that are damaged
    n_clipped: int = 0  # boxes that stuck out of their photos a little
    notes: list[str] = field(default_factory=list)  # what else is worth a line
    excluded_names: set[str] = field(default_factory=set)
    excluded_hashes: set[str] = field(default_factory=set)
    _given: dict[str, str] = field(default_factory=dict)  # part -> as the data.yaml says
    _contents: list[str] = field(default_factory=list)  # what was copied, for `fingerprint`

    @property
    def n_pseudo(self) -> int:
        """Number of photos in the training part whose boxes a detector found."""
        return sum(photo.pseudo for photo in self.parts["train"])

    def unusable(self, path: Path, reason: str) -> None:
        """Note a photo that cannot be used."""
        self.left_out.append((str(path), reason))
        self.n_unusable += 1

    def check_parts(self) -> None:
        """Make sure that there is something to learn from and to score on.

        Raises:
            UserError: If a part has no usable photo; with the first reasons.
        """
        for part, given in self._given.items():
            if not self.parts[part] and part != "test":
                raise UserError(f"no usable photo in the {part} part ({given}){self._reasons()}")

    def fingerprint(self) -> str:
        """Return a digest of the photos and boxes that ``write_copy`` copied."""
        return hashlib.sha256("".join(self._contents).encode()).hexdigest()

    def _reasons(self) -> str:
        """Return the first reasons for which photos were left out, for the end of an error."""
        if not self.left_out:
            return "; no photo lies there"
        shown = "; ".join(": ".join(one) for one in self.left_out[:_SHOWN])
        more = f" and {len(self.left_out) - _SHOWN} more" if len(self.left_out) > _SHOWN else ""
        return f"; left out: {shown}{more} (left_out.csv)"

    def exclude(self, path: Path) -> None:
        """Keep the photos that a list or a manifest names out of the training part.

        Args:
            path: A table with the columns ``source`` and ``split`` (``sha256`` is used where it is
                there), of which all rows but those of the split ``train`` count; or a text with
                one file name a line: from ``--pseudo_photos`` on, or from the folder of the data
                set on, or longer.

        Raises:
            UserError: If it cannot be read.
        """
        rows = _rows(path)
        if rows and {"source", "split"} <= set(rows[0]):
            for row in rows:
                if row["split"] != "train":
                    self.excluded_names.add(_plain(row["source"]))
                    if row.get("sha256"):
                        self.excluded_hashes.add(row["sha256"])
        else:
            lines = (line.strip() for line in read_text(path).splitlines())
            self.excluded_names |= {_plain(line) for line in lines if line and line[0] != "#"}

    def write_copy(self, folder: Path, longest_side: int) -> Path:
        """Write upright photos no larger than needed, labels, and a data.yaml.

        Photos that cannot be read are left out, as are training photos that were excluded or that
        equal a held-back photo, by content or nearly.

        Args:
            folder: An empty folder.
            longest_side: Larger photos are shrunk to this, in pixels, as Ultralytics would do.

        Returns:
            Path of the data.yaml.

        Raises:
            UserError: If no photo or no box is left in a part that is needed.
        """
        held_back = _KnownPhotos()
        every = [
            (part, number, photo)
            for part in ("test", "val", "train")  # the last is compared with the others
            for number, photo in enumerate(self.parts[part])
        ]
        self.parts = {part: [] for part in PARTS}
        for part, number, photo in progress(every, len(every), "copying"):
            target = folder / part / "images" / f"{number:06d}.jpg"
            if self._copy(photo, part, target, longest_side, held_back):
                self.parts[part].append(photo)
        for part in ("train", "val"):
            if not any(photo.boxes for photo in self.parts[part]):
                why = self._reasons()
                raise UserError(f"no usable photo with a box is left in the {part} part{why}")
        content: dict[str, Any] = {"path": str(folder), "names": self.names}
        content |= {part: f"{part}/images" for part in PARTS if self.parts[part]}
        data_yaml = folder / "data.yaml"
        write_text(data_yaml, json.dumps(content))  # is YAML
        return data_yaml

    def _copy(
        self,
        photo: LabelledPhoto,
        part: str,
        target: Path,
        longest_side: int,
        held_back: _KnownPhotos,
    ) -> bool:
        if part == "train" and self._is_excluded_name(photo):
            self.left_out.append((str(photo.path), "excluded by --exclude"))
            return False
        try:
            data = read_file(photo.path)
            rgb = decode_photo(data)
        except PhotoError as error:
            self.unusable(photo.path, error.reason)
            return False
        digest, look = hashlib.sha256(data).hexdigest(), photo_hash(rgb)
        if part == "train":
            if digest in self.excluded_hashes:
                self.left_out.append((str(photo.path), "excluded by --exclude (same content)"))
                return False
            if twin := held_back.find(digest, look):
                self.left_out.append((str(photo.path), f"is also in the held-back parts: {twin}"))
                return False
        else:
            held_back.add(digest, look, str(photo.path))
        with naming(target):
            _write_photo(target, rgb, longest_side)
        lines = "".join(f"{c} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for c, x, y, w, h in photo.boxes)
        if photo.boxes:
            write_text(target.parent.parent / "labels" / f"{target.stem}.txt", lines)
        self._contents.append(f"{part} {digest} {lines}\n")
        return True

    def _is_excluded_name(self, photo: LabelledPhoto) -> bool:
        """Compare names; one with a folder may also be the end of a longer one."""
        full = _plain(str(photo.path))
        return any(
            excluded in (photo.name, full)
            or ("/" in excluded and full.endswith("/" + excluded))
            or ("/" in photo.name and excluded.endswith("/" + photo.name))
            for excluded in self.excluded_names
        )

    def summary(self) -> str:
        """Return one line with the sizes of the parts."""
        parts = ", ".join(
            f"{part} {len(photos)} ({sum(len(p.boxes) for p in photos)} boxes)"
            for part, photos in self.parts.items()
        )
        text = f"photos: {parts}; {self.n_pseudo} of the training photos are pseudo-labelled"
        if self.left_out:
            text += f"; {len(self.left_out)} left out (left_out.csv), {self.n_unusable} unusable"
        if empty := sum(not photo.boxes for photos in self.parts.values() for photo in photos):
            text += f"; {empty} without a box, taken as photos without a print"
        if self.n_clipped:
            text += f"; {self.n_clipped} of the boxes stuck out of their photos a little: clipped"
        return "\n".join([text, *map(printable, self.notes)])


class _KnownPhotos:
    """Finds photos again, by content or by what they show."""

    def __init__(self) -> None:
        self._by_digest: dict[str, str] = {}
        self._by_look: list[tuple[int, str]] = []

    def add(self, digest: str, look: str, name: str) -> None:
        self._by_digest[digest] = name
        self._by_look.append((int(look, 16), name))

    def find(self, digest: str, look: str) -> str | None:
        if digest in self._by_digest:
            return self._by_digest[digest]
        for other, name in self._by_look:
            if (int(look, 16) ^ other).bit_count() <= DEFAULT_MAX_DISTANCE:
                return name
        return None


def read_data_yaml(path: Path) -> DetectorData:
    """Read a data set in YOLO's format: folders or lists of photos, a ``.txt`` of boxes for each.

    Relative paths start from the folder of the file. Labels lie in ``labels`` where the photos lie
    in ``images``, or beside the photo. A photo without labels shows no print.

    Raises:
        UserError: If the file or a folder it names is missing or of another form.
    """
    path = Path(path)
    content = _mapping(path)
    for part in PARTS:
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
    for part in PARTS:
        entries = content.get(part) or []
        if entries:
            data._given[part] = ", ".join(entries)
        for entry in entries:
            _add_entry(data, part, path, root, entry)
    if data._given.get("test") and not data.parts["test"]:
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
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())[:150]}") from None
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
    rows = _rows(table)
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
            box, sticks_out = _checked(box, data.names)
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
            data.parts["train"].append(LabelledPhoto(photo, found, True, _plain(name)))
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
            stems.add(_label_path(photo))
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
        boxes, n_clipped = _read_labels(_label_path(photo), data.names)
    except (ValueError, OSError, UserError) as error:
        data.unusable(photo, f"its labels: {error}")
        return
    data.n_clipped += n_clipped
    name = os.path.relpath(photo, root)
    data.parts[part].append(LabelledPhoto(photo, boxes, name=_plain(name)))


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


def _label_path(photo: Path) -> Path:
    parts = list(photo.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _read_labels(path: Path, names: list[str]) -> tuple[list[Box], int]:
    """Read lines of class, centre x, centre y, width, height; an outline becomes its box.

    Returns:
        The boxes, and how many of them stuck out of the photo and were clipped.
    """
    if not path.exists():
        return [], 0
    boxes, n_clipped = [], 0
    for line in read_text(path).splitlines():
        values = line.split()
        if not values:
            continue
        numbers = [float(value) for value in values]
        if len(numbers) > 6 and len(numbers) % 2 == 1:
            xs, ys = numbers[1::2], numbers[2::2]
            width, height = max(xs) - min(xs), max(ys) - min(ys)
            numbers[1:] = [min(xs) + width / 2, min(ys) + height / 2, width, height]
        if len(numbers) != 5 or not numbers[0].is_integer():
            shown = line if len(line) <= 60 else f"{line[:57]}..."
            raise ValueError(f"{path.name}: a line must be class x y width height, not {shown!r}")
        box, sticks_out = _checked((int(numbers[0]), *numbers[1:]), names)
        boxes.append(box)
        n_clipped += sticks_out
    return boxes, n_clipped


def _checked(box: Box, names: list[str]) -> tuple[Box, bool]:
    """Return a box clipped to the photo, and whether more than rounding was clipped.

    Raises:
        ValueError: If it is of an unknown class, empty, or not in parts of the photo.
    """
    class_id, x, y, width, height = box
    if not 0 <= class_id < len(names):
        raise ValueError(f"class {class_id} is none of the {len(names)} classes")
    edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if not (edges[0] >= -OVERHANG and edges[1] >= -OVERHANG):
        raise ValueError(f"box {box[1:]} begins outside of the photo")
    if not (edges[2] <= 1 + OVERHANG and edges[3] <= 1 + OVERHANG):
        raise ValueError(f"box {box[1:]} ends outside of the photo; are these pixels?")
    left, top, right, bottom = (min(max(edge, 0.0), 1.0) for edge in edges)
    if not (right > left and bottom > top):
        raise ValueError(f"box {box[1:]} is empty")
    sticks_out = min(edges) < -_ROUNDING or max(edges) > 1 + _ROUNDING
    clipped = (class_id, (left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
    return clipped, sticks_out


def _write_photo(path: Path, rgb: Any, longest_side: int) -> None:
    """Write a JPEG, shrunk with the interpolation that Ultralytics uses for photos."""
    import cv2
    from PIL import Image

    height, width = rgb.shape[:2]
    if max(height, width) > longest_side:
        ratio = longest_side / max(height, width)
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path, quality=95, subsampling=0)


def _plain(name: str) -> str:
    return name.strip().replace("\\", "/").removeprefix("./")


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table with a head; absent cells are empty."""
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path)), restkey="", restval=""))
    except csv.Error as error:
        raise UserError(f"{path}: not a table in CSV: {error}") from None
    return [
        {key: text_of_cell(text) if isinstance(text, str) else "" for key, text in row.items()}
        for row in rows
    ]
