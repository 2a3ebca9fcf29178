"""Flags for argparse: bounded numbers, paths that are not empty; what a step is called."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def program(step: str) -> str:
    """Return what was typed to start a step, for its usage line."""
    is_command = bool(sys.argv) and Path(sys.argv[0]).stem == "footprints"
    return f"footprints {step}" if is_command else f"python -m footprints.{step}"


def option(
    parser: argparse._ActionsContainer, name: str, kind: Callable, default: Any, text: str
) -> None:
    """Add a flag with a value, whose default ends its help."""
    shown = f"{text} (default: %(default)s)".strip()
    parser.add_argument(f"--{name}", type=kind, default=default, help=shown)


def add_report_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that leaves the report at the end of a step out."""
    parser.add_argument(
        "--no_report",
        action="store_true",
        help="write no report.html, report_figures and MODEL_CARD.md (default: write them, and "
        "leave those that were edited)",
    )


def some_path(text: str) -> Path:
    """Return a path; an empty one, which would mean the current folder, is refused."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; name a file or a folder (. is the current one)")
    if "\0" in text:
        raise argparse.ArgumentTypeError("has a NUL character in it")
    if re.match(r"[a-z][a-z0-9+.-]+://", text):
        raise argparse.ArgumentTypeError(
            f"{text} is an address, and only files of this computer are read and written; copy "
            "them here first (aws s3 sync, rclone), or mount the bucket"
        )
    return Path(text)


def some_text(text: str) -> str:
    """Return a text that is not empty: a path, or a word that stands for one."""
    some_path(text)
    return text


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a type of whole numbers within bounds, both included."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must lie from {low} to {high}, not {text}")
        return value

    return read


def number(low: float, high: float, *, low_is_in: bool = True) -> Callable[[str], float]:
    """Return a type of finite numbers within bounds; ``high`` included, ``low`` if so said."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None
        if math.isnan(value) or not low <= value <= high or (value == low and not low_is_in):
            above = "from" if low_is_in else "above"
            raise argparse.ArgumentTypeError(f"must lie {above} {low:g} to {high:g}, not {text}")
        return value

    return read
