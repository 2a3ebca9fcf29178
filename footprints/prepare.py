"""Make data sets of crops from folders of photos: find the print, cut it out, divide.

``python -m footprints.prepare --oat_dir DIR --real_dir DIR --detector FILE|none --output_dir DIR``
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
from dataclasses import asdict
from pathlib import Path

from footprints.cropping.crop_pool import CropPool, detector_named
from footprints.pictures.scales import DEFAULT_SCALES, SCALES
from footprints.pictures.similarity import DEFAULT_MAX_DISTANCE, HASH_BITS
from footprints.places.privacy import add_location_flags, privacy_of
from footprints.preparation.crop_store import CropStore
from footprints.preparation.journal import Journal
from footprints.preparation.sets import (
    SET_NAMES,
    DataSet,
    job_of,
    list_set,
    note_result,
    pending_scales,
    recall,
)
from footprints.preparation.tables import (
    TABLES,
    Division,
    finish,
    refuse_moved_crops,
    report_shared,
)
from footprints.system import settings as crop_settings
from footprints.system.errors import STATUS_SOME_FAILED, UserError, run
from footprints.system.files import output_folder, refuse_links, sha256_of, write_json
from footprints.system.flags import number, program, some_path, some_text, whole
from footprints.system.progress import available_cores, progress
from footprints.system.progress_file import add_progress_flag, photo_progress, refuse_other_file
from footprints.system.results import Results, add_replace_flag
from footprints.system.settings import Settings
from footprints.system.text import printable
from footprints.system.typed import json_object


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=program("prepare"),
        description="Make data sets of square crops from folders of photos. Photos are only read. "
        "A run that was stopped goes on where it was; only new or changed photos are worked on.",
        epilog="Exit status: 0 all photos are in; 3 some were left out, see left_out.csv; "
        "1 nothing could be done; 2 wrong flags.",
    )
    parser.add_argument(
        "--oat_dir",
        type=some_path,
        metavar="DIR",
        help="OpenAnimalTracks: [cropped_imgs/]{train,val,test}/<class>/; this division is kept",
    )
    parser.add_argument(
        "--real_dir", type=some_path, metavar="DIR", help="photos in <class>/; divided here"
    )
    parser.add_argument(
        "--detector",
        type=some_text,
        required=True,
        metavar="FILE|none",
        help="finds prints: a .pt or .onnx file; none: the centre of each photo is taken",
    )
    parser.add_argument(
        "--output_dir",
        type=some_path,
        required=True,
        metavar="DIR",
        help="crops and tables, in oat/ and real/",
    )
    parser.add_argument(
        "--val_fraction",
        type=number(0, 1, low_is_in=False),
        default=0.2,
        help="share of the real photos for validation (default: %(default)s)",
    )
    parser.add_argument(
        "--test_fraction",
        type=number(0, 1),
        default=0.0,
        help="share of the real photos for a test at the very end (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=whole(0, 2**63 - 1), default=0, help="of the division (default: %(default)s)"
    )
    parser.add_argument(
        "--max_distance",
        type=whole(0, HASH_BITS),
        default=DEFAULT_MAX_DISTANCE,
        help="photos whose perceptual hashes differ in at most so many of 64 bits stay on one "
        "side (default: %(default)s)",
    )
    parser.add_argument(
        "--detect_oat",
        action="store_true",
        help="look for prints in the OAT photos too, which are crops already",
    )
    parser.add_argument(
        "--processes",
        type=whole(0, 1024),
        metavar="N",
        help="at a time; 0: in this one (default: one a core)",
    )
    parser.add_argument(
        "--scales",
        nargs="+",
        choices=SCALES,
        default=list(DEFAULT_SCALES),
        help="pictures of each photo: crop is the print; photo, which may be added, is the whole "
        "photo, made square by mirroring its edges (default: crop)",
    )
    add_progress_flag(parser)
    add_location_flags(parser)
    add_replace_flag(parser)
    crop_settings.add_flags(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the step; see ``build_parser``.

    Returns:
        0, or 3 if photos were left out.

    Raises:
        UserError: If a folder is missing or unfit, or no photo of a data set can be used.
    """
    parser = build_parser()
    args = parser.parse_args(argv)
    settings = crop_settings.settings_from(args, parser)
    privacy = privacy_of(args, parser)
    _check_flags(args, parser)
    refuse_other_file(args.progress_file)
    detector = detector_named(args.detector)
    folders = {"oat": args.oat_dir, "real": args.real_dir}
    folders = {name: folder for name, folder in folders.items() if folder}
    _check_folders(args.output_dir, list(folders.values()))
    detector_hash = sha256_of(detector) if detector else None
    division = Division(args.val_fraction, args.test_fraction, args.seed, args.max_distance)
    mode = "detect" if detector else "centre"
    modes = {"oat": mode if args.detect_oat else "whole", "real": mode}
    sets = [
        list_set(name, folder, modes[name], args.scales, settings, detector_hash)
        for name, folder in folders.items()
    ]
    with (
        output_folder(args.output_dir, "crops", *SET_NAMES),
        Journal(args.output_dir / "crops" / "journal.jsonl") as journal,
    ):
        store = CropStore(args.output_dir / "crops")
        results = {
            name: Results(args.output_dir / name, TABLES, args.replace_edited, trusted=True)
            for name in folders
        }
        if not args.replace_edited:
            for one in results.values():
                if "manifest.csv" not in one.left:
                    refuse_moved_crops(one.folder)
        for dataset in sets:
            recall(dataset, journal, store)
        _make_crops(sets, detector, settings, args, store, journal)
        _note_settings(args.output_dir / "settings.json", settings)
        for dataset in sets:
            facts = {"mode": dataset.mode, "settings": asdict(settings)}
            if detector and dataset.mode == "detect":
                facts |= {"detector": printable(detector.name), "detector_sha256": detector_hash}
            if dataset.scales != DEFAULT_SCALES:
                facts["scales"] = dataset.scales
            finish(dataset, results[dataset.name], division, store, facts, privacy)
        report_shared(sets, args.max_distance)
    some_left_out = any(item.reason for dataset in sets for item in dataset.items)
    return STATUS_SOME_FAILED if some_left_out else 0


