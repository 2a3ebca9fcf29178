"""Name the animals on photos: find the print, crop it, classify the crop.

The detector works in processes of its own (``cropping.crop_pool``); this process, which holds
TensorFlow, only ever sees crops. Photos are read, never written.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from footprints.cluster.answer_journal import (
    WHOLE,
    AnswerJournal,
    Source,
    answers_of_shards,
    journals_in,
    journals_of_others,
)
from footprints.cluster.flags import (
    add_cluster_flags,
    arguments_for_merge,
    check_cluster_flags,
    flags_of,
)
from footprints.cluster.shard_note import (
    ShardNote,
    digest_of_names,
    forget_note,
    name_in_listing,
    refuse_other_list,
    refuse_other_run,
    write_note,
)
from footprints.cropping.crop_pool import CropPool, Job, detector_named
from footprints.network.answering import classified, name_of
from footprints.network.classifier import Classifier, read_model_metadata
from footprints.network.trail_answers import (
    TRAILS_FILE,
    Trail,
    lines_of,
    trails_csv,
    trails_of,
    trails_table,
    with_trails,
)
from footprints.pictures.annotate import jpeg_bytes
from footprints.pictures.answer_pictures import AnswerPictures
from footprints.pictures.contact_sheet import MOST, contact_sheet
from footprints.pictures.finding import UnusedFile, counted, photos_at
from footprints.pictures.scales import scales_of
from footprints.places.map_files import GEOJSON, KML, geojson, kml
from footprints.places.privacy import Privacy, add_location_flags, privacy_of
from footprints.places.trails import WAYS
from footprints.scores.answer_points import points_of
from footprints.scores.answers import (
    Answer,
    Failure,
    answers_csv,
    failures_csv,
    screen_table,
    summary,
)
from footprints.scores.calibration import DEFAULT_THRESHOLD, WEAK, threshold_in_use, weakness
from footprints.scores.groups import Groups, groups_named, groups_of, warn_of_other_names
from footprints.scores.judging import STRANGER, Rules
from footprints.scores.region import Region, read_region, training_prior
from footprints.scores.strangers import refusal_of
from footprints.system.errors import STATUS_SOME_FAILED, UserError, run
from footprints.system.files import output_folder, sha256_of
from footprints.system.flags import (
    add_report_flag,
    number,
    option,
    program,
    some_path,
    some_text,
    whole,
)
from footprints.system.progress import available_cores, progress, warn
from footprints.system.progress_file import photo_progress, refuse_other_file
from footprints.system.results import Results, add_replace_flag, is_of_older_release
from footprints.system.settings import Settings
from footprints.system.shard_folder import refuse_shards_at_work, shard_writer
from footprints.system.text import printable, printable_lines

RESULTS = "predictions.json"
TABLES = (RESULTS, "predictions.csv", "failed_photos.csv", TRAILS_FILE)
MAPS = (GEOJSON, KML)
PICTURES = "annotated"
SHEET = "contact_sheet.jpg"
OURS = (PICTURES, SHEET, *TABLES, *MAPS, "report.html", "report_figures")  # none of the user's
_SCREEN_LINES = 40  # where the rest is in a file
_CROP_FLAGS = ("conf_threshold", "iou_threshold", "margin", "min_crop_side", "ranking")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the step's flags."""
    parser = argparse.ArgumentParser(
        prog=program("predict"),
        description="Find the print on each photo and name the animal.",
    )
    parser.add_argument("photos", type=some_path, metavar="PHOTO|DIR", help="a photo or a folder")
    parser.add_argument(
        "--model", type=some_path, required=True, help="classifier: a .keras, .tflite or .onnx file"
    )
    parser.add_argument(
        "--detector",
        type=some_text,
        required=True,
        metavar="PATH|none",
        help="detector: a .pt or .onnx file; none looks at the centre of each photo",
    )
    option(parser, "top_k", whole(1, 10_000), 3, "how many classes to name")
    parser.add_argument(
        "--threshold",
        type=number(0, 1),
        help='least probability of an answer, below it is "unknown" (default: what validation '
        f"chose, kept in the model file, else {DEFAULT_THRESHOLD})",
    )
    parser.add_argument(
        "--groups",
        type=some_text,
        metavar="FILE.csv|ready|none",
        help="answer a group, such as canids, where no species is probable enough: a table with "
        "the columns class and group, or ready for that of this program (default: the groups in "
        "the model file, if it has some)",
    )
    parser.add_argument(
        "--group_threshold",
        type=number(0, 1),
        help="least probability of a group (default: what validation chose, kept in the model "
        f"file, else {DEFAULT_THRESHOLD})",
    )
    parser.add_argument(
        "--region_list",
        type=some_path,
        metavar="FILE",
        help="animals that occur where the photos were taken, one class a line, or a table with "
        "the columns class and weight (default: all classes of the model)",
    )
    parser.add_argument(
        "--no_refusal",
        action="store_true",
        help="also name photos that look to the model like those of an animal of none of its "
        "classes (default: these are unknown, if the model can tell)",
    )
    parser.add_argument(
        "--all_boxes",
        action="store_true",
        help="answer by all prints on a photo together (default: by the surest print alone)",
    )
    parser.add_argument(
        "--trails",
        choices=[*WAYS, "off"],
        default="off",
        help="also one answer for all photos of a trail, with --all_boxes: folder: those of one "
        "folder; time: those that one camera took shortly after each other and nearby "
        "(default: %(default)s)",
    )
    option(
        parser,
        "trail_minutes",
        number(0, 100_000),
        30.0,
        "--trails time: a photo that was taken longer after the one before begins a new trail",
    )
    option(
        parser,
        "trail_metres",
        number(0, 1_000_000),
        200.0,
        "--trails time: and so does one that was taken farther away, where both say their place",
    )
    parser.add_argument(
        "--output_dir",
        type=some_path,
        help="folder for predictions.json, predictions.csv and failed_photos.csv (default: none, "
        "answers only appear on the screen)",
    )
    parser.add_argument(
        "--annotate",
        action="store_true",
        help="also draw box and names into copies of the photos, in OUTPUT_DIR/annotated",
    )
    parser.add_argument(
        "--contact_sheet",
        action="store_true",
        help=f"also draw the answers to the first {MOST} photos into one picture, "
        f"OUTPUT_DIR/{SHEET}",
    )
    parser.add_argument(
        "--processes",
        type=whole(1, 1024),
        default=available_cores(),
        help="processes that read photos and find prints (default: one a core, here %(default)s)",
    )
    add_cluster_flags(parser)
    add_location_flags(parser)
    add_replace_flag(parser)
    add_report_flag(parser)
    group = parser.add_argument_group("crops (leave them as the model was trained)")
    for setting in fields(Settings):
        if setting.name in _CROP_FLAGS:
            group.add_argument(
                f"--{setting.name}",
                type=type(setting.default),
                help=f"{setting.metadata['help']} (default: as in training, "
                f"else {setting.default})",
            )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the step; returns its exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    check_cluster_flags(args, parser)
    for flag in ("annotate", "contact_sheet"):
        if getattr(args, flag) and args.output_dir is None:
            parser.error(f"--{flag} needs --output_dir, the folder for the pictures")
    refuse_other_file(args.progress_file)
    request = _request_of(args, parser)
    if args.output_dir is None:
        with _begins_anew(None):
            return _predict(request, None, partial(_answered_here, request))
    _check_output(args.output_dir)
    if args.shard is not None:
        return _predict_shard(request, sys.argv[1:] if argv is None else argv)
    if args.ray is not None:
        return _predict_whole(request, partial(_answered_and_kept, request))
    with _begins_anew(args.output_dir):
        return _predict_whole(request, partial(_answered_here, request))


