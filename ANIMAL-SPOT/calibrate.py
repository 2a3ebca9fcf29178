"""Calibrate a model or an ensemble that is trained already: flags, run, exit status."""

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
    CalibrationSettings,
    add_common_flags,
    settings_from,
)
from animal_spot.settings.flags import Parser

log = logging.getLogger("CALIBRATE")


def build_parser(prog: str = "calibrate.py") -> argparse.ArgumentParser:
    """Build the command line."""
    parser = Parser(
        prog=prog,
        description="Fit temperature and thresholds of a trained model on the validation clips "
        "of its data set, and write them into a copy of its file.",
    )
    parser.add_argument(
        "models", metavar="MODEL", nargs=1, type=Path, help="model or ensemble file"
    )
    parser.add_argument(
        "--data_dir",
        type=Path,
        required=True,
        help="folder that it was trained on, with the stored split",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="file to write; a .json, .png and .svg beside it (default: <MODEL>_calibrated.pk)",
    )
    parser.add_argument(
        "--calibration_precision",
        type=float,
        default=0.9,
        help="share of detections that shall be right, for the thresholds (default: %(default)s)",
    )
    parser.add_argument(
        "--tune_decoder",
        action="store_true",
        help="find on recordings that are mixed from the validation clips how windows become "
        "events, too; done in any case where the model has a decoder",
    )
    add_common_flags(parser)
    return parser


def main(argv: list[str] | None = None, prog: str = "calibrate.py") -> int:
    """Run the program; return its exit status."""
    settings = settings_from(build_parser(prog), argv, CalibrationSettings)
    from animal_spot.experiments.scoring_run import score_to_status

    return score_to_status(log, lambda: _run(settings), debug=settings.debug)


def _run(settings: CalibrationSettings) -> None:
    from animal_spot.experiments.calibrating import calibrate  # PyTorch: --help need not wait
    from animal_spot.reporting.card_files import card_after

    calibrate(settings)
    if settings.report:
        card_after(settings.output)


if __name__ == "__main__":
    sys.exit(main())
