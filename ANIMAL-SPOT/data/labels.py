"""Clip names, classes and tapes.

A clip is called ``<CLASS>-<LABELINFO>_<ID>_<YEAR>_<TAPE>_<STARTMS>_<ENDMS>.wav``, or ``.flac`` and
so on for other kinds of sound files. Its class is the
text before the first ``-``; its tape, the recording that it was cut from, is ``<YEAR>_<TAPE>``.
Classes and tapes are in Unicode form NFC, paths as they are on disk.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from animal_spot.audio.sound_kinds import (
    TABLES,
    counted,
    ending,
    is_not_read,
    is_read,
    why_not_read,
)
from animal_spot.utils.names import composed

log = logging.getLogger(__name__)

FIRST_YEAR, LAST_YEAR = 1950, 2199
NAME_RULE = "<CLASS>-<LABELINFO>_<ID>_<YEAR>_<TAPE>_<STARTMS>_<ENDMS>.wav"
TARGET_CLASS = "target"


class ClipNameError(ValueError):
    """A file name that breaks the naming rule; the message says how."""


@dataclass(frozen=True, order=True)
class Clip:
    """One labelled clip.

    Attributes:
        path: Its name everywhere: the file relative to the data folder, with ``/`` between folders.
            Where it is a part of a file, the part follows: ``day1.wav#12.5-15`` lasts from 12.5 s
            to 15 s. See ``named_part``.
        class_name: What it is an example of; by the convention the text before the first ``-`` of
            the base name.
        tape: The recording that it comes from, which is never divided; by the convention
            ``<YEAR>_<TAPE>`` in upper case. None where a hand-made split lists a clip without one.
        span_s: Start and end in the file, in seconds, of a part; None: the file is the clip.
    """

    path: str
    class_name: str
    tape: str | None
    span_s: tuple[float, float] | None = None

    @property
    def file(self) -> str:
        """The sound file, relative to the data folder."""
        return self.path if self.span_s is None else self.path.rpartition("#")[0]


def named_part(file: str, start_s: float, end_s: float) -> str:
    """Return the name of a part of a file: ``<file>#<start>-<end>``.

    Seconds are written with up to six decimals, without zeros at the end, so that a part has one
    name. No file that is read has such a name, since its ending would be none of sound.
    """
    start, end = (f"{t:.6f}".rstrip("0").rstrip(".") for t in (start_s, end_s))
    return f"{file}#{start}-{end}"


def class_name_of(path: str) -> str:
    """Return the class named by a clip path.

    Raises:
        ClipNameError: If the base name has no ``-`` or nothing before it, or bytes there that are
            not text.
    """
    name, dash, _ = PurePosixPath(path).name.partition("-")
    if not dash or not name.strip():
        raise ClipNameError(f"no class before a '-' in the name; expected {NAME_RULE}")
    _require_text(name, "CLASS")
    return composed(name)


def _require_text(part: str, what: str) -> None:
    try:
        part.encode()
    except UnicodeEncodeError:
        raise ClipNameError(
            f"{what} holds bytes that are no letters (not UTF-8); rename the clip"
        ) from None


def tape_of(path: str) -> str:
    """Return the tape key ``<YEAR>_<TAPE>`` of a clip path.

    Fields are counted from the end of the whole path, so further ``_`` before them do no harm.

    Raises:
        ClipNameError: If fields are missing, the year is not a number in 1950 to 2199, or the tape
            holds bytes that are not text.
    """
    fields = re.sub("_{2,}", "_", path).split("_")
    if len(fields) < 4:
        raise ClipNameError(f"too few '_' fields in the name; expected {NAME_RULE}")
    year_text, tape = fields[-4], fields[-3]
    if not _is_year(year_text):
        _refuse_divided_tape(path)
        try:
            year = int(year_text)
        except ValueError:
            raise ClipNameError(f"the year field is {year_text!r}; expected {NAME_RULE}") from None
        raise ClipNameError(f"year {year} is outside {FIRST_YEAR} to {LAST_YEAR}")
    _require_text(tape, "TAPE")
    return f"{year_text}_{composed(tape.strip().upper())}"


def _is_year(text: str) -> bool:
    try:
        return FIRST_YEAR <= int(text) <= LAST_YEAR
    except ValueError:
        return False


def _refuse_divided_tape(path: str) -> None:
    """Say so where the year stands farther from the end, since TAPE holds a ``_``."""
    fields = [field for field in PurePosixPath(path).name.split("_") if field]
    for i in range(len(fields) - 5, 0, -1):
        if len(fields[i]) == 4 and _is_year(fields[i]):
            tape = "_".join(fields[i + 1 : -2])
            raise ClipNameError(
                f"TAPE is {tape!r} after the year {fields[i]}, but '_' divides the parts of the "
                f"name, so TAPE must hold none: write {tape.replace('_', '-')!r}; expected "
                f"{NAME_RULE}"
            )


def _require_order(path: str) -> None:
    """Refuse a clip whose end lies before its start, where both are numbers."""
    fields = PurePosixPath(path).stem.split("_")
    try:
        start_ms, end_ms = (float(field) for field in fields[-2:])
    except ValueError:
        return
    if end_ms < start_ms:
        raise ClipNameError(
            f"ENDMS {fields[-1]} lies before STARTMS {fields[-2]}; expected {NAME_RULE}"
        )


def parse_clip(path: str) -> Clip:
    """Build a clip from its path relative to the data folder.

    Raises:
        ClipNameError: If the name gives no class or no tape, or an end before the start.
    """
    _require_order(path)
    return Clip(path=path, class_name=class_name_of(path), tape=tape_of(path))


def clip_by_name(path: str, _written: str = "") -> Clip:
    """Build a clip that a stored split lists, whose name need not give a tape.

    Raises:
        ClipNameError: If the name gives no class.
    """
    class_name = class_name_of(path)
    try:
        return Clip(path, class_name, tape_of(path))
    except ClipNameError:
        return Clip(path, class_name, None)


@dataclass(frozen=True)
class FoundFiles:
    """Files below a data folder: paths relative to it, with ``/`` between folders, sorted.

    Attributes:
        clips: Sound that can be read.
        not_read: Sound that cannot, and the reason.
        others: What is no sound; tables and lists do not count.
    """

    clips: list[str]
    not_read: dict[str, str]
    others: list[str]

    def report(self) -> None:
        """Say in a line what is no sound."""
        if self.others:
            log.info("%d other files are no sound (%s)", len(self.others), counted(self.others))


def find_clip_paths(data_dir: Path) -> list[str]:
    """List the sound files below a folder that can be read, see ``find_files``."""
    return find_files(data_dir).clips


def find_files(data_dir: Path) -> FoundFiles:
    """List the files below a folder by what they are.

    Files and folders whose name starts with ``.``, and folders that are called ``bkp`` or
    something with ``.bkp`` at its end, are left out. Linked folders are followed, each once.
    """
    found: list[str] = []
    visited: set[str] = set()
    for folder, subfolders, names in os.walk(data_dir, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(s for s in subfolders if s[0] != "." and not _is_backup_folder(s))
        relative = Path(folder).relative_to(data_dir)
        found.extend((relative / name).as_posix() for name in names if name[0] != ".")
    found.sort()
    return FoundFiles(
        [path for path in found if is_read(path)],
        {path: why_not_read(path) for path in found if is_not_read(path)},
        [
            path
            for path in found
            if not is_read(path) and not is_not_read(path) and ending(path) not in TABLES
        ],
    )


def _is_backup_folder(name: str) -> bool:
    return name == "bkp" or name.endswith(".bkp")


def class_indices(class_names: Iterable[str]) -> dict[str, int]:
    """Number the classes.

    Two classes are a binary task: ``target`` is 1, the other 0. Otherwise the index is the
    position in the order of the names by code point.

    Raises:
        ValueError: If there are fewer than two classes, or two of which none is ``target``.
    """
    names = sorted(set(class_names))
    if len(names) < 2:
        only = f" (only {names[0]!r} was found)" if names else ""
        raise ValueError(f"at least two classes are needed{only}")
    if len(names) > 2:
        return {name: index for index, name in enumerate(names)}
    if TARGET_CLASS not in names:
        raise ValueError(
            f"a task of two classes needs one that is named '{TARGET_CLASS}' (it is the positive "
            f"one), found {names[0]!r} and {names[1]!r}; rename the clips (or the folder, or the "
            "labels) of one of them"
        )
    return {name: int(name == TARGET_CLASS) for name in names}


def names_by_index(classes: dict[str, int]) -> list[str]:
    """Return the class names in index order."""
    return sorted(classes, key=classes.__getitem__)
