"""What was decided, as tables for other programs and as clips to train on."""

from __future__ import annotations

import contextlib
import csv
import logging
import math
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from animal_spot.audio.recordings import output_stems
from animal_spot.cutting.config import ClipsConfig
from animal_spot.cutting.labels_file import NAME as LABELS
from animal_spot.cutting.labels_file import read_labels
from animal_spot.cutting.run import LEFT_OUT, make_corpus
from animal_spot.cutting.stale_clips import FOLDER as STALE
from animal_spot.cutting.stale_clips import set_aside
from animal_spot.detections.annotation_tables import (
    AUDACITY_ENDING,
    RAVEN_ENDING,
    RAVEN_HEADER,
    audacity_lines,
    one_cell,
    raven_cells,
    table_line,
)
from animal_spot.detections.annotations import Annotation
from animal_spot.metadata.recording_time import RecordingTime
from animal_spot.metadata.time_columns import time_cells, time_columns
from animal_spot.reviewing.judged import Judged, judged
from animal_spot.reviewing.project import Project, Recording
from animal_spot.utils.csv_cells import csv_text
from animal_spot.utils.environment import pip_install
from animal_spot.utils.files import path_inside, refuse_links, require_writable_folder, sole_process
from animal_spot.utils.own_files import JsonLines, OwnFiles

KINDS = ("raven", "audacity", "csv", "parquet", "clips")
_WHOLE = ("csv", "parquet")  # kinds that have every row
STEM = "reviewed"  # of tables over all recordings
_RECORD, _LOCK = ".review.jsonl", ".review.lock"
_OF_CLIPS = ".reviewed.csv"  # the table that clips are cut by
_REVIEW_COLUMNS = ("Review", "Predicted", "Reviewer", "Note")
_COLUMNS = (
    *("file", "begin_s", "end_s", "low_hz", "high_hz", "class", "verdict", "predicted", "score"),
    *("source", "reviewer", "decided_at", "note", "detection"),
)
_WRONG = "wrong"
_SLIGHT_S = 1e-3  # edges that touch share nothing

log = logging.getLogger("REVIEW")


class ExportError(ValueError):
    """Something that cannot be written; one line says why."""


def export(
    project: Project,
    kind: str,
    folder: str,
    *,
    noise_class: str,
    clip_length: float | None = None,
) -> dict[str, Any]:
    """Write what was decided into a folder beside the project's file.

    Files that people made or edited are left as they are.

    Args:
        project: The review.
        kind: One of ``KINDS``.
        folder: Its path below the folder of the project.
        noise_class: Class that wrong detections are examples of.
        clip_length: Seconds of each clip; None: its event.

    Returns:
        ``folder``; ``files``, each with ``name`` and ``rows``, for clips the classes and how many
        there are of each; for clips ``unit``, of what ``rows`` are the number; ``notes``, lines
        that somebody should read.

    Raises:
        ExportError: If the kind or folder cannot be used, or nothing was decided yet.
        ValueError: If clips cannot be cut.
        OSError: If something cannot be read or written.
    """
    if kind not in KINDS:
        raise ExportError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    target = _target(project, folder)
    project.look_for_recordings()
    rows = judged(project)
    if not rows:
        raise ExportError("nothing was decided yet")
    if kind == "clips":
        return export_clips(project, rows, target, noise_class, clip_length)
    require_writable_folder(target, "the folder of the export")
    with (
        sole_process(target / _LOCK, f"writing into {target}"),
        contextlib.closing(JsonLines(target / _RECORD)) as lines,
    ):
        own = OwnFiles(target, lines)
        lines.read(own.read)
        written = _write(own, kind, rows, noise_class)
    left = [f"{name} was edited or is of somebody else: left as it is" for name in sorted(own.left)]
    return {
        "folder": str(target),
        "files": written,
        "notes": left if kind in _WHOLE else [*left, *_unsure(rows)],
    }


def _unsure(rows: Sequence[Judged]) -> list[str]:
    n = sum(row.verdict == "unsure" for row in rows)
    return (
        [f"{n} rows are unsure, or reviewers differ: only CSV and parquet have them"] if n else []
    )