@contextlib.contextmanager
def _begins_anew(folder: Path | None) -> Iterator[None]:
    """Let a stop say that the same command would not go on where it was."""
    try:
        yield
    except KeyboardInterrupt as stop:
        kept = "" if folder is None else f"what was answered so far is in {printable(folder)}; "
        stop.said = f"stopped; {kept}the same command begins with the first photo again"
        raise


def merge(
    folder: Path, notes: Sequence[ShardNote], *, replace_edited: bool, no_report: bool
) -> int:
    """Write what one process would have written, of the answers that shards noted down.

    Args:
        folder: The output folder of the shards.
        notes: Of all of them.
        replace_edited: As the flag of that name.
        no_report: Make none, as where the shards had that flag.

    Returns:
        The exit status.

    Raises:
        UserError: If photos, model or detector are not those of the shards any more.
    """
    parser = build_parser()
    args = arguments_for_merge(parser, notes[0].arguments, folder, replace_edited)
    args.no_report |= no_report
    request = _request_of(args, parser)
    refuse_other_run(notes[0], _run_of(request))
    names = [name_in_listing(photo, request.root) for photo in request.photos]
    refuse_other_list(notes[0], names, args.photos)
    known = list(answers_of_shards(args.output_dir, notes, request.root, request.photos))
    not_drawn = {name: reason for note in notes for name, reason in note.failed.items()}
    return _predict_whole(request, lambda _: contextlib.nullcontext(iter(known)), not_drawn)


