"""What is to be decided on, into the project. Nothing is written where it comes from."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from animal_spot.audio.recordings import find_recordings
from animal_spot.audio.sound_file import SoundFile
from animal_spot.effort import sources
from animal_spot.metadata.moments import iso_text
from animal_spot.metadata.recording_time import RecordingTime, TimeFinder, lines_about
from animal_spot.metadata.time_flags import time_finder_of
from animal_spot.reviewing.config import ReviewConfig
from animal_spot.reviewing.found_rows import Found, key_of, read_predictions, read_windows
from animal_spot.reviewing.project import Decision, Project, keep_longest
from animal_spot.reviewing.store import stored
from animal_spot.tables.matching import NamedThings, most_alike
from animal_spot.utils.errors import one_line

TABLE_REVIEWER = "table"  # who says what a table marks as a false alarm

log = logging.getLogger("REVIEW")


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
    found = read_windows(config) if by_windows else read_predictions(config)
    rows = sum(len(one.rows) for one in found)
    if not rows:
        log.warning(
            "nothing was found in %s; calls that were missed can be marked", config.predictions
        )
    _locate(found, config)
    times = _times(found, config)
    source = "window" if by_windows else "prediction"
    n_new, n_gone = _store(project, found, times, source)
    project.keep_setting("imported", state)
    if by_windows:
        project.keep_setting("window_s", config.window)
    else:
        project.keep_setting("threshold", config.threshold)
        project.keep_setting("predictions", str(Path(config.predictions).resolve()))
    log.info(
        "%d %s in %d recordings, %d of them new",
        *(rows, "windows" if by_windows else "detections", len(found), n_new),
    )
    if n_gone:
        log.info("%d of an earlier prediction, on which nobody decided, are gone", n_gone)


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
                key_of(row[1], row[2], row[3]): row[0]
                for row in db.execute(
                    "SELECT id, begin_s, end_s, class FROM detections "
                    "WHERE recording_id = ? AND source = ?",
                    (number, source),
                )
            }
            fresh, known = [], []
            for row in one.rows:
                same = before.get(row.key)
                if same is not None:
                    db.execute(
                        "UPDATE detections SET score = ?, run = ? WHERE id = ?",
                        (row.score, run, same),
                    )
                    continue
                top += 1
                if row.is_wrong:
                    wrong.append(top)
                fresh.append(
                    (
                        *(top, number, row.begin_s, row.end_s, row.low_hz, row.high_hz),
                        *(row.class_name, row.score, source, run),
                    )
                )
            db.executemany("UPDATE detections SET score = ?, run = ? WHERE id = ?", known)
            db.executemany("INSERT INTO detections VALUES (?,?,?,?,?,?,?,?,?,?)", fresh)
            n_new += len(fresh)
        n_gone = db.execute(
            "DELETE FROM detections WHERE source IN ('prediction', 'window') AND run < ? "
            "AND id NOT IN (SELECT detection_id FROM decisions)",
            (run,),
        ).rowcount
        keep_longest(db, ((row.begin_s, row.end_s) for one in found for row in one.rows))
    if wrong:
        project.decide([(number, Decision("wrong")) for number in wrong], TABLE_REVIEWER)
    return n_new, n_gone
