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
    add_common_flags,
    check_common_flags,
    new_files,
    score_to_status,
    scores_of,
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
    parser.add_argument("model", metavar="MODEL", type=Path, help="model or ensemble file")
    parser.add_argument(
        "--data_dir",
        type=Path,
        required=True,
        help="folder that it was trained on, with the stored split",
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="file to write, with a .json and a .png beside it (default: <MODEL>_calibrated.pk)",
    )
    parser.add_argument(
        "--calibration_precision",
        type=float,
        default=0.9,
        help="share of detections that shall be right, for the thresholds (default: %(default)s)",
    )
    add_common_flags(parser)
    return parser


def main(argv: list[str] | None = None, prog: str = "calibrate.py") -> int:
    """Run the program; return its exit status."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    if not 0 < args.calibration_precision <= 1:
        parser.error(
            f"--calibration_precision must be above 0 and at most 1, got "
            f"{args.calibration_precision}"
        )
    check_common_flags(parser, args)
    return score_to_status(log, lambda: run(args), debug=args.debug)


def run(args: argparse.Namespace) -> None:
    """Calibrate as wanted.

    Raises:
        ValueError: If something given cannot be used.
        OSError: If something cannot be read or written.
    """
    output = args.output or args.model.with_name(f"{args.model.stem}_calibrated.pk")
    with new_files(output, "--output", beside=(".json", ".png")):
        _calibrate(args, output)


def _calibrate(args: argparse.Namespace, output: Path) -> None:
    import dataclasses

    from animal_spot.model_files.ensemble_file import load_members, save_ensemble
    from animal_spot.model_files.model_file import save_model
    from animal_spot.training.class_report import write_results
    from animal_spot.training.clip_scores import fit_calibration
    from animal_spot.utils.plots import reliability_figure

    ensemble = load_members([args.model], noise_class=args.noise_class)
    scores = scores_of(ensemble, args, [args.model])
    scored = {name: (part.logits_of(ensemble), part.labels) for name, part in scores.items()}
    calibration, report = fit_calibration(
        scored, ensemble[0].names, args.calibration_precision, ensemble.noise_class
    )
    if len(ensemble) == 1:
        single = dataclasses.replace(ensemble[0], calibration=calibration)
        save_model(single, output)
    else:
        save_ensemble(dataclasses.replace(ensemble, calibration=calibration), output)
    write_results({"model": output.name, **report}, output.with_suffix(".json"))
    reliability_figure(report["partitions"]).savefig(output.with_suffix(".png"))
    log.info("written: %s, with .json and .png beside it", output)


if __name__ == "__main__":
    sys.exit(main())
