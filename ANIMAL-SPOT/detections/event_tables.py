"""Events in every table that people or this program make: of annotations, and of windows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from animal_spot.detections.annotations import Annotation
from animal_spot.detections.decisions import Thresholds
from animal_spot.detections.result_readers import Result, looks_like_log, read_settled
from animal_spot.detections.result_rows import rows_of
from animal_spot.tables.columns import Columns
from animal_spot.tables.event import EventTable, LabelledEvent, TableError, WindowTableError
from animal_spot.tables.reading import read_events
from animal_spot.tables.table_text import require_file

SCORE = "Score"  # under which an event of a result has its probability
_SCORE_COLUMNS = frozenset(("score", "confidence", "probability"))
_KIND = "windows of predict.py"


def read_any(
    path: Path,
    *,
    columns: Columns | None = None,
    label_flag: str = "--label_column",
    thresholds: Thresholds | None = None,
    noise_class: str | None = None,
) -> EventTable:
    """Read a table of annotations, or a result of ``predict.py``: its log, csv or parquet.

    Args:
        path: The file.
        columns: Names of columns of a table, where they are known.
        label_flag: Option that names the column of labels, for a message.
        thresholds: Least probabilities of an event of a result; None: 0.5, or what the result
            says where it was decoded into events.
        noise_class: Class of a result that is no call; None: as it says, else called noise.

    Raises:
        TableError: If it is neither, or cannot be used.
        OSError: If it cannot be read.
    """
    require_file(path)
    if path.suffix.lower() != ".parquet" and not looks_like_log(path):
        try:
            return read_events(path, columns=columns, label_flag=label_flag)
        except WindowTableError:
            pass
    try:
        result = read_settled(path, noise_class)
    except ValueError as error:
        raise TableError(str(error)) from error
    return EventTable(path, _KIND, tuple(_events(path, result, thresholds)))


def _events(path: Path, result: Result, thresholds: Thresholds | None) -> Iterable[LabelledEvent]:
    """Yield what was found in the windows, by the rule that the result names."""
    for number, row in enumerate(rows_of(result, thresholds), 1):
        yield LabelledEvent(
            row.name,
            row.begin_s,
            row.end_s,
            float(result.f_min),
            float(result.f_max),
            table=path,
            row=number,
            recording=result.file,
            extra={SCORE: f"{row.score:.4f}"},
        )


def as_annotations(events: Iterable[LabelledEvent]) -> list[Annotation]:
    """Return events in the order of time, but for those that are marked as false alarms.

    The score is that of a column such as Score; NaN where there is none.
    """
    return sorted(
        Annotation(event.start_s, event.end_s, event.label, _score(event))
        for event in events
        if not event.is_wrong
    )


def _score(event: LabelledEvent) -> float:
    for name, text in event.extra.items():
        if name.lower() in _SCORE_COLUMNS:
            try:
                return float(text)
            except ValueError:  # a remark
                break
    return math.nan
