"""From folders of results to a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from footprints.reporting import (
    detector_part,
    evaluation_part,
    prediction_part,
    prepared_part,
    stage_part,
)
from footprints.reporting.files import write_card, write_report
from footprints.reporting.methods import program
from footprints.reporting.model_card import CARD, card_of
from footprints.reporting.page import Note, Report, Section
from footprints.reporting.sources import Source, find_sources
from footprints.reporting.wanted import Wanted
from footprints.system.errors import STATUS_SOME_FAILED, UserError, one_line
from footprints.system.progress import warn
from footprints.system.text import printable

FILE_NAME = "report.html"
_PARTS: dict[str, Callable[[Path, Wanted, str], list[Section]]] = {
    "prepared": prepared_part.sections,
    "detector": detector_part.sections,
    "stage": stage_part.sections,
    "evaluation": evaluation_part.sections,
    "prediction": prediction_part.sections,
}
_TITLES = {
    "prepared": "Photos",
    "detector": "Detector",
    "stage": "Training",
    "evaluation": "Evaluation",
    "prediction": "Photos named",
}
_MOST_NAMED = 12  # sources in the head of the page


def make_report(
    paths: Sequence[Path], output: Path | None, wanted: Wanted, *, replace_edited: bool = False
) -> int:
    """Make a report, and the cards of the models that it is of; return the exit status.

    Args:
        paths: What to report on.
        output: The report; None: into the folder that is reported on.
        wanted: How the report is to be made.
        replace_edited: Replace edited files too, and keep a copy of each.

    Raises:
        UserError: If something given cannot be used.
        OSError: If something cannot be written.
    """
    if output is None and len(paths) != 1:
        raise UserError("--output is needed: several paths are given, and the report is one")
    sources = find_sources(paths)
    target = output or (paths[0] if paths[0].is_dir() else paths[0].parent) / FILE_NAME
    is_new = write_report(target, report_of(sources, wanted), replace_edited=replace_edited)
    if output is None:
        _write_cards(sources, replace_edited)
    return 0 if is_new else STATUS_SOME_FAILED


def _write_cards(sources: Sequence[Source], replace_edited: bool) -> None:
    for folder in dict.fromkeys(source.path.parent for source in sources):
        here = [source for source in sources if source.path.parent == folder]
        try:
            text = card_of(here)
        except UserError as error:
            warn(f"no {CARD}: {error}")
            continue
        if text is not None:
            write_card(folder / CARD, text, replace_edited=replace_edited)


def report_after(folder: Path, *, replace_edited: bool = False) -> None:
    """Make the report of a folder that a step has just written into, and its model cards.

    The step is done: what goes wrong here is a warning.

    Args:
        folder: Whose results are reported on; folders in it are not.
        replace_edited: Replace edited files too, and keep a copy of each.
    """
    try:
        sources = find_sources([folder], deepest=0)
        page = report_of(sources, Wanted())
        write_report(folder / FILE_NAME, page, replace_edited=replace_edited)
        _write_cards(sources, replace_edited)
    except Exception as error:
        warn(f"no report: {one_line(error)}")


def report_of(sources: Sequence[Source], wanted: Wanted) -> Report:
    """Put the parts of a report together; what is damaged is named in it, and in a warning.

    Raises:
        UserError: If there is nothing else.
    """
    several = len(sources) > 1
    sections: list[Section] = []
    n_damaged = 0
    stems: Counter[str] = Counter()
    for source in sources:
        stems[source.stem] += 1
        number = stems[source.stem]
        prefix = source.stem if number == 1 else f"{source.stem}_{number}"
        title = f"{_TITLES[source.kind]}: {source.name}"
        try:
            inside = _PARTS[source.kind](source.path, wanted, prefix)
        except UserError as error:
            n_damaged += 1
            if n_damaged == len(sources):
                raise
            text = f"{title} is left out of the report: {error}"
            warn(text)
            sections.append(Section(title, [Note(f"{text}.", is_warning=True)]))
            continue
        sections += [Section(title, inside)] if several else inside
    kinds = list(dict.fromkeys(_TITLES[source.kind].lower() for source in sources))
    lead = [f"{_TITLES[one.kind]}: {printable(one.path)}" for one in sources[:_MOST_NAMED]]
    if len(sources) > _MOST_NAMED:
        lead.append(f"and {len(sources) - _MOST_NAMED} more")
    title = " and ".join([", ".join(kinds[:-1]), kinds[-1]] if kinds[1:] else kinds)
    return Report(
        f"Footprints: {title}",
        tuple(lead),
        sections,
        f"Made by {program()} with the command report.",
    )
