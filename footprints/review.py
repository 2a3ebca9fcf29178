"""Look at answers and photos, correct them, draw boxes, on a page of this computer."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec

from footprints.system.environment import pip_install
from footprints.system.errors import UserError, run
from footprints.system.flags import number, option, program, some_path, some_text, whole

PACKAGES = ("starlette", "uvicorn")  # which no other step needs


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this step's flags."""
    parser = argparse.ArgumentParser(
        prog=program("review"),
        description="Look at answers and photos, correct them, draw boxes, on a page.",
    )
    add = parser.add_argument
    add(
        "--predictions",
        type=some_path,
        metavar="DIR",
        help="what is reviewed: the --output_dir of predict; nothing in it is changed",
    )
    add(
        "--photos",
        type=some_path,
        metavar="DIR",
        help="folder of the photos, if they are not any more where they were; for a new review "
        "without --predictions: all its photos are gone through, without boxes",
    )
    option(
        parser,
        "project",
        some_path,
        "review.sqlite",
        "file that keeps the decisions; one that is there goes on",
    )
    add(
        "--reviewer",
        type=some_text,
        metavar="NAME",
        help="who decides (default: the name of this computer's user)",
    )
    add(
        "--classes",
        type=some_text,
        nargs="+",
        default=[],
        metavar="NAME",
        help="classes to choose from, besides those of the model",
    )
    add(
        "--statistics",
        action="store_true",
        help="show how far the answers of each class can be trusted, and end",
    )
    option(
        parser,
        "precision",
        number(0.01, 0.9999),
        0.9,
        "precision for which --statistics looks for a threshold",
    )
    option(
        parser,
        "host",
        some_text,
        "127.0.0.1",
        "address at which the page can be opened; another one than this lets other computers in "
        "that know the token",
    )
    option(parser, "port", whole(0, 65_535), 0, "its port; 0: one that is free")
    add("--no_browser", action="store_true", help="open no browser; the address is shown")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the step; returns its exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.predictions is None and args.photos is None and not args.project.exists():
        parser.error(
            "give --predictions, --photos or both, or the --project of an earlier review: what "
            "shall be reviewed?"
        )
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(f"review needs {' and '.join(missing)}; type: {pip_install(*missing)}")
    from footprints.reviewing import run as review_run
    from footprints.reviewing.serving import Place

    wanted = review_run.Wanted(
        args.project,
        args.predictions,
        args.photos,
        args.reviewer,
        tuple(args.classes),
        args.statistics,
        args.precision,
        Place(args.host, args.port, not args.no_browser),
    )
    return review_run.run(wanted)


if __name__ == "__main__":
    sys.exit(run(main))
