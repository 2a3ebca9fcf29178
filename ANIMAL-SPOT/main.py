"""Train a call classifier: flags, settings, run, exit status."""

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

from animal_spot.training.config import TrainConfig, parse_config
from animal_spot.utils.processes import place

log = logging.getLogger("TRAIN")


def main(argv: list[str] | None = None, prog: str = "main.py") -> int:
    """Run the program; return its exit status."""
    if place().rank > 0:
        from animal_spot.experiments.following import follow

        return follow(sys.argv[1:] if argv is None else argv)
    config = parse_config(argv, prog)
    kept = "checkpoint written; start again to go on" if config.checkpoint_dir else ""
    if config.ray is not None:
        kept = "complete folds and the last checkpoints are kept; start again to go on"
    if kept and config.start_scratch:
        kept += ", without --start_from_scratch"
    from animal_spot.utils.errors import run_to_status

    return run_to_status(
        log,
        lambda: _run(config),
        debug=config.debug,
        stopped=kept,
        at_once="the last checkpoint is kept",
        out_of_memory="lower --batch_size, --sequence_len or --n_freq_bins",
        together=True,
    )


def _run(config: TrainConfig) -> None:
    from animal_spot.experiments.following import lead  # PyTorch: --help need not wait for it
    from animal_spot.reporting.card_files import card_after, model_files_of
    from animal_spot.reporting.run import report_after

    is_new = lead(config)
    if is_new and config.report:
        folder = Path(config.model_dir)
        for path in model_files_of(folder):
            card_after(path)
        report_after(folder)


if __name__ == "__main__":
    sys.exit(main())
