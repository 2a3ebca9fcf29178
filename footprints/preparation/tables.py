"""The last part of prepare: divide a data set, lay out its crops, write its tables, report."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from footprints.pictures.finding import counted
from footprints.pictures.folders import SPLITS
from footprints.pictures.photo_exif import taken_of
from footprints.pictures.scales import folder_of
from footprints.pictures.similarity import near_duplicate_groups
from footprints.places.privacy import FULL, Privacy
from footprints.places.taken import TAKEN_COLUMNS, Taken
from footprints.preparation.crop_store import (
    CropStore,
    crop_name,
    lay_out,
    pending_changes,
    present,
)
from footprints.preparation.journal import CropRecord
from footprints.preparation.manifest import (
    LEFT_OUT_COLUMNS,
    MANIFEST_COLUMNS,
    SCALE_COLUMN,
    name_in_table,
    refuse_differences,
)
from footprints.preparation.sets import DataSet
from footprints.preparation.splits import grouped_split
from footprints.system.errors import UserError
from footprints.system.files import read_table
from footprints.system.progress import available_cores, warn
from footprints.system.results import Results
from footprints.system.text import csv_of, printable

TABLES = ("classes.json", "left_out.csv", "manifest.csv", "prepare.json")
_SHOWN = 10  # photos named on screen; all are in the tables


@dataclass(frozen=True)
class Division:
    """How the real photos are divided, and which photos count as look-alikes."""

    val_fraction: float
    test_fraction: float
    seed: int
    max_distance: int


def refuse_moved_crops(folder: Path) -> None:
    """Make sure that the crops lie where prepare put them, as far as their names tell.

    Raises:
        UserError: Naming the first one that was removed, or moved, by hand.
    """
    manifest = folder / "manifest.csv"
    if manifest.is_file():
        named = {name_in_table(row.get("crop", "")) for row in read_table(manifest)}
        refuse_differences(folder, named, {*map(name_in_table, present(folder))})


def finish(
    dataset: DataSet,
    results: Results,
    division: Division,
    store: CropStore,
    facts: dict[str, Any],
    privacy: Privacy = FULL,
) -> None:
    """Divide a data set, lay out its crops, write its tables.

    The manifest is removed before anything is changed and comes back last: where there is one,
    it is true.

    Args:
        dataset: With a record or a reason for each photo.
        results: The tables in the data set's folder in the output folder.
        division: How to divide; of the OAT set, whose parts are given, it only finds look-alikes.
        store: Where the crops are.
        facts: What else to note down in ``prepare.json``.
        privacy: What is told of the places of photos.

    Raises:
        UserError: If no photo can be used, a part would be empty, files of others lie where crops
            belong, or crops would change and the manifest was edited.
    """
    folder = results.folder
    folder.mkdir(exist_ok=True)
    bad = [item for item in dataset.items if item.reason]
    left_out = [(printable(item.photo.source), item.reason) for item in bad]
    taken = _taken_cells(dataset, privacy)
    absent = [(*row, *taken[item.photo.source]) for row, item in zip(left_out, bad, strict=True)]
    unused = dataset.listing.unused
    no_cells = Taken().cells()
    others = [
        (printable(dataset.listing.source_of(one.path)), one.reason, *no_cells) for one in unused
    ]
    results.write_text(
        "left_out.csv", csv_of([(*LEFT_OUT_COLUMNS, *TAKEN_COLUMNS), *absent, *others])
    )
    if unused:
        print(
            f"{dataset.name}: {len(unused)} other files are not used ({counted(unused)}), see "
            f"{dataset.name}/left_out.csv"
        )
    usable = dataset.usable
    if not usable:
        raise UserError(
            f"{printable(dataset.folder)}: none of its {len(bad)} photos can "
            f"be used; the first is {left_out[0][0]}: {left_out[0][1]}"
        )
    groups = _groups([item.record for item in usable], division.max_distance)
    if dataset.name == "oat":
        splits = [str(item.photo.split) for item in usable]
        parts = [name for name in dataset.listing.splits if name in {"train", "val", *splits}]
    else:
        fractions = {
            "train": 1 - division.val_fraction - division.test_fraction,
            "val": division.val_fraction,
            "test": division.test_fraction,
        }
        labels = [str(item.photo.label) for item in usable]
        splits = grouped_split(labels, groups, fractions, division.seed)
        parts = [name for name in SPLITS if fractions[name] > 0]
    _check_parts(dataset, splits, parts)

    wanted, rows = {}, []
    several = len(dataset.scales) > 1
    for item, split, group in zip(usable, splits, groups, strict=True):
        label, file = item.photo.label, crop_name(item.record.source, item.record.key)
        for scale in dataset.scales:  # a photo's pictures have one name and lie in one part
            record = item.records[scale]
            name = f"{folder_of(split, scale)}/{label}/{file}"
            wanted[name] = store.path_of(record.key)
            confidence = "" if record.confidence is None else record.confidence
            rows.append(
                [
                    *(name, printable(record.source), record.sha256, label, split, group),
                    *(*record.box_xyxy, confidence, int(record.fallback)),
                    *(record.width, record.height, *([scale] if several else [])),
                    *taken[item.photo.source],
                ]
            )
    classes = sorted({str(item.photo.label) for item in usable})
    tables = {
        "classes.json": json.dumps(classes, ensure_ascii=False, indent=2) + "\n",
        "prepare.json": json.dumps(facts | asdict(division), indent=2) + "\n",
        "manifest.csv": csv_of(
            [
                (*MANIFEST_COLUMNS, *([SCALE_COLUMN] if several else []), *TAKEN_COLUMNS),
                *sorted(rows),
            ]
        ),
    }
    folders = [folder_of(part, scale) for scale in dataset.scales for part in parts]
    class_folders = [*folders, *(f"{name}/{label}" for name in folders for label in classes)]
    manifest = folder / "manifest.csv"
    has_changes = pending_changes(folder, wanted, class_folders)
    if has_changes and manifest.name in results.left:
        raise UserError(
            f"{printable(manifest)}: was edited, and would no longer be true of the crops, which "
            "stay as they are; put it back, or add --replace_edited, which keeps it as .bak"
        )
    if has_changes or not _is_text(manifest, tables[manifest.name]):
        if manifest.name not in results.left:
            manifest.unlink(missing_ok=True)
        lay_out(folder, wanted, class_folders)
    for name, text in tables.items():
        results.write_text(name, text)
    _report(dataset, splits, groups, parts, left_out)


def _taken_cells(dataset: DataSet, privacy: Privacy) -> dict[str, list[Any]]:
    """Return the cells on when and where each photo was taken, by its source."""
    executor = ThreadPoolExecutor(available_cores())  # of each photo the head is read
    try:
        found = executor.map(lambda item: taken_of(item.photo.path), dataset.items)
        return {
            item.photo.source: privacy.of(one).cells()
            for item, one in zip(dataset.items, found, strict=True)
        }
    finally:
        executor.shutdown(cancel_futures=True)


def _groups(records: list[CropRecord], max_distance: int) -> list[str]:
    """Name the group of each photo's look-alikes by the smallest of their content hashes."""
    numbers = near_duplicate_groups([record.phash for record in records], max_distance)
    # Equal files have equal perceptual hashes, so they are in one group anyway.
    smallest: dict[int, str] = {}
    for number, record in zip(numbers, records, strict=True):
        smallest[number] = min(record.sha256, smallest.get(number, record.sha256))
    return [smallest[number][:16] for number in numbers]


