"""The numbers that the steps share: how a photo becomes a crop."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, fields
from typing import Any


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Settings:
    """How prints are found and cut out. Stored beside crops and in models.

    Raises:
        ValueError: If a number is out of its range.
    """

    image_size: int = _setting(224, "side of a crop in pixels, as the classifier sees it")
    conf_threshold: float = _setting(0.25, "detections below this confidence are ignored, 0 to 1")
    iou_threshold: float = _setting(0.45, "of boxes that overlap more the better one is kept")
    margin: float = _setting(0.1, "surroundings kept on each side, as a part of the longer side")
    min_crop_side: int = _setting(64, "a crop is widened to at least so many pixels of the photo")
    ranking: str = _setting("confidence", "which print is the best: confidence or area_confidence")

    def __post_init__(self) -> None:
        for name in ("conf_threshold", "iou_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")
        if not 32 <= self.image_size <= 2048:
            raise ValueError(f"image_size must lie between 32 and 2048, not {self.image_size}")
        if not 0 <= self.margin <= 2:
            raise ValueError(f"margin must lie between 0 and 2, not {self.margin}")
        if not 1 <= self.min_crop_side <= 100_000:
            raise ValueError(
                f"min_crop_side must lie between 1 and 100000, not {self.min_crop_side}"
            )
        if self.ranking not in ("confidence", "area_confidence"):
            raise ValueError(f"ranking must be confidence or area_confidence, not {self.ranking!r}")


def add_flags(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the flags of all settings, or of those named, with their defaults."""
    group = parser.add_argument_group("crops")
    for setting in fields(Settings):
        if not names or setting.name in names:
            group.add_argument(
                f"--{setting.name}",
                type=type(setting.default),
                default=setting.default,
                help=f"{setting.metadata['help']} (default: %(default)s)",
            )


def settings_from(args: argparse.Namespace, parser: argparse.ArgumentParser) -> Settings:
    """Make settings of parsed flags; a number out of range ends as a usage error."""
    given = {s.name: getattr(args, s.name) for s in fields(Settings) if hasattr(args, s.name)}
    try:
        return Settings(**given)
    except ValueError as error:
        parser.error(str(error))
