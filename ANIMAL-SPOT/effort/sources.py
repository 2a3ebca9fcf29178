"""What was recorded and what was found in it, as files say."""

from __future__ import annotations

import contextlib
import csv
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from animal_spot.audio.recordings import find_recordings
from animal_spot.audio.sound_file import SoundFile
from animal_spot.data.noise_class import is_background
from animal_spot.detections.annotation_tables import AUDACITY_ENDING, RAVEN_ENDING
from animal_spot.detections.journal import FILE_NAME, Journal
from animal_spot.detections.result_writers import RESULT_MARK
from animal_spot.effort.counting import UNKNOWN_SITE, Recorded
from animal_spot.metadata.moments import MomentError, in_zone, parse_moment
from animal_spot.metadata.recording_time import RecordingTime, TimeFinder
from animal_spot.tables.columns import Columns
from animal_spot.tables.event import EventTable, LabelledEvent
from animal_spot.tables.matching import match
from animal_spot.tables.reading import is_table, read_events
from animal_spot.utils.csv_cells import plain_cell
from animal_spot.utils.names import composed

SUMMARY, ALL_RECORDINGS = "summary.csv", f"all_recordings{RAVEN_ENDING}"
# Files of ours that lie among tables and are none.
_NO_TABLES = {SUMMARY, "failed_files.csv", "all_recordings.list.txt", "deployments.csv"}
_CLASS_COLUMN = "detections_"
_COMPLETE = ("complete", "complete before")
_N_SHOWN = 3  # files in a message

log = logging.getLogger("ACTIVITY")


class SourceError(ValueError):
    """Something that was given cannot be used; one line says what and why."""


@dataclass(frozen=True)
class Heard:
    """A recording that was listened to.

    Attributes:
        path: As whoever listened named it.
        duration_s: Length.
        start: Its begin as a summary has it; empty if it does not say.
        site: Name of the place as a summary has it; empty if it does not say.
    """

    path: Path
    duration_s: float
    start: str = ""
    site: str = ""


def read_summary(folder: Path) -> tuple[list[Heard], list[str]]:
    """Read what a prediction says of its recordings.

    Returns:
        Those that are complete, and the classes of the model.

    Raises:
        SourceError: If it cannot be used.
        OSError: If it cannot be read.
    """
    path = folder / SUMMARY
    if not path.is_file():
        raise SourceError(f"{folder} holds no {SUMMARY}: is it the --output_dir of predict.py?")
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file, restval=""))
        names = [name or "" for name in rows[0]] if rows else []
    if missing := {"file", "status", "duration_s"} - set(names):
        raise SourceError(f"{path} has no recordings, or no column {sorted(missing)[0]!r}")
    heard, not_done = [], 0
    for number, row in enumerate(rows, 2):
        if row["status"] not in _COMPLETE:
            not_done += 1
            continue
        try:
            duration_s = float(row["duration_s"])
        except ValueError:
            duration_s = math.nan
        if not 0 < duration_s < math.inf:
            raise SourceError(f"{path}, line {number}: {row['duration_s']!r} is no duration")
        times = row.get("recording_start", ""), plain_cell(row.get("site", ""))
        heard.append(Heard(Path(plain_cell(row["file"])), duration_s, *times))
    if not_done:
        log.warning("%s: %d recordings are not complete and do not count", path, not_done)
    classes = [name.removeprefix(_CLASS_COLUMN) for name in names if name.startswith(_CLASS_COLUMN)]
    return heard, [composed(name) for name in classes]


def read_lengths(inputs: Sequence[str]) -> tuple[list[Heard], int]:
    """Read how long recordings are; return also how many cannot be read.

    Raises:
        ValueError: If there are none.
        OSError: If an input does not exist.
    """
    heard, n_failed = [], 0
    for path in find_recordings(inputs):
        try:
            file = SoundFile(path)
        except (OSError, ValueError) as error:
            log.error("%s: %s", path, error)
            n_failed += 1
            continue
        heard.append(Heard(path, file.duration_s))
        file.close()
    return heard, n_failed


def read_tables(
    inputs: Sequence[str], label: str | None, output_dir: Path
) -> tuple[list[EventTable], int]:
    """Read tables of files and folders; return also how many cannot be read.

    Args:
        inputs: Files, and folders of them.
        label: Column that holds the class; None: found.
        output_dir: Of this program, whose own tables are none of these.

    Raises:
        SourceError: If there are none.
        OSError: If an input does not exist.
    """
    paths: dict[Path, None] = {}
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            paths |= dict.fromkeys(tables_in(path, output_dir))
        elif path.exists():
            paths[path] = None
        else:
            raise SourceError(f"{path} does not exist")
    tables, n_failed = [], 0
    for path in paths:
        try:
            tables.append(read_events(path, columns=Columns(label=label)))
        except (OSError, ValueError) as error:
            log.error("%s", error if path.name in str(error) else f"{path}: {error}")
            n_failed += 1
    if not tables:
        raise SourceError(f"no table that can be used in {', '.join(inputs)}")
    for table in tables:
        if table.left_out:
            row, reason = table.left_out[0]
            log.warning(
                "%s: %d rows do not count, such as row %d: %s",
                *(table.path, len(table.left_out), row, reason),
            )
    return tables, n_failed


