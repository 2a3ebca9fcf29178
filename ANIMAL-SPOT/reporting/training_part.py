"""The part of a report that tells of the training of one network."""

from __future__ import annotations

from pathlib import Path

from animal_spot.reporting.calibration_blocks import calibration_blocks, decoder_blocks
from animal_spot.reporting.class_scores import accuracy_blocks
from animal_spot.reporting.clip_examples import example_sections
from animal_spot.reporting.learning_curves import curve_blocks
from animal_spot.reporting.methods import how_trained, intervals_in_words
from animal_spot.reporting.page import Block, Note, Section
from animal_spot.reporting.training_data import data_blocks
from animal_spot.reporting.training_results import PARTS, Results, read_results
from animal_spot.reporting.wanted import Wanted


def sections(path: Path, wanted: Wanted) -> list[Section]:
    """Return what there is to say of a training.

    Args:
        path: Its model folder.
        wanted: What somebody wants of the report.

    Raises:
        ValueError: If what the files hold cannot be used.
        OSError: If something cannot be read.
    """
    results = read_results(path)
    found = [*warnings_of(results)]
    for part in ("test", "val"):
        if part in results.scores:
            found.append(_accuracy(results, part))
    found.append(Section("Data", data_blocks(results)))
    found.append(how_trained(results))
    found.append(Section("Learning curves", curve_blocks(results)))
    if calibration := results.part("calibration"):
        blocks = calibration_blocks(calibration, f"calibration of {results.path}")
        found.append(Section("Calibration", blocks))
    if decoder := results.part("decoder"):
        found.append(Section("From windows to calls", decoder_blocks(decoder)))
    return [*found, *example_sections(results, wanted)]


def warnings_of(results: Results) -> list[Section]:
    """Return what a run warned of; nothing if there is nothing."""
    if not results.warnings:
        return []
    return [Section("Warnings", [Note(text, is_warning=True) for text in results.warnings])]


def _accuracy(results: Results, part: str) -> Section:
    word = PARTS[part]
    blocks: list[Block] = []
    if part == "val":
        blocks.append(
            Note(
                "Validation clips chose the epoch that was kept, so these figures flatter"
                + (": believe those of the test clips." if "test" in results.scores else ".")
            )
        )
    blocks += accuracy_blocks(
        results.scores[part],
        f"{word} clips",
        intervals_in_words(results),
        part,
        with_figures=part == "test" or "test" not in results.scores,
    )
    return Section(f"Accuracy on {word} clips", blocks)