def _request_of(args: argparse.Namespace, parser: argparse.ArgumentParser) -> _Request:
    """Check what is asked for, and list the photos."""
    metadata = read_model_metadata(args.model)
    settings = _settings(args, metadata, parser)
    threshold = threshold_in_use(metadata) if args.threshold is None else args.threshold
    detector = detector_named(args.detector)
    rules = _rules(args, metadata, threshold, parser)
    root, photos, unused = photos_at(args.photos, args.output_dir, OURS)
    privacy = privacy_of(args, parser)
    return _Request(args, photos, root, unused, metadata, settings, rules, detector, privacy)


def _predict_whole(
    request: _Request, source: Source, not_drawn: Mapping[str, str] | None = None
) -> int:
    """Answer all photos, and write all files of the output folder; see ``_predict``."""
    args = request.args
    with output_folder(args.output_dir, PICTURES, check=refuse_shards_at_work):
        older = is_of_older_release(args.output_dir, RESULTS, "model_sha256", "photos")
        replace = args.replace_edited or older  # whether it was edited, nobody knows: kept as .bak
        names = (*TABLES, *MAPS, SHEET)
        results = Results(args.output_dir, names, replace)
        status = _predict(request, results, source, not_drawn)
        if not args.no_report:
            from footprints.reporting.run import report_after  # Matplotlib: not for help

            report_after(args.output_dir, replace_edited=args.replace_edited)
        if not request.privacy.keeps_position:
            _warn_of_positions(args, journals_of_others(args.output_dir, _run_of(request)))
        return status


def _predict_shard(request: _Request, arguments: Sequence[str]) -> int:
    """Answer one share of the photos; the answers go into its journal, for the merge."""
    args, root, folder = request.args, request.root, request.args.output_dir
    names = {photo: name_in_listing(photo, root) for photo in request.photos}
    mine = [photo for photo, name in names.items() if args.shard.holds(name)]
    n_failed, not_drawn = 0, {}
    with shard_writer(folder, args.shard):
        forget_note(folder, args.shard)
        run = _run_of(request)
        with (
            AnswerJournal(folder, args.shard.journal, root, run) as journal,
            _pictures_of(request) as pictures,
            journal.completed_by(
                _source_of_news(request, _answered_here), mine
            ) as found_one_by_one,
        ):
            for found in found_one_by_one:
                if isinstance(found, Failure):
                    n_failed += 1
                elif pictures is not None and not (
                    journal.knows(found.source) and pictures.has(found.source)
                ):
                    pictures.add(found)
            if pictures is not None:
                not_drawn = {one.name: one.reason for one in pictures.finish()}
        note = ShardNote.of_run(
            args, "predict", run, list(names.values()), failed=not_drawn, arguments=arguments
        )
        write_note(folder, note)
    print(
        f"shard {args.shard}: {len(mine)} of {len(names)} photos, {n_failed} could not be used; "
        f"when all shards are done, footprints merge {printable(folder)} makes the tables"
    )
    return STATUS_SOME_FAILED if n_failed or not_drawn else 0


