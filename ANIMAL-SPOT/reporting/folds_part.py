"""The part of a report that tells of a cross-validation."""

from __future__ import annotations

from pathlib import Path

from animal_spot.reporting.calibration_blocks import confidence_blocks, decoder_blocks
from animal_spot.reporting.class_scores import accuracy_blocks
from animal_spot.reporting.clip_examples import example_sections
from animal_spot.reporting.learning_curves import curve_blocks
from animal_spot.reporting.methods import how_trained, intervals_in_words
from animal_spot.reporting.page import Block, Note, Section, Table, count, share
from animal_spot.reporting.sources import RESULTS
from animal_spot.reporting.training_data import data_blocks
from animal_spot.reporting.training_part import warnings_of
from animal_spot.reporting.training_results import Results, read_results
from animal_spot.reporting.wanted import Wanted


def sections(path: Path, wanted: Wanted) -> list[Section]:
    """Return what there is to say of a cross-validation.

    Args:
        path: Its model folder.
        wanted: What somebody wants of the report.

    Raises:
        ValueError: If what the files hold cannot be used.
        OSError: If something cannot be read.
    """
    results = read_results(path)
    accuracy = [
        *accuracy_blocks(results.scores["all"], "clips", intervals_in_words(results), "all"),
        _folds_table(results),
    ]
    found = [
        *warnings_of(results),
        Section("Accuracy, each clip judged by a network that never heard its recording", accuracy),
        Section("Data", data_blocks(results)),
        how_trained(results),
    ]
    if confidence := confidence_blocks(results.judged["all"]):
        found.append(Section("Calibration", confidence))
    folds = _own_results(results)
    if folds:
        found.append(Section("Learning curves", _curves(folds)))
        if decoder := _decoders(folds):
            found.append(Section("From windows to calls", decoder))
    return [*found, *example_sections(results, wanted)]


def _folds_table(results: Results) -> Table:
    return Table(
        "folds",
        "One by one",
        ("network", "training clips", "judged clips", "recordings", "accuracy", "mean of classes"),
        [
            [
                count(fold.number),
                count(fold.clips.get("train")),
                count(fold.clips.get("test")),
                count(fold.tapes),
                share(fold.accuracy),
                share(fold.macro),
            ]
            for fold in results.folds
        ],
        note="How far apart they are says how much depends on which recordings were heard.",
    )


def _own_results(results: Results) -> list[Results]:
    """Return what the networks say of themselves, as far as their folders are there."""
    folders = [results.folder / f"fold_{fold.number}" for fold in results.folds]
    return [read_results(folder) for folder in folders if (folder / RESULTS).is_file()]


def _curves(folds: list[Results]) -> list[Block]:
    """Return the learning curves of the first network, which stands for the others."""
    note = Note(f"Of network 1 of {len(folds)}; the others are trained in the same way.")
    return [note, *curve_blocks(folds[0])]


def _decoders(folds: list[Results]) -> list[Block]:
    tuned = [fold for fold in folds if fold.part("decoder")]
    if not tuned:
        return []
    note = Note(f"Of the network in {tuned[0].folder.name}; each has numbers of its own.")
    return [note, *decoder_blocks(tuned[0].part("decoder"))]