def tables_in(folder: Path, output_dir: Path | None = None) -> list[Path]:
    """Return what can be a table in a folder and is not of a program's own output.

    Of each recording one form counts.

    Of a prediction that was reviewed where it lies Raven tables count, and neither Audacity labels
    nor the table over all recordings: in those is what somebody took out of the first.
    """
    inside = {
        path
        for path in folder.rglob("*")
        if is_table(path)
        and path.name not in _NO_TABLES
        and RESULT_MARK not in path.name
        and not (output_dir and path.resolve().is_relative_to(output_dir.resolve()))
    }
    raven = {path for path in inside if path.name.endswith(RAVEN_ENDING)}
    of_one = {path for path in raven if path.name != ALL_RECORDINGS}
    with_raven = {path.with_name(path.name.removesuffix(RAVEN_ENDING)) for path in of_one}
    folders = {path.parent for path in of_one}
    twins = {
        path
        for path in inside
        if (path.name == ALL_RECORDINGS and path.parent in folders)
        or path.with_name(path.name.removesuffix(AUDACITY_ENDING)) in with_raven
    }
    if twins:
        log.info(
            "%d tables do not count, since Raven tables of the same recordings lie beside them: %s",
            *(len(twins), _shown(sorted(twins))),
        )
    return sorted(inside - twins)


def say_edited(folder: Path) -> None:
    """Say which tables of a prediction were edited and do not count, as long as nobody says so."""
    if not (folder / FILE_NAME).is_file():
        return
    with contextlib.closing(Journal(folder)) as journal:
        edited = [
            path
            for path in sorted(folder.glob(f"*{RAVEN_ENDING}"))
            if path.name != ALL_RECORDINGS and journal.own.is_edited(path.name)
        ]
    if edited:
        log.warning(
            "%d tables in %s were edited, and the table over all recordings knows nothing of that: "
            "%s; let them count with --tables %s",
            *(len(edited), folder, _shown(edited), folder),
        )


def found_in(
    heard: Sequence[Heard], tables: Sequence[EventTable], *, silent_without_table: bool
) -> tuple[dict[Path, tuple[LabelledEvent, ...]], int]:
    """Return what was found in each recording that counts, and how many tables cannot be used."""
    matching = match([one.path for one in heard], tables)
    for _, reason in (*matching.without_recording, *matching.unused):
        log.warning("%s", reason)
    for _, reason in matching.refused:
        log.error("%s", reason)
    found = dict(matching.events)
    without = matching.without_table
    if silent_without_table:
        found |= dict.fromkeys(without, ())
    elif without:
        log.warning(
            "%d recordings have no table and do not count: %s; an empty table, or "
            "--silent_without_table, says that nothing is in them",
            *(len(without), _shown(without)),
        )
    return found, len(matching.refused)


def times_of(
    heard: Sequence[Heard], finder: TimeFinder, *, anew: bool
) -> list[tuple[Path, RecordingTime]]:
    """Find when recordings were made: as their summary says, or anew where flags were given."""
    return [(one.path, _time_of(one, finder, anew=anew)) for one in heard]


def _time_of(one: Heard, finder: TimeFinder, *, anew: bool) -> RecordingTime:
    found = finder.of(one.path)
    if one.start and (found.start is None or not anew):
        try:
            start = parse_moment(one.start)
        except MomentError as error:
            raise SourceError(f"{SUMMARY}, {one.path}: {error}") from error
        zone_source = SUMMARY if start.tzinfo else ""
        if finder.zone is not None:
            start, _ = in_zone(start, finder.zone)
        found = replace(found, start=start, source=SUMMARY, zone_source=zone_source, notes=())
    return replace(found, site=found.site or one.site or None)


def recorded_of(
    heard: Iterable[Heard],
    times: Iterable[tuple[Path, RecordingTime]],
    found: dict[Path, tuple[LabelledEvent, ...]],
    noise_class: str | None,
) -> list[Recorded]:
    """Put together what is known of the recordings that have a time and count.

    Rows that somebody marked as wrong, and those of background, are left out.
    """
    recorded, without = [], []
    for one, (path, time) in zip(heard, times, strict=True):
        if path not in found:
            continue
        if time.start is None:
            without.append(path)
            continue
        events = tuple(
            (event.label, event.start_s)
            for event in found[path]
            if not event.is_wrong and not is_background(event.label, noise_class)
        )
        recorded.append(
            Recorded(
                *(str(path), time.site or UNKNOWN_SITE, time.start, one.duration_s, events),
                *(time.latitude, time.longitude),
            )
        )
    if without:
        log.warning(
            "%d recordings have no time and do not count: %s; see --time_pattern",
            *(len(without), _shown(without)),
        )
    return recorded


def _shown(paths: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in paths[:_N_SHOWN])
    return f"{names} ..." if len(paths) > _N_SHOWN else names
