"""Make data sets of crops from folders of photos: find the print, cut it out, divide.

``python -m footprints.prepare --oat_dir DIR --real_dir DIR --detector FILE|none --output_dir DIR``
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from footprints.cluster.crops_of_shards import CROPS, JOURNAL, journal_of, store_of, take_in
from footprints.cluster.flags import (
    add_cluster_flags,
    arguments_for_merge,
    check_cluster_flags,
)
from footprints.cluster.shard_note import (
    ShardNote,
    digest_of_names,
    forget_note,
    refuse_other_list,
    refuse_other_run,
    write_note,
)
from footprints.cropping.crop_pool import CropPool, Job, Result, detector_named
from footprints.pictures.scales import DEFAULT_SCALES, SCALES
from footprints.pictures.similarity import DEFAULT_MAX_DISTANCE, HASH_BITS
from footprints.places.privacy import Privacy, add_location_flags, privacy_of
from footprints.preparation.crop_store import CropStore
from footprints.preparation.journal import Journal
from footprints.preparation.sets import (
    SET_NAMES,
    DataSet,
    Item,
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
from footprints.scores.strangers import OTHER
from footprints.system import settings as crop_settings
from footprints.system.errors import STATUS_SOME_FAILED, UserError, run
from footprints.system.files import output_folder, refuse_links, sha256_of, write_json
from footprints.system.flags import number, program, some_path, some_text, whole
from footprints.system.progress import available_cores, progress
from footprints.system.progress_file import photo_progress, refuse_other_file
from footprints.system.results import Results, add_replace_flag
from footprints.system.settings import Settings
from footprints.system.shard_folder import refuse_shards_at_work, shard_writer, shards_of
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
        "--others",
        type=some_path,
        metavar="DIR",
        help="photos of animals that are to be no class, in whatever folders; cut and divided with "
        "those of --real_dir, for training to tell them from the classes; a folder "
        f"{OTHER} in --real_dir is taken so too",
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
    add_cluster_flags(parser)
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
    plan = _plan_of(args, parser)
    if args.shard is not None:
        return _prepare_shard(plan, sys.argv[1:] if argv is None else argv)
    return _prepare(plan)


def merge(folder: Path, notes: Sequence[ShardNote], *, replace_edited: bool) -> int:
    """Divide and lay out the crops that shards made, as one process would have.

    Args:
        folder: The output folder of the shards.
        notes: Of all of them.
        replace_edited: As the flag of that name.

    Returns:
        As ``main``.

    Raises:
        UserError: If photos or detector are not those of the shards any more.
    """
    parser = build_parser()
    plan = _plan_of(arguments_for_merge(parser, notes[0].arguments, folder, replace_edited), parser)
    refuse_other_run(notes[0], _run_of(plan))
    refuse_other_list(notes[0], _names_of(plan.sets), plan.args.real_dir or plan.args.oat_dir)
    return _prepare(plan, notes)


@dataclass(frozen=True)
class _Plan:
    """What a run is to do, after all checks."""

    args: argparse.Namespace
    settings: Settings
    privacy: Privacy
    detector: Path | None
    detector_hash: str | None
    sets: list[DataSet]


def _plan_of(args: argparse.Namespace, parser: argparse.ArgumentParser) -> _Plan:
    """Check what is asked for, and list the photos."""
    settings = crop_settings.settings_from(args, parser)
    privacy = privacy_of(args, parser)
    _check_flags(args, parser)
    refuse_other_file(args.progress_file)
    detector = detector_named(args.detector)
    folders = {"oat": args.oat_dir, "real": args.real_dir}
    folders = {name: folder for name, folder in folders.items() if folder}
    _check_others(args.others, args.real_dir)
    _check_folders(args.output_dir, [*folders.values(), *([args.others] if args.others else [])])
    detector_hash = sha256_of(detector) if detector else None
    mode = "detect" if detector else "centre"
    modes = {"oat": mode if args.detect_oat else "whole", "real": mode}
    others = {"oat": None, "real": args.others}
    sets = [
        list_set(name, folder, modes[name], args.scales, settings, detector_hash, others[name])
        for name, folder in folders.items()
    ]
    return _Plan(args, settings, privacy, detector, detector_hash, sets)


def _prepare(plan: _Plan, notes: Sequence[ShardNote] = ()) -> int:
    """Make the crops that are missing, and write all files of the output folder.

    Args:
        plan: What to do.
        notes: Of shards that made the crops.
    """
    args, settings, sets = plan.args, plan.settings, plan.sets
    division = Division(args.val_fraction, args.test_fraction, args.seed, args.max_distance)
    with contextlib.ExitStack() as held:
        folder = output_folder(args.output_dir, CROPS, *SET_NAMES, check=refuse_shards_at_work)
        held.enter_context(folder)
        take_in(args.output_dir)
        journal = held.enter_context(Journal(args.output_dir / CROPS / JOURNAL))
        store = CropStore(args.output_dir / CROPS)
        results = {
            one.name: Results(args.output_dir / one.name, TABLES, args.replace_edited, trusted=True)
            for one in sets
        }
        if not args.replace_edited:
            for one in results.values():
                if "manifest.csv" not in one.left:
                    refuse_moved_crops(one.folder)
        for dataset in sets:
            recall(dataset, journal, store)
        if notes:
            _note_failed(sets, notes)
        _make_crops(plan, sets, store, journal)
        _note_settings(args.output_dir / "settings.json", settings)
        for dataset in sets:
            facts = {"mode": dataset.mode, "settings": asdict(settings)}
            if plan.detector and dataset.mode == "detect":
                name, digest = printable(plan.detector.name), plan.detector_hash
                facts |= {"detector": name, "detector_sha256": digest}
            if dataset.scales != DEFAULT_SCALES:
                facts["scales"] = dataset.scales
            finish(dataset, results[dataset.name], division, store, facts, plan.privacy)
        report_shared(sets, args.max_distance)
    some_left_out = any(item.reason for dataset in sets for item in dataset.items)
    return STATUS_SOME_FAILED if some_left_out else 0


def _prepare_shard(plan: _Plan, arguments: Sequence[str]) -> int:
    """Make the crops of one share of the photos; the merge does the rest."""
    args, shard = plan.args, plan.args.shard
    mine = [
        replace(one, items=[item for item in one.items if shard.holds(_name_of(one, item))])
        for one in plan.sets
    ]
    with shard_writer(args.output_dir, shard):
        forget_note(args.output_dir, shard)
        with journal_of(args.output_dir, shard) as journal:
            store = store_of(args.output_dir, shard)
            for dataset in mine:
                recall(dataset, journal, store)
            failed = _make_crops(plan, mine, store, journal)
        names = _names_of(plan.sets)
        note = ShardNote.of_run(
            args, "prepare", _run_of(plan), names, failed=failed, arguments=arguments
        )
        write_note(args.output_dir, note)
    n_failed = sum(item.reason is not None for dataset in mine for item in dataset.items)
    n_mine = sum(len(dataset.items) for dataset in mine)
    print(
        f"shard {shard}: {n_mine} of {len(names)} photos, {n_failed} left out; when all shards are "
        f"done, footprints merge {printable(args.output_dir)} divides them and makes the tables"
    )
    return STATUS_SOME_FAILED if n_failed else 0


def _name_of(dataset: DataSet, item: Item) -> str:
    return f"{dataset.name}/{item.photo.source}"


def _names_of(sets: list[DataSet]) -> list[str]:
    """Return the names of all photos of all sets."""
    return [_name_of(dataset, item) for dataset in sets for item in dataset.items]


def _run_of(plan: _Plan) -> str:
    """Return a digest of all that crops depend on beside the photos."""
    return digest_of_names([json.dumps([(one.name, one.mode, one.recipes) for one in plan.sets])])


def _note_failed(sets: list[DataSet], notes: Sequence[ShardNote]) -> None:
    """Fill in why photos failed in their shard, and make sure that all others are there.

    Raises:
        UserError: Naming the shard of a photo that is missing.
    """
    reasons = {name: reason for note in notes for name, reason in note.failed.items()}
    for dataset in sets:
        for item in dataset.items:
            if not pending_scales(dataset, item):
                continue
            name = _name_of(dataset, item)
            item.reason = reasons.get(name)
            if item.reason is None:
                shard = next(note.shard for note in notes if note.shard.holds(name))
                raise UserError(
                    f"{printable(item.photo.path)}: has changed, or its crop is gone, since shard "
                    f"{shard} made it; run it again with --shard {shard}, then merge again"
                )


def _note_settings(path: Path, settings: Settings) -> None:
    with contextlib.suppress(OSError, ValueError):
        if json_object(path.read_bytes()) == asdict(settings):
            return
    write_json(path, asdict(settings))


def _check_flags(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    check_cluster_flags(args, parser)
    if not args.oat_dir and not args.real_dir:
        parser.error("give --oat_dir or --real_dir, or both")
    if args.others and not args.real_dir:
        parser.error("--others goes with --real_dir, the photos of your classes")
    if args.val_fraction + args.test_fraction >= 1:
        parser.error("--val_fraction and --test_fraction leave nothing to learn from")
    if "crop" not in args.scales:
        parser.error("--scales must have crop among them")
    if args.detect_oat and (args.detector == "none" or not args.oat_dir):
        parser.error("--detect_oat needs --oat_dir and a detector")


def _check_others(others: Path | None, real: Path | None) -> None:
    """Refuse photos that would be of a class and of none."""
    if others is None or real is None:
        return
    one, other = others.resolve(), real.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise UserError(
            f"{printable(others)}: the folder of --others and {printable(real)} lie in each other; "
            f"keep them apart, or call a folder in the latter {OTHER}"
        )


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
    has_shards = output.is_dir() and shards_of(output, "jsonl")
    if not has_shards and not (output / CROPS / JOURNAL).is_file():
        for name in ("crops", *SET_NAMES):
            if (output / name).is_dir() and any((output / name).iterdir()):
                raise UserError(
                    f"{printable(output / name)}: is not from prepare; choose another --output_dir"
                )


def _make_crops(
    plan: _Plan, sets: list[DataSet], store: CropStore, journal: Journal
) -> dict[str, str]:
    """Make the pictures that are missing; each is noted down as soon as it is there.

    Returns:
        Why photos failed that are not in the journal, as the next run tries them again.
    """
    args, detector, failed = plan.args, plan.detector, dict[str, str]()
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
        with photo_progress(args.progress_file, 0):
            return failed
    if all(dataset.mode != "detect" or "crop" not in scales for dataset, _, scales in pending):
        detector = None
    processes = args.processes
    if processes is None:
        processes = min(available_cores(), len(pending))
    numbers = itertools.count()
    targets = [{s: store.new_incoming(next(numbers)) for s in scales} for *_, scales in pending]
    jobs = [job_of(*one, paths) for one, paths in zip(pending, targets, strict=True)]
    with (
        _crops_made(plan, detector, processes, jobs) as made,
        photo_progress(args.progress_file, len(jobs)) as noted,
    ):
        results = progress(made, len(jobs), "crops")
        for (dataset, item, _), paths, result in zip(pending, targets, results, strict=True):
            note_result(dataset, item, result, paths, store, journal)
            noted.photo(failed=item.reason is not None)
            if result.is_passing and item.reason is not None:
                failed[_name_of(dataset, item)] = item.reason
    return failed


@contextlib.contextmanager
def _crops_made(
    plan: _Plan, detector: Path | None, processes: int, jobs: list[Job]
) -> Iterator[Iterator[Result]]:
    """Have jobs done by processes of this computer or of a cluster; give results in their order."""
    args = plan.args
    if args.ray is None:
        with CropPool(detector, plan.settings, processes) as pool:
            yield pool.map(jobs)
        return
    from footprints.cluster.driver import spread
    from footprints.cluster.worker import Order

    def given_up(job: Job, reason: str) -> Result:
        return Result(job, reason=reason, is_passing=True)

    order = Order(detector, plan.settings, None, os.getcwd())
    with spread(args.ray, args.ray_workers, order, jobs, given_up) as made:
        yield made


if __name__ == "__main__":
    sys.exit(run(main))
