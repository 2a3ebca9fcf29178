#!/usr/bin/env python3
"""Train with the settings of a config file: ``python TRAINING/start_training.py CONFIG``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

STARTER = Path(__file__).resolve().parent.parent / "ANIMAL-SPOT" / "utils" / "starter.py"
# Flags that take several numbers.
LIST_KEYS = frozenset({"conv_kernel_size", "pitch_range", "stretch_range", "gain", "noise_snr"})


def main(argv: list[str] | None = None) -> int:
    """Start training; return the exit status."""
    spec = importlib.util.spec_from_file_location("starter", STARTER)
    starter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(starter)
    return starter.start("main.py", sys.argv[1:] if argv is None else argv, list_keys=LIST_KEYS)


if __name__ == "__main__":
    sys.exit(main())
