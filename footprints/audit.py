"""Look through a folder of photos before anything is trained on it; nothing is changed.

``python -m footprints.audit DIR``
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from footprints.pictures.finding import counted, suffix_of
from footprints.pictures.folders import FiledPhoto, list_photos, mistaken_names
from footprints.pictures.photos import TRAITS, PhotoFacts, inspect_photo
from footprints.pictures.similarity import (
    DEFAULT_MAX_DISTANCE,
    HASH_BITS,
    near_duplicate_groups,
    photo_hash,
)
from footprints.system.errors import STATUS_SOME_FAILED, UserError, run
from footprints.system.files import read_text, write_json
from footprints.system.flags import program, some_path, whole
from footprints.system.progress import available_cores, progress
from footprints.system.text import printable
from footprints.system.typed import json_object

_SHOWN = 10  # of each kind on screen; the JSON file has all


@dataclass(frozen=True)
class Audited:
    """A photo, what it is, and its perceptual hash if it can be used."""

    photo: FiledPhoto
    facts: PhotoFacts
    phash: str | None

    @property
    def name(self) -> str:
        """The path from the folder on, fit for screen and JSON."""
        return printable(self.photo.source)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=program("audit"),
        description="Look for what would spoil a training: photos that cannot be read, are not "
        "what their names say, or are there twice, above all in several classes or parts. "
        "Nothing is changed.",
        epilog="Exit status: 0 all photos can be used; 3 some cannot; 1 none can, or there is no "
        "such folder; 2 wrong flags. Duplicates do not change it.",
    )
    parser.add_argument(
        "folder",
        type=some_path,
        metavar="DIR",
        help="photos in <class>/ or in [cropped_imgs/]{train,val,test}/<class>/",
    )
    parser.add_argument(
        "--output", type=some_path, metavar="FILE.json", help="everything found; not below DIR"
    )
    parser.add_argument(
        "--max_distance",
        type=whole(0, HASH_BITS),
        default=DEFAULT_MAX_DISTANCE,
        help="photos whose perceptual hashes differ in at most so many of 64 bits are near "
        "duplicates (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=whole(1, 1024),
        default=available_cores(),
        help="photos looked at at a time (default: one a core, here %(default)s)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the step; see ``build_parser``.

    Returns:
        0, or 3 if some photos cannot be used.

    Raises:
        UserError: If there is no such folder, or no photo in it can be used.
    """
    args = build_parser().parse_args(argv)
    if args.output:
        _check_output(args.output, args.folder)
    report = audit(args.folder, args.max_distance, args.threads)
    print(_screen(report))
    if args.output:
        write_json(args.output, report)
        print(f"written: {printable(args.output)}")
    if not report["usable"]:
        first = report["unusable"][0]
        raise UserError(
            f"{printable(args.folder)}: none of its {report['photos']} photos can be used; the "
            f"first is {first['photo']}: {first['reason']}"
        )
    return STATUS_SOME_FAILED if report["unusable"] else 0


def audit(folder: Path, max_distance: int = DEFAULT_MAX_DISTANCE, threads: int = 1) -> dict:
    """Look at every photo below a folder.

    Args:
        folder: Photos by class, or by part and class; see ``pictures.folders.list_photos``.
        max_distance: Bits in which the perceptual hashes of near duplicates may differ.
        threads: Photos looked at at a time.

    Returns:
        What was found, fit for JSON: ``photos``, ``usable`` (numbers), ``classes`` (usable photos
        by class and part), ``formats``, ``unusable`` (photo, reason), ``traits`` (photos by
        ``photos.TRAITS``), ``exact_duplicates`` and ``near_duplicates`` (groups with their
        photos, classes, parts), ``misplaced`` (outside of a class), ``mistaken_names`` (of
        classes), ``unused`` (other files with the reason) and ``ignored`` (their numbers).

    Raises:
        UserError: If there is no such folder, or no photo in it.
    """
    listing = list_photos(folder)
    if not listing.photos:
        there = f" (other files: {counted(listing.unused)})" if listing.unused else ""
        raise UserError(f"{printable(folder)}: no photos in it{there}")
    seen = _look_at_all(listing.photos, threads)
    usable = [one for one in seen if one.facts.problem is None]
    classes: dict[str, Counter[str]] = defaultdict(Counter)
    for one in seen:
        if one.photo.label is not None:
            counts = classes[printable(one.photo.label)]
            counts[one.photo.split or "photos"] += one.facts.problem is None
    with_picture = [one for one in usable if "one colour" not in one.facts.traits]
    alike = near_duplicate_groups([str(one.phash) for one in with_picture], max_distance)
    return {
        "folder": printable(folder),
        "photos": len(seen),
        "usable": len(usable),
        "classes": {name: dict(classes[name]) for name in sorted(classes)},
        "formats": dict(Counter(one.facts.format for one in usable).most_common()),
        "unusable": [
            {"photo": one.name, "reason": one.facts.problem}
            for one in seen
            if one.facts.problem is not None
        ],
        "traits": {
            trait: names
            for trait in TRAITS
            if (names := [one.name for one in usable if trait in one.facts.traits])
        },
        "exact_duplicates": _duplicates(usable, [one.facts.sha256 for one in usable]),
        "near_duplicates": _duplicates(with_picture, alike, of_different_files=True),
        "max_distance": max_distance,
        "misplaced": [one.name for one in seen if one.photo.label is None],
        "mistaken_names": mistaken_names(listing),
        "unused": [
            {"file": printable(listing.source_of(one.path)), "reason": one.reason}
            for one in listing.unused
        ],
        "ignored": dict(sorted(Counter(suffix_of(one) for one in listing.unused).items())),
    }


