"""How good a network is on each class, as blocks: accuracy with intervals, and what is confused."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from animal_spot.figures.bars import accuracy_figure
from animal_spot.figures.confusion import confusion_figure
from animal_spot.reporting.page import (
    Block,
    Cell,
    Note,
    Table,
    Text,
    count,
    interval,
    share,
)
from animal_spot.reporting.pictures import picture
from animal_spot.reporting.training_results import Scores

FEW_CLIPS = 10  # of a class, with which its accuracy is hardly known
_MOST_PAIRS = 15
_MOST_DRAWN, _MOST_BARS = 40, 100  # classes; of more a matrix, or bars, cannot be read


def accuracy_blocks(
    scores: Scores, of: str, how: str, by: str, *, with_figures: bool = True
) -> list[Block]:
    """Return what is said of the accuracy of each class.

    Args:
        scores: Of the clips.
        of: What was judged, such as ``test clips``.
        how: What the 95 % intervals rest on, a sentence.
        by: Stem of names.
        with_figures: Draw the figures too.
    """
    rows = scores.classes
    has_tapes = any(row.tapes is not None for row in rows)
    blocks: list[Block] = [Text((_in_words(scores, of),))]
    few = [row.name for row in rows if 0 < row.clips < FEW_CLIPS]
    absent = [row.name for row in rows if not row.clips]
    if few:
        blocks.append(
            Note(
                f"Of {listed(few)} fewer than {FEW_CLIPS} clips were judged: of these the accuracy "
                "is hardly known, whatever its figure."
            )
        )
    if absent:
        blocks.append(Note(f"Of {listed(absent)} no clip was judged.", is_warning=True))
    if with_figures and len(rows) <= _MOST_BARS:
        blocks.append(
            picture(
                accuracy_figure(
                    [row.name for row in rows],
                    [row.accuracy for row in rows],
                    [row.interval or (row.accuracy or 0.0,) * 2 for row in rows],
                    [row.clips for row in rows],
                    title=f"Accuracy per class, {of}",
                    whole=scores.accuracy,
                ),
                f"{by}_accuracy",
                f"Accuracy per class on {of}",
                "Points: share of the clips of a class that are named right. Lines: 95 % interval. "
                f"{how}",
            )
        )
    if with_figures and len(rows) <= _MOST_DRAWN:
        blocks.append(_matrix(scores, of, by))
    columns = ("class", "clips", *(("recordings",) if has_tapes else ()), "right", "accuracy")
    blocks.append(
        Table(
            f"{by}_classes",
            f"Accuracy per class on {of}",
            (*columns, "95 % interval"),
            [
                [
                    row.name,
                    count(row.clips),
                    *([count(row.tapes)] if has_tapes else []),
                    count(row.correct),
                    share(row.accuracy),
                    interval(*(row.interval or (None, None))),
                ]
                for row in rows
            ],
            foot=_foot(scores, has_tapes),
            note=how,
        )
    )
    return [*blocks, *_confused(scores, of, by)]


def _in_words(scores: Scores, of: str) -> str:
    text = f"{scores.correct} of {scores.clips} {of} are named right: {share(scores.accuracy).text}"
    if scores.accuracy_interval:
        text += f" (95 % interval {interval(*scores.accuracy_interval).text})"
    if scores.macro is not None:
        text += (
            ". The mean over the classes, in which a rare class counts as much as a common one, is "
            f"{share(scores.macro).text}"
        )
        if scores.macro_interval:
            text += f" ({interval(*scores.macro_interval).text})"
    return f"{text}."


def _foot(scores: Scores, has_tapes: bool) -> list[list[Cell]]:
    empty: list[Cell] = [""] if has_tapes else []
    everything: list[Cell] = [
        "all clips",
        count(scores.clips),
        *([count(scores.tapes)] if has_tapes else []),
        count(scores.correct),
        share(scores.accuracy),
        interval(*(scores.accuracy_interval or (None, None))),
    ]
    mean: list[Cell] = [
        "mean of classes",
        "",
        *empty,
        "",
        share(scores.macro),
        interval(*(scores.macro_interval or (None, None))),
    ]
    return [everything, mean]


def _matrix(scores: Scores, of: str, by: str) -> Block:
    names = [row.name for row in scores.classes]
    return picture(
        confusion_figure(np.array(scores.confusion), names, title=f"What {of} were taken for"),
        f"{by}_confusion",
        f"What {of} were taken for",
        "A row for each class as it is, a column for each answer: number of clips, and their share "
        "of the row. The diagonal is right.",
        is_wide=len(names) > 12,
    )


def _confused(scores: Scores, of: str, by: str) -> list[Block]:
    """Return the pairs that are taken for each other, the most frequent first."""
    names = [row.name for row in scores.classes]
    pairs = sorted(
        (
            (scores.confusion[i][j], i, j)
            for i, j in itertools.permutations(range(len(names)), 2)
            if scores.confusion[i][j]
        ),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    if not pairs:
        return [Text(("No clip is taken for another class.",))]
    return [
        Table(
            f"{by}_confused",
            f"Most confused classes, {of}",
            ("class", "taken for", "clips", "share of the class"),
            [
                [names[i], names[j], count(n), share(n / sum(scores.confusion[i]))]
                for n, i, j in pairs[:_MOST_PAIRS]
            ],
            note=f"The {_MOST_PAIRS} most frequent of {len(pairs)} pairs."
            if len(pairs) > _MOST_PAIRS
            else "",
        )
    ]


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names as a list in a sentence."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more classes"
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
