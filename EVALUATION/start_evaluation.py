#!/usr/bin/env python3
"""Evaluate with the settings of a config file: ``python EVALUATION/start_evaluation.py CONFIG``."""

from __future__ import annotations

import sys
from pathlib import Path

# As main.py finds them; a script beside that folder has to say where it is.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ANIMAL-SPOT"))

from utils.starter import start

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
