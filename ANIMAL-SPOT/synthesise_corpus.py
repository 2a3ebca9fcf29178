"""Make a small corpus of orca-like calls to try the program on.

Every sound is computed here: pulsed calls, each class with its own melody, over sea noise that is
coloured by the recording ("tape") it is in. Clips follow the naming rule of real corpora.
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
import sys
from pathlib import Path

from animal_spot.settings.flags import Parser
from animal_spot.utils.text import printable

log = logging.getLogger("CORPUS")


def build_parser(prog: str = "synthesise_corpus.py") -> argparse.ArgumentParser:
    """Build the command line."""
    parser = Parser(prog=prog, description=__doc__.split("\n")[0])
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for the corpus")
    parser.add_argument("--clips", type=int, default=50, help="clips of a common class")
    parser.add_argument("--tapes", type=int, default=12, help="recordings they come from")
    parser.add_argument("--seed", type=int, default=0, help="other numbers, other clips")
    return parser


def main(argv: list[str] | None = None, prog: str = "synthesise_corpus.py") -> int:
    """Run the program; return its exit status."""
    parser = build_parser(prog)
    args = parser.parse_args(argv)
    if args.clips < 3 or args.tapes < 3:
        parser.error("--clips and --tapes must be at least 3")
    from animal_spot.utils.errors import run_to_status

    return run_to_status(log, lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    import soundfile as sf

    from animal_spot.demo.corpus import synthesise
    from animal_spot.utils.errors import one_line

    try:
        counts = synthesise(args.output_dir, args.clips, args.tapes, args.seed)
    except (OSError, sf.LibsndfileError) as error:
        raise OSError(f"cannot write {args.output_dir}: {one_line(error)}") from error
    print(
        f"{printable(str(args.output_dir))}: "
        + ", ".join(f"{name} {n}" for name, n in counts.items())
    )


if __name__ == "__main__":
    sys.exit(main())
