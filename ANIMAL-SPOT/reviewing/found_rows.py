"""What is to be decided on: detections of predictions and tables, or windows of recordings."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from animal_spot.audio.recordings import find_recordings
from animal_spot.audio.sound_file import SoundFile
from animal_spot.data.noise_class import is_background
from animal_spot.detections.annotation_tables import AUDACITY_ENDING, RAVEN_ENDING
from animal_spot.detections.decisions import Thresholds
from animal_spot.detections.journal import FILE_NAME, Completed, Journal
from animal_spot.detections.result_bands import band_of
from animal_spot.detections.result_readers import Result, read_settled
from animal_spot.detections.result_rows import rows_of
from animal_spot.effort import sources
from animal_spot.evaluation.found_results import find_results, result_stem
from animal_spot.metadata.recording_time import NO_TIME, RecordingTime
from animal_spot.reviewing.config import ReviewConfig
from animal_spot.tables.columns import Columns
from animal_spot.tables.event import EventTable, LabelledEvent, TableError
from animal_spot.tables.matching import match
from animal_spot.tables.reading import read_events
from animal_spot.utils.errors import one_line
from animal_spot.utils.names import composed

_N_SHOWN = 3  # lines of a kind
_MS = 3  # decimals of seconds by which rows are told apart
_SCORES = frozenset(("score", "confidence", "probability"))
_TABLES = (RAVEN_ENDING, AUDACITY_ENDING)

log = logging.getLogger("REVIEW")


@dataclass(frozen=True)
class Row:
    """Something to decide on.

    Attributes:
        begin_s: In the recording.
        end_s: In the recording.
        class_name: What was found; None: nothing yet.
        score: Its probability; None: not known.
        low_hz: Lower end of its box; None: not known.
        high_hz: Upper end.
        is_wrong: A table says that it is a false alarm.
    """

    begin_s: float
    end_s: float
    class_name: str | None
    score: float | None = None
    low_hz: float | None = None
    high_hz: float | None = None
    is_wrong: bool = False

    @property
    def key(self) -> tuple:
        """What tells it from others of its recording."""
        return key_of(self.begin_s, self.end_s, self.class_name)


def key_of(begin_s: float, end_s: float, class_name: str | None) -> tuple:
    """Return what tells a detection from others of its recording."""
    return round(begin_s, _MS), round(end_s, _MS), class_name


@dataclass
class Found:
    """What is known of a recording.

    Attributes:
        path: The file, as far as it is known where it is.
        rows: What is to decide on.
        duration_s: Length; None: the file says it.
        time: When and where it was made, as results say.
    """

    path: Path
    rows: list[Row] = field(default_factory=list)
    duration_s: float | None = None
    time: RecordingTime = NO_TIME


# --- what a prediction found ----------------------------------------------------------------------


def read_predictions(config: ReviewConfig) -> list[Found]:
    """Read what was found, recording by recording.

    With a threshold it is looked for in tables of all windows; else it is what the prediction noted
    and tables say, edited ones too, and only then what windows say.

    Raises:
        ValueError: If there is nothing that can be read.
        OSError: If the folder cannot be read.
    """
    folder = Path(config.predictions)
    if not folder.is_dir():
        raise ValueError(f"--predictions {folder} is no folder")
    entries, as_written = _journal(folder)
    known = _known(config, folder, entries)
    found: dict[Path, Found] = {}
    if config.threshold is None:
        for path in as_written:
            found[path] = _of_journal(folder, entries[path])
        unedited = {name for path in as_written for name in entries[path].files}
        for path, events in _of_tables(config, folder, known, unedited).items():
            found[path] = Found(path, [_row_of(event) for event in events])
    path_of = {entry.stem: path for path, entry in entries.items()}
    failed = _add_windows(config, folder, found, path_of)
    for line in failed[:_N_SHOWN]:
        log.warning("%s", line)
    if not found:
        raise ValueError(_why_nothing(config, folder, failed))
    for path, one in found.items():
        if path in entries:
            one.duration_s = entries[path].duration_s
        one.rows = [
            row
            for row in one.rows
            if row.class_name and not is_background(row.class_name, config.noise_class)
        ]
    return list(found.values())


def _why_nothing(config: ReviewConfig, folder: Path, failed: Sequence[str]) -> str:
    if failed:
        return f"nothing in {folder} can be reviewed: {failed[0]}"
    if not sources.tables_in(folder):
        return f"there are no results of predict.py and no tables in {folder}"
    if not config.recordings:
        return (
            f"no recordings found: the tables in {folder} do not say where they are; name their "
            "folder with --recordings"
        )
    where = ", ".join(config.recordings)
    return f"no table in {folder} is of a recording in {where}: name another folder of --recordings"


def _add_windows(
    config: ReviewConfig, folder: Path, found: dict[Path, Found], path_of: Mapping[str, Path]
) -> list[str]:
    """Read windows of recordings of which nothing else says what was found.

    Args:
        config: The settings.
        folder: Where they are.
        found: Of each recording what is known; it is added to.
        path_of: Recordings of results, by their stem, that the journal has.

    Returns:
        What failed.
    """
    failed = []
    names = {path.name for path in found}
    for path in find_results(folder):
        if config.threshold is None and result_stem(path) in path_of and found:
            continue  # the journal has it, or a table that was edited
        try:
            result = read_settled(path, config.noise_class)
        except (ValueError, OSError) as error:
            failed.append(one_line(error))
            continue
        recording = path_of.get(result_stem(path), Path(result.file))
        if config.threshold is None and recording.name in names:
            continue
        rows = _rows_of(result, config.threshold)
        found[recording] = Found(recording, rows, result.length_s, result.time)
    return failed


def _journal(folder: Path) -> tuple[dict[Path, Completed], list[Path]]:
    """Return what the prediction noted of its recordings, and those whose tables nobody edited."""
    if not (folder / FILE_NAME).is_file():
        return {}, []
    with contextlib.closing(Journal(folder)) as journal:
        entries = {Path(entry.path): entry for entry in journal.completed}
        tables = {
            path: [name for name in entry.files if name.endswith(_TABLES)]
            for path, entry in entries.items()
        }
        as_written = [
            path
            for path, names in tables.items()
            if all(journal.own.is_as_written(name, entries[path].files[name]) for name in names)
        ]
    return entries, as_written


def _of_journal(folder: Path, entry: Completed) -> Found:
    bands = entry.bands
    if not bands:
        bands = [band_of(folder / name for name in entry.files)] * len(entry.annotations)
    rows = [
        Row(begin_s, end_s, composed(name), score, *band)
        for (begin_s, end_s, name, score), band in zip(entry.annotations, bands, strict=True)
    ]
    return Found(Path(entry.path), rows, entry.duration_s)


def _known(config: ReviewConfig, folder: Path, entries: dict[Path, Completed]) -> list[Path]:
    """Return the recordings that rows can be of: those named, else those of the prediction."""
    if config.recordings:
        return find_recordings(config.recordings)
    if entries:
        return list(entries)
    with contextlib.suppress(sources.SourceError):
        return [heard.path for heard in sources.read_summary(folder)[0]]
    return []


def _of_tables(
    config: ReviewConfig, folder: Path, known: Sequence[Path], unedited: Collection[str]
) -> dict[Path, tuple[LabelledEvent, ...]]:
    """Return what tables say of each recording; what cannot be used is said."""
    tables: list[EventTable] = []
    for path in sources.tables_in(folder):
        if path.name in unedited or (unedited and path.name == sources.ALL_RECORDINGS):
            continue
        try:
            table = read_events(path, columns=Columns(label=config.label_column))
        except (TableError, OSError) as error:
            log.warning("%s", one_line(error))
            continue
        if table.left_out:
            number, reason = table.left_out[0]
            log.warning(
                "%s: %d rows are left out, such as row %d: %s",
                *(path, len(table.left_out), number, reason),
            )
        tables.append(table)
    if not known:
        return _without_recordings(tables)
    matching = match(known, tables)
    lines = [line for _, line in (*matching.refused, *matching.without_recording)]
    for line in lines[:_N_SHOWN]:
        log.warning("%s", line)
    if lines[_N_SHOWN:]:
        log.warning("%d more tables cannot be used", len(lines) - _N_SHOWN)
    return matching.events


def _without_recordings(tables: Sequence[EventTable]) -> dict[Path, tuple[LabelledEvent, ...]]:
    """Give rows to the recordings that they name, wherever these are."""
    named = sorted({event.recording for t in tables for event in t.events if event.recording})
    return match([Path(name) for name in named], tables).events if named else {}


def _row_of(event: LabelledEvent) -> Row:
    return Row(
        *(event.start_s, event.end_s, event.label, _score(event), event.low_hz, event.high_hz),
        event.is_wrong,
    )


def _score(event: LabelledEvent) -> float | None:
    for name, text in event.extra.items():
        if name.lower() in _SCORES:
            with contextlib.suppress(ValueError):
                score = float(text)
                return score if np.isfinite(score) else None
    return None


def _rows_of(result: Result, threshold: float | None) -> list[Row]:
    """Return what is found in windows by the decoder that the result names; see ``rows_of``."""
    found = rows_of(result, None if threshold is None else Thresholds(threshold))
    band = float(result.f_min), float(result.f_max)
    return [Row(row.begin_s, row.end_s, row.name, row.score, *band) for row in found]


# --- windows to go through ------------------------------------------------------------------------


def read_windows(config: ReviewConfig) -> list[Found]:
    """Cut recordings into windows of equal length, without looking into them.

    Raises:
        ValueError: If there is no recording that can be read.
        OSError: If what was named is not there.
    """
    found = []
    for path in find_recordings(config.recordings):
        try:
            sound = SoundFile(path)
        except (OSError, ValueError) as error:
            log.warning("%s is left out: %s", path, one_line(error))
            continue
        sound.close()
        begins = np.arange(0, sound.duration_s, config.step_s)
        rows = [
            Row(round(b, 6), round(min(b + config.window, sound.duration_s), 6), None)
            for b in begins.tolist()
        ]
        found.append(Found(path, [r for r in rows if r.end_s > r.begin_s], sound.duration_s))
    if not found:
        raise ValueError(f"no sound file in {', '.join(config.recordings)} can be read")
    return found
