"""The command ``animal-spot``: one name for all programs of this package.

Its own help wants none of the packages that the programs need; each of these says what is missing.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import NamedTuple

try:
    from animal_spot.settings.flags import Parser
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("utils") / "environment.py"))
from animal_spot.utils.status import OK, WRONG_USE

COMMAND = "animal-spot"


class Program(NamedTuple):
    """A program: the module whose ``main(argv, prog)`` it is, and what it does, in a line."""

    module: str
    summary: str


PROGRAMS = {
    "clips": Program("clips", "cut what tables of annotations name out of recordings"),
    "train": Program("main", "train a network on a folder of named clips"),
    "predict": Program("predict", "find calls in recordings"),
    "merge": Program("merge", "make the tables of a prediction that was done in shards"),
    "evaluate": Program("evaluate", "make annotation tables of what was found, and score them"),
    "review": Program("review", "look at detections, listen and correct, on a page"),
    "retrain": Program("retrain", "train a model further with what was decided in a review"),
    "report": Program("report", "make one HTML file of what the other programs wrote"),
    "activity": Program("activity", "count what was found by hour, day and hours recorded"),
    "ensemble": Program("ensemble", "judge several models and put them into one file"),
    "calibrate": Program("calibrate", "fit temperature and thresholds of a trained model"),
    "tune": Program("tune", "search for good settings of train"),
    "synthesise-corpus": Program("synthesise_corpus", "make a small corpus to try train on"),
    "synthesise-recording": Program(
        "synthesise_recording", "make a recording with calls at known times to try predict on"
    ),
}


def build_parser() -> argparse.ArgumentParser:
    """Build the command line of the command alone; each program has its own."""
    width = max(map(len, PROGRAMS))
    lines = [f"  {name:<{width}}  {program.summary}" for name, program in PROGRAMS.items()]
    parser = Parser(
        prog=COMMAND,
        usage=f"{COMMAND} PROGRAM [flags of that program]",
        description="\n".join(("Tell animal calls apart, find them in recordings.\n", *lines)),
        epilog=f"{COMMAND} PROGRAM --help says what a program can do.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="show the version and end")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a program; return its exit status.

    Args:
        argv: Name of the program and its own arguments; None: those of this process.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    parser = build_parser()
    if not words:
        parser.print_help(sys.stderr)
        return WRONG_USE
    name, *arguments = words
    if name.startswith("-"):
        if parser.parse_args(words).version:
            print(COMMAND, version())
            return OK
        parser.error("which program?")
    if name not in PROGRAMS:
        parser.error(unknown(name))
    program = importlib.import_module(f"animal_spot.{PROGRAMS[name].module}")
    return program.main(arguments, f"{COMMAND} {name}")


def unknown(name: str) -> str:
    """Return what to say of a program that is none: the nearest name, or all."""
    import difflib

    nearest = difflib.get_close_matches(name.lower().replace("_", "-"), PROGRAMS, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(PROGRAMS)}"
    return f"there is no program {name!r}; {hint}"


def version() -> str:
    """Return the version that is installed."""
    from importlib import metadata  # takes longer than all else here

    try:
        return metadata.version(COMMAND)
    except metadata.PackageNotFoundError:  # a copy that pip does not know
        return "of an unknown version: it was not installed by pip"


if __name__ == "__main__":
    sys.exit(main())
