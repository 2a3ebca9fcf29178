"""Train a model further with what was decided in a review, and say what it brought."""

from __future__ import annotations

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).with_name("utils") / "environment.py"))
import logging
import sys

from animal_spot.reviewing.retrain_config import RetrainConfig, parse_config

log = logging.getLogger("RETRAIN")
_KEPT = "start again to go on; the old model is as it was"


def main(argv: list[str] | None = None, prog: str = "retrain.py") -> int:
    """Run the program; return its exit status."""
    config = parse_config(argv, prog)
    from animal_spot.utils.errors import run_to_status

    return run_to_status(
        log,
        lambda: _run(config),
        debug=config.debug,
        stopped=_KEPT,
        at_once=_KEPT,
        out_of_memory="give training a smaller batch: -- --batch_size 4",
    )


def _run(config: RetrainConfig) -> None:
    from animal_spot.reporting.card_files import card_after, card_path
    from animal_spot.reviewing.retraining import retrain  # PyTorch: --help need not wait for it

    new_model = retrain(config)
    if not card_path(new_model).exists():
        card_after(new_model)


if __name__ == "__main__":
    sys.exit(main())
