"""The scores of a classifier as blocks: what training and evaluation have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from footprints.reporting.answers_file import CropAnswer
from footprints.reporting.page import (
    Block,
    Cell,
    Facts,
    Number,
    Section,
    Sounds,
    Table,
    Text,
    count,
    decimal,
    interval,
    share,
)
from footprints.reporting.pictures import picture
from footprints.reporting.record import Record
from footprints.reporting.sources import located
from footprints.reporting.wanted import Wanted
from footprints.scores import plots
from footprints.scores.metrics import calibration_bins

_EXAMPLES = 8  # worst mistakes, and best answers


def score_facts(scores: Record) -> Facts:
    """Return the figures over all classes, with 95 % intervals in brackets."""
    rows: list[tuple[str, Cell]] = [("photos", count(scores.count("photos")))]
    for key, name in (
        ("accuracy", "accuracy, 95 % interval"),
        ("macro_recall", "mean recall of the classes"),
        ("macro_f1", "mean F1 of the classes (macro F1)"),
    ):
        value = share(scores.share(key))
        low, high = scores.interval(f"{key}_interval")
        # That all draws of a bootstrap are alike, as of one photo a class, is no certainty.
        is_known = low is not None and high is not None and low < high
        text = f"{value.text} ({interval(low, high).text})" if is_known else value.text
        rows.append((name, Number(value.value, text)))
    if scores.has("top3_accuracy"):
        rows.append(("right name among the first three", share(scores.share("top3_accuracy"))))
    chance = scores.inside("baselines").inside("chance")
    most = scores.inside("baselines").inside("majority")
    if chance.has("accuracy"):
        rows.append(("by chance it would be", share(chance.share("accuracy"))))
    if most.has("accuracy"):
        name = "always naming the most frequent class would be"
        rows.append((name, share(most.share("accuracy"))))
    return Facts(tuple(rows))


def class_section(scores: Record, prefix: str) -> Section | None:
    """Return the accuracy of each class with intervals, or None if the file lacks it.

    Args:
        scores: As ``scores.report.score`` makes them.
        prefix: Before the names of tables and figures.
    """
    rows = scores.records("per_class")
    if not rows:
        return None
    names = [one.text("class") or "" for one in rows]
    figure = plots.shares_figure(
        names,
        [one.share("recall") for one in rows],
        [one.interval("recall_interval") for one in rows],
        [one.count("support") or 0 for one in rows],
        title="Named rightly, by class",
        whole=scores.share("accuracy"),
    )
    columns = ("class", "photos", "recall", "95 % interval", "precision", "95 % interval of it")
    cells = [
        [
            name,
            count(one.count("support")),
            share(one.share("recall")),
            interval(*one.interval("recall_interval")),
            share(one.share("precision")),
            interval(*one.interval("precision_interval")),
            decimal(one.share("f1")),
        ]
        for name, one in zip(names, rows, strict=True)
    ]
    note = (
        "Recall: share of a class's photos that are named so. Precision: share of the answers with "
        "that name that are right. F1: harmonic mean of the two. Intervals after Wilson; they are "
        "short only with many photos."
    )
    table = Table(f"{prefix}_classes", "Figures of each class", (*columns, "F1"), cells, (), note)
    caption = "Dots are shares, lines their 95 % intervals."
    return Section(
        "Accuracy per class",
        [picture(figure, f"{prefix}_per_class", "Accuracy per class", caption), table],
    )


def confusion_section(scores: Record, prefix: str, title: str) -> Section | None:
    """Return which animal is taken for which, or None if the file lacks it; see ``class_section``.

    Args:
        scores: As ``scores.report.score`` makes them.
        prefix: Before the names of tables and figures.
        title: Of the figure.
    """
    classes = scores.texts("classes")
    matrix = scores.matrix("confusion", len(classes))
    if matrix is None or not classes:
        return None
    counts = np.array(matrix)
    figure = plots.confusion_figure(counts, classes, title)
    caption = "Each row is a true class; the colour is the share of its photos, the number counts."
    is_wide = len(classes) > 10
    blocks: list[Block] = [
        picture(figure, f"{prefix}_confusion", "Confusion matrix", caption, is_wide=is_wide)
    ]
    pairs = scores.records("most_confused")
    if pairs:
        rows = [
            [
                one.text("is") or "",
                one.text("named_as") or "",
                count(one.count("photos")),
                share(one.share("share")),
            ]
            for one in pairs
        ]
        columns = ("is", "named as", "photos", "share of its photos")
        blocks.append(Table(f"{prefix}_confused", "Most frequent mistakes", columns, rows, most=20))
    return Section("Which animal is taken for which", blocks)


def calibration_section(
    scores: Record, answers: Sequence[CropAnswer], prefix: str
) -> Section | None:
    """Return how far the probabilities can be believed; None if nothing is known of that."""
    after = scores.share("expected_calibration_error")
    before = scores.share("expected_calibration_error_uncalibrated")
    if after is None and not answers:
        return None
    blocks: list[Block] = [
        Facts(
            (
                ("calibration error", share(after)),
                ("before calibration", share(before)),
                ("temperature", decimal(scores.number("temperature"))),
            )
        ),
        Text(
            (
                "A calibrated probability says how often such answers are right: of a hundred "
                "answers with 80 %, about eighty. The calibration error is how far the two are "
                "apart on average.",
            )
        ),
    ]
    if answers:
        best = np.array([one.probability for one in answers])
        right = np.array([one.is_right for one in answers])
        figure = plots.reliability_figure(
            calibration_bins(best, right), f"Are its probabilities right? ({len(answers)} photos)"
        )
        caption = "Points on the dotted line are perfect; lines are 95 % intervals."
        blocks.append(picture(figure, f"{prefix}_calibration", "Reliability diagram", caption))
    return Section("Calibration", blocks)


def examples_section(
    answers: Sequence[CropAnswer], data_dir: str, beside: str, wanted: Wanted, scores: Record
) -> Section | None:
    """Return the worst mistakes and the best answers as pictures; None if there are none.

    Args:
        answers: To all crops.
        data_dir: Of the crops, as it was noted.
        beside: Which part of the data they are of.
        wanted: How the report is to be made.
        scores: Of the file that names ``data_dir``.
    """
    if not answers or not wanted.examples:
        return None
    folder = located(data_dir, scores.path) if data_dir else None
    wrong = sorted((a for a in answers if not a.is_right), key=lambda a: (-a.probability, a.crop))
    right = sorted((a for a in answers if a.is_right), key=lambda a: (-a.probability, a.crop))
    best, seen = [], set()
    for one in right:  # the surest of each class first
        if one.label not in seen:
            seen.add(one.label)
            best.append(one)
    blocks: list[Block] = []
    for title, chosen in (
        ("Worst mistakes: wrong, and the surest of it", wrong[:_EXAMPLES]),
        ("Best answers: the surest right one of each class", best[:_EXAMPLES]),
    ):
        if chosen:
            blocks.append(_crops(title, chosen, folder, wanted))
    return Section(f"Mistakes and right answers, {beside}", blocks)


def _crops(title: str, chosen: Sequence[CropAnswer], folder: Path | None, wanted: Wanted) -> Sounds:
    items = []
    for one in chosen:
        path = None if folder is None else one.path_in(folder)
        heading = one.label if one.is_right else f"{one.label}, named {one.answer}"
        lines = (f"probability {100 * one.probability:.1f} %", one.crop)
        items.append(wanted.thumbnails.of(path, heading, lines))
    return Sounds(title, items)
