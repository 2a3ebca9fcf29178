"""Every setting of ``merge.py``: name, default, meaning, in one place."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from animal_spot.settings.flags import option, parser_of, settings_from


@dataclass(frozen=True, kw_only=True)
class MergeConfig:
    """Settings of ``merge.py``. Fields are in the order in which ``--help`` lists them."""

    debug: bool = option(False, "log more", flags=("-d", "--debug"))
    folder: str = option(
        "",
        "the output folder that all shards wrote into",
        flags=("folder",),
        default=None,
        metavar="OUTPUT_DIR",
    )
    no_report: bool = option(False, "make no report.html of what was found")
    replace_edited: bool = option(
        False, "replace tables that were edited too, and keep each as .bak"
    )


def build_parser(prog: str = "merge.py") -> argparse.ArgumentParser:
    """Build the command line of ``merge.py`` from the fields of ``MergeConfig``."""
    return parser_of(
        MergeConfig,
        prog=prog,
        description="Make the summary and the tables over all recordings when all shards of a "
        "prediction (--shard) are done.",
    )


def parse_config(argv: list[str] | None, prog: str = "merge.py") -> MergeConfig:
    """Read the command line; a wrong one ends the program with status 2."""
    return settings_from(MergeConfig, build_parser(prog), argv)
