"""From folders of results to a report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from animal_spot.reporting import (
    evaluation_part,
    folds_part,
    prediction_part,
    review_part,
    training_part,
)
from animal_spot.reporting.config import ReportConfig
from animal_spot.reporting.files import write_report
from animal_spot.reporting.page import Report, Section
from animal_spot.reporting.sources import Source, find_sources
from animal_spot.reporting.wanted import Wanted
from animal_spot.utils.errors import one_line
from animal_spot.utils.status import OK

FILE_NAME = "report.html"
PARTS: dict[str, Callable[[Path, Wanted], list[Section]]] = {
    "folds": folds_part.sections,
    "training": training_part.sections,
    "prediction": prediction_part.sections,
    "evaluation": evaluation_part.sections,
    "review": review_part.sections,
}
_TITLES = {
    "folds": "Cross-validation",
    "training": "Training",
    "prediction": "Calls found",
    "evaluation": "Evaluation",
    "review": "Review",
}

log = logging.getLogger(__name__)


def run(config: ReportConfig) -> int:
    """Make a report as wanted; return the exit status.

    Raises:
        ValueError: If something given cannot be used.
        OSError: If something cannot be read or written.
    """
    paths = [Path(text) for text in config.paths]
    sources = find_sources(paths)
    if config.output is not None:
        target = Path(config.output)
    elif len(paths) == 1:
        target = (paths[0] if paths[0].is_dir() else paths[0].parent) / FILE_NAME
    else:
        raise ValueError("--output is needed: several folders are given, and the report is one")
    wanted = Wanted(
        recordings=Path(config.recordings) if config.recordings is not None else None,
        clips=Path(config.clips) if config.clips is not None else None,
        examples=config.examples,
        seed=config.seed,
    )
    write_report(target, report_of(sources, wanted), replace_edited=config.replace_edited)
    return OK


def report_after(folder: Path, *, replace_edited: bool = False) -> None:
    """Make the report of a folder that a command has just written into.

    The command is done: what goes wrong here is a warning.
    """
    try:
        report = report_of(find_sources([folder]), Wanted())
        write_report(folder / FILE_NAME, report, replace_edited=replace_edited)
    except (OSError, ValueError) as error:
        log.warning("no report: %s", one_line(error))


def report_of(sources: Sequence[Source], wanted: Wanted) -> Report:
    """Put the parts of a report together.

    Raises:
        ValueError: If what a source holds cannot be used.
        OSError: If something cannot be read.
    """
    # Each part has its share of the bytes, so that a long first one leaves room for the others.
    wanted = replace(wanted, sound_bytes=wanted.sound_bytes // len(sources))
    sections = [section for source in sources for section in _part_of(source, sources, wanted)]
    kinds = list(dict.fromkeys(_TITLES[source.kind] for source in sources))
    lead = tuple(f"{_TITLES[source.kind]}: {source.path}" for source in sources[:12])
    if len(sources) > 12:
        lead += (f"and {len(sources) - 12} more",)
    return Report(
        " and ".join([", ".join(kinds[:-1]), kinds[-1]] if kinds[1:] else kinds),
        lead,
        sections,
        f"Made by animal-spot {_version()} with the command report.",
    )


def _part_of(source: Source, sources: Sequence[Source], wanted: Wanted) -> list[Section]:
    """Return the sections of a source: under a heading of its own if there are several."""
    inside = PARTS[source.kind](source.path, wanted)
    if len(sources) == 1:
        return inside
    return [Section(f"{_TITLES[source.kind]}: {source.path.name}", inside)]


def _version() -> str:
    try:
        return version("animal-spot")
    except PackageNotFoundError:
        return "of a folder"
