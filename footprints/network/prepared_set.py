"""A folder that ``prepare`` made, as training and evaluation read it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from footprints.pictures.scales import DEFAULT_SCALES, SCALES, folder_of
from footprints.scores.calibration import is_unknown
from footprints.system.errors import UserError
from footprints.system.typed import json_object

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Part:
    """The photos of one split, by their crops: paths in class order, then by name."""

    folder: Path
    paths: tuple[Path, ...]
    labels: np.ndarray = field(repr=False)  # class index of each path, (n,)


@dataclass(frozen=True)
class PreparedSet:
    """One data set of crops, ``<prepared>/oat`` or ``<prepared>/real``.

    ``classes`` are the class folders on disk, sorted; ``image_size`` is the side of every crop in
    pixels; ``settings`` is what ``prepare`` noted about how they were cut. ``scales`` are the
    pictures that there are of each photo: crops in ``<split>``, of the same names in
    ``<split>_photo`` whole photos.
    """

    folder: Path
    classes: tuple[str, ...]
    image_size: int
    settings: dict[str, Any]
    parts: dict[str, Part]
    scales: tuple[str, ...] = DEFAULT_SCALES

    def counts(self, split: str) -> np.ndarray:
        """Return the number of photos of each class, ``(classes,)``."""
        return np.bincount(self.parts[split].labels, minlength=len(self.classes))

    def paths(self, split: str, scale: str) -> tuple[Path, ...]:
        """Return the pictures of one scale, in the order of the part."""
        folder = self.folder / folder_of(split, scale)
        return tuple(folder / path.parent.name / path.name for path in self.parts[split].paths)

    def with_scales(self, scales: Sequence[str], model: str) -> PreparedSet:
        """Return the set with the pictures that a model looks at.

        Args:
            scales: The model's.
            model: What to call the model in an error.

        Raises:
            UserError: If there are no such pictures.
        """
        absent = sorted(set(scales) - set(self.scales))
        if absent:
            raise UserError(
                f"{model}: looks at {' and '.join(scales)} of each photo, {self.folder} has only "
                f"{' and '.join(self.scales)}; run prepare again with --scales {' '.join(scales)}"
            )
        return dataclasses.replace(self, scales=tuple(scales))

    def with_classes(self, classes: Sequence[str], model: str) -> PreparedSet:
        """Return the set with its crops numbered by a model's classes.

        Args:
            classes: Names in the model's order.
            model: What to call the model in an error.

        Raises:
            UserError: If the model's classes and the class folders are not the same.
        """
        folders = {name for split in SPLITS for name in _crops_by_class(self.folder / split)}
        unknown = sorted(set(self.classes) - set(classes))
        absent = sorted(set(classes) - folders)
        if unknown or absent:
            parts = (("only in the folder", unknown), ("only in the model", absent))
            raise UserError(
                f"{model}: its {len(classes)} classes are not those of {self.folder} ("
                + "; ".join(f"{what}: {_few(names)}" for what, names in parts if names)
                + "); give the data set that it was trained on"
            )
        number = np.array([list(classes).index(name) for name in self.classes])
        parts = {}
        for split, part in self.parts.items():
            labels = number[part.labels]
            order = np.argsort(labels, kind="stable")
            paths = tuple(part.paths[i] for i in order)
            parts[split] = Part(part.folder, paths, labels[order])
        return dataclasses.replace(self, classes=tuple(classes), parts=parts)

    def fingerprint(self) -> str:
        """Return a digest of which crops are where; it changes when ``prepare`` changes them."""
        digest = hashlib.sha256()
        for split in sorted(self.parts):
            for scale in self.scales:
                for path in self.paths(split, scale):
                    part = folder_of(split, scale)
                    name = f"{part}/{path.parent.name}/{path.name}/{path.stat().st_size}\n"
                    digest.update(name.encode(errors="surrogateescape"))
        return digest.hexdigest()


def open_set(folder: Path, splits: tuple[str, ...]) -> PreparedSet:
    """Look through a prepared data set; pictures are not decoded.

    Args:
        folder: ``<prepared>/oat`` or ``<prepared>/real``.
        splits: The parts that are needed, of ``SPLITS``. The classes are those with crops in
            ``train`` if that is among them, else in any of the parts.

    Raises:
        UserError: If the folder was not (or not completely) prepared, a part has no crops, a crop
            is no square picture of the same size as the others, or a class of another part has no
            crops to learn from.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder; make it by footprints.prepare")
    if not (folder / "manifest.csv").is_file():
        inner = [name for name in ("oat", "real") if (folder / name / "manifest.csv").is_file()]
        if inner:
            raise UserError(f"{folder}: holds several sets; give one of them: {folder / inner[0]}")
        raise UserError(
            f"{folder}: has no manifest.csv, so footprints.prepare did not make it, or was "
            "stopped; run prepare (again)"
        )
    found = {split: _crops_by_class(folder / split) for split in splits}
    for split, crops in found.items():
        if not any(crops.values()):
            have = [s for s in SPLITS if any(_crops_by_class(folder / s).values())]
            there = f"it has {' and '.join(have)}" if have else "it has no part with photos"
            raise UserError(f"{folder}: no photos in its part {split}; {there}")
    base = ["train"] if "train" in splits else list(splits)
    classes = sorted({name for split in base for name, crops in found[split].items() if crops})
    for name in classes:
        if is_unknown(name):
            raise UserError(
                f"{folder}: has a class {name!r}, which is the answer to photos that are too "
                "doubtful; rename the folder of its photos and prepare again"
            )
    for split, crops in found.items():
        unknown = sorted(name for name, paths in crops.items() if paths and name not in classes)
        if unknown:
            raise UserError(
                f"{folder / split}: class {unknown[0]} has photos here, but none in train to learn "
                "from; move photos there or leave the class out, and prepare again"
            )
    parts = {
        split: Part(
            folder / split,
            tuple(path for name in classes for path in crops.get(name, ())),
            np.repeat(np.arange(len(classes)), [len(crops.get(name, ())) for name in classes]),
        )
        for split, crops in found.items()
    }
    scales = _scales_of(folder, found)
    prepared = PreparedSet(folder, tuple(classes), 0, _settings_of(folder), parts, scales)
    size = _common_size([p for split in splits for s in scales for p in prepared.paths(split, s)])
    return dataclasses.replace(prepared, image_size=size)


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _scales_of(folder: Path, found: dict[str, dict[str, list[Path]]]) -> tuple[str, ...]:
    """Return the scales that a set has, after a look that each photo has all of them.

    Raises:
        UserError: If the crops of a part and its pictures of another scale are not of the same
            photos.
    """
    scales = list(DEFAULT_SCALES)
    for scale in SCALES[1:]:
        if not any((folder / folder_of(split, scale)).is_dir() for split in SPLITS):
            continue
        for split, crops in found.items():
            other = folder / folder_of(split, scale)
            names = [
                {f"{name}/{path.name}" for name, paths in pictures.items() for path in paths}
                for pictures in (crops, _crops_by_class(other))
            ]
            odd = sorted(names[0] ^ names[1])
            if odd:
                raise UserError(
                    f"{odd[0]}: is in only one of {folder / split} and {other.name}; "
                    "run prepare again"
                )
        scales.append(scale)
    return tuple(scales)


