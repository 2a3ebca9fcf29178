"""What retraining on a review brought, by the files that it wrote beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from animal_spot.reporting.page import Block, Facts, Note, Number, Section, Table, Text, count
from animal_spot.reviewing.retrain_config import output_of
from animal_spot.reviewing.retrain_rounds import RESULT, rounds_in
from animal_spot.utils.errors import one_line
from animal_spot.utils.typed import read_json, typed

_CHANGES = {
    "gone": "Reviewed mistakes that are gone",
    "still": "Reviewed mistakes that are made again",
    "newly": "Mistakes that only the new model makes",
    "lost": "Calls that only the old model finds",
}
_COUNTED = {"detections", "detections that nobody reviewed"}
_PER_HOUR = {"false alarms per hour", "known false alarms per hour"}
_MOST_ROWS = 500
Figures = dict[str, float | None]


def rounds_sections(project: Path) -> list[Section]:
    """Return a section for each round, the last first; one that is damaged says so.

    Args:
        project: File of the review.
    """
    rounds = rounds_in(output_of(project))
    made = []
    for number in sorted(rounds, reverse=True):
        path = rounds[number] / RESULT
        if not path.is_file():
            text = "This round was begun and has not ended: retrain goes on with it."
            blocks: list[Block] = [Note(text)]
        else:
            try:
                blocks = _round_blocks(path, number)
            except (OSError, ValueError) as error:
                blocks = [Note(f"Left out: {one_line(error)}.", is_warning=True)]
        made.append(Section(f"Round {number}", blocks))
    return made


def _round_blocks(path: Path, number: int) -> list[Block]:
    """Return what a round brought.

    Raises:
        ContentError: If the file is damaged.
        OSError: If it cannot be read.
    """
    content = typed(dict[str, Any], read_json(path), str(path))
    model = typed(dict[str, str], content.get("model", {}), f"{path}: model")
    blocks: list[Block] = [
        Facts(tuple((f"Model {key}", text) for key, text in model.items())),
    ]
    for place, one in enumerate(typed(list[dict[str, Any]], content.get("sets", []), str(path))):
        rows = typed(list[dict[str, Any]], one.get("rows", []), f"{path}: rows")
        name = typed(str, one.get("name", ""), f"{path}: name")
        blocks.append(
            Table(
                f"round{number}_set{place}",
                f"Before and after: {name}",
                ("Measure", "Before", "Before, 95 %", "After", "After, 95 %"),
                [_row(row, str(path)) for row in rows],
            )
        )
    facts, tables = [], []
    for key, title in _CHANGES.items():
        rows = typed(list[dict[str, Any]], content.get(key, []), f"{path}: {key}")
        facts.append((title, count(len(rows))))
        if rows:
            tables.append(_changed(f"round{number}_{key}", title, rows, f"{path}: {key}"))
    blocks += [Facts(tuple(facts)), *tables]
    notes = typed(list[str], content.get("notes", []), f"{path}: notes")
    if notes:
        blocks.append(Text(tuple(f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in notes)))
    return blocks


def _row(row: dict[str, Any], where: str) -> tuple[str | Number, ...]:
    measure = typed(str, row.get("measure"), f"{where}: measure")
    cells: list[str | Number] = [f"{measure[:1].upper()}{measure[1:]}"]
    for key in ("before", "after"):
        figures = typed(Figures, row.get(key, {}), f"{where}: {measure}: {key}")
        value, low, high = (figures.get(end) for end in ("value", "low", "high"))
        cells.append(Number(value, "–" if value is None else _shown(measure, value)))
        ends = _interval(measure, low, high)
        cells.append(Number(low, ends))
    return tuple(cells)


def _interval(measure: str, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "–"
    return f"{_shown(measure, low).removesuffix(' %')} to {_shown(measure, high)}"


def _shown(measure: str, value: float) -> str:
    if measure in _COUNTED:
        return f"{value:,.0f}"
    return f"{value:.2f}" if measure in _PER_HOUR else f"{100 * value:.1f} %"


def _changed(name: str, title: str, rows: list[dict[str, Any]], where: str) -> Table:
    shown = []
    for row in rows[:_MOST_ROWS]:
        begin_s, end_s = (typed(float, row.get(key), where) for key in ("begin_s", "end_s"))
        found, heard = (typed(str | None, row.get(key), where) for key in ("class", "label"))
        score = typed(float | None, row.get("score"), where)
        shown.append(
            (
                Path(typed(str, row.get("recording"), where)).name,
                *(Number(value, f"{value:.2f}") for value in (begin_s, end_s)),
                *(found or "nothing", heard or "no call"),
                Number(score, "–" if score is None else f"{score:.3f}"),
            )
        )
    left = len(rows) - len(shown)
    return Table(
        *(name, title, ("Recording", "Begin (s)", "End (s)", "Found as", "Heard", "Score"), shown),
        note=f"The first {len(shown)}; {left} more are in {RESULT}." if left else "",
        most=10,
    )
