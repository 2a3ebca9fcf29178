"""Put the shards of ``predict`` or ``prepare`` together: the files of one process.

``python -m footprints.merge OUTPUT_DIR``
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator

from footprints.cluster.shard_note import notes_of
from footprints.system.errors import UserError, run
from footprints.system.flags import add_report_flag, program, some_path
from footprints.system.results import add_replace_flag
from footprints.system.text import printable


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the step's flags."""
    parser = argparse.ArgumentParser(
        prog=program("merge"),
        description="Make tables, maps and the report when all shards (--shard) of predict or "
        "prepare are done. Photos, model and detector must be where they were.",
    )
    parser.add_argument(
        "folder", type=some_path, metavar="OUTPUT_DIR", help="the folder that all shards wrote into"
    )
    add_replace_flag(parser)
    add_report_flag(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the step; returns its exit status.

    Raises:
        UserError: If shards are missing or do not belong together; naming them.
    """
    args = build_parser().parse_args(argv)
    if not args.folder.is_dir():
        raise UserError(f"{printable(args.folder)}: is no folder; name the --output_dir of shards")
    folder = args.folder.absolute()
    notes = notes_of(folder)
    with _working_in(notes[0].working_dir):
        if notes[0].step == "prepare":
            from footprints import prepare

            return prepare.merge(folder, notes, replace_edited=args.replace_edited)
        from footprints import predict

        return predict.merge(
            folder, notes, replace_edited=args.replace_edited, no_report=args.no_report
        )


@contextlib.contextmanager
def _working_in(folder: str) -> Iterator[None]:
    """Let relative paths of shards mean what they meant there, if that folder is here too."""
    before = os.getcwd()
    if os.path.isdir(folder):
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


if __name__ == "__main__":
    sys.exit(run(main))
