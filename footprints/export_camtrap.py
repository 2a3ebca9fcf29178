"""Pass answers on to others: a Camera Trap Data Package (Camtrap DP) of what predict wrote."""

from __future__ import annotations

import argparse
import datetime
import math
import sys
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING

from footprints.system.errors import STATUS_SOME_FAILED, UserError, run
from footprints.system.flags import number, option, program, some_path, some_text
from footprints.system.results import Results, add_replace_flag

if TYPE_CHECKING:
    from footprints.places.camtrap_dp import Sighting
    from footprints.reporting.record import Record

_RECORD = ".camtrap.json"  # predict keeps its own, of files in what may be the same folder
_ANSWERS, _LEFT_OUT = "predictions.json", "left_out.csv"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this step's flags."""
    parser = argparse.ArgumentParser(
        prog=program("export_camtrap"),
        description="Write the answers of predict as a Camera Trap Data Package, Camtrap DP 1.0.1: "
        "deployments.csv, media.csv, observations.csv, datapackage.json. Photos are not copied.",
        epilog="Exit status: 0 all photos are in; 3 some are left out, see left_out.csv; 1 none "
        "says when and where it was taken.",
    )
    add = parser.add_argument
    add("answers", type=some_path, metavar="DIR", help="output folder of predict")
    add("--output_dir", type=some_path, required=True, metavar="DIR", help="the package")
    add("--title", type=some_text, required=True, help="of the project")
    add(
        "--contributor",
        type=some_text,
        nargs="+",
        required=True,
        metavar="NAME",
        help="people or organisations; the first is the contact",
    )
    add(
        "--species",
        type=some_path,
        metavar="FILE.csv",
        help="table with the columns class and scientificName (default: none; observations have "
        "the class as a tag in any case)",
    )
    add(
        "--time_zone",
        type=_zone,
        metavar="ZONE",
        help="of photos that do not say theirs, such as Europe/Zurich (default: they are left out)",
    )
    option(
        parser,
        "metres",
        number(0, 100_000),
        100.0,
        "photos of one folder and camera so near to each other are one deployment",
    )
    add_replace_flag(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Export answers; see ``build_parser``.

    Returns:
        0, or 3 if photos were left out.

    Raises:
        UserError: If no photo can be exported, or a file is damaged.
    """
    args = build_parser().parse_args(argv)
    from footprints.places.camtrap_dp import FILES, Study, camtrap_dp
    from footprints.reporting.record import read_record
    from footprints.system.files import output_folder
    from footprints.system.text import csv_of, printable

    source = args.answers / _ANSWERS if args.answers.is_dir() else args.answers
    if not source.is_file():
        raise UserError(f"{printable(source)}: no such answers; footprints.predict writes them")
    answers = read_record(source)
    km = answers.number("round_location_km", 0)
    study = Study(
        title=args.title,
        contributors=tuple(args.contributor),
        model=f"footprints, {Path(answers.text('model') or 'model').name}",
        species=_species(args.species) if args.species else {},
        zone=args.time_zone,
        metres=args.metres,
        warning=answers.text("note") or "",
        uncertainty_m=None if km is None else math.ceil(1000 * km * math.sqrt(0.5)),
    )
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        export = camtrap_dp([_sighting(one) for one in answers.records("photos")], study, now)
    except ValueError as error:
        raise UserError(f"{printable(source)}: no photo can be exported: {error}") from None
    with output_folder(args.output_dir):
        results = Results(args.output_dir, (*FILES, _LEFT_OUT), args.replace_edited, record=_RECORD)
        for name, rows in export.tables.items():
            results.write_text(name, csv_of(rows))
        results.write_json(FILES[-1], export.package)
        results.write_text(_LEFT_OUT, csv_of([("photo", "reason"), *export.left_out]))
    counts = [len(rows) - 1 for rows in export.tables.values()]
    print(f"{counts[1]} photos of {counts[0]} deployments: {printable(args.output_dir)}")
    if study.warning:
        print(f"note: {study.warning}; the package says so too")
    if export.left_out:
        photo, reason = export.left_out[0]
        print(f"{len(export.left_out)} photos are left out, see {_LEFT_OUT}; {photo}: {reason}")
    return STATUS_SOME_FAILED if export.left_out else 0


def _sighting(record: Record) -> Sighting:
    """Return one of the photos of ``predictions.json``."""
    from footprints.places.camtrap_dp import Sighting
    from footprints.places.taken import Taken

    photo, top = record.text("photo"), record.records("top")
    if photo is None or not top:
        raise UserError(f"{record.path}: one of its photos is not as predict wrote it")
    taken = Taken(
        record.text("taken_at"),
        record.number("latitude", -90, 90),
        record.number("longitude", -180, 180),
        record.number("altitude_m"),
        record.text("camera"),
    )
    probability = record.share("answer_probability")  # of the group, where that is the answer
    if probability is None:
        probability = top[0].share("probability") or 0.0
    return Sighting(
        photo,
        taken,
        record.text("answer") if record.flag("certain") else None,
        top[0].text("class") or "",
        probability,
        record.numbers("box_xyxy") if record.flag("print_found") else (),
        (record.count("width") or 0, record.count("height") or 0),
    )


def _species(path: Path) -> dict[str, str]:
    """Return the scientific name of each class.

    Raises:
        UserError: If the table has no such columns, or says two names of one class.
    """
    from footprints.system.files import read_table
    from footprints.system.text import printable

    names: dict[str, str] = {}
    for row in read_table(path):
        if not {"class", "scientificName"} <= row.keys():
            raise UserError(f"{printable(path)}: needs the columns class and scientificName")
        label, name = row["class"].strip(), " ".join(row["scientificName"].split())
        if names.setdefault(label, name) != name:
            raise UserError(
                f"{printable(path)}: class {printable(label)} has two names, "
                f"{printable(names[label])} and {printable(name)}"
            )
    return {label: name for label, name in names.items() if label and name}


def _zone(text: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(some_text(text))
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise argparse.ArgumentTypeError(
            f"no time zone {text!r}; a name is like Europe/Zurich"
        ) from None


if __name__ == "__main__":
    sys.exit(run(main))
