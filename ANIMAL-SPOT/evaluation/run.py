"""A run of ``evaluate.py``: from results of predictions to annotation tables, and to scores."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from animal_spot.detections.result_writers import RESULT_MARK
from animal_spot.evaluation.annotated import Evaluated, evaluate_file, time_of, write_tables
from animal_spot.evaluation.config import EvaluateConfig
from animal_spot.evaluation.found_results import find_results, names_of, result_stem
from animal_spot.evaluation.score_report import remove_scores, table_lines, write_scores
from animal_spot.evaluation.table_results import TableResult, find_table_results
from animal_spot.evaluation.truth_scores import Scoring, score_results, shown
from animal_spot.evaluation.truth_tables import TruthTables, is_own_table
from animal_spot.metadata.recording_time import RecordingTime, lines_about
from animal_spot.metadata.time_flags import TIME_FIELDS, time_finder_of
from animal_spot.utils.files import require_writable_folder, sole_process
from animal_spot.utils.own_files import JsonLines, OwnFiles
from animal_spot.utils.status import OK, SOME_FAILED
from animal_spot.utils.text import printable

log = logging.getLogger("EVALUATE")

RECORD = ".evaluation.jsonl"  # what was written, to know what was edited since
LOCK = ".evaluation.lock"


def run(config: EvaluateConfig) -> int:
    """Evaluate every result in the folder as configured; return the exit status."""
    if config.prediction_dir is None or config.output_dir is None:
        raise ValueError("--prediction_dir and --output_dir are needed")
    for name in ("prediction_dir", "truth_dir"):
        folder = getattr(config, name)
        if folder is not None and not Path(folder).is_dir():
            raise ValueError(f"--{name} {folder} does not exist or is not a folder")
    output_dir = Path(config.output_dir)
    require_writable_folder(output_dir, "the output folder")
    prediction_dir = Path(config.prediction_dir)
    results = find_results(prediction_dir)
    tables = find_table_results(prediction_dir, results, config.noise_class)
    if not results and not tables:
        raise ValueError(
            f"no result of a prediction in {config.prediction_dir}: no file has {RESULT_MARK} in "
            "its name"
        )
    if not results and config.truth_dir is None:
        raise ValueError(
            f"only tables of annotations in {config.prediction_dir}: all that can be made of them "
            "is scores, with --truth_dir"
        )
    with sole_process(output_dir / LOCK, f"writing into {output_dir}"):
        return _evaluate(config, results, tables, output_dir)


def _evaluate(
    config: EvaluateConfig,
    results: Sequence[Path],
    tables: Mapping[Path, TableResult],
    output_dir: Path,
) -> int:
    finder = time_finder_of(config)
    times: dict[Path, RecordingTime] = {}
    evaluated: dict[Path, Evaluated] = {}
    classes: set[str] = set()
    n_rows = 0
    with contextlib.closing(JsonLines(output_dir / RECORD)) as lines:
        own = OwnFiles(output_dir, lines, replace_edited=config.replace_edited)
        lines.read(own.read)
        remove_old_scores = functools.cache(functools.partial(remove_scores, own, output_dir))
        for path, name in tqdm(names_of(results).items(), unit="file", disable=None):
            try:
                result, rows = evaluate_file(path, config)
                time = time_of(result, finder)
                write_tables(
                    *(path, name, result, rows, own, config), time=time, before=remove_old_scores
                )
            except (OSError, ValueError, MemoryError) as error:
                log.error("%s", _with_name(path, error))
                continue
            times[path] = time
            evaluated[path] = Evaluated(name, result.file, result_stem(path))
            classes.update(result.classes)
            n_rows += len(rows)
        for is_warning, line in lines_about(times.items()):
            log.log(logging.WARNING if is_warning else logging.INFO, "%s", line)
        n_failed = len(results) - len(evaluated)
        unknown = sorted(set(config.thresholds_by_class) - classes)
        if unknown and evaluated:
            log.warning("--class_threshold: no result has a class %s", ", ".join(unknown))
        if own.left and output_dir.resolve() == Path(config.prediction_dir).resolve():
            log.warning("tables of predict.py stay as they are: give evaluation another folder")
        log.info("%d rows of %d recordings in %s", n_rows, len(evaluated), output_dir)
        if tables and config.truth_dir is not None:
            log.info("%d recordings have only tables, whose rows are scored", len(tables))
        for path, result in tables.items():
            evaluated[path] = Evaluated(result.stem, result.file, result.stem, result)
        if config.truth_dir is not None:
            n_not_scored, has_scores = _score(evaluated, config, own, output_dir)
            n_failed += n_not_scored
            if not has_scores:
                remove_old_scores()
    if n_failed:
        log.error("%d failed; see above", n_failed)
    return SOME_FAILED if n_failed else OK


def _score(
    evaluated: dict[Path, Evaluated],
    config: EvaluateConfig,
    own: OwnFiles,
    output_dir: Path,
) -> tuple[int, bool]:
    """Score what has a table of the truth.

    Returns:
        How many could not be scored, and whether scores were written.
    """
    truth_dir = Path(config.truth_dir)
    is_own = is_own_table(Path(config.prediction_dir), truth_dir, own, output_dir)
    truth = TruthTables(truth_dir, evaluated, own=is_own, label_column=config.truth_column)
    scoring = score_results(evaluated, truth, config)
    if scoring.without:
        n = len(scoring.without)
        log.warning("%d recordings have no table in %s: %s", n, truth_dir, shown(scoring.without))
    if not scoring.scores:
        log.error("nothing to score: no usable table of the truth in %s", truth_dir)
        return max(1, scoring.n_failed), False
    try:
        settings = _settings(config, scoring)
        whole = write_scores(own, scoring.scores, settings, scoring.without, scoring.events)
    except OSError as error:
        log.error("%s", _with_name(output_dir, error))
        return scoring.n_failed + 1, False
    unknown = scoring.unknown_classes
    if unknown:
        log.warning("classes of the truth that the model does not know: %s", ", ".join(unknown))
    print("\n".join(map(printable, table_lines(whole))))
    log.info("scores: %s", output_dir / "scores.json")
    return scoring.n_failed, True


def _settings(config: EvaluateConfig, scoring: Scoring) -> dict[str, Any]:
    """Return the settings that stand beside scores; some only where they were given.

    The threshold is the one that was used; null if recordings had different ones.
    """
    every = dataclasses.asdict(config)
    used = set(scoring.thresholds.values())
    every["threshold"] = used.pop() if len(used) == 1 else None
    del every["no_report"]  # has nothing to do with scores
    if_given = {*TIME_FIELDS, "decoder"}
    return {name: v for name, v in every.items() if v is not None or name not in if_given}


def _with_name(path: Path, error: BaseException) -> str:
    """Return one line that names the file."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or path}: {error.strerror}"
    return text if path.name in text else f"{path}: {text}"
