"""Tables of a review: its state, what is right, where reviewers differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from animal_spot.reporting.page import (
    Block,
    Cell,
    Facts,
    Note,
    Number,
    Table,
    Text,
    count,
    decimal,
    interval,
    share,
)
from animal_spot.reporting.reviewed import PAUSE_S, Reviewed
from animal_spot.reviewing.comparison import is_call
from animal_spot.reviewing.importing import TABLE_REVIEWER
from animal_spot.reviewing.verdicts import VERDICTS

_VERDICT_WORDS = {
    "right": "Right",
    "wrong": "No call",
    "other": "Another class",
    "unsure": "Unsure, or reviewers differ",
    "skip": "Skipped",
}
_FOUND_BY_PEOPLE = ("missed", "similar")


def state_facts(review: Reviewed) -> Facts:
    """Return how far the review has come."""
    totals = review.totals
    states = totals["states"]
    n = totals["detections"]
    n_decided = n - states["open"]
    hours = sum(one.duration_s for one in review.recordings) / 3600
    rows: list[tuple[str, Cell]] = [
        ("Recordings", count(len(review.recordings))),
        ("Sound", decimal(hours, 2, " h")),
        ("Detections", count(n)),
        ("Decided", _of(n_decided, n)),
        *((_VERDICT_WORDS[verdict], count(states[verdict])) for verdict in VERDICTS),
        ("Not decided yet", count(states["open"])),
    ]
    people = [one for one in review.reviewers if one.name != TABLE_REVIEWER]
    if people:
        days = [day for one in people for day in one.days]
        rows += [
            ("Reviewers", count(len(people))),
            ("Work", decimal(sum(one.work_s for one in people) / 3600, 2, " h")),
            ("First and last day", f"{min(days)} to {max(days)}"),
        ]
    return Facts(tuple(rows))


def _of(part: int, whole: int) -> Number:
    shown = f"{part:,} ({100 * part / whole:.1f} %)" if whole else f"{part:,}"
    return Number(part, shown)


def reviewers_table(review: Reviewed) -> Table:
    """Return what each reviewer did."""
    rows = []
    for one in review.reviewers:
        is_table = one.name == TABLE_REVIEWER
        rows.append(
            (
                f"{one.name} (marked in the tables)" if is_table else one.name,
                count(sum(one.verdicts.values())),
                *(count(one.verdicts[verdict]) for verdict in VERDICTS),
                decimal(None if is_table else one.work_s / 3600, 2, " h"),
            )
        )
    return Table(
        "reviewers",
        "Who decided",
        ("Reviewer", "Decided", *(_VERDICT_WORDS | {"unsure": "Unsure"}).values(), "Work"),
        rows,
        note=f"Work is the time between decisions; pauses of more than {PAUSE_S:g} s do not count.",
    )


def agreement_table(review: Reviewed) -> Table | None:
    """Return how each two reviewers agree; None where none judged the same."""
    if not review.pairs:
        return None
    rows = [
        (
            f"{pair['a']} and {pair['b']}",
            *(count(pair["both"]), share(pair["same"] / pair["both"]), decimal(pair["kappa"])),
            numbers_between(pair["low"], pair["high"]),
            count(len(pair["differ"])),
        )
        for pair in review.pairs
    ]
    return Table(
        "agreement",
        "How well reviewers agree",
        ("Reviewers", "Judged by both", "Say the same", "Kappa", "95 %", "Differ"),
        rows,
        note="Cohen's kappa is 1 if both always say the same, and 0 if no more often than by "
        "chance. It is not known where both say one and the same thing of all.",
    )


def numbers_between(low: float | None, high: float | None, digits: int = 2) -> Number:
    """Return an interval of numbers as a cell, sorted by its lower end."""
    if low is None or high is None:
        return Number(None, "–")
    return Number(low, f"{low:.{digits}f} to {high:.{digits}f}")


def precision_blocks(review: Reviewed) -> list[Block]:
    """Return which share of the detections of each class is right."""
    classes = review.summary["classes"]
    if not classes:
        return [Text(("There are no detections of a model.",))]
    rows = [
        (
            one["class"],
            *(count(one[key]) for key in ("detections", "reviewed", "right", "wrong", "unsure")),
            *(share(one["precision"]["value"]), interval_of(one["precision"])),
            decimal(one["true_calls"]["value"], 0),
            numbers_between(one["true_calls"]["low"], one["true_calls"]["high"], 0),
            count(one["more"]),
        )
        for one in classes
    ]
    table = Table(
        "verified",
        "Detections that are right",
        (
            *("Class", "Detections", "Reviewed", "Right", "Wrong", "Unsure"),
            *("Precision", "Precision, 95 %", "True calls", "True calls, 95 %"),
            "Reviews that would halve the interval",
        ),
        rows,
        note="Precision is the share of all detections of the class that are right, and true calls "
        "are how many that is, among what was found. Both are worked out from the reviewed "
        "ones, each score bin weighed by its size; – means that some scores were not reviewed.",
    )
    notes = [f"{one['class']}: {reason}." for one in classes for reason in one["reasons"]]
    blocks: list[Block] = [table]
    if notes:
        blocks.append(Text(tuple(notes)))
    return blocks


def interval_of(value: Mapping[str, float | None]) -> Number:
    """Return the interval of a share as a cell."""
    return interval(value["low"], value["high"])


def thresholds_table(classes: Sequence[Mapping[str, Any]]) -> Table | None:
    """Return from which score on detections are as often right as wanted; None: none can be."""
    rows = [
        (
            one["class"],
            *(share(wanted["precision"], 0), decimal(wanted["threshold"], 3)),
            _ends(wanted["low"], wanted["high"]),
            wanted["reason"] or "",
        )
        for one in classes
        for wanted in one["wanted"]
        if one["logistic"]
    ]
    if not rows:
        return None
    return Table(
        "wanted",
        "Thresholds for a wanted precision",
        ("Class", "Precision", "Score from", "95 %", "Remark"),
        rows,
        note="Of the detections with this score or a higher one that share is right. An end of an "
        "interval that lies beyond the reviewed scores is not known.",
    )


def _ends(low: float | None, high: float | None) -> Number:
    """Return an interval of scores, an end of which may not be known."""
    if low is None:
        return Number(None, "–" if high is None else f"up to {high:.3f}")
    return Number(low, f"from {low:.3f}") if high is None else numbers_between(low, high, 3)


def other_names_table(review: Reviewed) -> Table | None:
    """Return which classes reviewers named instead of those found; None: never any."""
    pairs = Counter(
        (row.predicted, row.class_name)
        for row in review.judged
        if row.verdict == "other" and row.predicted is not None
    )
    if not pairs:
        return None
    rows = [(*pair, count(n)) for pair, n in pairs.most_common()]
    return Table(
        "other_names", "Calls that have another class", ("Found as", "Heard", "Number"), rows
    )


def missed_blocks(review: Reviewed) -> list[Block]:
    """Return what people found that the model had not; nothing where they found nothing."""
    found = Counter(
        (row.class_name, row.source)
        for row in review.judged
        if row.source in _FOUND_BY_PEOPLE and is_call(row)
    )
    if not found:
        return []
    names = sorted({name for name, _ in found})
    rows = [(name, *(count(found[name, source]) for source in _FOUND_BY_PEOPLE)) for name in names]
    return [
        Table(
            "missed",
            "Calls that the model had missed",
            ("Class", "Seen in the recording", "Found by likeness"),
            rows,
        ),
        Note(
            "They are those that somebody came across. How many there are in all they do not tell."
        ),
    ]
