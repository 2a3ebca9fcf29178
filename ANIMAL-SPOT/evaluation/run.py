"""From results of predictions to annotation tables, and to scores against the truth."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from animal_spot.evaluation.config import EvaluateConfig
from animal_spot.utils.text import printable

if TYPE_CHECKING:
    from animal_spot.detections.annotations import Annotation, Thresholds
    from animal_spot.detections.result_readers import Result
    from animal_spot.evaluation.truth_scores import Evaluated
    from animal_spot.utils.own_files import OwnFiles

log = logging.getLogger("EVALUATE")

RESULT_MARK = "_predict_output"
SAME_RUN_S = 60  # between results of one recording that one prediction wrote
SUFFIXES = (".log", ".csv", ".parquet")  # the first one that is there is used
RAVEN_ENDING, AUDACITY_ENDING = ".Table.1.selections.txt", ".audacity.txt"
LEGACY_RAVEN_ENDING = ".annotation.result.txt"  # of the original, after the result's whole name
LEGACY_AUDACITY_ENDING = ".annotation.audacity.txt"
RECORD = ".evaluation.jsonl"  # what was written, to know what was edited since
LOCK = ".evaluation.lock"
OK, SOME_FAILED = 0, 3


def run(config: EvaluateConfig) -> int:
    """Evaluate every result in the folder as configured; return the exit status."""
    from animal_spot.utils.files import require_writable_folder, sole_process

    if config.prediction_dir is None or config.output_dir is None:
        raise ValueError("--prediction_dir and --output_dir are needed")
    for name in ("prediction_dir", "truth_dir"):
        folder = getattr(config, name)
        if folder is not None and not Path(folder).is_dir():
            raise ValueError(f"--{name} {folder} does not exist or is not a folder")
    output_dir = Path(config.output_dir)
    require_writable_folder(output_dir, "the output folder")
    results = find_results(Path(config.prediction_dir))
    if not results:
        raise ValueError(
            f"no result of a prediction in {config.prediction_dir}: no file has {RESULT_MARK} in "
            "its name"
        )
    with sole_process(output_dir / LOCK, f"writing into {output_dir}"):
        return _evaluate(config, results, output_dir)


def _evaluate(config: EvaluateConfig, results: Sequence[Path], output_dir: Path) -> int:
    from tqdm import tqdm

    from animal_spot.detections.annotations import Thresholds
    from animal_spot.evaluation.truth_scores import Evaluated
    from animal_spot.utils.own_files import JsonLines, OwnFiles

    thresholds = Thresholds(config.threshold, config.thresholds_by_class)
    evaluated: dict[Path, Evaluated] = {}
    classes: set[str] = set()
    n_rows = 0
    with contextlib.closing(JsonLines(output_dir / RECORD)) as lines:
        own = OwnFiles(output_dir, lines, replace_edited=config.replace_edited)
        lines.read(own.read)
        remove_scores = functools.cache(functools.partial(_remove_scores, own, output_dir))
        for path, name in tqdm(names_of(results).items(), unit="file", disable=None):
            try:
                result, rows = evaluate_file(path, config, thresholds)
                write_tables(path, name, result, rows, own, config, before=remove_scores)
            except (OSError, ValueError, MemoryError) as error:
                log.error("%s", _with_name(path, error))
                continue
            evaluated[path] = Evaluated(name, result.file, _result_stem(path))
            classes.update(result.classes)
            n_rows += len(rows)
        n_failed = len(results) - len(evaluated)
        unknown = sorted(set(thresholds.by_class) - classes)
        if unknown and evaluated:
            log.warning("--class_threshold: no result has a class %s", ", ".join(unknown))
        if own.left and output_dir.resolve() == Path(config.prediction_dir).resolve():
            log.warning("tables of predict.py stay as they are: give evaluation another folder")
        log.info("%d rows of %d recordings in %s", n_rows, len(evaluated), output_dir)
        if config.truth_dir is not None:
            n_not_scored, has_scores = _score(evaluated, config, thresholds, own, output_dir)
            n_failed += n_not_scored
            if not has_scores:
                remove_scores()
    if n_failed:
        log.error("%d failed; see above", n_failed)
    return SOME_FAILED if n_failed else OK


def _score(
    evaluated: dict[Path, Evaluated],
    config: EvaluateConfig,
    thresholds: Thresholds,
    own: OwnFiles,
    output_dir: Path,
) -> tuple[int, bool]:
    """Score what has a table of the truth.

    Returns:
        How many could not be scored, and whether scores were written.
    """
    from animal_spot.evaluation.score_report import table_lines, write_scores
    from animal_spot.evaluation.truth_scores import find_tables, score_results, shown

    truth_dir = Path(config.truth_dir)
    tables = find_tables(truth_dir, evaluated, own=_own_tables(config, own, output_dir))
    scoring = score_results(evaluated, tables, config, thresholds, detect)
    if scoring.without:
        n = len(scoring.without)
        log.warning("%d recordings have no table in %s: %s", n, truth_dir, shown(scoring.without))
    if not scoring.scores:
        log.error("nothing to score: no usable table of the truth in %s", truth_dir)
        return max(1, scoring.n_failed), False
    try:
        whole = write_scores(own, scoring.scores, dataclasses.asdict(config), scoring.without)
    except OSError as error:
        log.error("%s", _with_name(output_dir, error))
        return scoring.n_failed + 1, False
    unknown = scoring.unknown_classes
    if unknown:
        log.warning("classes of the truth that the model does not know: %s", ", ".join(unknown))
    print("\n".join(map(printable, table_lines(whole))))
    log.info("scores: %s", output_dir / "scores.json")
    return scoring.n_failed, True


def _own_tables(config: EvaluateConfig, own: OwnFiles, output_dir: Path) -> Callable[[Path], bool]:
    """Return what tells of a table that a program wrote it, and that it is no truth.

    An edited one is truth if its very folder was named as that of the truth.
    """
    from animal_spot.detections.journal import FILE_NAME, Journal

    truth_dir = Path(config.truth_dir).resolve()
    prediction_dir = Path(config.prediction_dir)
    folders = {output_dir.resolve(): own}
    if (prediction_dir / FILE_NAME).is_file():
        with contextlib.closing(Journal(prediction_dir)) as journal:
            folders.setdefault(prediction_dir.resolve(), journal.own)
    said = set()

    def is_own(path: Path) -> bool:
        files = folders.get(path.parent.resolve())
        if files is None or not files.is_known(path.name):
            return False
        is_named = truth_dir == path.parent.resolve()
        if is_named and files.is_edited(path.name):
            return False
        if is_named and path.parent not in said:
            said.add(path.parent)
            log.warning(
                "%s: tables in it are what was found, and no truth until they are edited or copied "
                "to another folder",
                path.parent,
            )
        return True

    return is_own


def _remove_scores(own: OwnFiles, output_dir: Path) -> None:
    """See that no scores of an earlier run lie beside tables of this one."""
    from animal_spot.evaluation.score_report import SCORE_FILES
    from animal_spot.utils.own_files import keep_copy

    there = [name for name in SCORE_FILES if os.path.lexists(output_dir / name)]
    removed = [name for name in there if own.is_known(name) and own.remove(name)]
    for name in there:
        if not own.is_known(name):
            copy = keep_copy(output_dir / name)
            log.warning("%s is of an earlier run: it is now %s", output_dir / name, copy.name)
    if removed:
        log.info("removed, as of an earlier run: %s", ", ".join(removed))


def names_of(results: Iterable[Path]) -> dict[Path, str]:
    """Name the tables of results: after the recording, as the results are, each name once."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    usual_first = sorted(results, key=lambda path: path.suffix.lower() not in SUFFIXES)
    for path in usual_first:
        name = _result_stem(path) or path.name
        if name.casefold() in taken:
            name = path.name
        taken.add(name.casefold())
        names[path] = name
    return {path: names[path] for path in sorted(names)}


