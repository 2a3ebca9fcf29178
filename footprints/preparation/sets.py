"""The photos of a data set on their way to crops, and what earlier runs know of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from footprints.cropping.crop_worker import Job, Result
from footprints.pictures.folders import (
    FiledPhoto,
    Listing,
    list_others,
    list_photos,
    mistaken_names,
)
from footprints.pictures.photos import PhotoError, load_photo, read_file
from footprints.preparation.crop_store import CropStore, crop_key
from footprints.preparation.journal import CropRecord, Journal
from footprints.scores.class_names import class_meant
from footprints.scores.strangers import OTHER, is_other
from footprints.system.errors import UserError
from footprints.system.progress import warn
from footprints.system.settings import Settings
from footprints.system.text import printable

SET_NAMES = ("oat", "real")
_CROP_RULES = 1  # raise it when crops of the same settings come to look different


@dataclass
class Item:
    """A photo on its way: a reason not to use it, or a record of its picture at each scale.

    Scales whose picture is still to be made are not among the records.
    """

    photo: FiledPhoto
    size: int = 0
    mtime_ns: int = 0
    reason: str | None = None
    records: dict[str, CropRecord] = field(default_factory=dict)

    @property
    def record(self) -> CropRecord:
        """Of the crop."""
        return self.records["crop"]


@dataclass
class DataSet:
    """One of the two data sets: its photos, and how they are cut.

    ``recipes`` are digests of that for each scale, the crop first.
    """

    name: str
    folder: Path
    listing: Listing
    mode: str  # of crop_pool.Job: detect, centre, whole
    recipes: dict[str, str]
    items: list[Item]

    @property
    def scales(self) -> tuple[str, ...]:
        """Those that each photo has a picture of."""
        return tuple(self.recipes)

    @property
    def usable(self) -> list[Item]:
        """The photos that can be used, as far as is known."""
        return [item for item in self.items if item.reason is None]


def list_set(
    name: str,
    folder: Path,
    mode: str,
    scales: Sequence[str],
    settings: Settings,
    detector_hash: str | None,
    others: Path | None = None,
) -> DataSet:
    """List a data set's photos, check that they lie as they should, and settle how they are cut.

    Args:
        name: Of ``SET_NAMES``.
        folder: Of the photos.
        mode: Of ``crop_pool.Job``.
        scales: That each photo is to have a picture of.
        settings: How crops are cut.
        detector_hash: Of the detector's file, if there is one.
        others: Folder of photos of animals of no class, of the real set; they are divided and
            cropped with it.

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
    if mistakes := mistaken_names(listing):
        more = f" (and {len(mistakes) - 1} more; footprints.audit lists all)"
        raise UserError(f"{printable(folder)}: {mistakes[0]}{more if len(mistakes) > 1 else ''}")
    for label in sorted({photo.label for photo in listing.photos if photo.label}):
        try:
            label.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"{printable(folder / label)}: rename this class folder; its name is not UTF-8"
            ) from None
    recipes = {"crop": _recipe_of(mode, settings, detector_hash)}
    if "photo" in scales and mode != "whole":  # else it would be the crop once more
        recipes["photo"] = _recipe_of("whole", settings, None)
    photos = listing.photos
    if others is not None:
        labels = (photo.label for photo in photos if photo.label and is_other(photo.label))
        strange = list_others(others, next(labels, OTHER))
        _refuse_classes(strange, others, {photo.label for photo in photos if photo.label})
        photos += strange
    return DataSet(name, folder, listing, mode, recipes, [Item(one) for one in photos])


def _refuse_classes(photos: Sequence[FiledPhoto], others: Path, classes: set[str]) -> None:
    """Make sure that no folder of other animals is called like a class.

    Raises:
        UserError: If one is: its photos would be learned as that class and as none of these.
    """
    for folder in sorted({parent for photo in photos for parent in photo.path.parents}):
        if folder.is_relative_to(others):
            label = class_meant(folder.name, classes)
            if label is not None and not is_other(label):
                raise UserError(
                    f"{printable(folder)}: is called like the class {printable(label)}; "
                    "--others is for animals that are no class"
                )