def _check_parts(dataset: DataSet, splits: list[str], parts: list[str]) -> None:
    """Refuse parts without photos, and say which classes lack photos in a part."""
    there = defaultdict(set)
    for item, split in zip(dataset.usable, splits, strict=True):
        there[split].add(item.photo.label)
    classes = {item.photo.label for item in dataset.usable}
    for part in parts:
        if not there[part] and dataset.name == "oat":
            raise UserError(f"{printable(dataset.folder)}: no usable photo in its part {part}")
        if not there[part]:
            raise UserError(
                f"{printable(dataset.folder)}: no photo is left for {part}; a class needs "
                f"{len(parts)} photos or more that do not look alike"
            )
        for label in sorted(classes - there[part]):
            warn(f"{dataset.name}: class {label} has no photo in {part}")
    filed = {item.photo.label for item in dataset.items if item.photo.label}
    for label in sorted(filed - classes):
        warn(f"{dataset.name}: class {label} has no usable photo and is left out")


def _report(
    dataset: DataSet,
    splits: list[str],
    groups: list[str],
    parts: list[str],
    left_out: list[tuple[str, str | None]],
) -> None:
    """Say on screen what became of a data set."""
    usable, name = dataset.usable, dataset.name
    counts = Counter(splits)
    print(f"{name}: " + ", ".join(f"{part} {counts[part]}" for part in parts))
    if dataset.mode == "centre":
        print(f"{name}: no detector was given: all crops are the centres of their photos")
    elif dataset.mode == "detect":
        n = sum(item.record.fallback for item in usable)
        print(f"{name}: in {n} of {len(usable)} photos no print was found; their centre was taken")
    sizes = Counter(groups)
    alike = [group for group, n in sizes.items() if n > 1]
    if alike and name == "real":
        n = sum(sizes[group] for group in alike)
        print(
            f"{name}: {n} photos look like others ({len(alike)} groups); each group is in one part"
        )
    _report_across(dataset, splits, groups)
    labels_of = defaultdict(set)
    for item in usable:
        labels_of[item.record.sha256].add(item.photo.label)
    for digest, labels in labels_of.items():
        if len(labels) > 1:
            same = [i.photo.source for i in usable if i.record.sha256 == digest]
            warn(f"{name}: the same photo in several classes: {_names(same)}")
    if left_out:
        print(f"{name}: {len(left_out)} of {len(dataset.items)} photos left out:")
        for source, reason in left_out[:_SHOWN]:
            print(f"  {source}: {reason}")
        if len(left_out) > _SHOWN:
            print(f"  and {len(left_out) - _SHOWN} more, see {name}/left_out.csv")


