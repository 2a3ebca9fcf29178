"""What a report can be of: the folders and files that the commands leave behind."""

from __future__ import annotations

import csv
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from animal_spot.detections.journal import FILE_NAME as JOURNAL
from animal_spot.reviewing.retrain_config import output_of
from animal_spot.utils.errors import one_line

Kind = Literal["training", "folds", "model", "prediction", "evaluation", "review", "folder"]
RESULTS, FOLDS, SUMMARY, SCORES = "results.json", "folds.json", "summary.csv", "scores.json"
MODEL_FILE = "ANIMAL-SPOT.pk"
ORDER: tuple[Kind, ...] = (
    *("folds", "training", "model", "prediction", "evaluation", "review", "folder"),
)
MODEL_ENDING = ".pk"
_OF_PYTORCH = re.compile(r"(^|/)(data|constants)\.pkl$")  # in the archive of a model file
_REVIEW_ENDING = ".sqlite"
_SQLITE = b"SQLite format 3\0"
_REVIEW_MARK = slice(68, 72), b"ASPR"  # where SQLite keeps whose file it is
_COLUMNS = {"file", "status", "duration_s"}  # of a summary
_DEEPEST = 4  # folders below one that is searched
_MOST = 200  # sources


class SourceError(ValueError):
    """Something that no report can be made of; one line says why."""


@dataclass(frozen=True)
class Source:
    """Something to report on.

    Attributes:
        kind: Which command made it; ``folder``: one that cannot be read.
        path: Its folder; of a review and a model its file.
        problem: Why nothing can be said of it; empty: nothing is known against it.
    """

    kind: Kind
    path: Path
    problem: str = ""


def find_sources(paths: Sequence[Path], deepest: int = _DEEPEST) -> list[Source]:
    """Return what there is in folders and files, in the order of a project's work.

    Folders below a given one are searched too. The folds of a cross-validation belong to it, and
    rounds of retraining to their review, whose parts tell of them. What is damaged is among them,
    with its problem, as long as anything is whole.

    Args:
        paths: Folders and files.
        deepest: How many folders deep those below are searched.

    Raises:
        SourceError: If a path does not exist, or nothing can be reported on.
        OSError: If a given path cannot be read.
    """
    found: dict[tuple[Kind, Path], Source] = {}
    for path in paths:
        here = _sources_in(path, deepest)
        if all(source.problem for source in here):
            raise SourceError(here[0].problem if here else _nothing_in(path))
        for source in here:
            found.setdefault((source.kind, source.path.resolve()), source)
    own = [source for source in found.values() if not _belongs_to_another(source, found.values())]
    if len(own) > _MOST:
        raise SourceError(f"{len(own)} runs are too many for a report: name some of the folders")
    return sorted(own, key=lambda source: ORDER.index(source.kind))


def _belongs_to_another(source: Source, every: Iterable[Source]) -> bool:
    if source.kind not in ("training", "model", "prediction"):
        return False
    folders = [output_of(one.path) for one in every if one.kind == "review"]
    if source.kind == "training":
        folders += [one.path.absolute() for one in every if one.kind == "folds"]
    return any(folder in source.path.absolute().parents for folder in folders)


def _sources_in(path: Path, deepest: int) -> list[Source]:
    if not path.exists():
        raise SourceError(f"{path} does not exist")
    if not path.is_dir():
        if not path.is_file():
            raise SourceError(f"{path} is neither a folder nor a file")
        source = _source_of(path)
        return [] if source is None else [source]
    with os.scandir(path):  # a given folder that cannot be read is an error
        pass
    found = [
        thing if isinstance(thing, Source) else _source_of(thing)
        for thing in _files_below(path, deepest)
    ]
    return [source for source in found if source is not None]


def _nothing_in(path: Path) -> str:
    if path.suffix == _REVIEW_ENDING:
        return f"{path} is not the file of a review"
    if (path / JOURNAL).is_file():
        return f"{path} holds a prediction that did not come to its end: start it again to go on"
    return (
        f"{path} holds nothing to report on: no {RESULTS} of train, {SUMMARY} of predict, "
        f"{SCORES} of evaluate, {_REVIEW_ENDING} file of review or {MODEL_ENDING} file of a model"
    )


def _files_below(folder: Path, deepest: int) -> Iterator[Path | Source]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Source("folder", folder, f"{folder} cannot be read: {error.strerror or error}")
        return
    yield from (Path(entry.path) for entry in listed if entry.is_file())
    if deepest > 0:
        for entry in listed:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _files_below(Path(entry.path), deepest - 1)


def _source_of(file: Path) -> Source | None:
    kind: Kind
    try:
        if file.name == RESULTS:
            kind = "training"
            content = read_json(file)
            if "pooled" in content:
                return Source("folds", file.parent)
            return Source("training", file.parent) if "partitions" in content else None
        if file.name == SCORES:
            kind = "evaluation"
            is_own = "all_recordings" in read_json(file)
            return Source("evaluation", file.parent) if is_own else None
        if file.name == SUMMARY:
            kind = "prediction"
            return Source("prediction", file.parent) if set(_head(file)) >= _COLUMNS else None
        if file.suffix == _REVIEW_ENDING:
            kind = "review"
            return Source("review", file) if _is_review(file) else None
        if file.suffix == MODEL_ENDING:
            kind = "model"
            if file.name == MODEL_FILE and (file.parent / RESULTS).exists():
                return _source_of(file.parent / RESULTS)
            return Source("model", file) if _is_model(file) else None
    except (OSError, ValueError) as error:
        text = one_line(error)
        problem = text if str(file) in text else f"{file}: {text}"
        return Source(kind, file if kind in ("review", "model") else file.parent, problem)
    return None


def _is_review(file: Path) -> bool:
    """Tell whether a file is that of a review, and not of another program.

    Raises:
        SourceError: If it is no database.
    """
    with open(file, "rb") as opened:
        head = opened.read(100)
    if not head.startswith(_SQLITE):
        raise SourceError(f"{file} is damaged: it is no SQLite database")
    place, mark = _REVIEW_MARK
    return head[place] == mark


def _is_model(file: Path) -> bool:
    """Tell whether a file was written by PyTorch, as those of networks are."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(_OF_PYTORCH.search(name) for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError):
        return False


def read_json(path: Path) -> dict:
    """Return the object that a file holds.

    Raises:
        SourceError: If it holds none.
        OSError: If it cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except ValueError as error:
        raise SourceError(f"{path} is damaged: it is no JSON") from error
    except RecursionError as error:
        raise SourceError(f"{path} is damaged: it is nested too deeply") from error
    if not isinstance(content, dict):
        raise SourceError(f"{path} is damaged: it is no object")
    return content


def _head(path: Path) -> list[str]:
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        return next(csv.reader(file), [])


def n_in_summary(folder: Path) -> int:
    """Return about how many recordings a prediction has; 0 if there is no summary.

    Raises:
        OSError: If it cannot be read.
    """
    path = folder / SUMMARY
    if not path.is_file():
        return 0
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b"")) - 1
