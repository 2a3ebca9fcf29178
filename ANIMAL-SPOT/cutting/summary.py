"""What there is of each class, and what was left out of it and why: on screen and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from animal_spot.cutting.plan import (
    DOUBLE,
    NO_RECORDING,
    NOT_MAPPED,
    OUTSIDE,
    OVERLAPPING,
    REMOVED,
    TOO_SHORT,
    WRONG,
)
from animal_spot.cutting.report import ClassCounts, CutReport
from animal_spot.utils.csv_cells import csv_text

NAME = "summary.csv"
KINDS = {
    TOO_SHORT: "too short",
    OVERLAPPING: "overlapping",
    DOUBLE: "double",
    OUTSIDE: "outside",
    WRONG: "wrong",
    NOT_MAPPED: "no class",
    NO_RECORDING: "unreadable",
    REMOVED: "removed",
}
_HEAD = ("class", "events", "clips", "new", "recordings", "seconds", "left out")
_COLUMNS = ("class", "events", "with_clips", "clips", "recordings", "seconds", "left_out")


def summary_text(report: CutReport) -> str:
    """Return the table of classes, with a column for each kind of what was left out."""
    kinds = [name.replace(" ", "_") for name in KINDS.values()]
    rows = [
        (
            *(c.class_name, c.events + c.left_out, c.events, c.clips, c.recordings),
            *(f"{c.seconds:.3f}", c.left_out, *(of_kind[kind] for kind in KINDS)),
        )
        for c, of_kind in _classes(report)
    ]
    return csv_text([(*_COLUMNS, *kinds), *rows])


def summary_lines(report: CutReport) -> list[str]:
    """Return the table of classes in columns; of kinds of what was left out those that occur."""
    shown = [kind for kind in KINDS if any(one.kind == kind for one in report.left_out)]
    rows: list[Sequence[str]] = [(*_HEAD, *(KINDS[kind] for kind in shown))]
    for c, of_kind in _classes(report):
        numbers = (c.events + c.left_out, c.clips, c.new, c.recordings, f"{c.seconds:.1f}")
        counts = (c.left_out, *(of_kind[kind] for kind in shown))
        rows.append((c.class_name or "(none)", *map(str, numbers + counts)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]


def _classes(report: CutReport) -> Iterator[tuple[ClassCounts, Counter[str]]]:
    """Yield the counts of each class and of what was left out of it, by kind."""
    kinds: dict[str, Counter[str]] = {}
    for one in report.left_out:
        kinds.setdefault(one.class_name or "", Counter())[one.kind] += 1
    for counts in report.counts():
        yield counts, kinds.get(counts.class_name, Counter())