def _look_at_all(photos: Iterable[FiledPhoto], threads: int) -> list[Audited]:
    photos = list(photos)
    executor = ThreadPoolExecutor(threads)  # decoding leaves the interpreter to others
    try:
        return list(progress(executor.map(_look_at, photos), len(photos), "audit"))
    finally:
        executor.shutdown(cancel_futures=True)


def _look_at(photo: FiledPhoto) -> Audited:
    facts, rgb = inspect_photo(photo.path)
    return Audited(photo, facts, None if rgb is None else photo_hash(rgb))


def _duplicates(
    seen: list[Audited], keys: Iterable[Any], of_different_files: bool = False
) -> list[dict[str, Any]]:
    """Describe the groups of photos that share a key, or those of them that are not all copies."""
    members = defaultdict(list)
    for one, key in zip(seen, keys, strict=True):
        members[key].append(one)
    groups = []
    for group in members.values():
        n = len({one.facts.sha256 for one in group}) if of_different_files else len(group)
        if n > 1:
            labels = sorted({printable(one.photo.label or "") for one in group})
            splits = sorted({one.photo.split or "" for one in group})
            groups.append(
                {
                    "photos": [one.name for one in group],
                    "classes": labels,
                    "parts": splits,
                    "across_classes": len(labels) > 1,
                    "across_parts": len(splits) > 1,
                }
            )
    return sorted(groups, key=lambda group: (-group["across_classes"], -group["across_parts"]))


def _screen(report: dict[str, Any]) -> str:
    """Return the report as text for people."""
    lines = [f"{report['folder']}: {report['photos']} photos, {report['usable']} usable", ""]
    lines += _table(report["classes"])
    if report["formats"]:
        lines.append("formats: " + ", ".join(f"{k} {n}" for k, n in report["formats"].items()))
    unusable = [f"{one['photo']}: {one['reason']}" for one in report["unusable"]]
    lines += _listed("cannot be used", unusable)
    for trait, names in report["traits"].items():
        lines += _listed(f"{trait} ({TRAITS[trait]})", names, shown=3)
    for kind in ("exact", "near"):
        groups = report[f"{kind}_duplicates"]
        n_classes = sum(group["across_classes"] for group in groups)
        n_parts = sum(group["across_parts"] for group in groups)
        lines += _listed(
            f"{kind} duplicates, groups ({n_classes} across classes, {n_parts} across parts)",
            [", ".join(group["photos"]) for group in groups],
        )
    lines += _listed("not in the folder of a class", report["misplaced"], shown=3)
    lines += _listed("class names to be put right", report["mistaken_names"])
    if report["ignored"]:
        others = ", ".join(f"{n} {suffix}" for suffix, n in report["ignored"].items())
        reasons = [f"{one['file']}: {one['reason']}" for one in report["unused"]]
        lines += _listed(f"other files, not used ({others})", reasons, shown=3)
    return "\n".join(lines)


def _table(classes: dict[str, dict[str, int]]) -> list[str]:
    """Return lines of usable photos by class and part."""
    if not classes:
        return []
    order = ("train", "val", "test", "photos")
    columns = [name for name in order if any(name in counts for counts in classes.values())]
    width = max(len("class"), *(len(name) for name in classes))
    lines = [" ".join([f"{'class':<{width}}", *(f"{name:>7}" for name in columns)])]
    for name, counts in classes.items():
        lines.append(" ".join([f"{name:<{width}}", *(f"{counts.get(c, 0):>7}" for c in columns)]))
    totals = [sum(counts.get(c, 0) for counts in classes.values()) for c in columns]
    lines.append(" ".join([f"{'sum':<{width}}", *(f"{total:>7}" for total in totals)]))
    return [*lines, ""]


def _listed(title: str, names: list[str], shown: int = _SHOWN) -> list[str]:
    if not names:
        return []
    lines = [f"{title}: {len(names)}", *(f"  {name}" for name in names[:shown])]
    if len(names) > shown:
        lines.append(f"  and {len(names) - shown} more (all with --output)")
    return lines


def _check_output(output: Path, folder: Path) -> None:
    there = folder.resolve()
    if there == output.resolve() or there in output.resolve().parents:
        raise UserError(
            f"{printable(output)}: lies in the folder that is looked through, where nothing is "
            "written; choose another --output"
        )
    if output.is_dir():
        raise UserError(f"{printable(output)}: is a folder; give a file name for --output")
    if os.path.lexists(output) and not _is_audit(output):
        raise UserError(
            f"{printable(output)}: is there already and not an audit of this program; it stays as "
            "it is, give another file name for --output"
        )


def _is_audit(path: Path) -> bool:
    try:
        found = json_object(read_text(path))
    except (UserError, ValueError):
        return False
    return not path.is_symlink() and {"folder", "usable", "near_duplicates"} <= found.keys()


if __name__ == "__main__":
    sys.exit(run(main))
