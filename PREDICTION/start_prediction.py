#!/usr/bin/env python3
"""Predict with the settings of a config file: ``python PREDICTION/start_prediction.py CONFIG``."""

from __future__ import annotations

import sys

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).resolve().parents[1] / "ANIMAL-SPOT/utils/environment.py"))

from animal_spot.settings.config_file import start

# Flags that take several values, and those that take several paths.
LIST_KEYS = frozenset({"format", "export", "co_occurring"})
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
