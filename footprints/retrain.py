"""Train a model anew with what was decided in a review, and say what it brought."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from footprints.preparation.missing_steps import PREPARED
from footprints.system.errors import UserError, run
from footprints.system.flags import number, option, program, some_path

HELD_OUT = 0.2
_OURS = ("--stage", "--data_dir", "--output_dir", "--real_dir", "--oat_dir", "--weights")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this step's flags."""
    parser = argparse.ArgumentParser(
        prog=program("retrain"),
        description="Train a model anew with what was decided in a review, and compare it with the "
        "old one. Neither that nor the review or the prepared photos are changed.",
        epilog="Flags of train follow behind --, and win over those that the model was trained "
        "with: -- --epochs_real 20. A run that was stopped goes on with the same command.",
    )
    add = parser.add_argument
    option(parser, "project", some_path, "review.sqlite", "file of the review")
    add(
        "--model",
        type=some_path,
        required=True,
        help="the .keras file that it begins with; it stays as it is",
    )
    option(
        parser,
        "prepared",
        some_path,
        PREPARED,
        "output folder of prepare, or the set in it that the model was trained on",
    )
    add(
        "--output_dir",
        type=some_path,
        metavar="DIR",
        help="folder for what is written (default: one beside the project, called as that and "
        "_retrained)",
    )
    option(
        parser,
        "held_out",
        number(0, 0.9),
        HELD_OUT,
        "share of the reviewed photos, with those that look like them or are of their trail, that "
        "is not learned from and tells what the review brought",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the step; returns its exit status.

    Raises:
        UserError: If there is nothing to learn from, or something given cannot be used.
    """
    parser = build_parser()
    given = sys.argv[1:] if argv is None else argv
    n_own = given.index("--") if "--" in given else len(given)
    args, training = parser.parse_args(given[:n_own]), given[n_own + 1 :]
    for flag in training:
        if flag.partition("=")[0] in _OURS:
            parser.error(f"{flag} is set by retrain, and cannot be given to train")
    if not args.project.is_file():
        raise UserError(f"--project {args.project}: no such file; footprints review makes it")
    from footprints.retraining.run import Wanted, retrain  # SciPy: not for help

    output: Path | None = args.output_dir
    if output is None:
        output = args.project.with_name(f"{args.project.stem}_retrained")
    wanted = Wanted(
        args.project.absolute(),
        args.model,
        args.prepared,
        output,
        args.held_out,
        tuple(training),
    )
    return retrain(wanted)


if __name__ == "__main__":
    sys.exit(run(main))