def _target(project: Project, folder: str) -> Path:
    """Return the folder, which lies below that of the project.

    Raises:
        ExportError: If it does not.
    """
    home = project.path.parent
    try:
        if not folder.isprintable():
            raise ValueError(f"{folder!r} is no name of a folder")
        target = path_inside(home, folder)
        refuse_links(target, home)
    except (ValueError, OSError) as error:
        raise ExportError(f"folder: {error}") from error
    if target.exists() and not target.is_dir():
        raise ExportError(f"folder: {target} is a file")
    real = target.resolve()
    reviewed = project.setting("predictions")
    if reviewed is not None and real.is_relative_to(reviewed):
        raise ExportError(f"folder: nothing in {reviewed}, which is reviewed, is changed")
    if any(one.path.is_relative_to(real) for one in project.recordings()):
        raise ExportError(f"folder: {target} holds the recordings: name another one")
    return target


def _write(
    own: OwnFiles, kind: str, rows: Sequence[Judged], noise_class: str
) -> list[dict[str, Any]]:
    """Write the files of a kind; remove own ones that nothing says any more."""
    if kind == "parquet":
        name = f"{STEM}.parquet"
        if not own.may_write(name):
            return []
        with own.writing(name, of=kind) as temporary:
            _write_parquet(temporary, rows)
        return [{"name": name, "rows": len(rows)}]
    texts = (
        {f"{STEM}.csv": csv_text([_header(rows), *_cells(rows)])}
        if kind == "csv"
        else _tables(kind, rows, noise_class)
    )
    for name, text in texts.items():
        if own.has_text(name, text) or own.may_write(name):
            own.write_text(name, text, of=kind)
    for name in set(own.names_of(kind)) - set(texts):
        own.remove(name)
    n_header = 0 if kind == "audacity" else 1
    return [
        {"name": name, "rows": len(rows) if kind == "csv" else text.count("\n") - n_header}
        for name, text in sorted(texts.items())
        if name not in own.left
    ]


# --- tables of each recording ---------------------------------------------------------------------


def _tables(kind: str, rows: Sequence[Judged], noise_class: str) -> dict[str, str]:
    """Return the text of the table of each recording on which something was decided."""
    by_recording: dict[Recording, list[Judged]] = {}
    for row in rows:
        if row.verdict != "unsure":  # an empty table would say that nothing is there
            by_recording.setdefault(row.recording, []).append(row)
    stems = output_stems([one.path for one in by_recording], {})
    ending, lines = {
        "raven": (RAVEN_ENDING, _raven_lines),
        "audacity": (AUDACITY_ENDING, _audacity_lines),
    }[kind]
    return {
        f"{stem}{ending}": "".join(lines(recording, own, noise_class))
        for stem, (recording, own) in zip(stems, by_recording.items(), strict=True)
    }


def _audacity_lines(_: Recording, rows: Sequence[Judged], __: str) -> Iterable[str]:
    """Return labels of the calls that are there."""
    return audacity_lines(
        Annotation(row.begin_s, row.end_s, row.class_name, math.nan)
        for row in rows
        if row.class_name is not None
    )


def _raven_lines(recording: Recording, rows: Sequence[Judged], noise_class: str) -> Iterable[str]:
    """Yield a selection table of what is known: a column says what is wrong."""
    time = _time_of(recording)
    columns = time_columns([time])
    yield table_line((*RAVEN_HEADER, *_REVIEW_COLUMNS, *columns))
    for number, row in enumerate(rows, 1):
        name = row.class_name or row.predicted or noise_class
        score = math.nan if row.score is None else row.score
        low_hz, high_hz = row.low_hz, row.high_hz
        cells = list(
            raven_cells(
                number, Annotation(row.begin_s, row.end_s, name, score), low_hz or 0, high_hz or 0
            )
        )
        if high_hz is None:  # a box whose height is not known
            cells[5:7] = "", ""
        verdict = _WRONG if row.verdict == _WRONG else "right"
        more = (verdict, row.predicted or "", row.reviewer, row.note or "")
        when = time_cells(columns, time, row.begin_s, row.end_s)
        yield table_line((*cells, *map(one_cell, (*more, *when))))


# --- one table over all recordings ----------------------------------------------------------------


def _time_of(recording: Recording) -> RecordingTime:
    start = None if recording.start is None else datetime.fromisoformat(recording.start)
    return RecordingTime(start, site=recording.site)


def _header(rows: Sequence[Judged]) -> tuple[str, ...]:
    return (*_COLUMNS, *time_columns(_time_of(row.recording) for row in rows))


