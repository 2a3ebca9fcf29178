"""The prepared set with the reviewed prints in its training part, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from footprints.network.prepared_set import PreparedSet
from footprints.pictures.scales import folder_of
from footprints.pictures.similarity import photo_hash
from footprints.preparation.crop_store import crop_key
from footprints.preparation.journal import photo_hashes
from footprints.preparation.manifest import MANIFEST_COLUMNS, SCALE_COLUMN, name_in_table
from footprints.retraining.examples import Example
from footprints.retraining.joining import Known
from footprints.scores.calibration import UNKNOWN
from footprints.system import files
from footprints.system.errors import UserError
from footprints.system.progress import available_cores
from footprints.system.text import csv_of, printable

MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Picture:
    """A picture of the prepared set.

    Attributes:
        path: The file.
        row: Of the manifest.
    """

    path: Path
    row: Mapping[str, str]

    @property
    def scale(self) -> str:
        """Of ``pictures.scales.SCALES``."""
        return self.row.get(SCALE_COLUMN) or "crop"


def pictures_in(prepared: PreparedSet) -> list[Picture]:
    """Return the pictures of a set's parts and scales with their rows in its manifest."""
    rows = {
        name_in_table(row.get("crop", "")): row
        for row in files.read_table(prepared.folder / MANIFEST)
    }
    return [
        Picture(path, rows[name_in_table(path.relative_to(prepared.folder).as_posix())])
        for split in prepared.parts
        for scale in prepared.scales
        for path in prepared.paths(split, scale)
    ]


def known_photos(prepared: PreparedSet, pictures: Sequence[Picture]) -> list[Known]:
    """Return what reviewed prints are compared with."""
    hashes = photo_hashes(prepared.folder.parent / "crops" / "journal.jsonl")
    crops = [one for one in pictures if one.scale == "crop"]
    executor = ThreadPoolExecutor(available_cores())
    try:
        seen = list(executor.map(_hash_of, [one.path for one in crops]))
    finally:
        executor.shutdown(cancel_futures=True)
    return [
        Known(one.row["split"], digest, hashes.get(digest), crop_hash)
        for one, crop_hash in zip(crops, seen, strict=True)
        for digest in [one.row.get("sha256", "")]
    ]


def _hash_of(path: Path) -> str:
    try:
        with Image.open(path) as picture:
            return photo_hash(np.asarray(picture.convert("RGB")))
    except OSError as error:
        raise UserError(f"{printable(path)}: damaged; run prepare again") from error


def write_joined(
    folder: Path, prepared: PreparedSet, pictures: Sequence[Picture], learned: Sequence[Example]
) -> int:
    """Lay out a set: the prepared pictures, and those of reviewed prints in its part ``train``.

    A reviewed print takes the place of what was learned from the same photo before. The manifest
    comes last.

    Args:
        folder: Of the set; ours alone, whatever is in it goes.
        prepared: The set that it begins with; it stays as it is.
        pictures: Of that.
        learned: What joins it; animals of no class only if the set has photos of such.

    Returns:
        How many training photos were replaced.
    """
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
    replaced = _replaced(pictures, {one.sha256 for one in learned})
    columns = [*MANIFEST_COLUMNS]
    if len(prepared.scales) > 1:
        columns.append(SCALE_COLUMN)
    rows: list[Sequence[object]] = []
    for one in pictures:
        if one.row["crop"] not in replaced:
            name = one.path.relative_to(prepared.folder)
            _link(one.path, folder / name)
            rows.append([one.row.get(column, "") for column in columns])
    for example in learned:
        for scale, path in example.pictures.items():
            label = prepared.other if example.label == UNKNOWN else example.label
            name = f"{folder_of('train', scale)}/{label}/{path.name}"
            _link(path, folder / name)
            row = _row(name, scale, example) | {"class": label}
            rows.append([row.get(column, "") for column in columns])
    settings = prepared.folder.parent / "settings.json"
    if settings.is_file():
        files.write_bytes(folder.parent / "settings.json", settings.read_bytes())
    files.write_text(
        folder / MANIFEST, csv_of([columns, *sorted(rows, key=lambda row: str(row[0]))])
    )
    return sum(one.scale == "crop" and one.row["crop"] in replaced for one in pictures)


def _replaced(pictures: Sequence[Picture], digests: set[str]) -> set[str]:
    """Return the training pictures of photos that were reviewed; no class is left without any."""
    train = [one for one in pictures if one.row["split"] == "train"]
    gone = {one.row["crop"] for one in train if one.row.get("sha256", "") in digests - {""}}
    left = {one.row["class"] for one in train if one.row["crop"] not in gone}
    return {
        one.row["crop"] for one in train if one.row["crop"] in gone and one.row["class"] in left
    }


def _row(name: str, scale: str, example: Example) -> dict[str, object]:
    height, width = example.shape
    box = example.box_xyxy if scale == "crop" else (0, 0, width, height)
    return {
        "crop": name,
        "source": f"review: {printable(example.row.photo.name)}",
        "sha256": example.sha256,
        "split": "train",
        "group": crop_key(example.sha256, "review")[:16],
        **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
        "fallback": int(example.row.box is None),
        "width": width,
        "height": height,
        SCALE_COLUMN: scale,
    }


def _link(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except OSError:  # no hard links here, as on memory cards
        files.write_bytes(target, path.read_bytes())