def _crops_by_class(part: Path) -> dict[str, list[Path]]:
    """Return the PNG files of each class folder, sorted; hidden names are passed over."""
    if not part.is_dir():
        return {}
    return {
        folder.name: sorted(
            path for path in folder.iterdir() if path.suffix == ".png" and path.name[0] != "."
        )
        for folder in sorted(part.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    }


def _common_size(paths: list[Path]) -> int:
    """Return the side of all crops in pixels, from the heads of the files."""
    size = None
    for path in paths:
        try:
            with Image.open(path) as picture:
                width, height = picture.size
        except (OSError, UnidentifiedImageError) as error:
            raise UserError(f"{path}: not a readable picture; run prepare again") from error
        size = size or width
        if width != height or width != size:
            raise UserError(
                f"{path}: is {width}x{height} pixels, other crops are {size}x{size}; "
                "run prepare again into an empty folder"
            )
    if size < 32:
        raise UserError(f"{paths[0]}: crops of {size} pixels are too small; prepare 224 pixels")
    return size


def _settings_of(folder: Path) -> dict[str, Any]:
    """Return the settings of ``prepare``, kept beside the sets; empty if there are none."""
    try:
        return json_object((folder.parent / "settings.json").read_bytes())
    except (OSError, ValueError):
        return {}
