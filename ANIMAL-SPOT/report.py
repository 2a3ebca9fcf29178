"""Make one HTML file of what the other commands wrote."""

from __future__ import annotations

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("utils") / "environment.py"))
import logging
import sys

from animal_spot.reporting.config import parse_config

log = logging.getLogger("REPORT")


def main(argv: list[str] | None = None, prog: str = "report.py") -> int:
    """Run the program; return its exit status."""
    config = parse_config(argv, prog)
    from animal_spot.reporting.run import run
    from animal_spot.utils.errors import run_to_status

    return run_to_status(
        log,
        lambda: run(config),
        debug=config.debug,
        at_once="files that were written are whole",
        out_of_memory="end other programs",
    )


if __name__ == "__main__":
    sys.exit(main())
