"""The part of a report that tells of evaluation."""

from __future__ import annotations

from pathlib import Path

from animal_spot.figures.confusion import confusion_figure
from animal_spot.figures.curves import precision_recall_figure
from animal_spot.reporting import evaluation_tables as tables
from animal_spot.reporting.evaluation_examples import example_blocks
from animal_spot.reporting.page import Block, Note, Section
from animal_spot.reporting.pictures import picture
from animal_spot.reporting.scored import Confusion, Evaluation, read_evaluation, read_scored_events
from animal_spot.reporting.wanted import Wanted
from animal_spot.utils.errors import one_line

_WIDE = 12  # classes from which a confusion takes the whole page
_MOST_CURVES = 24


def sections(path: Path, wanted: Wanted) -> list[Section]:
    """Return what there is to say.

    Raises:
        SourceError: If what the files hold cannot be used.
        OSError: If something cannot be read.
    """
    evaluation = read_evaluation(path)
    made = [
        Section("What was scored", _scored(evaluation)),
        Section("Scores", _scores(evaluation, wanted)),
    ]
    if confusions := _confusions(evaluation):
        made.append(Section("Which class was taken for which", confusions))
    if evaluation.curves:
        made.append(Section("Other thresholds", _curves(evaluation)))
    made.append(Section("Scores of the recordings", [tables.recordings_table(evaluation)]))
    if wanted.examples and (examples := _examples(path, wanted)):
        made.append(Section("Examples", examples))
    return made


def _scored(evaluation: Evaluation) -> list[Block]:
    blocks: list[Block] = [tables.settings_facts(evaluation)]
    if evaluation.not_scored:
        n, names = len(evaluation.not_scored), tables.shown_names(evaluation.not_scored)
        text = f"{n} recordings have no table of the truth and are not scored: {names}."
        blocks.append(Note(text, is_warning=True))
    return blocks


def _scores(evaluation: Evaluation, wanted: Wanted) -> list[Block]:
    found = (
        tables.classes_table(evaluation),
        tables.false_alarms_table(evaluation),
        tables.over_recordings_table(evaluation, wanted.seed),
        tables.windows_table(evaluation),
    )
    return [table for table in found if table is not None]


def _confusions(evaluation: Evaluation) -> list[Block]:
    whole = evaluation.whole
    found = (
        ("confusion_events", "Events", "events", whole.confusion),
        ("confusion_windows", "Windows", "windows", whole.windows_confusion),
    )
    return [
        _confusion(name, title, unit, confusion)
        for name, title, unit, confusion in found
        if confusion.counts.sum()
    ]


def _confusion(name: str, title: str, unit: str, confusion: Confusion) -> Block:
    figure = confusion_figure(
        *(confusion.counts, confusion.names),
        title=f"Which class was found for which, {unit}",
        unit=unit,
        axis_names=("true", "found"),
    )
    return picture(
        *(figure, name, title),
        f"Number of {unit}, and share of the true class. In the row of background are false "
        "alarms, in its column missed calls.",
        is_wide=len(confusion.names) > _WIDE,
    )


def _curves(evaluation: Evaluation) -> list[Block]:
    classes = evaluation.whole.classes
    n_events = {
        name: classes[name].tp + classes[name].fn for name in evaluation.curves if name in classes
    }
    most_first = sorted(n_events, key=lambda name: -n_events[name])[:_MOST_CURVES]
    shown = [name for name in n_events if name in most_first]
    figure = precision_recall_figure(
        {name: evaluation.curves[name] for name in shown},
        title="Precision and recall at other thresholds",
        counts=n_events,
    )
    curves = picture(
        *(figure, "precision_recall", "Precision and recall at other thresholds"),
        "A line for each class: from the right to the left the threshold rises. The orange point "
        "has the best F1.",
        is_wide=len(shown) > 1,
    )
    return [curves, tables.thresholds_table(evaluation)]


def _examples(folder: Path, wanted: Wanted) -> list[Block]:
    try:
        rows = read_scored_events(folder)
    except (OSError, ValueError) as error:
        return [Note(f"There are no examples: {one_line(error)}.", is_warning=True)]
    if rows is None:
        text = "There are no examples, since an earlier version wrote the scores. Evaluate again."
        return [Note(text)]
    return example_blocks(folder, rows, wanted)