def _run_of(request: _Request) -> str:
    """Return a digest of all that an answer depends on beside the photo."""
    facts = _header(request, True)
    for name in ("complete", "model", "detector", "photos_dir", "note"):  # where, not what
        del facts[name]
    flags = flags_of(request.args, "photos", "model", "detector", "annotate", "contact_sheet")
    return digest_of_names([json.dumps([facts, flags], sort_keys=True)])


def _warn_of_positions(args: argparse.Namespace, journals: list[str]) -> None:
    """Say which files of an earlier run, not written anew by this one, may still tell places.

    Args:
        args: Of this run.
        journals: Of earlier ones.
    """
    old = {PICTURES: args.annotate, "report.html": not args.no_report}
    left = [
        name for name, is_new in old.items() if not is_new and (args.output_dir / name).exists()
    ]
    left += sorted(path.name for path in args.output_dir.glob("*.bak*"))
    left += journals
    if left:
        warn(
            f"{printable(args.output_dir)}: {', '.join(left)} of an earlier run may say where "
            "photos were taken; remove them before you share the folder"
        )


@dataclass(frozen=True)
class _Request:
    """What a run is to do, after all checks."""

    args: argparse.Namespace
    photos: list[Path]
    root: Path
    unused: list[UnusedFile]
    metadata: dict[str, Any]
    settings: Settings
    rules: Rules
    detector: Path | None
    privacy: Privacy


def _predict(
    request: _Request,
    results: Results | None,
    source: Source,
    not_drawn: Mapping[str, str] | None = None,
) -> int:
    """Name all photos, write and report the answers.

    Args:
        request: What to do.
        results: The files to write; None: none.
        source: Answers photos.
        not_drawn: Where shards drew the pictures, why some are not there, by the names of photos.
    """
    args, root, photos = request.args, request.root, request.photos
    answers: list[Answer] = []
    failures: list[Failure] = []
    complete = False
    try:
        with (
            _pictures_of(request, draw=not_drawn is None) as pictures,
            source(photos) as found_one_by_one,
        ):
            started = time.monotonic()
            for found in found_one_by_one:
                if isinstance(found, Failure):
                    failures.append(found)
                    continue
                answers.append(found)
                if pictures is not None:
                    pictures.add(found)
            if pictures is not None:
                failures += pictures.finish()
            for one in answers if not_drawn else ():
                if one.name in not_drawn:
                    failures.append(Failure(one.name, not_drawn[one.name], one.taken))
            seconds = time.monotonic() - started if not_drawn is None else None
        complete = True
    finally:
        answers, trails = _with_trails(request, answers)
        if results is not None and (complete or answers):
            others = [Failure(name_of(one.path, root), one.reason) for one in request.unused]
            header = _header(request, complete)
            _write(results, header, answers, failures, others, request.rules.top_k, trails)
            sheet = contact_sheet(answers, _short(request.metadata)) if args.contact_sheet else None
            if sheet is not None:
                results.write(SHEET, jpeg_bytes(sheet))
    _report(request, answers, failures, seconds, trails)
    return STATUS_SOME_FAILED if failures else 0


@contextlib.contextmanager
def _pictures_of(request: _Request, *, draw: bool = True) -> Iterator[AnswerPictures | None]:
    """Give what draws answers, if they are to be drawn."""
    args = request.args
    if not args.annotate or not draw:
        yield None
        return
    pictures = AnswerPictures(
        args.output_dir / PICTURES,
        request.root,
        with_place=request.privacy.keeps_position,
        warning=_short(request.metadata),
    )
    with contextlib.closing(pictures):
        yield pictures


@contextlib.contextmanager
def _answered_here(
    request: _Request, photos: Sequence[Path]
) -> Iterator[Iterator[Answer | Failure]]:
    """Have photos answered by this process and its pool; give what was found, in their order."""
    args, processes = request.args, _processes(request.args.processes, len(photos))
    with CropPool(request.detector, request.settings, processes) as pool:
        classifier = Classifier(args.model)  # while the detectors start
        blank = [np.zeros((classifier.image_size, classifier.image_size, 3), np.uint8)]
        classifier.predict(blank, blank)  # the first call takes long
        made = pool.map(_job_of(request, photo) for photo in photos)
        made = progress(made, len(photos), "predict")
        found = classified(made, classifier, request.root, request.rules, request.privacy)
        with photo_progress(args.progress_file, len(photos)) as noted:
            yield noted.over(found, lambda one: isinstance(one, Failure))