def _cells(rows: Sequence[Judged]) -> Iterable[tuple[Any, ...]]:
    """Yield the cells of each row, numbers as numbers; what is not known is None."""
    columns = _header(rows)[len(_COLUMNS) :]
    for row in rows:
        when = time_cells(columns, _time_of(row.recording), row.begin_s, row.end_s)
        yield (
            *(str(row.recording.path), row.begin_s, row.end_s, row.low_hz, row.high_hz),
            *(row.class_name, row.verdict, row.predicted, row.score, row.source),
            *(row.reviewer, row.at, row.note, row.id, *when),
        )


def _write_parquet(path: Path, rows: Sequence[Judged]) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ExportError(f"parquet needs pyarrow: {pip_install('pyarrow')}") from None
    numbers = {"begin_s", "end_s", "low_hz", "high_hz", "score"}
    columns = {}
    for name, values in zip(_header(rows), zip(*_cells(rows), strict=True), strict=True):
        kind = pa.float64() if name in numbers else pa.string()
        if name == "detection":
            kind = pa.int64()
        columns[name] = pa.array([_plain(value) for value in values], kind)
    with open(path, "wb") as file:
        pq.write_table(pa.table(columns), file)


def _plain(value: Any) -> Any:
    """Return a text that is UTF-8, whatever bytes a name of a file has."""
    if isinstance(value, str):
        return value.encode(errors="surrogateescape").decode(errors="replace")
    return value


# --- clips to train on ----------------------------------------------------------------------------


def export_clips(
    project: Project,
    rows: Sequence[Judged],
    folder: Path,
    noise_class: str,
    clip_length: float | None,
) -> dict[str, Any]:
    """Cut calls that are right, and wrong ones as background, as ``animal-spot clips`` does.

    A wrong one whose clip may hold a call, since something in it is unsure or undecided, is none.

    Args:
        project: The review.
        rows: What was decided.
        folder: Where the clips go.
        noise_class: See ``export``.
        clip_length: See ``export``.

    Returns:
        See ``export``.

    Raises:
        ExportError: If nothing was decided on a recording that is there.
        ValueError: If clips cannot be cut.
        OSError: If something cannot be read or written.
    """
    doubtful = _may_hold_calls(project, rows, clip_length)
    there = [
        row
        for row in rows
        if row.verdict != "unsure" and not row.recording.missing and row.id not in doubtful
    ]
    gone = sorted({row.recording.path for row in rows if row.recording.missing})
    if not there:
        if doubtful:
            raise ExportError("; ".join(_doubtful_notes(doubtful)))
        which = f": {len(gone)} are not there, such as {gone[0]}" if gone else ""
        raise ExportError(f"nothing was decided on a recording that is there{which}")
    require_writable_folder(folder, "the folder of the clips")
    table = folder / _OF_CLIPS
    with (
        sole_process(folder / _LOCK, f"writing into {folder}"),
        contextlib.closing(JsonLines(folder / _RECORD)) as lines,
    ):
        own = OwnFiles(folder, lines)
        lines.read(own.read)
        own.write_text(table.name, csv_text([_CLIP_COLUMNS, *_clip_rows(there, noise_class)]))
    paths = list(dict.fromkeys(str(row.recording.path) for row in there))
    config = ClipsConfig(
        recordings=tuple(paths),
        tables=(str(table),),
        negatives=(str(table),) if any(row.verdict == _WRONG for row in there) else (),
        output_dir=str(folder),
        clip_length=clip_length,
        # Neighbours that a margin reaches into would cost the clip.
        margin=None if clip_length is not None else 0.0,
        contact_sheets=0,
        background=0,  # where nobody looked may be calls that the model missed
        background_class=noise_class,
        remove_stale=True,  # clips of what was decided otherwise since
        **{f"{role}_column": name for role, name in _CLIP_ROLES.items()},
    )
    _bring_back(folder, table, paths)
    try:
        status = make_corpus(config)
    except ValueError as error:
        if LEFT_OUT not in str(error):
            raise
        # No clip at all, and the file that was just written says why.
        why = _without_clip(folder / LEFT_OUT, table, len(there))
        raise ExportError("; ".join(why) or str(error)) from error
    labels = [row for row in read_labels(folder / LABELS) if (folder / row["file"]).is_file()]
    # Of a recording on which every decision was taken back the cutter is told nothing.
    undone = [
        row["file"]
        for row in labels
        if row.get("table") == str(table) and row.get("source") not in paths
    ]
    set_aside(folder, undone)
    counts = Counter(row["label"] for row in labels if row["file"] not in undone)
    notes = ["some clips could not be cut: see the lines of the program"] if status else []
    notes += _without_clip(folder / LEFT_OUT, table, len(there))
    notes += _doubtful_notes(doubtful)
    if gone:
        n_lost = sum(row.recording.missing for row in rows)
        notes.append(
            f"{n_lost} rows are of {len(gone)} recordings that are not there, such as {gone[0]}"
        )
    return {
        "folder": str(folder),
        "unit": "clips",
        "files": [{"name": name, "rows": n} for name, n in sorted(counts.items())],
        "notes": [*notes, *_unsure(rows)],
    }


