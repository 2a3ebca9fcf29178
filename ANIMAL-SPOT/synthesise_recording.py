"""Make recordings with calls at known times, and the Raven tables that name them.

The calls are those of ``synthesise_corpus.py``, in other renditions, and each recording is a tape
of its own, so that a model can be tried on sound that it has not heard.
"""

from __future__ import annotations

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("utils") / "environment.py"))
import argparse
import logging
import re
import sys
from pathlib import Path

from animal_spot.settings.flags import Parser
from animal_spot.utils.text import printable

log = logging.getLogger("RECORDING")

LONGEST_MIN = 30  # a whole recording is made in memory
MOST = 1000  # recordings


def build_parser(prog: str = "synthesise_recording.py") -> argparse.ArgumentParser:
    """Build the command line."""
    parser = Parser(prog=prog, description=__doc__.split("\n")[0])
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for the files")
    parser.add_argument("--minutes", type=float, default=3.0, help="length of a recording")
    parser.add_argument("--recordings", type=int, default=1, help="number of recordings")
    parser.add_argument(
        "--calls_per_minute", type=float, default=10.0, help="each type comes at least once"
    )
    parser.add_argument("--name", default="recording", help="their name, before its number")
    parser.add_argument("--seed", type=int, default=0, help="other numbers, other recordings")
    return parser


def main(argv: list[str] | None = None, prog: str = "synthesise_recording.py") -> int:
    """Run the program; return its exit status."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    if not 0 < args.minutes <= LONGEST_MIN:
        parser.error(f"--minutes must be above 0 and at most {LONGEST_MIN}, got {args.minutes:g}")
    if not 0 <= args.calls_per_minute <= 60:
        parser.error(f"--calls_per_minute must be 0 to 60, got {args.calls_per_minute:g}")
    if not 1 <= args.recordings <= MOST:
        parser.error(f"--recordings must be 1 to {MOST}, got {args.recordings}")
    if not re.fullmatch(r"\w[\w-]{0,63}", args.name):
        parser.error(f"--name must be letters, digits, _ and -, at most 64, got {args.name!r}")
    if args.seed < 0:
        parser.error(f"--seed must be at least 0, got {args.seed}")
    from animal_spot.utils.errors import run_to_status

    return run_to_status(log, lambda: _run(args, parser))


def _run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    import soundfile as sf

    from animal_spot.demo.recording import synthesise
    from animal_spot.utils.errors import one_line

    for number in range(1, args.recordings + 1):
        try:
            n_calls = synthesise(
                *(args.output_dir, args.minutes, args.calls_per_minute, args.seed),
                *(number, args.name),
            )
        except ValueError as error:
            parser.error(str(error))
        except (OSError, sf.LibsndfileError) as error:
            raise OSError(f"cannot write {args.output_dir}: {one_line(error)}") from error
        path = printable(str(args.output_dir / f"{args.name}{number}"))
        print(f"{path}.wav: {args.minutes:g} minutes, {n_calls} calls")


if __name__ == "__main__":
    sys.exit(main())