def _note_settings(path: Path, settings: Settings) -> None:
    with contextlib.suppress(OSError, ValueError):
        if json_object(path.read_bytes()) == asdict(settings):
            return
    write_json(path, asdict(settings))


def _check_flags(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    if not args.oat_dir and not args.real_dir:
        parser.error("give --oat_dir or --real_dir, or both")
    if args.val_fraction + args.test_fraction >= 1:
        parser.error("--val_fraction and --test_fraction leave nothing to learn from")
    if "crop" not in args.scales:
        parser.error("--scales must have crop among them")
    if args.detect_oat and (args.detector == "none" or not args.oat_dir):
        parser.error("--detect_oat needs --oat_dir and a detector")


def _check_folders(output: Path, inputs: list[Path]) -> None:
    """Refuse an output folder that would mix our files with the user's."""
    if output.exists() and not output.is_dir():
        raise UserError(f"{printable(output)}: is not a folder; choose another --output_dir")
    out = output.resolve()
    for folder in inputs:
        there = folder.resolve()
        if out == there or there in out.parents or out in there.parents:
            raise UserError(
                f"{printable(output)}: the output folder and {printable(folder)} lie in each "
                "other; choose an --output_dir beside the photos"
            )
    for name in ("crops", *SET_NAMES):
        refuse_links(output / name, output)
    if not (output / "crops" / "journal.jsonl").is_file():
        for name in ("crops", *SET_NAMES):
            if (output / name).is_dir() and any((output / name).iterdir()):
                raise UserError(
                    f"{printable(output / name)}: is not from prepare; choose another --output_dir"
                )


def _make_crops(
    sets: list[DataSet],
    detector: Path | None,
    settings: Settings,
    args: argparse.Namespace,
    store: CropStore,
    journal: Journal,
) -> None:
    """Make the pictures that are missing; each is noted down as soon as it is there."""
    pending = [
        (dataset, item, scales)
        for dataset in sets
        for item in dataset.items
        if (scales := pending_scales(dataset, item))
    ]
    for dataset in sets:
        missing = [
            f"{sum(one is dataset and scale in scales for one, _, scales in pending)} {what}"
            for scale, what in (("crop", "crops"), ("photo", "whole photos"))
            if scale in dataset.scales
        ]
        print(
            f"{dataset.name}: {len(dataset.items)} photos, "
            f"{len({item.photo.label for item in dataset.items if item.photo.label})} classes; "
            f"{' and '.join(missing)} to make",
            flush=True,
        )
    if not pending:
        return
    if all(dataset.mode != "detect" or "crop" not in scales for dataset, _, scales in pending):
        detector = None
    processes = args.processes
    if processes is None:
        processes = min(available_cores(), len(pending))
    numbers = itertools.count()
    targets = [{s: store.new_incoming(next(numbers)) for s in scales} for *_, scales in pending]
    jobs = [job_of(*one, paths) for one, paths in zip(pending, targets, strict=True)]
    with (
        CropPool(detector, settings, processes) as pool,
        photo_progress(args.progress_file, len(jobs)) as noted,
    ):
        results = progress(pool.map(jobs), len(jobs), "crops")
        for (dataset, item, _), paths, result in zip(pending, targets, results, strict=True):
            note_result(dataset, item, result, paths, store, journal)
            noted.photo(failed=item.reason is not None)


if __name__ == "__main__":
    sys.exit(run(main))
