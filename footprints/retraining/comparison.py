"""Before and after: figures of both models, and which reviewed mistakes are gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from footprints.retraining.examples import Example
from footprints.retraining.joining import LEARNED, UNTOUCHED
from footprints.retraining.measuring import FIGURES, Measured
from footprints.scores.calibration import UNKNOWN
from footprints.scores.intervals import wilson_interval
from footprints.system.text import printable

CHANGES = {  # of reviewed prints, by what is said of them
    "gone": "right now",
    "unknown_now": "answered unknown by the new model",
    "still": "answered wrongly by the new model",
    "new": "right before, not any more",
    "already": "corrected answers that the old model gives rightly in the box as reviewed",
}
_SHOWN = 20  # prints in the text; all are in the JSON


def sets_of(
    part: str, before: Measured, after: Measured, examples: Sequence[Example], where: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the figures of both models on the prepared part and on reviewed prints.

    Args:
        part: ``test``, or ``val`` where there is no test.
        before: What the old model says.
        after: The new one.
        examples: Reviewed prints.
        where: What became of each, see ``joining``.
    """
    name, note = _PARTS[part]
    found = [{"name": name, "note": note, "before": before.on_part, "after": after.on_part}]
    both = {*before.classes} & {*after.classes}
    for name, note, kept in _REVIEWED:
        numbers = [
            i
            for i, (one, place) in enumerate(zip(examples, where, strict=True))
            if place in kept and one.label in both
        ]
        if numbers:
            of = {"before": before.on(examples, numbers), "after": after.on(examples, numbers)}
            found.append({"name": name, "note": note, **of})
    return found


_PARTS = {
    "test": ("untouched test photos", "nothing was learned from them"),
    "val": (
        "untouched validation photos",
        "there is no test part; these chose the epoch and the threshold, so the figures flatter",
    ),
}
_REVIEWED = (
    ("reviewed, held out", "neither model learned from them", UNTOUCHED),
    ("reviewed, learned from", "these flatter the new model", (LEARNED,)),
)


def strangers_of(
    part: str, before: Measured, after: Measured, examples: Sequence[Example]
) -> list[dict[str, Any]]:
    """Return how many animals of no class are answered unknown: untouched, and reviewed ones."""
    numbers = [i for i, one in enumerate(examples) if one.label == UNKNOWN]
    answers = {
        f"{_PARTS[part][0]} of other animals": (before.of_others, after.of_others),
        "reviewed animals of no class": tuple(
            [model.answers[i] for i in numbers] for model in (before, after)
        ),
    }
    found = []
    for name, (old, new) in answers.items():
        if not new:
            continue
        one: dict[str, Any] = {"name": name, "photos": len(new)}
        for when, said in (("before", old), ("after", new)):
            n = sum(answer.level == UNKNOWN for answer in said)
            interval = list(wilson_interval(n, len(said)))
            one[when] = {"refused": n, "refused_interval": interval}
        found.append(one)
    return found


def changes_of(
    before: Measured, after: Measured, examples: Sequence[Example], where: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the reviewed prints by what became of their answers.

    A mistake is an answer that the review corrected and that the old model gives wrongly in the box
    as reviewed too. It may be right there, where only the box was at fault.
    """
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CHANGES}
    for i, (one, place) in enumerate(zip(examples, where, strict=True)):
        old, new = before.answers[i], after.answers[i]
        is_right, was_right = (said.answer == one.label for said in (new, old))
        is_corrected = one.row.predicted not in (None, one.row.class_name)
        if was_right and not is_right:
            kind = "new"
        elif is_corrected and was_right:
            kind = "already"
        elif is_corrected and is_right:
            kind = "gone"
        elif is_corrected:
            kind = "unknown_now" if new.level == UNKNOWN else "still"
        else:
            continue
        found[kind].append(
            {
                "id": one.row.id,
                "photo": printable(one.row.photo.name),
                "is": one.label,
                "reviewed_answer": one.row.predicted,
                "before": old.answer,
                "after": new.answer,
                "learned": place == LEARNED,
            }
        )
    return found


def text_of(content: Mapping[str, Any]) -> list[str]:
    """Return results as lines to read."""
    lines = []
    for one in content["sets"]:
        n = one["after"]["photos"]
        lines += [f"{one['name']}: {n} ({one['note']})", f"{'':15}{'before':27}after"]
        for figure in FIGURES:
            cells = [_cell(one[when], figure) for when in ("before", "after")]
            lines.append(f"{_NAMES[figure]:15}{cells[0]:27}{cells[1]}")
        lines.append("")
    for one in content["strangers"]:
        n = one["photos"]
        said = [f"{one[when]['refused']} of {n} {when}" for when in ("before", "after")]
        lines += [f"{one['name']}, answered unknown: {said[0]}, {said[1]}", ""]
    changes = content["changes"]
    n_gone = len(changes["gone"])
    n = n_gone + len(changes["unknown_now"]) + len(changes["still"])
    apart = Counter(row["learned"] for row in changes["gone"])
    if n:
        lines.append(
            f"{n_gone} of {n} answers that the review corrected are right now ({apart[True]} of "
            f"prints that were learned from, {apart[False]} of others)"
        )
    else:
        lines.append("the review corrected no answer that the old model gives")
    for kind, what in CHANGES.items():
        rows = changes[kind]
        if rows:
            lines.append(f"{what}: {len(rows)}")
        lines += [f"  {_line(row)}" for row in rows[:_SHOWN]]
        if len(rows) > _SHOWN:
            lines.append(f"  and {len(rows) - _SHOWN} more, see results.json")
    return [*lines, "", *(f"note: {note}" for note in content["notes"])]


_NAMES = {"accuracy": "accuracy", "macro_f1": "macro F1", "unknown_share": "unknown share"}


def _cell(of: Mapping[str, Any], figure: str) -> str:
    low, high = of[f"{figure}_interval"]
    values = ["-" if value is None else f"{value:.3f}" for value in (of[figure], low, high)]
    return f"{values[0]} ({values[1]} to {values[2]})"


def _line(row: Mapping[str, Any]) -> str:
    learned = "learned from" if row["learned"] else "not learned from"
    return (
        f"{row['photo']} (print {row['id']}, {learned}): is {row['is']}, "
        f"before {row['before']}, after {row['after']}"
    )
