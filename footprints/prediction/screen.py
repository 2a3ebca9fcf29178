"""What predict says on the screen."""

from __future__ import annotations

import numpy as np

from footprints.network.trail_answers import TRAILS_FILE, Trail, trails_table
from footprints.pictures.finding import counted
from footprints.places.map_files import GEOJSON, KML
from footprints.prediction.file_names import PICTURES, RESULTS, SHEET
from footprints.prediction.request import Request
from footprints.scores.answers import Answer, Failure, screen_table, summary
from footprints.scores.calibration import weakness
from footprints.scores.judging import STRANGER, Rules
from footprints.system.text import printable, printable_lines

SCREEN_LINES = 40  # where the rest is in a file


def tell(
    request: Request,
    answers: list[Answer],
    failures: list[Failure],
    seconds: float | None,
    trails: list[Trail] | None,
) -> None:
    """Say what came of it; ``seconds`` that photos took are None if shards did them."""
    args, count = request.args, len(request.photos)
    if answers:
        most = None if args.output_dir is None else SCREEN_LINES
        print(printable_lines(screen_table(answers, most)))
        print()
        threshold = f"{request.rules.threshold:.2f}"
        print(f"answers: {printable(summary(answers))} (unknown: less probable than {threshold})")
        _report_rules(request.rules, answers)
        if trails:
            print(f"\n{printable_lines(trails_table(trails, SCREEN_LINES))}\n")
            if of_none := sum(not answer.further["trail"] for answer in answers):
                print(f"{of_none} photos do not say when they were taken: they are of no trail")
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
        for failure in failures[:SCREEN_LINES]:
            print(f"  {failure.name}: {failure.reason}")
        if len(failures) > SCREEN_LINES:
            print(f"  ... and {len(failures) - SCREEN_LINES} more")
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