def _recipe_of(mode: str, settings: Settings, detector_hash: str | None) -> str:
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
            item.reason = _reason_against(read_file, photo.path) or "vanished meanwhile"
            continue
        item.size, item.mtime_ns = status.st_size, status.st_mtime_ns
        for scale, recipe in dataset.recipes.items():
            record = _known(dataset, item, recipe, journal, store)
            if record is None:
                continue
            if record.reason:  # it may have been a matter of permissions or a bad cable
                item.reason = _reason_against(load_photo, photo.path)
                break
            if store.has(record.key, record.crop_bytes):
                item.records[scale] = record


def _known(
    dataset: DataSet, item: Item, recipe: str, journal: Journal, store: CropStore
) -> CropRecord | None:
    """Return what the journal knows of a photo, by its place or else by its content."""
    photo = item.photo
    record = journal.find(dataset.name, photo.source, item.size, item.mtime_ns, recipe)
    if record is None and journal.may_know(item.size, recipe):
        with contextlib.suppress(PhotoError):
            digest = hashlib.sha256(read_file(photo.path)).hexdigest()
            known = journal.find_content(digest, recipe)
            if known is not None and store.has(known.key, known.crop_bytes):
                record = replace(
                    known,
                    set_name=dataset.name,
                    source=photo.source,
                    size=item.size,
                    mtime_ns=item.mtime_ns,
                )
                journal.add(record)
    return record


def _reason_against(use: Callable[[Path], object], path: Path) -> str | None:
    """Return why a photo cannot be read, or decoded, whichever ``use`` does; None if it can."""
    try:
        use(path)
    except PhotoError as error:
        return error.reason
    except MemoryError:
        return "too large for the memory"
    return None


def pending_scales(dataset: DataSet, item: Item) -> list[str]:
    """Return the scales at which a photo's picture is still to be made."""
    if item.reason is not None:
        return []
    return [scale for scale in dataset.scales if scale not in item.records]


def job_of(dataset: DataSet, item: Item, scales: list[str], targets: Mapping[str, Path]) -> Job:
    """Return the job that makes a photo's pictures at some scales, in one go."""
    if "crop" not in scales:
        return Job(item.photo.path, "whole", targets["photo"])
    with_photo = "photo" in scales
    photo_target = targets["photo"] if with_photo else None
    return Job(item.photo.path, dataset.mode, targets["crop"], with_photo, photo_target)


def note_result(
    dataset: DataSet,
    item: Item,
    result: Result,
    targets: Mapping[str, Path],
    store: CropStore,
    journal: Journal,
) -> None:
    """Take a photo's pictures from the pool into the store and write them into the journal.

    Args:
        dataset: Of the photo.
        item: The photo; its records or its reason are filled in.
        result: Of the job.
        targets: Where the pictures are, by scale.
        store: Where they go.
        journal: Knows them from then on.
    """
    item.reason = result.reason
    if result.is_passing:  # not written down: the next run tries again, in a process of the pool
        return
    if result.note:
        warn(f"{dataset.name}: {printable(item.photo.source)}: {result.note}")
    for scale, target in targets.items():
        recipe = dataset.recipes[scale]
        record = CropRecord(
            dataset.name, item.photo.source, item.size, item.mtime_ns, recipe, result.reason
        )
        if result.reason is None:
            record = _described(record, scale, result, target, store)
            item.records[scale] = record
        journal.add(record)


def _described(
    record: CropRecord, scale: str, result: Result, target: Path, store: CropStore
) -> CropRecord:
    key = crop_key(result.sha256, record.recipe)
    box, confidence, fallback = result.box_xyxy, result.confidence, result.fallback
    if scale == "photo":
        box, confidence, fallback = (0, 0, result.width, result.height), None, False
    return replace(
        record,
        sha256=result.sha256,
        phash=result.phash,
        key=key,
        crop_bytes=store.take(target, key),
        box_xyxy=tuple(round(float(value), 2) for value in box),
        confidence=None if confidence is None else round(float(confidence), 4),
        fallback=bool(fallback),
        width=int(result.width),
        height=int(result.height),
    )
