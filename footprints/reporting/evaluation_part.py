"""The part of a report on an evaluation of the classifier."""

from __future__ import annotations

from pathlib import Path

from footprints.reporting.answers_file import read_answers
from footprints.reporting.page import Block, Cell, Facts, Note, Section, share
from footprints.reporting.record import Record, read_record
from footprints.reporting.scores_blocks import (
    calibration_section,
    class_section,
    confusion_section,
    examples_section,
    score_facts,
)
from footprints.reporting.wanted import Wanted

_PARTS = {"val": "validation photos", "test": "test photos"}


def sections(path: Path, wanted: Wanted, prefix: str) -> list[Section]:
    """Return the sections on an evaluation.

    Args:
        path: Its ``scores.json``.
        wanted: How the report is to be made.
        prefix: Before the names of tables and figures, which are unique in a report.

    Raises:
        UserError: If one of its files cannot be read.
    """
    scores = read_record(path)
    part = _PARTS.get(scores.text("split") or "", "photos")
    answers = read_answers(path.with_name("predictions.csv"))
    found = [
        _summary(scores, part),
        class_section(scores, prefix),
        confusion_section(scores, prefix, f"{Path(scores.text('model') or '').name}, {part}"),
        calibration_section(scores, answers, prefix),
        examples_section(answers, scores.text("data_dir") or "", part, wanted, scores),
    ]
    return [section for section in found if section is not None]


def _summary(scores: Record, part: str) -> Section:
    blocks: list[Block] = []
    if weak := scores.text("weakness"):
        blocks.append(Note(f"{weak[:1].upper()}{weak[1:]}.", is_warning=True))
    rows: list[tuple[str, Cell]] = [
        ("model", Path(scores.text("model") or "–").name),
        ("photos", f"{scores.text('data_dir') or '–'}, {part}"),
        ("network", scores.text("backbone") or "–"),
        ("answers are unknown below", share(scores.share("threshold"))),
    ]
    blocks += [score_facts(scores), Facts(tuple(rows))]
    if note := scores.text("note"):
        blocks.append(Note(f"{note[:1].upper()}{note[1:]}."))
    return Section("In short", blocks)
