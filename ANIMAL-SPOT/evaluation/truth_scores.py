"""A run of scoring: results of predictions are held against tables of the truth."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from animal_spot.detections.result_readers import read_settled
from animal_spot.evaluation.annotated import Evaluated, detect, thresholds_for
from animal_spot.evaluation.config import EvaluateConfig
from animal_spot.evaluation.score_report import Scores, events_for_model, score_recording
from animal_spot.evaluation.scored_events import ScoredEvent, scored_events
from animal_spot.evaluation.truth_check import (
    Scored,
    TruthError,
    fit_to_recording,
    fits_nothing,
    swapped_tables,
)
from animal_spot.evaluation.truth_tables import TruthTables

log = logging.getLogger(__name__)

_N_SHOWN = 10  # names in a message


@dataclass
class Scoring:
    """What came of scoring.

    Attributes:
        scores: Of each recording by its name.
        without: Names of recordings that have no table.
        classes: Of the models.
        n_failed: Recordings whose table cannot be used.
        thresholds: Least confidence that was used for each recording.
        events: Of each its file, and what is there and was found, and whether that is right.
    """

    scores: dict[str, Scores] = dataclasses.field(default_factory=dict)
    without: list[str] = dataclasses.field(default_factory=list)
    classes: set[str] = dataclasses.field(default_factory=set)
    n_failed: int = 0
    thresholds: dict[str, float] = dataclasses.field(default_factory=dict)
    events: dict[str, tuple[str, list[ScoredEvent]]] = dataclasses.field(default_factory=dict)

    @property
    def unknown_classes(self) -> list[str]:
        """Classes of the truth that no model knows."""
        named = {name for scores in self.scores.values() for name in scores.names}
        return sorted(named - self.classes)


def score_results(
    evaluated: Mapping[Path, Evaluated],
    truth: TruthTables,
    config: EvaluateConfig,
) -> Scoring:
    """Score the recordings that have a table of the truth.

    Args:
        evaluated: Result files.
        truth: Tables of the truth, and those of each that has any.
        config: Settings.
    """
    tables = truth.by_result
    scoring = Scoring(without=[one.name for path, one in evaluated.items() if path not in tables])
    compared: dict[str, Scored] = {}
    table_of: dict[str, Path] = {}
    for path, candidates in tables.items():
        name, table = evaluated[path].name, candidates[0]
        try:
            _refuse_doubtful(path, truth, evaluated, Path(config.truth_dir))
            result = evaluated[path].tables or read_settled(path, config.noise_class)
            found, thresholds = detect(result, config), thresholds_for(result, config)
            rows = events_for_model(truth.rows(table, result.file), result)
            scoring.classes.update(result.classes)
            if evaluated[path].tables:  # which do not say what else the model knows
                scoring.classes.update(row.name for row in rows)
            compared[name], table_of[name] = Scored(rows, found(thresholds)), table
            fitting = fit_to_recording(rows, result.longest_s, result.sequence_len)
            for warning in fitting.warnings:
                log.warning("%s: %s", table, warning)
            scoring.thresholds[name] = thresholds.default
            scoring.scores[name] = score_recording(
                result, fitting.rows, found, thresholds, iou_threshold=config.iou_threshold
            )
            scoring.events[name] = (
                result.file,
                scored_events(
                    events_for_model(fitting.rows, result),
                    compared[name].found,
                    iou_threshold=config.iou_threshold,
                ),
            )
        except TruthError as error:
            log.error("%s: %s; %s is not scored", table, error, name)
        except OSError as error:
            log.error("%s: %s", error.filename or table, error.strerror or error)
        except ValueError as error:
            is_named = str(path) in str(error) or str(table) in str(error)
            log.error("%s", error if is_named else f"{table}: {error}")
    scoring.n_failed = len(tables) - len(scoring.scores)
    _warn_of_other_tables(scoring, compared, table_of)
    return scoring


def _refuse_doubtful(
    path: Path, truth: TruthTables, evaluated: Mapping[Path, Evaluated], truth_dir: Path
) -> None:
    """Refuse a result with several tables, or one whose table another result has too."""
    table, *others = truth.by_result[path]
    if others:
        tables = (table.relative_to(truth_dir).as_posix() for table in (table, *others))
        raise ValueError(
            f"{path}: several tables of the truth: {', '.join(tables)}; leave one, or put them "
            "into folders that are called as that of the recording, "
            f"{evaluated[path].recording}"
        )
    owners = truth.owners(table)
    if len(owners) > 1:
        names = ", ".join(f"{o.name} (of {evaluated[o].recording})" for o in owners)
        raise ValueError(
            f"{table} would be the truth of several results: {names}; put the tables into "
            "folders that are called as those of the recordings"
        )


def _warn_of_other_tables(
    scoring: Scoring, compared: Mapping[str, Scored], table_of: Mapping[str, Path]
) -> None:
    swapped = swapped_tables(compared)
    for name, (other, n_there, n_here) in swapped.items():
        log.warning(
            "%s: %d of its %d rows are found in %s, and %d in %s: are two tables swapped?",
            *(table_of[name], n_there, len(compared[name].truth), other, n_here, name),
        )
    for name, scores in scoring.scores.items():
        n_events = scores.detection.tp + scores.detection.fn
        n_found = scores.detection.tp + scores.detection.fp
        if name not in swapped and fits_nothing(n_events, n_found, scores.detection.tp):
            log.warning(
                "%s: not one of its %d rows is where one of %d annotations of %s is: is it the "
                "table of another recording?",
                *(table_of[name], n_events, n_found, name),
            )


def shown(names: Sequence[str]) -> str:
    """Return the first of many names in one line."""
    return ", ".join(names[:_N_SHOWN]) + (" ..." if len(names) > _N_SHOWN else "")
