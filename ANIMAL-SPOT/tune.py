"""Search for good settings: flags, trials, exit status."""

from __future__ import annotations

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("utils") / "environment.py"))
import argparse
import logging
import math
import sys
from pathlib import Path

from animal_spot.settings.flags import Parser

log = logging.getLogger("TUNE")

MOST_TRIALS = 1_000_000


def build_parser(prog: str = "tune.py") -> argparse.ArgumentParser:
    """Build the command line; flags of ``main.py`` are not in it."""
    parser = Parser(
        prog=prog,
        description="Search for settings of main.py that recognise calls best on tapes that the "
        "network never heard: grouped cross-validation of the training and validation clips of "
        "the stored split. The test clips are never used.",
        epilog="Further flags are those of main.py and hold for all trials. Several processes may "
        "work on one --output_dir; with --ray the folds of a trial are trained side by side. A "
        "search that was ended in any way goes on.",
        allow_abbrev=False,
    )
    parser.add_argument("--data_dir", type=Path, required=True, help="folder of the labelled clips")
    parser.add_argument(
        "--output_dir", type=Path, required=True, help="folder for best_preset and trials.csv"
    )
    parser.add_argument("--preset", help="settings to begin with: a name or a file")
    parser.add_argument(
        "--trials", type=int, default=30, help="settings to try in all (default: %(default)s)"
    )
    parser.add_argument("--timeout", type=float, help="begin no trial after so many seconds")
    parser.add_argument(
        "--replace_edited",
        action="store_true",
        help="replace a best_preset or trials.csv that you edited, and keep a copy, .bak",
    )
    parser.add_argument(
        "--folds", type=int, default=3, help="of the cross-validation (default: %(default)s)"
    )
    return parser


def main(argv: list[str] | None = None, prog: str = "tune.py") -> int:
    """Run the program; return its exit status."""
    parser = build_parser(prog)
    args, further = parser.parse_known_args(argv)
    if not 1 <= args.trials <= MOST_TRIALS:
        parser.error(f"--trials must be at least 1 and at most {MOST_TRIALS}, got {args.trials}")
    if args.timeout is not None and not 0 < args.timeout < math.inf:
        parser.error(f"--timeout must be above 0 seconds, got {args.timeout}")
    from animal_spot.training.config import parse_config
    from animal_spot.utils.errors import run_to_status

    config = parse_config(
        [
            *(("--preset", args.preset) if args.preset else ()),
            *further,
            *("--data_dir", str(args.data_dir), "--folds", str(args.folds)),
        ]
    )
    given = [
        f"--{name}_dir"
        for name in ("model", "checkpoint", "log", "summary")
        if getattr(config, f"{name}_dir")
    ]
    if given:
        parser.error(f"{given[0]}: trials leave nothing there; only --output_dir is needed")

    def run() -> None:
        from animal_spot.experiments.search import search_quietly  # PyTorch and Optuna

        search_quietly(
            config,
            args.output_dir.resolve(),
            args.trials,
            args.timeout,
            replace_edited=args.replace_edited,
        )

    return run_to_status(
        log,
        run,
        debug=config.debug,
        stopped="start again to go on",
        at_once="start again to go on",
        out_of_memory="lower --batch_size, --sequence_len or --n_freq_bins",
    )


if __name__ == "__main__":
    sys.exit(main())
