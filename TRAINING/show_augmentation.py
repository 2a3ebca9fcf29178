#!/usr/bin/env python3
"""Draw a clip under each augmentation: ``python TRAINING/show_augmentation.py --output FILE``.

Each picture is made by the code that training uses.
"""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import animal_spot.utils.environment  # noqa: F401 - says in one line what is missing
except ModuleNotFoundError:  # this Python does not have the project itself
    import runpy

    runpy.run_path(str(Path(__file__).resolve().parents[1] / "ANIMAL-SPOT/utils/environment.py"))

import argparse
import logging

from animal_spot.settings.flags import Parser
from animal_spot.utils.errors import run_to_status
from animal_spot.utils.text import printable

log = logging.getLogger("show_augmentation")


def build_parser() -> argparse.ArgumentParser:
    """Build the command line."""
    parser = Parser(description=__doc__.split("\n")[0].split(":")[0] + ".")
    parser.add_argument("--output", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--data_dir", type=Path, help="folder of clips; none: made-up ones")
    parser.add_argument("--clip", type=Path, help="clip of that folder; none: one at random")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.clip is not None and args.data_dir is None:
        args.data_dir = args.clip.parent
    return run_to_status(log, lambda: _run(args))


def _run(args: argparse.Namespace) -> None:
    from animal_spot.demo.augmentation_picture import (  # PyTorch: --help need not wait for it
        draw,
        folder_sounds,
        pictures,
        synthetic_sounds,
    )

    if args.data_dir is None:
        sounds = synthetic_sounds()
    else:
        sounds = folder_sounds(args.data_dir, args.clip, args.seed)
    draw(pictures(sounds, args.seed), args.output)
    print(printable(str(args.output)))


if __name__ == "__main__":
    sys.exit(main())