def _report_across(dataset: DataSet, splits: list[str], groups: list[str]) -> None:
    """Say which photos the given division has on both sides."""
    for kind, keys in (
        ("the same photo", [item.record.sha256 for item in dataset.usable]),
        ("photos that look alike", groups),
    ):
        parts_of = defaultdict(set)
        members = defaultdict(list)
        for key, split, item in zip(keys, splits, dataset.usable, strict=True):
            parts_of[key].add(split)
            members[key].append(item.photo.source)
        across = [key for key, parts in parts_of.items() if len(parts) > 1]
        if across:
            text = f"{dataset.name}: {kind} in several parts, {len(across)} times, as "
            text += _names(members[across[0]])
            if kind == "the same photo":
                warn(text)
            else:
                print(text)


def report_shared(sets: list[DataSet], max_distance: int) -> None:
    """Warn if one data set holds photos of the other: training on it would have seen them."""
    if len(sets) < 2:
        return
    items = [(dataset.name, item) for dataset in sets for item in dataset.usable]
    numbers = near_duplicate_groups([item.record.phash for _, item in items], max_distance)
    names, members = defaultdict(set), defaultdict(list)
    for number, (name, item) in zip(numbers, items, strict=True):
        names[number].add(name)
        members[number].append(f"{name}: {item.photo.source}")
    shared = [number for number, both in names.items() if len(both) > 1]
    if shared:
        warn(
            f"photos of one data set look like photos of the other, {len(shared)} times, as "
            f"{_names(members[shared[0]])}"
        )


def _names(sources: Iterable[str], shown: int = 3) -> str:
    names = [printable(source) for source in sources]
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _is_text(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False
