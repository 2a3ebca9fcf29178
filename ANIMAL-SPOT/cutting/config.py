"""Every setting of ``clips.py``: name, default, meaning and limits, in one place."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from animal_spot.audio import channel_choice
from animal_spot.cutting.plan import NOISE_CLASS
from animal_spot.metadata.time_flags import (
    deployments_option,
    time_pattern_option,
    timezone_option,
)
from animal_spot.settings.flags import option, parser_of, refuse_out_of_range, settings_from

_TABLES = "tables"
_MARGIN = 0.25
_BACKGROUND = "background"
_LISTS = ("recordings", "tables", "background_dir", "negatives")


def _column(what: str) -> Any:
    return option(
        None, f"column of the tables that holds {what}; none: found", metavar="NAME", group=_TABLES
    )


@dataclass(frozen=True, kw_only=True)
class ClipsConfig:
    """Settings of ``clips.py``. Fields are in the order in which ``--help`` lists them."""

    debug: bool = option(False, "log more", flags=("-d", "--debug"))
    recordings: tuple[str, ...] = option(
        (),
        "sound files, folders of them, or .txt files with one path a line",
        nargs="+",
        action="extend",
        default=None,
        metavar="PATH",
    )
    tables: tuple[str, ...] = option(
        (),
        "tables of annotations, or folders of them; none: those beside the recordings",
        nargs="+",
        action="extend",
        default=None,
        metavar="PATH",
    )
    output_dir: str | None = option(None, "folder for the clips and labels.csv: the corpus")
    clip_length: float | None = option(
        None,
        "seconds of each clip, about the middle of its event; longer events become several clips",
        type=float,
        least=0.01,
        most=7200,
    )
    margin: float | None = option(
        None,
        f"without --clip_length: a clip is its event with so many seconds before and after it; "
        f"none: {_MARGIN}",
        type=float,
        least=0,
        most=3600,
    )
    shortest_event: float = option(0.0, "leave out events of fewer seconds", least=0, most=3600)
    keep_overlapping: bool = option(
        False, "also cut clips in which a call of another class is heard"
    )
    channel: str | None = option(
        None,
        f"{channel_choice.HELP}; none: that which the table names, else mix",
        metavar="WHICH",
    )
    format: str = option(
        "wav",
        "kind of the clips' files; samples stay as they are, so floating-point ones are always wav",
        choices=("wav", "flac"),
    )
    restore_removed: bool = option(False, "cut again what was cut before and removed by hand since")
    remove_stale: bool = option(
        False,
        "move clips of earlier runs whose event is gone, moved or of another class by now out of "
        "the corpus, into its hidden folder .stale",
    )
    replace_edited: bool = option(
        False, "replace lists of what was left out that were edited too, and keep each as .bak"
    )
    label_map: str | None = option(
        None,
        "CSV with the columns label and class: labels that are renamed, merged, or left out (an "
        "empty class); none: each label is a class",
        metavar="FILE",
    )
    list_labels: str | None = option(
        None, "write such a label map to edit, with the number of events, and end", metavar="FILE"
    )
    contact_sheets: int = option(
        48,
        "clips that are drawn of each class, into contact_sheets/; 0: none",
        least=0,
        most=400,
        metavar="N",
    )
    background: int | None = option(
        None,
        "clips of the background class from where nothing is annotated; none: as many as the "
        "largest class has; 0: no more",
        type=int,
        least=0,
        most=1_000_000,
        metavar="N",
        group=_BACKGROUND,
    )
    background_class: str = option(NOISE_CLASS, "its name", metavar="NAME", group=_BACKGROUND)
    background_margin: float = option(
        1.0, "seconds between it and every event", least=0, most=3600, group=_BACKGROUND
    )
    background_dir: tuple[str, ...] = option(
        (),
        "also take it from recordings in which no call is known to be, or folders of them",
        nargs="+",
        action="extend",
        default=None,
        metavar="PATH",
        group=_BACKGROUND,
    )
    negatives: tuple[str, ...] = option(
        (),
        "reviewed tables: rows marked as wrong become clips of the background class",
        nargs="+",
        action="extend",
        default=None,
        metavar="TABLE",
        group=_BACKGROUND,
    )
    seed: int = option(0, "another number, other background", least=0, group=_BACKGROUND)
    pairs: str | None = option(
        None,
        "CSV with a recording and its table in each row, where their names do not say it",
        metavar="FILE",
        group=_TABLES,
    )
    label_column: str | None = _column("the label")
    begin_column: str | None = _column("the begin in seconds")
    end_column: str | None = _column("the end in seconds")
    duration_column: str | None = _column("the duration in seconds, in place of the end")
    recording_column: str | None = _column("the path or name of the recording")
    low_column: str | None = _column("the lowest frequency in Hz")
    high_column: str | None = _column("the highest frequency in Hz")
    channel_column: str | None = _column("the number of the channel, from 1")
    timezone: str | None = timezone_option()
    time_pattern: str | None = time_pattern_option()
    deployments: str | None = deployments_option()

    def __post_init__(self) -> None:
        refuse_out_of_range(self)
        if not self.recordings and not (self.list_labels and self.tables):
            raise ValueError("--recordings is needed: sound files, or a folder of them")
        if self.output_dir is None and self.list_labels is None:
            raise ValueError("--output_dir is needed: the folder for the clips")
        if self.clip_length is not None and self.margin is not None:
            raise ValueError("give --clip_length or --margin, not both")
        if self.channel is not None:
            object.__setattr__(self, "channel", channel_choice.checked(self.channel))

    @property
    def margin_s(self) -> float:
        """Seconds before and after an event."""
        return _MARGIN if self.margin is None else self.margin


def build_parser(prog: str = "clips.py") -> argparse.ArgumentParser:
    """Build the command line of ``clips.py`` from the fields of ``ClipsConfig``."""
    return parser_of(
        ClipsConfig,
        prog=prog,
        description="Cut the events that tables of annotations name out of recordings: clips to "
        "train on, named and listed.",
    )


def parse_config(argv: list[str] | None, prog: str = "clips.py") -> ClipsConfig:
    """Read the command line; a wrong one ends the program with status 2."""
    return settings_from(ClipsConfig, build_parser(prog), argv, lists=_LISTS)
