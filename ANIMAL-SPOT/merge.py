"""Put the shards of a prediction together: tables over all recordings."""

from __future__ import annotations

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("utils") / "environment.py"))
import logging
import sys
from pathlib import Path

from animal_spot.prediction.merge_config import MergeConfig, parse_config

log = logging.getLogger("MERGE")


def main(argv: list[str] | None = None, prog: str = "merge.py") -> int:
    """Run the program; return its exit status."""
    config = parse_config(argv, prog)
    from animal_spot.utils.errors import run_to_status

    return run_to_status(
        log,
        lambda: _merge(config),
        debug=config.debug,
        at_once="files that were written are whole",
        out_of_memory="end other programs",
    )


def _merge(config: MergeConfig) -> int:
    from animal_spot.prediction.merging import run

    status = run(config)
    if not config.no_report:
        from animal_spot.reporting.run import report_after

        report_after(Path(config.folder), replace_edited=config.replace_edited)
    return status


if __name__ == "__main__":
    sys.exit(main())
