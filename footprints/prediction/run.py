"""All photos answered, or one share of them, and the files written."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from footprints.cluster.answer_journal import AnswerJournal, Source, journals_of_others
from footprints.cluster.shard_note import ShardNote, forget_note, name_in_listing, write_note
from footprints.network.answering import name_of
from footprints.network.trail_answers import Trail, trails_of, with_trails
from footprints.pictures.annotate import jpeg_bytes
from footprints.pictures.contact_sheet import contact_sheet
from footprints.prediction.facts import header_of, run_digest
from footprints.prediction.file_names import MAPS, PICTURES, RESULTS, SHEET, TABLES
from footprints.prediction.outputs import (
    pictures_of,
    short_warning,
    warn_of_positions,
    write_answers,
)
from footprints.prediction.request import Request
from footprints.prediction.screen import tell
from footprints.prediction.sources import answered_here, source_of_news
from footprints.scores.answers import Answer, Failure
from footprints.system.errors import STATUS_SOME_FAILED
from footprints.system.files import output_folder
from footprints.system.results import Results, is_of_older_release
from footprints.system.shard_folder import refuse_shards_at_work, shard_writer
from footprints.system.text import printable


def predict_whole(
    request: Request, source: Source, not_drawn: Mapping[str, str] | None = None
) -> int:
    """Answer all photos, and write all files of the output folder; see ``predict_photos``."""
    args = request.args
    with output_folder(args.output_dir, PICTURES, check=refuse_shards_at_work):
        older = is_of_older_release(args.output_dir, RESULTS, "model_sha256", "photos")
        replace = args.replace_edited or older  # whether it was edited, nobody knows: kept as .bak
        names = (*TABLES, *MAPS, SHEET)
        results = Results(args.output_dir, names, replace)
        status = predict_photos(request, results, source, not_drawn)
        if not args.no_report:
            from footprints.reporting.run import report_after  # Matplotlib: not for help

            report_after(args.output_dir, replace_edited=args.replace_edited)
        if not request.privacy.keeps_position:
            warn_of_positions(args, journals_of_others(args.output_dir, run_digest(request)))
        return status


def predict_shard(request: Request, arguments: Sequence[str]) -> int:
    """Answer one share of the photos; the answers go into its journal, for the merge."""
    args, root, folder = request.args, request.root, request.args.output_dir
    names = {photo: name_in_listing(photo, root) for photo in request.photos}
    mine = [photo for photo, name in names.items() if args.shard.holds(name)]
    n_failed, not_drawn = 0, {}
    with shard_writer(folder, args.shard):
        forget_note(folder, args.shard)
        run = run_digest(request)
        with (
            AnswerJournal(folder, args.shard.journal, root, run) as journal,
            pictures_of(request) as pictures,
            journal.completed_by(source_of_news(request, answered_here), mine) as found_one_by_one,
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


def predict_photos(
    request: Request,
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
            pictures_of(request, draw=not_drawn is None) as pictures,
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
            header = header_of(request, complete)
            write_answers(results, header, answers, failures, others, request.rules.top_k, trails)
            sheet = (
                contact_sheet(answers, short_warning(request.metadata))
                if args.contact_sheet
                else None
            )
            if sheet is not None:
                results.write(SHEET, jpeg_bytes(sheet))
    tell(request, answers, failures, seconds, trails)
    return STATUS_SOME_FAILED if failures else 0


def _with_trails(
    request: Request, answers: list[Answer]
) -> tuple[list[Answer], list[Trail] | None]:
    """Return the answers with their trails, and the trails; None if there are to be none."""
    args = request.args
    if args.trails == "off":
        return answers, None
    # Rounded positions jump from square to square: neither they nor none can tell trails apart.
    metres = args.trail_metres if request.privacy.round_km is None else math.inf
    trails = trails_of(answers, args.trails, request.rules, args.trail_minutes, metres)
    return with_trails(answers, trails), trails
