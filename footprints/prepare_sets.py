"""The photos of a data set on their way to crops, and what earlier runs know of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from footprints.crop_store import CropStore, crop_key
from footprints.errors import UserError
from footprints.folders import FiledPhoto, Listing, list_photos, printable
from footprints.manifest import CropRecord, Journal
from footprints.photos import PhotoError, load_photo, read_file
from footprints.settings import Settings

SET_NAMES = ("oat", "real")
_CROP_RULES = 1  # raise it when crops of the same settings come to look different


@dataclass
class Item:
    """A photo on its way: a reason not to use it, or a record of its crop, or neither yet."""

    photo: FiledPhoto
    size: int = 0
    mtime_ns: int = 0
    reason: str | None = None
    record: CropRecord | None = None


@dataclass
class DataSet:
    """One of the two data sets: its photos, and how they are cut."""

    name: str
    folder: Path
    listing: Listing
    mode: str  # of crop_pool.Job: detect, centre, whole
    recipe: str
    items: list[Item]

    @property
    def usable(self) -> list[Item]:
        """The photos that can be used, as far as is known."""
        return [item for item in self.items if item.reason is None]


def list_set(name: str, folder: Path) -> Listing:
    """List a data set's photos and check that they lie as they should.

    Raises:
        UserError: If they do not, or there are none.
    """
    listing = list_photos(folder)
    if name == "oat" and listing.layout != "splits":
        raise UserError(
            f"{printable(folder)}: has no train and val folders (nor has its cropped_imgs); photos "
            "without a division go to --real_dir"
        )
    if name == "oat" and "val" not in listing.splits:
        raise UserError(f"{printable(folder)}: has no val folder, which training needs")
    if name == "real" and listing.layout == "splits":
        raise UserError(
            f"{printable(folder)}: is divided into train and val already; give it as --oat_dir, or "
            "give a folder of class folders"
        )
    if not listing.photos:
        raise UserError(f"{printable(folder)}: no photos in it")
    for label in sorted({photo.label for photo in listing.photos if photo.label}):
        try:
            label.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"{printable(folder / label)}: rename this class folder; its name is not UTF-8"
            ) from None
    return listing


def recipe_of(mode: str, settings: Settings, detector_hash: str | None) -> str:
    """Return a digest of everything that a crop depends on beside the photo."""
    parts: dict[str, Any] = {"rules": _CROP_RULES, "mode": mode, "size": settings.image_size}
    if mode != "whole":
        parts["settings"] = asdict(settings)
    if mode == "detect":
        parts["detector"] = detector_hash
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def recall(dataset: DataSet, journal: Journal, store: CropStore) -> None:
    """Fill in what earlier runs know, and refuse what cannot be used at all."""
    for item in dataset.items:
        photo = item.photo
        if dataset.name == "oat" and photo.split is None:
            item.reason = f"not in one of the folders {', '.join(dataset.listing.splits)}"
        elif photo.label is None:
            item.reason = "not in the folder of a class"
        if item.reason:
            continue
        try:
            status = os.stat(photo.path)
        except OSError:
            item.reason = _reason_not_to_read(photo.path) or "vanished meanwhile"
            continue
        item.size, item.mtime_ns = status.st_size, status.st_mtime_ns
        stamp = (dataset.name, photo.source, item.size, item.mtime_ns)
        record = journal.find(*stamp, dataset.recipe)
        if record is None and journal.may_know(item.size, dataset.recipe):
            with contextlib.suppress(PhotoError):
                digest = hashlib.sha256(read_file(photo.path)).hexdigest()
                known = journal.find_content(digest, dataset.recipe)
                if known is not None and store.has(known.key, known.crop_bytes):
                    record = replace(
                        known,
                        set_name=dataset.name,
                        source=photo.source,
                        size=item.size,
                        mtime_ns=item.mtime_ns,
                    )
                    journal.add(record)
        if record is None:
            continue
        if record.reason:  # it may have been a matter of permissions or a bad cable
            item.reason = _reason_not_to_load(photo.path)
        elif store.has(record.key, record.crop_bytes):
            item.record = record


def _reason_not_to_read(path: Path) -> str | None:
    try:
        read_file(path)
    except PhotoError as error:
        return error.reason
    return None


def _reason_not_to_load(path: Path) -> str | None:
    try:
        load_photo(path)
    except PhotoError as error:
        return error.reason
    return None


def record_of(dataset: DataSet, item: Item, result: Any, store: CropStore) -> CropRecord:
    """Take a crop from the pool into the store and describe it."""
    record = CropRecord(
        dataset.name, item.photo.source, item.size, item.mtime_ns, dataset.recipe, result.reason
    )
    if result.reason is not None:
        return record
    key = crop_key(result.sha256, dataset.recipe)
    return replace(
        record,
        sha256=result.sha256,
        phash=result.phash,
        key=key,
        crop_bytes=store.take(result.job.target, key),
        box_xyxy=tuple(round(float(value), 2) for value in result.box_xyxy),
        confidence=None if result.confidence is None else round(float(result.confidence), 4),
        fallback=bool(result.fallback),
        width=int(result.width),
        height=int(result.height),
    )
