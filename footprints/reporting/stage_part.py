"""The part of a report on a stage of training."""

from __future__ import annotations

import math
from pathlib import Path

from footprints.reporting import methods
from footprints.reporting.data_tables import photos_table, warnings_of
from footprints.reporting.page import (
    Block,
    Cell,
    Copied,
    Facts,
    Note,
    Section,
    Table,
    Text,
    count,
    decimal,
    share,
)
from footprints.reporting.pictures import picture
from footprints.reporting.scores_blocks import (
    calibration_section,
    class_section,
    confusion_section,
    examples_section,
    score_facts,
)
from footprints.reporting.stage_run import StageRun, read_stage
from footprints.reporting.strangers_part import refusal_rows
from footprints.reporting.wanted import Wanted
from footprints.scores import plots
from footprints.scores.calibration import threshold_in_use

_STARTS = {
    "imagenet": "ImageNet weights",
    "none": "random weights",
    "oat": "the model of stage oat",
    "file": "weights of a file",
}
_CURVES = ("loss", "accuracy", "val_loss", "val_accuracy", "val_macro_f1")


def sections(path: Path, wanted: Wanted, prefix: str) -> list[Section]:
    """Return the sections on a stage.

    Args:
        path: Its ``history_STAGE.json``.
        wanted: How the report is to be made.
        prefix: Before the names of tables and figures, which are unique in a report.

    Raises:
        UserError: If one of its files cannot be read.
    """
    run = read_stage(path)
    scores = run.scores
    parts = [
        _summary(run),
        _data(run, prefix),
        _training(run, prefix),
        class_section(scores, prefix),
        confusion_section(scores, prefix, f"Stage {run.name}, validation"),
        calibration_section(run.history.inside("scores"), run.answers, prefix),
        examples_section(
            run.answers, run.history.text("data_dir") or "", "validation", wanted, run.history
        ),
    ]
    return [part for part in parts if part is not None]


def _summary(run: StageRun) -> Section:
    history, settings = run.history, run.settings
    blocks: list[Block] = []
    if weak := history.text("weakness"):
        blocks.append(Note(f"{weak[:1].upper()}{weak[1:]}.", is_warning=True))
    threshold = history.share("threshold")
    rows: list[tuple[str, Cell]] = [
        ("classes", count(len(run.classes))),
        ("network", settings.text("backbone") or "–"),
        ("starts from", _STARTS[run.start()]),
        ("size of a crop", f"{settings.count('image_size') or 0} pixels"),
        ("temperature", decimal(history.number("temperature"))),
    ]
    if run.classes:
        used = threshold_in_use({"classes": run.classes, "threshold": threshold})
        rows.append(("answers are unknown below", share(used)))
        how = "chosen on validation" if threshold is not None else "validation could choose none"
        rows.append(("this threshold was", how))
        choice = history.inside("threshold_choice")
        if choice.has("precision"):
            right = share(choice.share("precision"))
            rows.append(("validation answers above it that are right", right))
            rows.append(("wanted were", share(choice.share("wanted_precision"))))
    refusal = history.inside("refusal")
    rows += refusal_rows(refusal, refusal.inside("validation"))
    blocks += [score_facts(run.scores), Facts(tuple(rows))]
    blocks.append(
        Note(
            "These figures are of the validation photos, which chose the epoch, the temperature "
            "and the threshold: they flatter. Photos of a test part, which footprints evaluate "
            "scores, decided nothing."
        )
    )
    if not history.has("scores"):
        blocks.append(
            Note(
                "An older release made this training: figures of each class are not known. "
                "footprints evaluate finds them out."
            )
        )
    return Section("In short", blocks)


def _data(run: StageRun, prefix: str) -> Section | None:
    if run.counts is None:
        return None
    return Section(
        "Photos", [*warnings_of(run.counts), photos_table(run.counts, f"{prefix}_photos")]
    )


def _training(run: StageRun, prefix: str) -> Section:
    """Return how it was trained: a paragraph, the phases, the curves."""
    blocks: list[Block] = [
        Text((_in_words(run),)) if run.phases else Note("The file tells of no epochs."),
        Copied("For the methods section of a paper", methods.stage_methods(run)),
    ]
    rows = run.history.records("epochs")
    if rows:
        epochs = [
            {
                "phase": row.text("phase") or "",
                "is_best": bool(row.flag("is_best")),
                **{key: _or_nan(row.number(key)) for key in _CURVES},
            }
            for row in rows
        ]
        figure = plots.curves_figure(epochs, f"Stage {run.name}")
        caption = (
            "Loss: lower is better. The line marks the epoch that was kept in each phase. Figures "
            "of training are of altered photos, so they may be worse than those of validation."
        )
        name = f"{prefix}_curves"
        blocks.append(picture(figure, name, "Learning curves", caption, is_wide=True))
        blocks.append(_phases_table(run, prefix))
    return Section("How it was trained", blocks)


def _in_words(run: StageRun) -> str:
    learned = ", then ".join(_phase(run, one) for one in run.phases)
    n = len(run.phases)
    return f"It was trained in {n} {'phase' if n == 1 else 'phases'}: {learned}."


def _phase(run: StageRun, phase: str) -> str:
    n_last = run.settings.count(f"{phase} n_last") or 0
    return f"the head with the last {n_last} layers" if n_last else "the new head alone"


def _phases_table(run: StageRun, prefix: str) -> Table:
    """Return a line for each phase: how it was set up, and its best epoch."""
    rows = []
    for phase in run.phases:
        epochs = [row for row in run.history.records("epochs") if row.text("phase") == phase]
        best = [row for row in epochs if row.flag("is_best")]
        kept = best[0] if best else None
        rate = run.settings.number(f"{phase} learning_rate")
        rows.append(
            [
                phase,
                _phase(run, phase),
                decimal(rate, 6) if rate is None else decimal(rate, _digits(rate)),
                count(len(epochs)),
                "as before it" if kept is None else count(kept.count("epoch")),
                decimal(None if kept is None else kept.number("val_loss"), 3),
                share(None if kept is None else kept.share("val_accuracy")),
                share(None if kept is None else kept.share("val_macro_f1")),
            ]
        )
    columns = ("phase", "learns", "learning rate", "epochs", "epoch kept")
    return Table(
        f"{prefix}_phases",
        "Phases",
        (*columns, "validation loss", "validation accuracy", "validation macro F1"),
        rows,
    )


def _digits(value: float) -> int:
    """Return how many digits behind the point show a number with two figures at least."""
    return max(1, 1 - math.floor(math.log10(value))) if value > 0 else 1


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
