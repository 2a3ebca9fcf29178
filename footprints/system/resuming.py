"""A step that goes on where it stopped does so with the settings that it began with."""

from __future__ import annotations

import argparse
import json
from typing import Any

from footprints.system.errors import UserError


def add_resume_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that begins afresh."""
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on with what the output folder holds; --no-resume replaces it (default: --resume)",
    )


def compare_settings(before: dict[str, Any], now: dict[str, Any], what: str) -> None:
    """Refuse to go on with other settings than before.

    Raises:
        UserError: Naming the first setting that differs.
    """
    for name in sorted({*before, *now}):
        old, new = before.get(name), json.loads(json.dumps(now.get(name)))
        if old != new:
            change = f"{name} was {_short(old)}, is now {_short(new)}"
            raise UserError(
                f"{what} with other settings ({change}); give the same, or another --output_dir, "
                "or --no-resume to train it afresh"
            )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
