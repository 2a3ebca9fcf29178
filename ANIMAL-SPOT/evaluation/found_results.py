"""Which files of a folder are results of predictions, and what they are called after."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

from animal_spot.detections.result_readers import looks_like_log
from animal_spot.detections.result_writers import RESULT_MARK
from animal_spot.utils.own_files import is_copy

log = logging.getLogger("EVALUATE")

SAME_RUN_S = 60  # between results of one recording that one prediction wrote
SUFFIXES = (".log", ".csv", ".parquet")  # the first one that is there is used


def find_results(folder: Path) -> list[Path]:
    """List the results of predictions in a folder, one for each recording, by name.

    With another ending a file is one if it begins like a log, as the tables of this program do
    not. Of one prediction in several forms the log is taken, else csv, else parquet; but the newest
    where they are of different runs, more than ``SAME_RUN_S`` apart.
    """
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


def names_of(results: Iterable[Path]) -> dict[Path, str]:
    """Name the tables of results: after the recording, as the results are, each name once."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    usual_first = sorted(results, key=lambda path: path.suffix.lower() not in SUFFIXES)
    for path in usual_first:
        name = result_stem(path) or path.name
        if name.casefold() in taken:
            name = path.name
        taken.add(name.casefold())
        names[path] = name
    return {path: names[path] for path in sorted(names)}


def result_stem(path: Path) -> str:
    """Return the name of a result up to what all results have in common."""
    return path.name.rpartition(RESULT_MARK)[0]
