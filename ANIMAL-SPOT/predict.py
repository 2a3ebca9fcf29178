"""Find calls in recordings: flags, configuration, run, exit status."""

from __future__ import annotations

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("utils") / "environment.py"))
import logging
import sys
from dataclasses import replace
from pathlib import Path

from animal_spot.prediction.config import PredictConfig, parse_config
from animal_spot.remote.addresses import is_address

log = logging.getLogger("PREDICT")


def main(argv: list[str] | None = None, prog: str = "predict.py") -> int:
    """Run the program; return its exit status.

    0: all recordings are done; 1: it could not start or go on; 3: some recordings failed; 128 plus
    the signal's number: it was stopped.
    """
    config = parse_config(argv, prog)
    from animal_spot.utils.errors import run_to_status

    return run_to_status(
        log,
        lambda: _run(config),
        debug=config.debug,
        stopped="recordings that are complete are kept, start again to go on",
        at_once="recordings that are complete are kept",
        together=config.shard is not None,
    )


def _run(config: PredictConfig) -> int:
    """Predict, and report on it; return the exit status."""
    if config.output_dir is not None and is_address(config.output_dir):
        from animal_spot.remote.result_store import ResultStore

        replaces, folder = config.replace_edited, Path(config.work_dir)
        with ResultStore(folder, config.output_dir, replace_edited=replaces).kept_up():
            return _run(replace(config, output_dir=config.work_dir))
    if config.ray is not None:
        from animal_spot.cluster.hands import run
    else:
        from animal_spot.prediction.run import run  # PyTorch: --help need not wait for it

    status = run(config)
    makes_tables = config.output_dir is not None and config.export is None and config.shard is None
    if makes_tables and not config.no_report:
        from animal_spot.reporting.run import report_after  # draws with Matplotlib

        report_after(Path(config.output_dir), replace_edited=config.replace_edited)
    return status


if __name__ == "__main__":
    sys.exit(main())
