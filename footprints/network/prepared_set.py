"""A folder that ``prepare`` made, as training and evaluation read it.

Its manifest says which pictures there are, of which class, part and scale. What lies in the folder
must be just that.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from footprints.pictures.finding import PHOTO_SUFFIXES, walk
from footprints.pictures.folders import SPLITS
from footprints.pictures.scales import DEFAULT_SCALES, SCALES, folder_of
from footprints.preparation.journal import picture_sizes
from footprints.preparation.manifest import (
    Picture,
    name_in_table,
    pictures_of,
    refuse_differences,
)
from footprints.scores.calibration import is_unknown
from footprints.scores.strangers import is_other
from footprints.system.errors import UserError
from footprints.system.text import printable
from footprints.system.typed import json_object


@dataclass(frozen=True)
class Part:
    """The photos of one split, by their crops: paths in order of labels, then by name."""

    folder: Path
    paths: tuple[Path, ...]
    labels: np.ndarray = field(repr=False)  # class index of each path, (n,)


@dataclass(frozen=True)
class PreparedSet:
    """One data set of crops, ``<prepared>/oat`` or ``<prepared>/real``.

    ``classes`` are those of the parts that were asked for, sorted, and ``all_classes`` those of all
    parts, as tables have them; ``image_size`` is the side of every crop in pixels; ``settings`` is
    what ``prepare`` noted about how they were cut. ``scales`` are the pictures that there are of
    each photo: crops in ``<split>``, of the same names in ``<split>_photo`` whole photos.
    ``other`` is the folder of photos of animals of no class, if there is one; their label is one
    more than that of the last class.
    """

    folder: Path
    classes: tuple[str, ...]
    all_classes: frozenset[str]
    image_size: int
    settings: dict[str, Any]
    parts: dict[str, Part]
    scales: tuple[str, ...] = DEFAULT_SCALES
    other: str | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Folders by label: the classes, and that of other animals if there is one."""
        return self.classes if self.other is None else (*self.classes, self.other)

    def counts(self, split: str) -> np.ndarray:
        """Return the number of photos of each label, ``(outputs,)``."""
        return np.bincount(self.parts[split].labels, minlength=len(self.outputs))

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
            UserError: If the model's classes and those of the set are not the same.
        """
        unknown = sorted(set(self.classes) - set(classes))
        absent = sorted({*map(name_in_table, classes)} - self.all_classes)
        if unknown or absent:
            parts = (("only in the folder", unknown), ("only in the model", absent))
            raise UserError(
                f"{model}: its {len(classes)} classes are not those of {self.folder} ("
                + "; ".join(f"{what}: {_few(names)}" for what, names in parts if names)
                + "); give the data set that it was trained on"
            )
        number = np.array([*(list(classes).index(name) for name in self.classes), len(classes)])
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
    pictures = pictures_of(folder / "manifest.csv")
    have = {one.split for one in pictures if one.scale == SCALES[0]}
    for split in splits:
        if split not in have:
            there = " and ".join(name for name in SPLITS if name in have)
            there = f"it has {there}" if there else "it has no part with photos"
            raise UserError(f"{folder}: no photos in its part {split}; {there}")
    found = _files_of(folder, [one for one in pictures if one.split in splits])
    base = found["train"] if "train" in splits else [path for one in found.values() for path in one]
    there = sorted({path.parent.name for path in base})
    classes = [name for name in there if not is_other(name)]
    other = next((name for name in there if is_other(name)), None)
    if not classes:
        raise UserError(f"{folder}: has no class, only photos of other animals ({other})")
    for name in classes:
        if is_unknown(name):
            raise UserError(
                f"{folder}: has a class {name!r}, which is the answer to photos that are too "
                "doubtful; rename the folder of its photos and prepare again"
            )
    for split, crops in found.items():
        if unknown := sorted({path.parent.name for path in crops} - {*there}):
            raise UserError(
                f"{folder / split}: class {unknown[0]} has photos here, but none in train to learn "
                "from; move photos there or leave the class out, and prepare again"
            )
    outputs = classes if other is None else [*classes, other]
    number = {name: index for index, name in enumerate(outputs)}
    prepared = PreparedSet(
        folder,
        tuple(classes),
        frozenset(name_in_table(one.label) for one in pictures if not is_other(one.label)),
        0,
        _settings_of(folder),
        {
            split: Part(folder / split, crops, np.array([number[p.parent.name] for p in crops]))
            for split, crops in found.items()
        },
        tuple(scale for scale in SCALES if any(one.scale == scale for one in pictures)),
        other,
    )
    paths = [p for split in splits for s in prepared.scales for p in prepared.paths(split, s)]
    return dataclasses.replace(prepared, image_size=_common_size(paths))


def _files_of(folder: Path, pictures: list[Picture]) -> dict[str, tuple[Path, ...]]:
    """Return the crops of each part by class, then by name; see that all pictures are there.

    Those of other animals come last.

    Raises:
        UserError: Naming the first file that is not as the manifest, or the journal beside the
            set, has it.
    """
    there = {
        name_in_table(path.relative_to(folder).as_posix()): path
        for part in {folder_of(one.split, scale) for one in pictures for scale in SCALES}
        for path in (walk(folder / part) if (folder / part).is_dir() else ())
        if path.suffix.lower() in PHOTO_SUFFIXES and path.parent != folder / part
    }
    refuse_differences(folder, {one.name for one in pictures}, there.keys())
    sizes = picture_sizes(folder.parent / "crops" / "journal.jsonl")
    for one in pictures:
        path = there[one.name]
        size = path.stat().st_size
        if size not in sizes.get(path.name, {size}):
            raise UserError(
                f"{printable(path)}: not the picture that footprints.prepare made; run prepare "
                "again, which puts it back"
            )
    crops: dict[str, list[Path]] = defaultdict(list)
    for one in pictures:
        if one.scale == SCALES[0]:
            crops[one.split].append(there[one.name])
    in_order = functools.partial(
        sorted, key=lambda path: (is_other(path.parent.name), path.parent.name, path.name)
    )
    return {split: tuple(in_order(paths)) for split, paths in crops.items()}


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


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
