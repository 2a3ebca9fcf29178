"""Judge several models and their average, and write them into one file: flags, run, exit status."""

from __future__ import annotations

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("utils") / "environment.py"))
import argparse
import logging
import sys
from pathlib import Path

from animal_spot.experiments.scoring_flags import (
    ScoringSettings,
    add_common_flags,
    settings_from,
)
from animal_spot.settings.flags import Parser

log = logging.getLogger("ENSEMBLE")


def build_parser(prog: str = "ensemble.py") -> argparse.ArgumentParser:
    """Build the command line."""
    parser = Parser(
        prog=prog,
        description="Judge several models and the mean of their probabilities on the validation "
        "and test clips of a data set, and write them into one file for predict.py.",
    )
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        type=Path,
        help="model file; the members of an ensemble file are taken one by one",
    )
    parser.add_argument(
        "--data_dir",
        type=Path,
        required=True,
        help="folder that they were trained on, with the stored split",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("ensemble.pk"),
        metavar="FILE",
        help="ensemble file to write (default: %(default)s)",
    )
    add_common_flags(parser)
    return parser


def main(argv: list[str] | None = None, prog: str = "ensemble.py") -> int:
    """Run the program; return its exit status."""
    settings = settings_from(build_parser(prog), argv, ScoringSettings)
    from animal_spot.experiments.scoring_run import score_to_status

    return score_to_status(log, lambda: _run(settings), debug=settings.debug)


def _run(settings: ScoringSettings) -> None:
    from animal_spot.experiments.judging import judge  # PyTorch: --help need not wait for it
    from animal_spot.reporting.card_files import card_after

    judge(settings)
    if settings.report:
        card_after(settings.output)


if __name__ == "__main__":
    sys.exit(main())
