"""Turn predictions into annotation tables, and score them against the truth."""

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

from animal_spot.evaluation.config import EvaluateConfig, parse_config

SCORES_FILE = "scores.json"

log = logging.getLogger("EVALUATE")


def main(argv: list[str] | None = None, prog: str = "evaluate.py") -> int:
    """Run the program; return its exit status."""
    config = parse_config(argv, prog)
    from animal_spot.utils.errors import run_to_status

    return run_to_status(
        log,
        lambda: _run(config),
        debug=config.debug,
        at_once="tables that were written are whole",
        out_of_memory="end other programs",
    )


def _run(config: EvaluateConfig) -> int:
    """Evaluate, and make the report of the scores if there are any."""
    from animal_spot.evaluation.run import run

    status = run(config)
    if config.truth_dir is not None and not config.no_report:
        output_dir = Path(config.output_dir)
        if (output_dir / SCORES_FILE).is_file():
            from animal_spot.reporting.run import report_after  # takes a second

            report_after(output_dir, replace_edited=config.replace_edited)
    return status


if __name__ == "__main__":
    sys.exit(main())
