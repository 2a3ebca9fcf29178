"""The part of a report on an evaluation of the classifier."""

from __future__ import annotations

from pathlib import Path

from footprints.reporting.answers_file import read_answers
from footprints.reporting.page import (
    Block,
    Cell,
    Facts,
    Note,
    Section,
    Table,
    count,
    interval,
    share,
)
from footprints.reporting.record import Record, read_record
from footprints.reporting.scores_blocks import (
    calibration_section,
    class_section,
    confusion_section,
    examples_section,
    score_facts,
)
from footprints.reporting.strangers_part import refusal_rows
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
        _levels(scores, prefix),
        _trails(scores, prefix),
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
        *refusal_rows(scores.inside("strangers"), scores.inside("strangers")),
    ]
    blocks += [score_facts(scores), Facts(tuple(rows))]
    if note := scores.text("note"):
        blocks.append(Note(f"{note[:1].upper()}{note[1:]}."))
    return Section("In short", blocks)


_KINDS = ("right_species", "right_group", "wrong_species", "wrong_group", "unknown")


def _levels(scores: Record, prefix: str) -> Section | None:
    """Return what the answers are worth with groups and without; None if there are no groups."""
    counts = scores.inside("answers")
    if not counts.has("with_groups"):
        return None
    rows = []
    for kind in _KINDS:
        row: list[Cell] = [kind.replace("_", " ")]
        for which in ("with_groups", "without_groups"):
            one = counts.inside(which).inside(kind)
            row += [
                count(one.count("photos")),
                share(one.share("share")),
                interval(*one.interval("share_interval")),
            ]
        rows.append(row)
    columns = ("answer", "with groups", "share", "95 % interval", "without groups", "its share")
    members = counts.inside("groups")
    named = "; ".join(f"{name}: {', '.join(members.texts(name))}" for name in members.names())
    note = f"A group is answered from {share(counts.share('group_threshold')).text} on. {named}."
    table = Table(f"{prefix}_levels", "Answers", (*columns, "its interval"), rows, (), note)
    return Section("Species, group or unknown", [table])


def _trails(scores: Record, prefix: str) -> Section | None:
    """Return how often trails are named rightly; None if nobody asked."""
    blocks: list[Block] = []
    for key, title, note in (
        (
            "simulated_trails",
            "Simulated trails",
            "Photos of one class, drawn at random: better witnesses than those of a real trail.",
        ),
        ("real_trails", "Trails", "Single photos: mean over the same trails."),
    ):
        rows = []
        for one in scores.records(key):
            size = one.text("size") if key == "real_trails" else str(one.count("size"))
            row: list[Cell] = [
                size or "",
                count(one.count("trails")),
                share(one.share("right")),
                interval(*one.interval("right_interval")),
                share(one.share("mean_probability")),
            ]
            rows.append(row + ([share(one.share("single_right"))] if key == "real_trails" else []))
        columns = ("photos", "trails", "named rightly", "95 % interval", "mean probability")
        if key == "real_trails":
            columns = (*columns, "single photos")
        if rows:
            blocks.append(Table(f"{prefix}_{key}", title, columns, rows, (), note))
    return Section("Several photos of one animal", blocks) if blocks else None