def _may_hold_calls(
    project: Project, rows: Sequence[Judged], clip_length: float | None
) -> set[int]:
    """Return the numbers of wrong rows in whose clip something may be a call.

    Who said that a row is wrong has heard its stretch. What is undecided counts beside it, what is
    unsure also within.
    """
    verdicts = {row.id: row.verdict for row in judged(project)}
    found = set()
    for row in rows:
        if row.verdict != _WRONG:
            continue
        begin_s, end_s = _clip_extent(row, clip_length)
        for other in project.near(row.recording.id, begin_s, end_s):
            if other["id"] == row.id or other["class"] is None:
                continue
            verdict = verdicts.get(other["id"])
            first, last = max(other["begin_s"], begin_s), min(other["end_s"], end_s)
            is_beside = first < row.begin_s - _SLIGHT_S or last > row.end_s + _SLIGHT_S
            if last - first > _SLIGHT_S and (
                verdict == "unsure" or (verdict is None and is_beside)
            ):
                found.add(row.id)
    return found


def _clip_extent(row: Judged, clip_length: float | None) -> tuple[float, float]:
    """Return from when to when the clips of a row reach in its recording."""
    if clip_length is None:
        return row.begin_s, row.end_s
    begin_s = (row.begin_s + row.end_s - clip_length) / 2
    begin_s = max(0.0, min(begin_s, row.recording.duration_s - clip_length))  # as it is cut
    return min(begin_s, row.begin_s), max(begin_s + clip_length, row.end_s)


def _doubtful_notes(doubtful: Collection[int]) -> list[str]:
    if not doubtful:
        return []
    return [
        f"{len(doubtful)} wrong rows became no clip, since something in it is unsure or undecided: "
        "decide on that too, or use shorter clips"
    ]


def _without_clip(left_out: Path, table: Path, n_events: int) -> list[str]:
    """Say how many events became clips, and of the others why not.

    Args:
        left_out: What ``animal-spot clips`` wrote of them.
        table: The table of the events.
        n_events: How many there are.
    """
    with open(left_out, newline="", encoding="utf-8") as file:
        kinds = Counter(row["kind"] for row in csv.DictReader(file) if row["table"] == str(table))
    n_left = kinds.total()
    if not n_left:
        return []
    reasons = ", ".join(f"{kind} ({n})" for kind, n in kinds.most_common())
    return [
        f"{n_events - n_left} of {n_events} decided events became clips, {n_left} did not: "
        f"{reasons}; which: {left_out}"
    ]


def _bring_back(folder: Path, table: Path, paths: Collection[str]) -> None:
    """Take clips out of the hidden folder that were put there when something else was decided.

    Those that are still not wanted go there again.
    """
    for row in read_labels(folder / LABELS):
        file = row["file"]
        aside = folder / STALE / file
        is_ours = row.get("table") == str(table) and row.get("source") in paths
        if is_ours and aside.is_file() and not (folder / file).exists():
            os.replace(aside, folder / file)


_CLIP_ROLES = {
    **{"recording": "recording", "begin": "begin_s", "end": "end_s"},
    **{"low": "low_hz", "high": "high_hz", "label": "label"},
}
_CLIP_COLUMNS = (*_CLIP_ROLES.values(), "verdict")


def _clip_rows(rows: Iterable[Judged], noise_class: str) -> Iterable[tuple[Any, ...]]:
    for row in rows:
        label = row.class_name or row.predicted or noise_class
        yield (
            *(str(row.recording.path), row.begin_s, row.end_s, row.low_hz, row.high_hz, label),
            _WRONG if row.verdict == _WRONG else "right",
        )
