"""The part of a report on a detector of footprints."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from footprints.reporting import methods
from footprints.reporting.page import (
    Block,
    Cell,
    Copied,
    Facts,
    Note,
    Section,
    Table,
    count,
    decimal,
    share,
)
from footprints.reporting.pictures import picture
from footprints.reporting.record import Record, read_record
from footprints.reporting.wanted import Wanted
from footprints.scores import plots
from footprints.system.errors import UserError
from footprints.system.files import read_table, read_text
from footprints.system.text import printable

_BLIND = 0.05  # mAP50 below which a detector is of no use
_FEW_BOXES = 50  # that a score needs to say much
_CURVES = {  # as Ultralytics calls its columns
    "metrics/mAP50(B)": "mAP50",
    "metrics/mAP50-95(B)": "mAP50-95",
    "metrics/precision(B)": "precision",
    "metrics/recall(B)": "recall",
}
_PARTS = {"test": "test photos", "val": "validation photos"}


def sections(path: Path, wanted: Wanted, prefix: str) -> list[Section]:
    """Return the sections on a detector.

    Args:
        path: Its ``scores.json``.
        wanted: How the report is to be made.
        prefix: Before the names of tables and figures, which are unique in a report.

    Raises:
        UserError: If one of its files cannot be read.
    """
    scores = read_record(path)
    found = [_summary(scores), _training(scores, path, prefix)]
    left_out = path.with_name("left_out.csv")
    absent = read_table(left_out) if left_out.is_file() else []
    if absent:
        rows = [[row.get("source", ""), row.get("reason", "")] for row in absent]
        table = Table(f"{prefix}_left_out", "Photos left out", ("photo", "why"), rows, most=20)
        found.append(Section("Photos that were not used", [table]))
    return found


def _summary(scores: Record) -> Section:
    blocks: list[Block] = []
    mean = scores.share("mAP50")
    if mean is not None and mean < _BLIND:
        text = "This detector finds next to nothing in photos that it was not trained on."
        blocks.append(Note(text, is_warning=True))
    boxes = scores.count("boxes")
    if boxes is not None and boxes < _FEW_BOXES:
        text = f"The scores rest on {boxes} prints; so few tell little."
        blocks.append(Note(text, is_warning=True))
    training = scores.inside("training")
    photos = training.inside("photos")
    scored_on = _PARTS.get(scores.text("part") or "", "photos")
    rows: list[tuple[str, Cell]] = [
        ("mAP50", decimal(mean, 3)),
        ("mAP50-95", decimal(scores.share("mAP50-95"), 3)),
        ("precision: share of the boxes that are prints", share(scores.share("precision"))),
        ("recall: share of the prints that have a box", share(scores.share("recall"))),
        (
            f"{scored_on} that it is scored on",
            count(scores.count("photos")),
        ),
        ("prints in them", count(boxes)),
    ]
    rows += [(f"photos for {name}", count(photos.count(key))) for key, name in _named_parts(photos)]
    rows.append(("photos left out", count(training.count("left_out"))))
    if pseudo := training.count("pseudo_labelled_photos"):
        rows.append(("photos whose boxes a detector had drawn", count(pseudo)))
    blocks.append(Facts(tuple(rows)))
    blocks.append(
        Note(
            "mAP50 is 1 if all prints are found, with boxes that overlap the true ones by half, "
            "and nothing else is. Precision and recall are at the confidence where both are best."
        )
    )
    return Section("In short", blocks)


def _named_parts(photos: Record) -> list[tuple[str, str]]:
    names = {"train": "training", "val": "validation", "test": "test"}
    return [(key, names[key]) for key in names if photos.has(key)]


def _training(scores: Record, path: Path, prefix: str) -> Section:
    blocks: list[Block] = [
        Copied("For the methods section of a paper", methods.detector_methods(scores))
    ]
    epochs, curves = _curves(path.with_name("training.csv"))
    if epochs:
        figure = plots.detector_figure(epochs, curves)
        text = "Scores on the validation photos after each epoch; the best epoch was kept."
        blocks.append(picture(figure, f"{prefix}_curves", "Learning curves", text))
    return Section("How it was trained", blocks)


def _curves(path: Path) -> tuple[list[int], dict[str, list[float]]]:
    """Return the epochs, and the scores of each, of a table of Ultralytics; empty without one.

    Raises:
        UserError: If it cannot be read.
    """
    if not path.is_file():
        return [], {}
    rows = list(csv.DictReader(io.StringIO(read_text(path)), skipinitialspace=True))
    there = [name for name in _CURVES if rows and name in rows[0]]
    try:
        curves = {_CURVES[name]: [float(row[name]) for row in rows] for name in there}
    except (TypeError, ValueError):
        raise UserError(f"{printable(path)}: not a table of scores as it was written") from None
    return list(range(1, len(rows) + 1)) if curves else [], curves
