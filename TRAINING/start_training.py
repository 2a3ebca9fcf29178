#!/usr/bin/env python3
"""Train with the settings of a config file: ``python TRAINING/start_training.py CONFIG``."""

from __future__ import annotations

import sys

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy
    from pathlib import Path

    runpy.run_path(str(Path(__file__).resolve().parents[1] / "ANIMAL-SPOT/utils/environment.py"))

from animal_spot.settings.config_file import start

# Flags that take several numbers.
LIST_KEYS = frozenset(
    {"conv_kernel_size", "pitch_range", "stretch_range", "gain", "noise_snr", "partial_shares"}
)
PATH_LIST_KEYS = frozenset({"background_dir"})


def main(argv: list[str] | None = None) -> int:
    """Start training; return the exit status."""
    return start(
        "main.py",
        sys.argv[1:] if argv is None else argv,
        list_keys=LIST_KEYS,
        path_list_keys=PATH_LIST_KEYS,
    )


if __name__ == "__main__":
    sys.exit(main())
