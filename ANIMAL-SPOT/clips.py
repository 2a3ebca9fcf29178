"""Cut the events that tables of annotations name out of recordings."""

from __future__ import annotations

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("utils") / "environment.py"))
import logging
import sys

from animal_spot.cutting.config import parse_config

log = logging.getLogger("CLIPS")


def main(argv: list[str] | None = None, prog: str = "clips.py") -> int:
    """Run the program; return its exit status.

    0: all is cut; 1: it could not start or go on; 3: some recordings or tables cannot be used; 128
    plus the signal's number: it was stopped.
    """
    config = parse_config(argv, prog)
    from animal_spot.cutting.run import run
    from animal_spot.utils.errors import run_to_status

    return run_to_status(
        log,
        lambda: run(config),
        debug=config.debug,
        stopped="clips that were cut are kept, start again to go on",
        at_once="clips that were cut are kept, start again to go on",
        out_of_memory="end other programs",
    )


if __name__ == "__main__":
    sys.exit(main())
