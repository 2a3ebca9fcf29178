"""Make one HTML file of what the other steps wrote."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from footprints.system.errors import run
from footprints.system.flags import option, program, some_path, whole
from footprints.system.results import add_replace_flag


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this step's flags."""
    parser = argparse.ArgumentParser(
        prog=program("report"),
        description="Make one HTML file of what the other steps wrote: photos, scores, figures, "
        "examples. Its figures are saved for papers too, and models get a MODEL_CARD.md.",
    )
    add = parser.add_argument
    add(
        "paths",
        type=some_path,
        nargs="+",
        metavar="PATH",
        help="what to report on: folders of prepare, train_detector, train, evaluate, predict, or "
        "a folder that holds some of them",
    )
    add(
        "--output",
        type=_page,
        metavar="FILE.html",
        help="the report; no model cards are written then (default: report.html in the folder that "
        "is reported on)",
    )
    add(
        "--photos",
        type=some_path,
        metavar="DIR",
        help="folder of the photos that predict has named, if they are not any more where they "
        "were",
    )
    option(parser, "examples", whole(0, 40), 4, "pictures of each answer; 0: no pictures")
    option(parser, "seed", whole(0, 2**32 - 1), 0, "of the drawing of examples")
    add_replace_flag(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Make the report; return the exit status.

    Raises:
        UserError: If there is nothing to report on, or a file is damaged.
    """
    args = build_parser().parse_args(argv)
    from footprints.reporting.run import make_report
    from footprints.reporting.wanted import Wanted

    wanted = Wanted(args.photos, args.examples, args.seed)
    return make_report(args.paths, args.output, wanted, replace_edited=args.replace_edited)


def _page(text: str) -> Path:
    path = some_path(text)
    if path.suffix.lower() not in (".html", ".htm"):
        raise argparse.ArgumentTypeError(f"must end in .html, not {text!r}")
    return path


if __name__ == "__main__":
    sys.exit(run(main))