def find_results(folder: Path) -> list[Path]:
    """List the results of predictions in a folder, one for each recording, by name.

    With another ending a file is one if it begins like a log, as the tables of this program do
    not. Of one prediction in several forms the log is taken, else csv, else parquet; but the newest
    where they are of different runs, more than ``SAME_RUN_S`` apart.
    """
    from animal_spot.detections.result_readers import looks_like_log
    from animal_spot.utils.own_files import is_copy

    chosen: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = path.name
        if RESULT_MARK not in name or name.startswith(".") or is_copy(name) or not path.is_file():
            continue
        if path.suffix.lower() not in SUFFIXES:
            with contextlib.suppress(OSError):  # reading it will say why
                if not looks_like_log(path):
                    continue
            chosen[f"{name}/"] = path
            continue
        key = name[: -len(path.suffix)]
        other = chosen.setdefault(key, path)
        if other is not path:
            ages = [p.stat().st_mtime for p in (other, path)]
            rank = [SUFFIXES.index(p.suffix.lower()) for p in (other, path)]
            of_two_runs = abs(ages[0] - ages[1]) > SAME_RUN_S
            first = ages[0] >= ages[1] if of_two_runs else rank[0] <= rank[1]
            used, unused = (other, path) if first else (path, other)
            chosen[key] = used
            if of_two_runs:
                log.warning("%s is used, not %s, which is older", used.name, unused.name)
            else:
                log.info("%s is used, not %s", used.name, unused.name)
    return sorted(chosen.values())