def _source_of_news(
    request: _Request, source: Callable[[_Request, Sequence[Path]], AbstractContextManager]
) -> Source:
    """Return a source that starts nothing where nothing is left to do, but says so."""

    @contextlib.contextmanager
    def news(photos: Sequence[Path]) -> Iterator[Iterator[Answer | Failure]]:
        if photos:
            with source(request, photos) as found:
                yield found
            return
        with photo_progress(request.args.progress_file, 0):
            yield iter(())

    return news


@contextlib.contextmanager
def _answered_and_kept(
    request: _Request, photos: Sequence[Path]
) -> Iterator[Iterator[Answer | Failure]]:
    """Have photos answered by the workers of a cluster, but for those whose answer is noted."""
    run = _run_of(request)
    with (
        AnswerJournal(request.args.output_dir, WHOLE, request.root, run) as journal,
        journal.completed_by(_source_of_news(request, _answered_by_cluster), photos) as found,
    ):
        yield found


@contextlib.contextmanager
def _answered_by_cluster(
    request: _Request, photos: Sequence[Path]
) -> Iterator[Iterator[Answer | Failure]]:
    """Have photos answered by the workers of a cluster; give what was found, in their order."""
    from footprints.cluster.driver import spread
    from footprints.cluster.worker import Naming, Order

    args, root = request.args, request.root
    naming = Naming(args.model, root, request.rules, request.privacy)
    order = Order(request.detector, request.settings, naming, os.getcwd())
    jobs = [_job_of(request, photo) for photo in photos]

    def given_up(job: Job, reason: str) -> Failure:
        return Failure(name_of(job.source, root), reason)

    with (
        spread(args.ray, args.ray_workers, order, jobs, given_up) as found,
        photo_progress(args.progress_file, len(photos)) as noted,
    ):
        found = progress(found, len(photos), "predict")
        yield noted.over(found, lambda one: isinstance(one, Failure))


def _job_of(request: _Request, photo: Path) -> Job:
    """Return what the pool is to do with a photo."""
    return Job(
        photo,
        "centre" if request.detector is None else "detect",
        with_photo="photo" in scales_of(request.metadata),
        all_crops=request.args.all_boxes or request.args.trails != "off",
    )


def _with_trails(
    request: _Request, answers: list[Answer]
) -> tuple[list[Answer], list[Trail] | None]:
    """Return the answers with their trails, and the trails; None if there are to be none."""
    args = request.args
    if args.trails == "off":
        return answers, None
    # Rounded positions jump from square to square: neither they nor none can tell trails apart.
    metres = args.trail_metres if request.privacy.round_km is None else math.inf
    trails = trails_of(answers, args.trails, request.rules, args.trail_minutes, metres)
    return with_trails(answers, trails), trails


def _header(request: _Request, complete: bool) -> dict[str, Any]:
    """Return what predictions.json says of the run."""
    metadata, detector, settings = request.metadata, request.detector, request.settings
    return {
        "complete": complete,
        "model": printable(request.args.model),
        "model_sha256": sha256_of(request.args.model),
        "detector": None if detector is None else printable(detector),
        "detector_sha256": None if detector is None else sha256_of(detector),
        "classes": metadata["classes"],
        "scales": scales_of(metadata),
        "temperature": metadata.get("temperature") or 1.0,
        "threshold": request.rules.threshold,
        **_rule_facts(request),
        "note": weakness(metadata),
        "settings": {f.name: getattr(settings, f.name) for f in fields(Settings)},
        "photos_dir": printable(request.root),
        **({"strip_location": True} if request.privacy.strip else {}),
        **({"round_location_km": km} if (km := request.privacy.round_km) is not None else {}),
    }


