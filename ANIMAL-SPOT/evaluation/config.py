"""Every setting of ``evaluate.py``: name, default, meaning and limits, in one place."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import Any

from animal_spot.detections.decoders import DECODERS
from animal_spot.metadata.time_flags import (
    deployments_option,
    refuse_time_flags,
    time_pattern_option,
    timezone_option,
)
from animal_spot.settings.flags import option, parser_of, refuse_out_of_range, settings_from
from animal_spot.utils.names import composed

_CLASS_THRESHOLD = re.compile(r"\s*(\S.*?)=(\d*\.?\d+)(?:[\s,]+|\Z)")


def _switch(text: str) -> bool:
    """Understand what config files of the original and of its fork say."""
    values = dict.fromkeys(("true", "1", "yes", "on"), True)
    values |= dict.fromkeys(("false", "0", "no", "off"), False)
    try:
        return values[text.strip().lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"must be true or false, got {text!r}") from None


def _switch_option(default: bool, help_text: str) -> Any:
    argument = {"action": "store", "nargs": "?", "const": True, "type": _switch}
    return option(default, help_text, **argument, default=default, metavar="true|false")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Settings of ``evaluate.py``. Fields are in the order in which ``--help`` lists them."""

    debug: bool = option(False, "log more", flags=("-d", "--debug"))
    prediction_dir: str | None = option(None, "folder of the results of predict.py")
    output_dir: str | None = option(None, "folder for annotation tables and scores")
    threshold: float | None = option(
        None,
        "least probability of a detection, or confidence of an event; none: what the result says "
        "of its events, else 0.5",
        type=float,
        least=0,
        most=1,
    )
    class_threshold: tuple[str, ...] = option(
        (),
        "threshold of one class; may be repeated, or hold several",
        action="append",
        default=None,
        metavar="NAME=VALUE",
    )
    noise_class: str | None = option(
        None,
        "class that is no call, but background; none: what the result says, else the one called "
        "noise",
        metavar="NAME",
    )
    noise_in_anno: bool = _switch_option(False, "write rows of noise too")
    use_probability_priority: bool = _switch_option(
        False, "where classes overlap the more probable one wins, instead of the earlier one"
    )
    min_annotation_duration: float = option(
        0.1,
        "with probability priority: drop rows that are shorter, seconds",
        least=0,
        most=1_000_000_000,
    )
    merge_gap: float = option(
        0.15,
        "with probability priority: join rows of one class that are closer, seconds",
        least=0,
        most=1_000_000_000,
    )
    format: str = option("raven", "kind of table", choices=("raven", "audacity", "both"))
    legacy_header: bool = _switch_option(
        False, "Raven tables as the original program wrote and named them"
    )
    legacy_names: bool = _switch_option(
        False, "tables named as by the original program: <result file>.annotation.result.txt"
    )
    truth_dir: str | None = option(
        None,
        "folder of tables of what is there, from Raven, Audacity or others: score against them",
    )
    truth_column: str | None = option(
        None, "column of those tables that holds the class; none: found"
    )
    decoder: str | None = option(
        None,
        "how windows become annotations; events: one row and one name for each call, original: "
        "windows of one class that overlap are joined; none: as the result says, else original",
        choices=DECODERS,
    )
    iou_threshold: float = option(
        0.0, "least overlap (intersection over union) of a hit; 0: any overlap", least=0, most=1
    )
    timezone: str | None = timezone_option()
    time_pattern: str | None = time_pattern_option()
    deployments: str | None = deployments_option()
    no_report: bool = _switch_option(False, "make no report.html of the scores")
    replace_edited: bool = _switch_option(
        False, "replace tables and scores that were edited too, and keep each as .bak"
    )

    def __post_init__(self) -> None:
        refuse_out_of_range(self)
        refuse_time_flags(self)
        self.thresholds_by_class  # noqa: B018 - refuses what is no threshold

    @property
    def thresholds_by_class(self) -> dict[str, float]:
        """Thresholds of single classes."""
        thresholds: dict[str, float] = {}
        for text in self.class_threshold:
            position = 0
            while position < len(text):
                entry = _CLASS_THRESHOLD.match(text, position)
                if entry is None:
                    raise ValueError(
                        f"--class_threshold must be NAME=VALUE, such as K1=0.8, got "
                        f"{text[position:]!r}"
                    )
                name = composed(entry[1])
                thresholds[name] = float(entry[2])
                if thresholds[name] > 1:
                    raise ValueError(f"--class_threshold is at most 1, got {entry[0].strip()}")
                position = entry.end()
        return thresholds


def build_parser(prog: str = "evaluate.py") -> argparse.ArgumentParser:
    """Build the command line of ``evaluate.py`` from the fields of ``EvaluateConfig``."""
    return parser_of(
        EvaluateConfig,
        prog=prog,
        description="Turn the results of predict.py into annotation tables, and score them.",
    )


def parse_config(argv: list[str] | None, prog: str = "evaluate.py") -> EvaluateConfig:
    """Read the command line; a wrong one ends the program with status 2."""
    return settings_from(EvaluateConfig, build_parser(prog), argv, lists=("class_threshold",))
