"""From a result of a prediction to its annotations, and to the tables of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from animal_spot.detections.annotation_tables import (
    AUDACITY_ENDING,
    RAVEN_ENDING,
    audacity_lines,
    raven_lines,
)
from animal_spot.detections.annotations import (
    Annotation,
    add_noise_rows,
    found_windows,
    merge_by_priority,
)
from animal_spot.detections.decisions import Thresholds
from animal_spot.detections.decoders import EVENTS, ORIGINAL
from animal_spot.detections.event_settings import EventSettings
from animal_spot.detections.result_readers import Result, read_settled
from animal_spot.detections.result_rows import event_rows, original_rows
from animal_spot.evaluation.config import EvaluateConfig
from animal_spot.evaluation.table_results import TableResult
from animal_spot.metadata.recording_time import NO_TIME, RecordingTime, TimeFinder
from animal_spot.utils.own_files import OwnFiles

# Of the original, after the whole name of the result.
LEGACY_RAVEN_ENDING, LEGACY_AUDACITY_ENDING = ".annotation.result.txt", ".annotation.audacity.txt"


@dataclass(frozen=True)
class Evaluated:
    """A result whose annotations are written or were.

    Attributes:
        name: What its tables and scores are called after.
        recording: Path of the recording, as it was given to the prediction.
        stem: Name of the result up to what all results have in common.
        tables: What was found, where there are only tables of it.
    """

    name: str
    recording: str
    stem: str
    tables: TableResult | None = None


def evaluate_file(path: Path, config: EvaluateConfig) -> tuple[Result, Sequence[Annotation]]:
    """Return a result and its annotations.

    Raises:
        ResultError: If it cannot be used.
        OSError: If it cannot be read.
    """
    result = read_settled(path, config.noise_class)
    rows = detect(result, config)(thresholds_for(result, config))
    if config.noise_in_anno and result.noise_class is not None:
        rows = list(add_noise_rows(rows, result.duration_s, result.noise_class))
    return result, rows


def decoder_of(result: Result, config: EvaluateConfig) -> EventSettings | None:
    """Return how windows of a result become events; None: by a rule of the original or its fork."""
    if config.use_probability_priority or config.decoder == ORIGINAL:
        return None
    if config.decoder == EVENTS and result.decoder is None:
        return EventSettings.for_windows(result.sequence_len)
    return result.decoder


def thresholds_for(result: Result, config: EvaluateConfig) -> Thresholds:
    """Return the thresholds of a result: the given ones, else its decoder's, else 0.5.

    Of a result that is a table all rows are taken where no threshold is given.
    """
    default = config.threshold
    if default is None:
        decoder = decoder_of(result, config)
        default = Thresholds().default if decoder is None else decoder.threshold
        default = 0.0 if isinstance(result, TableResult) else default
    return Thresholds(default, config.thresholds_by_class)


def detect(result: Result, config: EvaluateConfig) -> Callable[[Thresholds], Sequence[Annotation]]:
    """Return a function that makes annotations of a result at given thresholds."""
    if isinstance(result, TableResult):
        return result.annotations
    if decoder := decoder_of(result, config):
        return event_rows(result, decoder)
    if not config.use_probability_priority:
        return original_rows(result)

    def annotations(thresholds: Thresholds) -> Sequence[Annotation]:
        decisions = result.rule(thresholds).decide_scores(result.winner, result.score)
        windows = found_windows(result.start_s, result.end_s, decisions, result.names)
        return merge_by_priority(
            windows, merge_gap=config.merge_gap, min_duration=config.min_annotation_duration
        )

    return annotations


def time_of(result: Result, finder: TimeFinder) -> RecordingTime:
    """Return when and where the recording was made.

    As the result says; else, or where flags were given, as the recording and its name do.
    """
    if finder == TimeFinder() and result.time != NO_TIME:
        return result.time
    found = finder.of(Path(result.file))
    if found.start is None and result.time.start is not None:
        found = replace(result.time, site=found.site or result.time.site)
    return found if found.site else replace(found, site=result.time.site)


def write_tables(
    path: Path,
    name: str,
    result: Result,
    rows: Sequence[Annotation],
    own: OwnFiles,
    config: EvaluateConfig,
    *,
    time: RecordingTime = NO_TIME,
    before: Callable[[], None],
) -> None:
    """Write the annotation tables of a result.

    Those of an earlier run that are not among them are removed; what was edited is left alone.

    Args:
        path: The result.
        name: What the tables are called after.
        result: What it holds.
        rows: Its annotations.
        own: The output folder.
        config: Settings.
        time: When and where the recording was made.
        before: Called before a table changes.

    Raises:
        OSError: If one cannot be written.
    """
    texts = {}
    original = config.legacy_names or config.legacy_header
    if config.format in ("raven", "both"):
        ending = LEGACY_RAVEN_ENDING if original else RAVEN_ENDING
        band_hz, legacy = (result.f_min, result.f_max), config.legacy_header
        time = NO_TIME if original else time
        lines = raven_lines(rows, *band_hz, time=time, legacy=legacy)
        texts[(path.name if original else name) + ending] = "".join(lines)
    if config.format in ("audacity", "both"):
        ending = LEGACY_AUDACITY_ENDING if original else AUDACITY_ENDING
        texts[(path.name if original else name) + ending] = "".join(audacity_lines(rows))
    for table, text in texts.items():
        if own.has_text(table, text):
            own.write_text(table, text, of=path.name)  # which notes it as own
        elif own.may_write(table, ours_by_name=original):
            before()
            own.write_text(table, text, of=path.name)
    for table in set(own.names_of(path.name)) - set(texts):
        if own.is_as_written(table):
            before()
        own.remove(table)
