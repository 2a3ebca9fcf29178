#!/usr/bin/env python3
"""Predict with the settings of a config file: ``python PREDICTION/start_prediction.py CONFIG``."""

from __future__ import annotations

import sys
from pathlib import Path

# As main.py finds them; a script beside that folder has to say where it is.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ANIMAL-SPOT"))

from utils.starter import start

# Flags that take several values, and those that take several paths.
LIST_KEYS = frozenset({"format", "export"})
PATH_LIST_KEYS = frozenset({"model_path", "input_file", "embedding_model"})


def main(argv: list[str] | None = None) -> int:
    """Start prediction; return the exit status."""
    return start(
        "predict.py",
        sys.argv[1:] if argv is None else argv,
        list_keys=LIST_KEYS,
        path_list_keys=PATH_LIST_KEYS,
    )


if __name__ == "__main__":
    sys.exit(main())
