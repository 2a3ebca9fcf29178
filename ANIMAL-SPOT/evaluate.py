"""Turn predictions into annotation tables, and score them against the truth."""

from __future__ import annotations

import utils.environment  # noqa: F401 - says in one line what is missing; isort: skip
import contextlib
import dataclasses
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from utils.evaluate_config import EvaluateConfig, parse_config

if TYPE_CHECKING:
    from utils.annotations import Annotation, Thresholds
    from utils.result_readers import Result
    from utils.score_report import Scores

log = logging.getLogger("EVALUATE")

RESULT_MARK = "_predict_output"
SAME_RUN_S = 60  # between results of one recording that one prediction wrote
SUFFIXES = (".log", ".csv", ".parquet")  # the first one that is there is used
RAVEN_ENDING, AUDACITY_ENDING = ".annotation.result.txt", ".annotation.audacity.txt"
OK, NOT_STARTED, SOME_FAILED = 0, 1, 3


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit status."""
    config = parse_config(argv)
    from utils.errors import run_to_status

    return run_to_status(
        log,
        lambda: run(config),
        debug=config.debug,
        at_once="tables that were written are whole",
        out_of_memory="end other programs",
    )


def run(config: EvaluateConfig) -> int:
    """Evaluate every result in the folder as configured; return the exit status."""
    from tqdm import tqdm

    from utils.annotations import Thresholds
    from utils.files import require_writable_folder

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
    thresholds = Thresholds(config.threshold, config.thresholds_by_class)
    evaluated: dict[Path, str] = {}
    classes: set[str] = set()
    n_rows = 0
    for path in tqdm(results, unit="file", disable=None):
        try:
            result, rows = evaluate_file(path, output_dir, config, thresholds)
        except (OSError, ValueError, MemoryError) as error:
            log.error("%s", _with_name(path, error))
            continue
        evaluated[path] = result.file
        classes.update(result.classes)
        n_rows += rows
    n_failed = len(results) - len(evaluated)
    unknown = sorted(set(thresholds.by_class) - classes)
    if unknown and evaluated:
        log.warning("--class_threshold: no result has a class %s", ", ".join(unknown))
    log.info("%d rows of %d recordings in %s", n_rows, len(evaluated), output_dir)
    if config.truth_dir is not None:
        n_failed += score(evaluated, config, thresholds)
    if n_failed:
        log.error("%d failed; see above", n_failed)
    return SOME_FAILED if n_failed else OK


def find_results(folder: Path) -> list[Path]:
    """List the results of predictions in a folder, one for each recording, by name.

    With another ending a file is one if it begins like a log, as the tables of this program do
    not. Of one prediction in several forms the log is taken, else csv, else parquet; but the newest
    where they are of different runs, more than ``SAME_RUN_S`` apart.
    """
    from utils.result_readers import looks_like_log

    chosen: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = path.name
        if RESULT_MARK not in name or name.startswith(".") or not path.is_file():
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
    path: Path, output_dir: Path, config: EvaluateConfig, thresholds: Thresholds
) -> tuple[Result, int]:
    """Write the annotation tables of one result; return it and the number of rows.

    Raises:
        ResultError: If it cannot be used.
        OSError: If something cannot be read or written.
    """
    from utils.annotation_tables import audacity_lines, raven_lines
    from utils.annotations import add_noise_rows
    from utils.files import write_text_atomic
    from utils.result_readers import read_result

    result = with_noise_class(read_result(path), config.noise_class)
    rows: Sequence[Annotation] = detect(result, config)(thresholds)
    if config.noise_in_anno and result.noise_class is not None:
        rows = list(add_noise_rows(rows, result.duration_s, result.noise_class))
    if config.format in ("raven", "both"):
        lines: Iterable[str] = raven_lines(
            rows, result.f_min, result.f_max, legacy=config.legacy_header
        )
        write_text_atomic(output_dir / f"{path.name}{RAVEN_ENDING}", "".join(lines))
    if config.format in ("audacity", "both"):
        write_text_atomic(
            output_dir / f"{path.name}{AUDACITY_ENDING}", "".join(audacity_lines(rows))
        )
    return result, len(rows)


def with_noise_class(result: Result, wanted: str | None) -> Result:
    """Settle which class of a result is background: as wanted, as it says, else called noise.

    Raises:
        ValueError: If what is wanted is no class of it.
    """
    from utils.noise_class import noise_class_of

    noise = noise_class_of(wanted or result.noise_class, result.names)
    return dataclasses.replace(result, noise_class=noise)


def detect(result: Result, config: EvaluateConfig) -> Callable[[Thresholds], Sequence[Annotation]]:
    """Return a function that makes annotations of a result at given thresholds."""
    from utils.annotations import label_windows, merge_by_priority, merge_windows

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


def score(evaluated: dict[Path, str], config: EvaluateConfig, thresholds: Thresholds) -> int:
    """Score the recordings that have a table of the truth; return how many failed.

    Args:
        evaluated: Recording of each result file.
        config: Settings.
        thresholds: Those of the detections.
    """
    from utils.annotation_tables import read_table
    from utils.result_readers import read_result
    from utils.score_report import score_recording, table_lines, write_scores

    truth_dir = Path(config.truth_dir)
    tables = find_tables(truth_dir, evaluated)
    without = [_result_stem(path) for path in evaluated if path not in tables]
    if without:
        shown = ", ".join(without[:10]) + (" ..." if len(without) > 10 else "")
        log.warning("%d recordings have no table in %s: %s", len(without), truth_dir, shown)
    scores: dict[str, Scores] = {}
    known: set[str] = set()
    n_failed = 0
    n_owners = Counter(table for candidates in tables.values() for table in candidates)
    for path, candidates in tables.items():
        try:
            if len(candidates) > 1:
                names = ", ".join(_below(truth_dir, table) for table in candidates)
                raise ValueError(
                    f"{path}: several tables of the truth: {names}; leave one, or put them into "
                    f"folders that are called as that of the recording, {evaluated[path]}"
                )
            if n_owners[candidates[0]] > 1:
                names = ", ".join(
                    f"{other.name} (of {evaluated[other]})"
                    for other in tables
                    if tables[other] == candidates
                )
                raise ValueError(
                    f"{candidates[0]} would be the truth of several results: {names}; put the "
                    "tables into folders that are called as those of the recordings"
                )
            truth = read_table(candidates[0], config.truth_column)
            result = with_noise_class(read_result(path), config.noise_class)
            known.update(result.classes)
            scores[_result_stem(path)] = score_recording(
                result,
                truth,
                detect(result, config),
                thresholds,
                iou_threshold=config.iou_threshold,
            )
        except (OSError, ValueError) as error:
            log.error("%s", _with_name(path, error))
            n_failed += 1
    if not scores:
        log.error("nothing to score: no usable table of the truth in %s", truth_dir)
        return max(1, n_failed)
    output_dir = Path(config.output_dir)
    try:
        whole = write_scores(output_dir, scores, dataclasses.asdict(config), without)
    except OSError as error:
        log.error("%s", _with_name(output_dir, error))
        return n_failed + 1
    unknown = sorted(set(whole["events"]["classes"]) - known)
    if unknown:
        log.warning("classes of the truth that the model does not know: %s", ", ".join(unknown))
    print("\n".join(table_lines(whole)))
    log.info("scores: %s", output_dir / "scores.json")
    return n_failed


def find_tables(truth_dir: Path, evaluated: dict[Path, str]) -> dict[Path, list[Path]]:
    """Find the tables of the truth of each result, by the recording's name or by the result's.

    Of tables of one name in several folders those count whose folder is called as the recording's.
    """
    from utils.annotation_tables import tables_by_recording

    files = [p for p in truth_dir.rglob("*") if p.suffix.lower() == ".txt" and p.is_file()]
    names = {
        path: (PurePosixPath(recording.replace("\\", "/")).stem, _result_stem(path))
        for path, recording in evaluated.items()
    }
    tables = tables_by_recording(files, [name for both in names.values() for name in both])
    found = {}
    for path, both in names.items():
        name = next((name for name in both if name in tables), None)
        if name is not None:
            found[path] = _of_same_folder(tables[name], evaluated[path], truth_dir)
    return found


def _of_same_folder(tables: Sequence[Path], recording: str, truth_dir: Path) -> list[Path]:
    """Return the tables in a folder like that of the recording, if there are any, else all."""
    place = PurePosixPath(recording.replace("\\", "/")).parent.parts

    def folders_in_common(table: Path) -> int:
        folders = table.parent.relative_to(truth_dir).parts
        return len(folders) if folders and place[-len(folders) :] == folders else 0

    most = max(map(folders_in_common, tables))
    return [table for table in tables if folders_in_common(table) == most]


def _below(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _result_stem(path: Path) -> str:
    return path.name.rpartition(RESULT_MARK)[0]


def _with_name(path: Path, error: BaseException) -> str:
    """Return one line that names the file."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or path}: {error.strerror}"
    return text if isinstance(error, (OSError, ValueError)) else f"{path}: {text}"


if __name__ == "__main__":
    sys.exit(main())
