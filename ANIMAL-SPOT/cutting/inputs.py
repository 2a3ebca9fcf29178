"""What a run of ``clips.py`` is given: recordings, tables, and which class a label is."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from animal_spot.audio.recordings import LIST_SUFFIXES, find_sounds
from animal_spot.audio.sound_kinds import why_not_read
from animal_spot.cutting.config import ClipsConfig
from animal_spot.tables.columns import Columns
from animal_spot.tables.event import EventTable, LabelledEvent, TableError
from animal_spot.tables.label_map import LabelMap, alike, draft_text, read_label_map
from animal_spot.tables.matching import Matching, match
from animal_spot.tables.reading import is_table, read_events
from animal_spot.utils.errors import one_line
from animal_spot.utils.files import write_text_atomic
from animal_spot.utils.names import composed
from animal_spot.utils.text import printable

_N_SHOWN = 5

log = logging.getLogger(__name__)


@dataclass
class Inputs:
    """Recordings and tables.

    Attributes:
        recordings: Files that may be sound.
        tables: Those that were read.
        events: Of each recording that a table is of.
        failed: Recordings and tables that cannot be used, and why.
        ignored: Rows of tables that cannot be used: table, row, why.
        negatives: False alarms, of each recording that has some.
        n_without_table: Recordings that no table is of.
    """

    recordings: list[Path] = field(default_factory=list)
    tables: list[EventTable] = field(default_factory=list)
    events: dict[Path, tuple[LabelledEvent, ...]] = field(default_factory=dict)
    failed: dict[Path, str] = field(default_factory=dict)
    ignored: list[tuple[Path, int, str]] = field(default_factory=list)
    negatives: dict[Path, tuple[LabelledEvent, ...]] = field(default_factory=dict)
    n_without_table: int = 0


def read_inputs(config: ClipsConfig) -> Inputs:
    """Find recordings and tables, read these, and find out which belong together.

    Raises:
        ValueError: If there is no recording or no table, or the list of pairs cannot be used.
        OSError: If something that was named is not there.
    """
    found = Inputs()
    if config.recordings:
        _require_another_folder(config)
        sounds = find_sounds([*config.recordings, *config.background_dir])
        found.recordings = _outside(sounds.recordings, config)
        not_read = _outside(sounds.not_read, config)
        found.failed |= {path: why_not_read(path.name) for path in not_read}
    _read_tables(config, found)
    if config.recordings:
        pairs = None if config.pairs is None else Path(config.pairs)
        matching = match(found.recordings, found.tables, pairs)
        found.events = matching.events
        of_none = dict(matching.without_recording)
        if of_none and not config.tables and not any(map(os.path.isdir, config.recordings)):
            log.info("%d tables beside the recordings are of none of them", len(of_none))
            of_none = {}  # they were never named
        found.failed |= of_none | dict(matching.refused)
        for _, reason in matching.unused:
            log.warning("%s", reason)
        without_table = _without_calls(config, matching, found)
        found.n_without_table = len(without_table)
        if without_table and matching.events:
            log.info(
                "%d recordings have no table, such as %s", len(without_table), without_table[0]
            )
        _read_negatives(config, found)
    return found


def _without_calls(config: ClipsConfig, matching: Matching, found: Inputs) -> list[Path]:
    """Note that no call is in recordings without table that are said to hold none.

    Returns:
        The other recordings without table.
    """
    if not (config.background_dir and matching.events):
        return list(matching.without_table)
    silent = {os.path.abspath(path) for path in find_sounds(config.background_dir).recordings}
    others = [path for path in matching.without_table if os.path.abspath(path) not in silent]
    found.events |= dict.fromkeys(set(matching.without_table) - set(others), ())
    found.events = {path: found.events[path] for path in found.recordings if path in found.events}
    return others


def _read_negatives(config: ClipsConfig, found: Inputs) -> None:
    """Read rows that are marked as wrong in reviewed tables."""
    tables = []
    for path in map(Path, config.negatives):
        try:
            table = read_events(path, columns=_columns(config))
        except (TableError, OSError) as error:
            found.failed[path] = one_line(error)
            continue
        wrong = tuple(event for event in table.events if event.is_wrong)
        if wrong:
            tables.append(replace(table, events=wrong))
        else:
            found.failed[path] = (
                f"{path}: none of its {len(table.events)} rows is marked as wrong, by fp, wrong or "
                "false positive in a column such as Review or Verdict"
            )
    matching = match(found.recordings, tables)
    found.negatives = {path: events for path, events in matching.events.items() if events}
    found.failed |= dict((*matching.without_recording, *matching.refused))


def _require_another_folder(config: ClipsConfig) -> None:
    """Make sure that no recordings are named in the corpus, where all sounds count as clips."""
    if config.output_dir is None:
        return
    corpus = Path(config.output_dir).resolve()
    for text in (*config.recordings, *config.background_dir):
        path = Path(text)
        if path.suffix.lower() not in LIST_SUFFIXES and path.resolve().is_relative_to(corpus):
            where = "is" if path.resolve() == corpus else "lies in"
            raise ValueError(
                f"{text} {where} the output folder, whose sounds count as clips, not as "
                "recordings: name another --output_dir"
            )


def _outside(paths: Iterable[Path], config: ClipsConfig) -> list[Path]:
    """Return the files that do not lie in the corpus, which may lie in the folder of recordings."""
    if config.output_dir is None:
        return list(paths)
    corpus = Path(config.output_dir).resolve()
    return [path for path in paths if not path.resolve().is_relative_to(corpus)]


def _read_tables(config: ClipsConfig, found: Inputs) -> None:
    columns = _columns(config)
    notes: Counter[str] = Counter()
    for path in _table_paths(config):
        try:
            table = read_events(path, columns=columns)
        except (TableError, OSError) as error:
            found.failed[path] = one_line(error)
            continue
        found.tables.append(table)
        notes.update(table.notes)
        found.ignored += [(path, row, reason) for row, reason in table.left_out]
    if not found.tables:
        where = ", ".join(config.tables or config.recordings)
        hint = "" if config.tables else "; name it with --tables"
        reason = "".join(f": {path}: {why}" for path, why in list(found.failed.items())[:1])
        raise ValueError(f"no table of annotations in {where}{hint}{reason}")
    formats = Counter(table.format for table in found.tables)
    counted = ", ".join(f"{n} of the kind {name}" for name, n in formats.most_common())
    n_events = sum(len(table.events) for table in found.tables)
    log.info("%d events in %d tables: %s", n_events, len(found.tables), counted)
    for note, n in notes.most_common():
        log.info("%s%s", note, f" (in {n} tables)" if n > 1 else "")


def _columns(config: ClipsConfig) -> Columns:
    return Columns(
        *(config.label_column, config.begin_column, config.end_column, config.duration_column),
        *(config.recording_column, config.low_column, config.high_column, config.channel_column),
    )


def _table_paths(config: ClipsConfig) -> list[Path]:
    """Return the tables that were named, and what can be one in folders."""
    named = {path.resolve() for path in _named_otherwise(config)}
    paths: dict[Path, None] = {}
    if config.tables:
        inputs: Sequence[Path] = [Path(text) for text in config.tables]
    else:
        inputs = [p if p.is_dir() else p.parent for p in map(Path, config.recordings)]
    for path in dict.fromkeys(inputs):
        if not path.is_dir():
            path.stat()
            paths[path] = None
            continue
        inside = (p for p in path.rglob("*") if is_table(p))
        paths |= dict.fromkeys(
            p for p in _outside(sorted(inside), config) if p.resolve() not in named
        )
    return list(paths)


def _named_otherwise(config: ClipsConfig) -> list[Path]:
    """Return the files that flags name as something else than a table."""
    flags = (config.label_map, config.pairs, config.deployments, config.list_labels)
    lists = [Path(p) for p in config.recordings if Path(p).suffix.lower() in LIST_SUFFIXES]
    return [Path(text) for text in flags if text is not None] + lists


def write_label_list(tables: Sequence[EventTable], path: Path) -> None:
    """Write a map of all labels to edit.

    Raises:
        ValueError: If the file is there.
        OSError: If it cannot be written.
    """
    if path.exists():
        raise ValueError(f"{path} is there already: remove it, or name another file")
    counts = Counter(composed(event.label) for table in tables for event in table.events)
    write_text_atomic(path, draft_text(counts))
    for label, n in counts.most_common():
        print(f"{n:7d}  {printable(label)}")
    for line in alike(counts):
        log.warning("%s", line)
    log.info(
        "%d labels: edit the column class of %s (empty: left out), then --label_map %s",
        *(len(counts), path, path),
    )


def class_of_labels(
    config: ClipsConfig, events: Iterable[LabelledEvent]
) -> Callable[[str], str | None]:
    """Return what says the class of a label; None: it has none.

    Raises:
        ValueError: If the label map cannot be used.
        OSError: If it cannot be read.
    """
    if config.label_map is None:
        return lambda label: composed(label).strip() or None
    label_map: LabelMap = read_label_map(Path(config.label_map))
    unknown = label_map.unknown(event.label for event in events)
    if unknown:
        shown = ", ".join(map(repr, unknown[:_N_SHOWN])) + (", ..." * (len(unknown) > _N_SHOWN))
        log.warning(
            "%d labels are not in %s and left out: %s", len(unknown), config.label_map, shown
        )
    return label_map.class_of
