#!/usr/bin/env python3
"""Train with the settings of a config file: ``python TRAINING/start_training.py CONFIG``."""

from __future__ import annotations

import sys
from pathlib import Path

# As main.py finds them; a script beside that folder has to say where it is.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ANIMAL-SPOT"))

from utils.starter import start

# Flags that take several numbers.
LIST_KEYS = frozenset({"conv_kernel_size", "pitch_range", "stretch_range", "gain", "noise_snr"})


def main(argv: list[str] | None = None) -> int:
    """Start training; return the exit status."""
    return start("main.py", sys.argv[1:] if argv is None else argv, list_keys=LIST_KEYS)


if __name__ == "__main__":
    sys.exit(main())
