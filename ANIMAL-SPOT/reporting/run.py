"""From folders of results to a report."""

from __future__ import annotations

import importlib
import logging
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from animal_spot.reporting.config import ReportConfig
from animal_spot.reporting.files import write_report
from animal_spot.reporting.page import Note, Report, Section
from animal_spot.reporting.sources import Source, SourceError, find_sources, n_in_summary
from animal_spot.reporting.unique_names import with_prefix
from animal_spot.reporting.wanted import Wanted
from animal_spot.utils.errors import one_line
from animal_spot.utils.status import OK, SOME_FAILED
from animal_spot.utils.version import own_version

FILE_NAME = "report.html"
MOST_AFTER = 250_000  # recordings of which a report is made unasked
_BYTES_EACH = 1200  # of memory, for each recording with three detections
_TITLES = {
    "folds": "Cross-validation",
    "training": "Training",
    "model": "Model",
    "prediction": "Calls found",
    "evaluation": "Evaluation",
    "review": "Review",
    "folder": "Folder",
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
    report = report_of(sources, wanted)
    _write_cards(sources, replace_edited=config.replace_edited)
    is_new = write_report(target, report, replace_edited=config.replace_edited)
    return OK if is_new else SOME_FAILED


def _write_cards(sources: Sequence[Source], *, replace_edited: bool) -> None:
    """Write the cards of model files; where that cannot be, the report is made without them."""
    if not any(source.kind in ("training", "folds", "model") for source in sources):
        return
    from animal_spot.reporting.card_files import model_files_of, write_card  # brings PyTorch

    for source in sources:
        if source.kind == "model":
            paths = [source.path]
        else:
            paths = model_files_of(source.path) if source.kind in ("training", "folds") else []
        for path in paths:
            try:
                write_card(path, replace_edited=replace_edited)
            except (OSError, ValueError) as error:
                log.warning("no model card of %s: %s", path, one_line(error))


def report_after(folder: Path, *, replace_edited: bool = False) -> None:
    """Make the report of a folder that a command has just written into, not of those below it.

    The command is done: what goes wrong here is a warning. Of more than ``MOST_AFTER`` recordings
    none is made, since that could take more memory than the command itself did.
    """
    try:
        n = n_in_summary(folder)
        if n > MOST_AFTER:
            log.warning(
                "no report of %d recordings, which takes about %.1f GB of memory: animal-spot "
                "report %s makes it",
                *(n, n * _BYTES_EACH / 1e9, shlex.quote(str(folder))),
            )
            return
        report = report_of(find_sources([folder], deepest=0), Wanted())
        write_report(folder / FILE_NAME, report, replace_edited=replace_edited)
    except (MemoryError, RecursionError, OSError, ValueError) as error:
        log.warning("no report: %s", one_line(error))
    except Exception as error:  # the work of hours is done, and is not to fail for its description
        log.warning("no report, by a fault of this program: %s", one_line(error))
        log.debug("where it came from", exc_info=True)


def report_of(sources: Sequence[Source], wanted: Wanted) -> Report:
    """Put the parts of a report together; what is damaged is named in it, and in a warning.

    Raises:
        ValueError: If there is nothing else.
        OSError: If what there is cannot be read.
    """
    # Each part has its share of the bytes, so that a long first one leaves room for the others.
    wanted = replace(wanted, sound_bytes=wanted.sound_bytes // len(sources))
    titles = _titles_of(sources)
    sections: list[Section] = []
    n_damaged = 0
    for number, (source, title) in enumerate(zip(sources, titles, strict=True), 1):
        try:
            if source.problem:
                raise SourceError(source.problem)
            inside = _sections_of(source, wanted)
        except (OSError, ValueError) as error:
            n_damaged += 1
            if n_damaged == len(sources):
                raise
            text = f"{title} is left out of the report: {one_line(error)}"
            log.warning("%s", text)
            sections.append(Section(title, [Note(f"{text}.", is_warning=True)]))
            continue
        if len(sources) == 1:
            sections = inside
        else:
            own = [with_prefix(section, f"part{number}_") for section in inside]
            sections.append(Section(title, own))
    kinds = list(dict.fromkeys(_TITLES[source.kind] for source in sources))
    kinds[1:] = [f"{kind[0].lower()}{kind[1:]}" for kind in kinds[1:]]
    lead = tuple(f"{_TITLES[source.kind]}: {source.path}" for source in sources[:12])
    if len(sources) > 12:
        lead += (f"and {len(sources) - 12} more",)
    return Report(
        " and ".join([", ".join(kinds[:-1]), kinds[-1]] if kinds[1:] else kinds),
        lead,
        sections,
        f"Made by animal-spot {own_version()} with the command report.",
    )


def _sections_of(source: Source, wanted: Wanted) -> list[Section]:
    """Return what a part says; it is loaded only now, since that takes a second or two."""
    part = importlib.import_module(f"animal_spot.reporting.{source.kind}_part")
    try:
        return part.sections(source.path, wanted)
    except ValueError as error:  # what is deep in a file says nothing of the file
        if str(source.path) in str(error):
            raise
        raise SourceError(f"{source.path}: {one_line(error)}") from error


def _titles_of(sources: Sequence[Source]) -> list[str]:
    """Return what each source is called: by its kind, and by its path where there are several."""
    titles = []
    for source in sources:
        same = [one.path for one in sources if one.kind == source.kind]
        name = f": {_short_name(source.path, same)}" if len(same) > 1 else ""
        titles.append(f"{_TITLES[source.kind]}{name}")
    return titles


def _short_name(path: Path, among: Sequence[Path]) -> str:
    """Return the end of a path, as long as it takes to tell it from others."""
    parts = path.resolve().parts
    others = [one.resolve().parts for one in among if one != path]
    for n in range(1, len(parts)):
        if all(other[-n:] != parts[-n:] for other in others):
            return "/".join(parts[-n:])
    return str(path)
