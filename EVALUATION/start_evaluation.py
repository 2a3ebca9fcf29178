#!/usr/bin/env python3
"""Evaluate with the settings of a config file: ``python EVALUATION/start_evaluation.py CONFIG``."""

from __future__ import annotations

import sys

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).resolve().parents[1] / "ANIMAL-SPOT/utils/environment.py"))

from animal_spot.settings.config_file import start

# A config file with no other key is of the original program or its fork: programs that were written
# for those look for the names that tables had there.
ORIGINAL_KEYS = frozenset(
    (
        *("prediction_dir", "output_dir", "threshold", "noise_in_anno"),
        *("use_probability_priority", "min_annotation_duration", "merge_gap"),
    )
)


def main(argv: list[str] | None = None) -> int:
    """Start evaluation; return the exit status."""
    return start(
        "evaluate.py",
        sys.argv[1:] if argv is None else argv,
        original_keys=ORIGINAL_KEYS,
        for_original=("--legacy_names",),
    )


if __name__ == "__main__":
    sys.exit(main())
