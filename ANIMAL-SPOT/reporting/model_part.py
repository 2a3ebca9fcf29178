"""The part of a report that tells of a model file without the results of its training."""

from __future__ import annotations

from pathlib import Path

from animal_spot.reporting.calibration_blocks import calibration_blocks
from animal_spot.reporting.model_card import card_sections, read_model
from animal_spot.reporting.page import Section
from animal_spot.reporting.sources import read_json
from animal_spot.reporting.wanted import Wanted


def sections(path: Path, wanted: Wanted) -> list[Section]:
    """Return what there is to say of a model file.

    Args:
        path: The file.
        wanted: What somebody wants of the report; of a model file there is no choice.

    Raises:
        ValueError: If it is no model file.
        OSError: If it cannot be read.
    """
    return [*card_sections(read_model(path)), *_calibration(path)]


def _calibration(path: Path) -> list[Section]:
    """Return what ``calibrate`` wrote beside the file that it made; nothing for other files."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return []
    said = read_json(beside)
    if said.get("model") != path.name or "temperature" not in said:
        return []
    return [Section("Calibration", calibration_blocks(said, str(beside)))]