def _rule_facts(request: _Request) -> dict[str, Any]:
    """Return what predictions.json says of trails, groups, region and refusal, if any."""
    groups, region = request.rules.groups, request.rules.region
    args, facts = request.args, dict[str, Any]()
    if args.all_boxes or args.trails != "off":
        facts["all_boxes"] = True
    if args.trails != "off":
        facts["trails_by"] = args.trails
    if args.trails == "time":
        facts |= {"trail_minutes": args.trail_minutes, "trail_metres": args.trail_metres}
    if groups:
        facts |= groups.facts() | {"group_threshold": groups.threshold_in_use}
    if region is not None:
        occurring = zip(request.rules.classes, region.factors.tolist(), strict=True)
        facts["region"] = {
            "file": printable(args.region_list),
            "kind": region.kind,
            "factors": {name: round(factor, 6) for name, factor in occurring if factor > 0},
        }
        prior = training_prior(request.metadata, len(request.rules.classes))
        facts["region"]["training_prior"] = [round(one, 6) for one in prior.tolist()]
    if (refusal := request.rules.refusal) is not None:
        facts["refusal"] = {"rule": refusal.rule, "cut": refusal.cut}
    return facts


def _processes(given: int, n_photos: int) -> int:
    """Return how many processes are worth their start, which takes as long as some 50 photos."""
    return min(given, -(-n_photos // 50))


def _settings(
    args: argparse.Namespace, metadata: dict[str, Any], parser: argparse.ArgumentParser
) -> Settings:
    """Crop as the model's training data were cropped, unless a flag says otherwise."""
    kept = metadata.get("settings") or {}
    values = {f.name: kept[f.name] for f in fields(Settings) if f.name in kept}
    values |= {name: given for name in _CROP_FLAGS if (given := getattr(args, name)) is not None}
    if metadata.get("image_size"):
        values["image_size"] = int(metadata["image_size"])
    try:
        return Settings(**values)
    except (TypeError, ValueError) as error:
        parser.error(str(error))


def _rules(
    args: argparse.Namespace,
    metadata: dict[str, Any],
    threshold: float,
    parser: argparse.ArgumentParser,
) -> Rules:
    """Return how answers are made: by what the model file keeps, unless a flag says otherwise."""
    classes = metadata["classes"]
    own = groups_of(metadata)
    groups = own if args.groups is None else groups_named(args.groups, classes)
    if args.groups is not None:
        warn_of_other_names(args.groups, classes)
    if groups.members == own.members:
        groups = own  # with the threshold that validation chose
    if args.group_threshold is not None:
        if not groups:
            parser.error("--group_threshold needs groups: --groups FILE.csv or --groups ready")
        groups = Groups(groups.members, args.group_threshold)
    region: Region | None = None
    if args.region_list is not None:
        prior = training_prior(metadata, len(classes))
        region = read_region(args.region_list, classes, prior)
    refusal = None if args.no_refusal else refusal_of(metadata)
    return Rules(classes, threshold, min(args.top_k, len(classes)), groups, region, refusal)


def _check_output(output_dir: Path) -> None:
    """Refuse to draw pictures among files that are not ours."""
    drawn = output_dir / PICTURES
    ours = (output_dir / RESULTS).is_file() or (drawn.is_dir() and journals_in(output_dir))
    if not ours and not drawn.is_symlink() and drawn.is_dir() and any(drawn.iterdir()):
        raise UserError(f"{drawn}: holds files of yours; choose another --output_dir")


def _write(
    results: Results,
    header: dict[str, Any],
    answers: list[Answer],
    failures: list[Failure],
    others: list[Failure],
    top_k: int,
    trails: list[Trail] | None,
) -> None:
    failed = [failure.record() for failure in failures]
    records = [answer.record() for answer in answers]
    content = {"photos": records, "failed": failed}
    content["unused"] = [{"file": one.name, "reason": one.reason} for one in others]
    note = WEAK if header["note"] else ""
    if trails is not None:
        content["trails"] = [trail.record() for trail in trails]
        results.write_text(TRAILS_FILE, trails_csv(trails, top_k, note))
    else:
        results.remove((TRAILS_FILE,))
    results.write_json(RESULTS, header | content)
    results.write_text("predictions.csv", answers_csv(answers, top_k, note))
    results.write_text("failed_photos.csv", failures_csv([*failures, *others]))
    _write_maps(results, answers, trails or [], header["note"])


def _short(metadata: dict[str, Any]) -> str:
    """Return what pictures say of the model; empty if there is nothing to warn of."""
    return WEAK if weakness(metadata) else ""


def _write_maps(
    results: Results, answers: list[Answer], trails: list[Trail], note: str | None
) -> None:
    """Write where the answers are; without a place, an earlier run's files go."""
    points = points_of(answers, note)
    if points:
        from footprints.scores.maps import colours_of  # Matplotlib: not for help

        lines = lines_of(trails)
        colours = colours_of(sorted({one.answer for one in (*points, *lines)}))
        results.write_text(GEOJSON, geojson(points, lines))
        results.write_text(KML, kml(points, "Answers to photos of footprints", colours, lines))
    else:
        results.remove(MAPS)


def _report(
    request: _Request,
    answers: list[Answer],
    failures: list[Failure],
    seconds: float | None,
    trails: list[Trail] | None,
) -> None:
    """Say what came of it; ``seconds`` that photos took are None if shards did them."""
    args, count = request.args, len(request.photos)
    if answers:
        most = None if args.output_dir is None else _SCREEN_LINES
        print(printable_lines(screen_table(answers, most)))
        print()
        threshold = f"{request.rules.threshold:.2f}"
        print(f"answers: {printable(summary(answers))} (unknown: less probable than {threshold})")
        _report_rules(request.rules, answers)
        if trails:
            print(f"\n{printable_lines(trails_table(trails, _SCREEN_LINES))}\n")
        elif trails is not None:
            print("trails: none; no photo says when it was taken")
        if weak := weakness(request.metadata):
            print(f"note: {weak}")
        missed = sum(not answer.print_found for answer in answers)
        if missed and args.detector != "none":
            print(f"no print found on {missed} photos; their centre was looked at")
        elif missed:
            print("no detector: the centre of each photo was looked at")
    if seconds is None:
        print(f"{count} photos, done by shards")
    else:
        print(f"{count} photos in {seconds:.1f} s, {count / max(seconds, 1e-9):.1f} photos/s")
    if request.unused:
        where = "" if args.output_dir is None else ", see failed_photos.csv"
        print(f"{len(request.unused)} other files are not used ({counted(request.unused)}){where}")
    if failures:
        print(f"{len(failures)} photos could not be used:")
        for failure in failures[:_SCREEN_LINES]:
            print(f"  {failure.name}: {failure.reason}")
        if len(failures) > _SCREEN_LINES:
            print(f"  ... and {len(failures) - _SCREEN_LINES} more")
    if args.output_dir is not None:
        tables = "" if trails is None else f", {TRAILS_FILE}"
        maps = f", {GEOJSON}, {KML}" if any(one.taken.has_place for one in answers) else ""
        print(f"results: {printable(args.output_dir)} (predictions.csv, {RESULTS}{tables}{maps})")
        if args.contact_sheet:
            print(f"contact sheet: {printable(args.output_dir / SHEET)}")
        if args.annotate:
            print(f"pictures: {printable(args.output_dir / PICTURES)}")
        elif (args.output_dir / PICTURES).is_dir():
            print(f"{PICTURES}: holds pictures of an earlier run; --annotate draws them anew")


def _report_rules(rules: Rules, answers: list[Answer]) -> None:
    """Say what groups, region and refusal did."""
    if rules.groups:
        n = sum(answer.group_probability is not None for answer in answers)
        least = f"{rules.groups.threshold_in_use:.2f}"
        print(f"groups: {n} answers are a group, which is at least {least} probable")
    if rules.region is not None:
        n = sum(bool(answer.further["name_without_region"]) for answer in answers)
        inside = np.count_nonzero(rules.region.factors)
        print(f"region: {inside} of {len(rules.classes)} classes occur; it changed {n} answers")
    if rules.refusal is not None:
        n = sum(answer.further["why"] == STRANGER for answer in answers)
        print(f"strangers: {n} photos look like none of the classes ({rules.refusal.rule})")


if __name__ == "__main__":
    sys.exit(run(main))
