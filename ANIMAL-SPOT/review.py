"""Look at detections, listen, and decide, on a page of this computer."""

from __future__ import annotations

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("utils") / "environment.py"))
import logging
import sys
from importlib.util import find_spec

from animal_spot.reviewing.config import ReviewConfig, parse_config
from animal_spot.utils.environment import pip_install

PACKAGES = ("starlette", "uvicorn")  # which no other program needs

log = logging.getLogger("REVIEW")


def main(argv: list[str] | None = None, prog: str = "review.py") -> int:
    """Run the program until Ctrl-C; return its exit status."""
    config = parse_config(argv, prog)
    from animal_spot.utils.errors import run_to_status

    return run_to_status(
        log,
        lambda: _run(config),
        debug=config.debug,
        stopped="every decision is kept",
        at_once="every decision is kept",
        out_of_memory="end other programs",
    )


def _run(config: ReviewConfig) -> int:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ImportError(f"review needs {' and '.join(missing)}: {pip_install(*missing)}")
    from animal_spot.reviewing.run import run

    return run(config)


if __name__ == "__main__":
    sys.exit(main())
