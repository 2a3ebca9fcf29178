"""Every setting of ``activity.py``: name, default, meaning and limits, in one place."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from animal_spot.metadata.time_flags import (
    deployments_option,
    refuse_time_flags,
    time_pattern_option,
    timezone_option,
)
from animal_spot.settings.flags import option, parser_of, refuse_out_of_range, settings_from


@dataclass(frozen=True, kw_only=True)
class ActivityConfig:
    """Settings of ``activity.py``. Fields are in the order in which ``--help`` lists them."""

    debug: bool = option(False, "log more", flags=("-d", "--debug"))
    prediction_dir: str | None = option(
        None, "output folder of predict.py: its summary.csv says what was heard, and how long"
    )
    recordings: tuple[str, ...] = option(
        (),
        "the recordings, instead of that summary: sound files, folders of them, or .txt files "
        "with one path a line",
        nargs="+",
        action="extend",
        default=None,
        metavar="PATH",
    )
    tables: tuple[str, ...] = option(
        (),
        "tables of what was found, such as reviewed ones: files or folders; none: the table over "
        "all recordings that predict.py wrote",
        nargs="+",
        action="extend",
        default=None,
        metavar="PATH",
    )
    output_dir: str | None = option(None, "folder for tables and pictures")
    label_column: str | None = option(
        None, "column of the tables that holds the class; none: found", metavar="NAME"
    )
    noise_class: str | None = option(
        None, "class that is no call, but background; none: the one called noise", metavar="NAME"
    )
    silent_without_table: bool = option(
        False,
        "recordings without a table count as heard, with nothing in them; else they are left out",
    )
    timezone: str | None = timezone_option()
    time_pattern: str | None = time_pattern_option()
    deployments: str | None = deployments_option()
    replace_edited: bool = option(
        False, "replace tables and pictures that were edited too, and keep each as .bak"
    )

    def __post_init__(self) -> None:
        refuse_out_of_range(self)
        refuse_time_flags(self)
        if self.output_dir is None:
            raise ValueError("--output_dir is needed")
        if self.prediction_dir is None and not (self.recordings and self.tables):
            raise ValueError("give --prediction_dir, or --recordings and --tables")
        if self.silent_without_table and not self.tables:
            raise ValueError("--silent_without_table needs --tables")


def build_parser(prog: str = "activity.py") -> argparse.ArgumentParser:
    """Build the command line of ``activity.py`` from the fields of ``ActivityConfig``."""
    return parser_of(
        ActivityConfig,
        prog=prog,
        description="Count detections by hour and day, divided by the hours recorded: tables for "
        "R and occupancy models, and pictures.",
    )


def parse_config(argv: list[str] | None, prog: str = "activity.py") -> ActivityConfig:
    """Read the command line; a wrong one ends the program with status 2."""
    return settings_from(ActivityConfig, build_parser(prog), argv, lists=("recordings", "tables"))
