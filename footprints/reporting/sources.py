"""What a report can be of: the folders and files that the steps leave behind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from footprints.preparation.manifest import MANIFEST_COLUMNS
from footprints.reporting.record import read_record
from footprints.system.errors import UserError
from footprints.system.text import printable

Kind = Literal["prepared", "detector", "stage", "evaluation", "prediction"]
KINDS: tuple[Kind, ...] = ("prepared", "detector", "stage", "evaluation", "prediction")
MANIFEST, CLASSES, PREDICTIONS = "manifest.csv", "classes.json", "predictions.json"
_HISTORY = re.compile(r"history_(\w+)\.json")
_SCORES = re.compile(r"scores(_of_.+)?\.json")
_STAGES = {"oat": 0, "real": 1}  # in the order in which they are trained
_DEEPEST = 4  # folders below one that is searched
_MOST = 100  # sources
_PASSED_BY = {"crops", "logs", "resume", "annotated", "train", "val", "test", "__pycache__"}


@dataclass(frozen=True)
class Source:
    """Something that a step left behind.

    Attributes:
        kind: What it is.
        path: Its main file.
    """

    kind: Kind
    path: Path

    @property
    def stem(self) -> str:
        """What names of its figures begin with: letters, digits and ``_``."""
        found = _HISTORY.fullmatch(self.path.name)
        inside = {"stage": found and found[1], "prepared": self.path.resolve().parent.name}
        text = "_".join(filter(None, (self.kind, inside.get(self.kind))))
        return re.sub("[^A-Za-z0-9]", "_", text)

    @property
    def name(self) -> str:
        """What to call it in a heading, fit for a screen."""
        found = _HISTORY.fullmatch(self.path.name)
        return printable(f"stage {found[1]}" if found else self.path.resolve().parent.name)


def find_sources(paths: Sequence[Path], deepest: int = _DEEPEST) -> list[Source]:
    """Return what there is to report on, in the order in which the steps come.

    Args:
        paths: Files that steps wrote, or folders, which are searched.
        deepest: So many folders deep; 0: the folder itself alone.

    Raises:
        UserError: If a path is not there, or nothing is found in it.
    """
    found: dict[Path, Source] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{printable(path)}: no such file or folder")
        here = list(_in_folder(path, deepest)) if path.is_dir() else _of_file(path)
        if not here:
            raise UserError(
                f"{printable(path)}: nothing that a report can be made of; name a folder that "
                "prepare, train_detector, train, evaluate or predict has written into"
            )
        found |= {source.path.resolve(): source for source in here}
    if len(found) > _MOST:
        raise UserError(f"{len(found)} results are too many for one report; name some of them")
    order = sorted(found.values(), key=lambda one: (KINDS.index(one.kind), _rank(one)))
    return order


def located(noted: str, beside: Path) -> Path | None:
    """Return where a file or folder is that a result names, or None if it is gone.

    Results name it as it was typed: from the current folder on, or in full.

    Args:
        noted: Its path in the result.
        beside: A file of the result; the folders above it are tried as the current one.
    """
    if "\0" in noted or not noted.strip():
        return None
    for start in (Path(), *beside.resolve().parents):
        place = start / noted
        try:
            if place.exists():
                return place
        except OSError:  # a name too long
            return None
    return None


def _rank(source: Source) -> tuple[int, str]:
    found = _HISTORY.fullmatch(source.path.name)
    return _STAGES.get(found[1], 9) if found else 0, str(source.path)


def _in_folder(folder: Path, deepest: int) -> Iterator[Source]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"{printable(folder)}: {error.strerror or error}") from None
    for entry in entries:
        if entry.is_file():
            yield from _of_file(entry)
    if deepest == 0:
        return
    for entry in entries:
        is_ours = not entry.name.startswith(".") and entry.name not in _PASSED_BY
        if is_ours and not entry.is_symlink() and entry.is_dir():
            yield from _in_folder(entry, deepest - 1)


def _of_file(path: Path) -> list[Source]:
    """Return the source that a file is the main file of."""
    name = path.name
    if name == MANIFEST:
        return [Source("prepared", path)] if _is_manifest(path) else []
    if _HISTORY.fullmatch(name):
        return [Source("stage", path)]
    if name != PREDICTIONS and not _SCORES.fullmatch(name):
        return []
    try:
        record = read_record(path)
    except UserError:  # its part names it
        return [Source("prediction" if name == PREDICTIONS else "evaluation", path)]
    # Files of other programs may have these names too.
    marks: dict[Kind, tuple[str, ...]] = {
        "prediction": ("photos", "photos_dir"),
        "detector": ("mAP50",),
        "evaluation": ("confusion", "split"),
    }
    for kind, keys in marks.items():
        if (kind == "prediction") == (name == PREDICTIONS) and all(map(record.has, keys)):
            return [Source(kind, path)]
    return []


def _is_manifest(path: Path) -> bool:
    with open(path, encoding="utf-8", errors="replace") as file:
        head = file.readline(4096).strip().lstrip("\ufeff").split(",")
    return {"crop", "class", "split"} <= {*head} & {*MANIFEST_COLUMNS}