def evaluate_file(
    path: Path, config: EvaluateConfig, thresholds: Thresholds
) -> tuple[Result, Sequence[Annotation]]:
    """Return a result and its annotations.

    Raises:
        ResultError: If it cannot be used.
        OSError: If it cannot be read.
    """
    from animal_spot.detections.annotations import add_noise_rows
    from animal_spot.detections.result_readers import read_settled

    result = read_settled(path, config.noise_class)
    rows = detect(result, config)(thresholds)
    if config.noise_in_anno and result.noise_class is not None:
        rows = list(add_noise_rows(rows, result.duration_s, result.noise_class))
    return result, rows


def write_tables(
    path: Path,
    name: str,
    result: Result,
    rows: Sequence[Annotation],
    own: OwnFiles,
    config: EvaluateConfig,
    *,
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
        before: Called before a table changes.

    Raises:
        OSError: If one cannot be written.
    """
    from animal_spot.detections.annotation_tables import audacity_lines, raven_lines

    texts = {}
    original = config.legacy_names or config.legacy_header
    if config.format in ("raven", "both"):
        ending = LEGACY_RAVEN_ENDING if original else RAVEN_ENDING
        lines = raven_lines(rows, result.f_min, result.f_max, legacy=config.legacy_header)
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


def detect(result: Result, config: EvaluateConfig) -> Callable[[Thresholds], Sequence[Annotation]]:
    """Return a function that makes annotations of a result at given thresholds."""
    from animal_spot.detections.annotations import label_windows, merge_by_priority, merge_windows

    def annotations(thresholds: Thresholds) -> Sequence[Annotation]:
        windows = label_windows(
            result.start_s,
            result.end_s,
            result.winner,
            result.score,
            result.names,
            thresholds,
            noise=result.noise_class,
            skip_empty=True,
        )
        if not config.use_probability_priority:
            return list(merge_windows(windows))
        return merge_by_priority(
            windows, merge_gap=config.merge_gap, min_duration=config.min_annotation_duration
        )

    return annotations


def _result_stem(path: Path) -> str:
    return path.name.rpartition(RESULT_MARK)[0]


def _with_name(path: Path, error: BaseException) -> str:
    """Return one line that names the file."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or path}: {error.strerror}"
    return text if path.name in text else f"{path}: {text}"
