#!/usr/bin/env python3
"""Evaluate with the settings of a config file: ``python EVALUATION/start_evaluation.py CONFIG``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

STARTER = Path(__file__).resolve().parent.parent / "ANIMAL-SPOT" / "utils" / "starter.py"


def main(argv: list[str] | None = None) -> int:
    """Start evaluation; return the exit status."""
    spec = importlib.util.spec_from_file_location("starter", STARTER)
    starter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(starter)
    return starter.start("evaluate.py", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
