"""What a run of predict is to do: what was asked for, checked, and the photos."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from footprints.cropping.crop_pool import detector_named
from footprints.network.classifier import read_model_metadata
from footprints.pictures.finding import UnusedFile, photos_at
from footprints.places.privacy import Privacy, privacy_of
from footprints.prediction.file_names import OURS
from footprints.scores.calibration import threshold_in_use
from footprints.scores.groups import Groups, groups_named, groups_of, warn_of_other_names
from footprints.scores.judging import Rules
from footprints.scores.region import Region, read_region, training_prior
from footprints.scores.strangers import refusal_of
from footprints.system.settings import Settings

CROP_FLAGS = ("conf_threshold", "iou_threshold", "margin", "min_crop_side", "ranking")


@dataclass(frozen=True)
class Request:
    """What a run is to do, after all checks."""

    args: argparse.Namespace
    photos: list[Path]
    root: Path
    unused: list[UnusedFile]
    metadata: dict[str, Any]
    settings: Settings
    rules: Rules
    detector: Path | None
    privacy: Privacy


def request_of(args: argparse.Namespace, parser: argparse.ArgumentParser) -> Request:
    """Check what is asked for, and list the photos."""
    metadata = read_model_metadata(args.model)
    settings = _settings(args, metadata, parser)
    threshold = threshold_in_use(metadata) if args.threshold is None else args.threshold
    detector = detector_named(args.detector)
    rules = _rules(args, metadata, threshold, parser)
    root, photos, unused = photos_at(args.photos, args.output_dir, OURS)
    privacy = privacy_of(args, parser)
    return Request(args, photos, root, unused, metadata, settings, rules, detector, privacy)


def _settings(
    args: argparse.Namespace, metadata: dict[str, Any], parser: argparse.ArgumentParser
) -> Settings:
    """Crop as the model's training data were cropped, unless a flag says otherwise."""
    kept = metadata.get("settings") or {}
    values = {f.name: kept[f.name] for f in fields(Settings) if f.name in kept}
    values |= {name: given for name in CROP_FLAGS if (given := getattr(args, name)) is not None}
    if metadata.get("image_size"):
        values["image_size"] = int(metadata["image_size"])
    try:
        return Settings(**values)
    except (TypeError, ValueError) as error:
        parser.error(str(error))


def _rules(
    args: argparse.Namespace,
    metadata: dict[str, Any],
    threshold: float,
    parser: argparse.ArgumentParser,
) -> Rules:
    """Return how answers are made: by what the model file keeps, unless a flag says otherwise."""
    classes = metadata["classes"]
    own = groups_of(metadata)
    groups = own if args.groups is None else groups_named(args.groups, classes)
    if args.groups is not None:
        warn_of_other_names(args.groups, classes)
    if groups.members == own.members:
        groups = own  # with the threshold that validation chose
    if args.group_threshold is not None:
        if not groups:
            parser.error("--group_threshold needs groups: --groups FILE.csv or --groups ready")
        groups = Groups(groups.members, args.group_threshold)
    region: Region | None = None
    if args.region_list is not None:
        prior = training_prior(metadata, len(classes))
        region = read_region(args.region_list, classes, prior)
    refusal = None if args.no_refusal else refusal_of(metadata)
    return Rules(classes, threshold, min(args.top_k, len(classes)), groups, region, refusal)
