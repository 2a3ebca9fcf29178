"""What is reviewed: rows of predictions and tables, or windows of recordings, into the project.

Nothing is written where it comes from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from animal_spot.audio.recordings import find_recordings
from animal_spot.audio.sound_file import SoundFile
from animal_spot.data.noise_class import is_background
from animal_spot.detections.annotations import Annotation, found_windows, merge_windows
from animal_spot.detections.decisions import Thresholds
from animal_spot.detections.journal import FILE_NAME, Completed, Journal
from animal_spot.detections.result_readers import Result, read_settled
from animal_spot.effort import sources
from animal_spot.evaluation.found_results import find_results, result_stem
from animal_spot.metadata.moments import iso_text
from animal_spot.metadata.recording_time import NO_TIME, RecordingTime, TimeFinder, lines_about
from animal_spot.metadata.time_flags import time_finder_of
from animal_spot.reviewing.config import ReviewConfig
from animal_spot.reviewing.project import Decision, Project, keep_longest, stored
from animal_spot.reviewing.queue import bins_of
from animal_spot.tables.columns import Columns
from animal_spot.tables.event import EventTable, LabelledEvent, TableError
from animal_spot.tables.matching import NamedThings, match, most_alike
from animal_spot.tables.reading import read_events
from animal_spot.utils.errors import one_line

TABLE_REVIEWER = "table"  # who says what a table marks as a false alarm
_N_SHOWN = 3
_MS = 3
_SCORES = frozenset(("score", "confidence", "probability"))

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
        return round(self.begin_s, _MS), round(self.end_s, _MS), self.class_name


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


def bring_in(project: Project, config: ReviewConfig) -> None:
    """Bring into a project what the settings name, unless it is in it already.

    Rows on which somebody decided stay, and of an earlier prediction only these.

    Raises:
        ValueError: If there is nothing to review, or no recording of it.
        OSError: If something cannot be read.
    """
    state = _state_of(config)
    if project.setting("imported") == state:
        return
    by_windows = config.predictions is None
    found = _windows(config) if by_windows else _predictions(config, Path(config.predictions))
    rows = sum(len(one.rows) for one in found)
    if not rows:
        raise ValueError(f"there is nothing to review in {config.predictions}: no detection")
    _locate(found, config)
    times = _times(found, config)
    source = "window" if by_windows else "prediction"
    n_new, n_gone = _store(project, found, times, source)
    project.keep_setting("imported", state)
    if not by_windows:
        project.keep_setting("threshold", config.threshold)
    kept = f", {n_new} of them new" if n_gone or n_new < rows else ""
    log.info(
        "%d %s in %d recordings%s",
        *(rows, "windows" if by_windows else "detections", len(found), kept),
    )


def _state_of(config: ReviewConfig) -> str:
    """Return what changes with what is brought in: settings, and files with sizes and times."""
    said = [
        *(config.predictions, config.recordings, config.threshold, config.noise_class),
        *(config.label_column, config.timezone, config.time_pattern, config.deployments),
        *((config.window, config.step_s) if config.predictions is None else ()),
    ]
    files = []
    for text in (config.predictions, config.deployments):
        if text is not None and os.path.isdir(text):
            files += [entry for _, _, entry in _files_below(text)]
        elif text is not None and os.path.exists(text):
            files.append((text, os.stat(text).st_mtime_ns))
    digest = hashlib.blake2b(json.dumps([said, sorted(files)]).encode(), digest_size=16)
    return digest.hexdigest()


def _files_below(folder: str) -> Iterator[tuple[str, str, tuple]]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with contextlib.suppress(OSError):
                status = os.stat(path)
                yield parent, name, (path, status.st_size, status.st_mtime_ns)


# --- what a prediction found ----------------------------------------------------------------------


def _predictions(config: ReviewConfig, folder: Path) -> list[Found]:
    """Read a folder: tables of annotations go before windows, unless a threshold is given."""
    if not folder.is_dir():
        raise ValueError(f"--predictions {folder} is no folder")
    entries = _journal(folder)
    known = _known(config, folder, entries)
    found: dict[Path, Found] = {}
    if config.threshold is None:
        for path, events in _of_tables(config, folder, known).items():
            found[path] = Found(path, [_row_of(event) for event in events])
    failed = []
    with_table = {path.name for path in found}
    named = {os.path.abspath(path): path for path in known}
    by_stem = {entry.stem: entry for entry in entries.values()}
    for path in find_results(folder):
        try:
            result = read_settled(path, config.noise_class)
        except (ValueError, OSError) as error:
            failed.append(one_line(error))
            continue
        recording = named.get(os.path.abspath(result.file), Path(result.file))
        if recording in found or (config.threshold is None and recording.name in with_table):
            twin = found.get(recording) or next(
                one for one in found.values() if one.path.name == recording.name
            )
            twin.time = result.time
            continue
        entry = by_stem.get(result_stem(path))
        rows = _rows_of(result, entry, config.threshold)
        found[recording] = Found(recording, rows, result.length_s, result.time)
    if config.threshold is None:
        for path, entry in entries.items():
            if path not in found:
                found[path] = Found(path, [_of_journal(Annotation(*r)) for r in entry.annotations])
    for line in failed[:_N_SHOWN]:
        log.warning("%s", line)
    if not found:
        why = f": {failed[0]}" if failed else ""
        raise ValueError(f"there are no results of predict.py and no tables in {folder}{why}")
    for path, one in found.items():
        if path in entries:
            one.duration_s = entries[path].duration_s
        one.rows = [
            row
            for row in one.rows
            if row.class_name and not is_background(row.class_name, config.noise_class)
        ]
    return list(found.values())


def _journal(folder: Path) -> dict[Path, Completed]:
    """Return what the prediction noted of its recordings."""
    if not (folder / FILE_NAME).is_file():
        return {}
    with contextlib.closing(Journal(folder)) as journal:
        return {Path(entry.path): entry for entry in journal.completed}


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
    config: ReviewConfig, folder: Path, known: Sequence[Path]
) -> dict[Path, tuple[LabelledEvent, ...]]:
    """Return what tables say of each recording; what cannot be used is said."""
    tables: list[EventTable] = []
    for path in sources.tables_in(folder):
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


def _of_journal(row: Annotation) -> Row:
    return Row(row.begin_s, row.end_s, row.name, row.score)


def _rows_of(result: Result, entry: Completed | None, threshold: float | None) -> list[Row]:
    """Return what was found in windows: as the prediction decided, or by a threshold."""
    if entry is not None and threshold is None:
        rows: Iterable[Annotation] = (Annotation(*row) for row in entry.annotations)
    else:
        rule = result.rule(Thresholds() if threshold is None else Thresholds(threshold))
        decisions = rule.decide_scores(result.winner, result.score)
        rows = merge_windows(found_windows(result.start_s, result.end_s, decisions, result.names))
    band = float(result.f_min), float(result.f_max)
    return [Row(row.begin_s, row.end_s, row.name, row.score, *band) for row in rows]


# --- windows to go through ------------------------------------------------------------------------


def _windows(config: ReviewConfig) -> list[Found]:
    """Cut recordings into windows of equal length, without looking into them."""
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


# --- where recordings are, and when they were made ------------------------------------------------


def _locate(found: list[Found], config: ReviewConfig) -> None:
    """Find the file of each recording, and its length.

    Raises:
        ValueError: If none is there.
    """
    given = find_recordings(config.recordings) if config.recordings else []
    by_name = NamedThings((path.name, path) for path in given)
    n_missing, example = 0, None
    for one in found:
        if given and one.path not in given:
            same = most_alike(by_name.called(one.path.name), one.path.parent)
            if len(same) == 1:
                one.path = same[0]
        one.path = Path(os.path.abspath(one.path))
        if not one.path.is_file():
            n_missing += 1
            example = example or one.path
        elif one.duration_s is None:
            try:
                with contextlib.closing(SoundFile(one.path)) as sound:
                    one.duration_s = sound.duration_s
            except (OSError, ValueError) as error:
                log.warning("%s: %s", one.path, one_line(error))
        if one.duration_s is None:
            one.duration_s = max((row.end_s for row in one.rows), default=0.0)
    where = f" in {', '.join(config.recordings)}" if config.recordings else ""
    if n_missing == len(found):
        raise ValueError(
            f"no recordings found{where}: {example} is not there; name the folder that they are "
            "in with --recordings"
        )
    if n_missing:
        log.warning(
            "%d of %d recordings are not there, such as %s: name their folder with --recordings",
            *(n_missing, len(found), example),
        )


def _times(found: Sequence[Found], config: ReviewConfig) -> dict[Path, RecordingTime]:
    """Find when and where each recording was made: as results say, else as the file does."""
    finder = time_finder_of(config)
    of_summary = {}
    if config.predictions is not None:
        with contextlib.suppress(sources.SourceError):
            heard, _ = sources.read_summary(Path(config.predictions))
            of_summary = {
                path.name: time
                for path, time in sources.times_of(heard, finder, anew=finder != TimeFinder())
            }
    times = {}
    for one in found:
        time = of_summary.get(one.path.name) or finder.of(one.path)
        if time.start is None and one.time.start is not None:
            time = one.time
        times[one.path] = time
    for is_warning, line in lines_about(times.items()):
        log.log(logging.WARNING if is_warning else logging.INFO, "%s", line)
    return times


# --- into the project -----------------------------------------------------------------------------


def _store(
    project: Project, found: Sequence[Found], times: dict[Path, RecordingTime], source: str
) -> tuple[int, int]:
    """Write everything at once; return how many rows are new, and how many earlier ones left."""
    with project.writing() as db:
        run = json.loads(
            (db.execute("SELECT value FROM settings WHERE key = 'run'").fetchone() or ["0"])[0]
        )
        run += 1
        db.execute("INSERT OR REPLACE INTO settings VALUES ('run', ?)", (json.dumps(run),))
        number_of = {}
        for one in found:
            time = times[one.path]
            start = None if time.start is None else iso_text(time.start)
            number_of[one.path] = db.execute(
                "INSERT INTO recordings(path, duration_s, site, start, missing) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT(path) DO UPDATE SET "
                "duration_s = excluded.duration_s, site = excluded.site, start = excluded.start, "
                "missing = excluded.missing RETURNING id",
                (stored(one.path), one.duration_s, time.site, start, not one.path.is_file()),
            ).fetchone()[0]
        n_new = 0
        wrong: list[int] = []
        top = db.execute("SELECT coalesce(max(id), 0) FROM detections").fetchone()[0]
        for one in found:
            number = number_of[one.path]
            before = {
                (round(row[1], _MS), round(row[2], _MS), row[3]): row[0]
                for row in db.execute(
                    "SELECT id, begin_s, end_s, class FROM detections "
                    "WHERE recording_id = ? AND source = ?",
                    (number, source),
                )
            }
            scores = np.array([row.score for row in one.rows], np.float64)
            fresh = []
            for row, bin_number in zip(one.rows, bins_of(scores).tolist(), strict=True):
                same = before.get(row.key)
                if same is not None:
                    db.execute(
                        "UPDATE detections SET score = ?, bin = ?, run = ? WHERE id = ?",
                        (row.score, bin_number, run, same),
                    )
                    continue
                top += 1
                if row.is_wrong:
                    wrong.append(top)
                fresh.append(
                    (
                        *(top, number, row.begin_s, row.end_s, row.low_hz, row.high_hz),
                        *(row.class_name, row.score, source, bin_number, run),
                    )
                )
            db.executemany("INSERT INTO detections VALUES (?,?,?,?,?,?,?,?,?,?,?)", fresh)
            n_new += len(fresh)
        n_gone = db.execute(
            "DELETE FROM detections WHERE source IN ('prediction', 'window') AND run < ? "
            "AND id NOT IN (SELECT detection_id FROM decisions)",
            (run,),
        ).rowcount
        keep_longest(db, ((row.begin_s, row.end_s) for one in found for row in one.rows))
    if wrong:
        project.decide(wrong, Decision("wrong"), TABLE_REVIEWER)
    return n_new, n_gone
