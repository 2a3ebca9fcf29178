"""What a report can be of: the folders and files that the commands leave behind."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["training", "folds", "prediction", "evaluation", "review"]
RESULTS, FOLDS, SUMMARY, SCORES = "results.json", "folds.json", "summary.csv", "scores.json"
_REVIEW_ENDING = ".sqlite"
_SQLITE = b"SQLite format 3\0"
_COLUMNS = {"file", "status", "duration_s"}  # of a summary
_DEEPEST = 4  # folders below one that is searched
_MOST = 200  # sources


class SourceError(ValueError):
    """Something that no report can be made of; one line says why."""


@dataclass(frozen=True)
class Source:
    """Something to report on.

    Attributes:
        kind: Which command made it.
        path: Its folder; of a review its file.
    """

    kind: Kind
    path: Path


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Return what there is in folders and files, in the order of a project's work.

    Folders below a given one are searched too. The folds of a cross-validation belong to it.

    Raises:
        SourceError: If a path does not exist, or nothing can be reported on.
        OSError: If a folder cannot be read.
    """
    found: dict[Source, None] = {}
    for path in paths:
        if not path.exists():
            raise SourceError(f"{path} does not exist")
        inside = [path] if path.is_file() else _files_below(path)
        here = [source for file in inside if (source := _source_of(file)) is not None]
        if not here:
            raise SourceError(
                f"{path} holds nothing to report on: no {RESULTS} of train, {SUMMARY} of predict, "
                f"{SCORES} of evaluate or {_REVIEW_ENDING} file of review"
            )
        found |= dict.fromkeys(here)
    folds = [source.path for source in found if source.kind == "folds"]
    own = [
        source
        for source in found
        if not (source.kind == "training" and any(p in source.path.parents for p in folds))
    ]
    if len(own) > _MOST:
        raise SourceError(f"{len(own)} runs are too many for a report: name some of the folders")
    order = ("folds", "training", "prediction", "evaluation", "review")
    return sorted(own, key=lambda source: order.index(source.kind))


def _files_below(folder: Path, depth: int = 0) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    yield from (Path(entry.path) for entry in listed if entry.is_file())
    if depth < _DEEPEST:
        for entry in listed:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _files_below(Path(entry.path), depth + 1)


def _source_of(file: Path) -> Source | None:
    if file.name == RESULTS:
        content = read_json(file)
        if "pooled" in content:
            return Source("folds", file.parent)
        return Source("training", file.parent) if "partitions" in content else None
    if file.name == SCORES:
        return Source("evaluation", file.parent) if "all_recordings" in read_json(file) else None
    if file.name == SUMMARY and set(_head(file)) >= _COLUMNS:
        return Source("prediction", file.parent)
    if file.suffix == _REVIEW_ENDING:
        with open(file, "rb") as opened:
            return Source("review", file) if opened.read(len(_SQLITE)) == _SQLITE else None
    return None


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
