"""Which recording a clip comes from, by its path: by a pattern, or guessed. Pure functions.

A guess takes off what numbers the clips of one recording: ``rec03_0012`` and ``rec03_0013`` come
from ``rec03``. Where fields of numbers follow each other, as in ``rec_03_0012`` or
``day1_12500_15500``, so many are taken off that clips share what is left; dates with a time stay.
It would rather take two recordings for one than divide one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from animal_spot.utils.names import composed

_SHARED = 0.8  # of the clips: so few recordings or fewer, and a way to number them is found
_GAP = r"[\s_.\-#~+@,=]+"
_COUNTED = (
    r"(?:clip|seg|segment|part|chunk|slice|call|sel|selections?|snippet|sample|event|no|nr|n|start"
    r"|end|from|to|t|offset|id|table\.\d+\.selections)"
)
_NUMBER = r"\d+(?:[.,]\d+)?(?:ms|sec|s)?"
_FIELD = re.compile(
    rf"(?:{_GAP}(?:{_COUNTED}(?:{_GAP})?)?{_NUMBER}|\s*[(\[]{_NUMBER}[)\]])\Z", re.IGNORECASE
)
_FIRST_FIELD = re.compile(rf"\A\d+{_GAP}")
_SCORED = re.compile(r"\A[01]\.\d+_\d+_")  # BirdNET's segments begin with confidence and number
_DATE_TIME = re.compile(
    r"(?<!\d)(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])[-_. T]{0,2}"
    r"(?:[01]\d|2[0-3])[-_.:h]?[0-5]\d[-_.:m]?[0-5]\d(?!\d)"
)
_NO_RECORDING = frozenset(
    (
        *("clip", "clips", "sound", "audio", "call", "calls", "sample", "file", "rec", "recording"),
        *("track", "segment", "seg", "noise", "wav", "untitled", "unnamed", "background", "chunk"),
        *("snippet", "selection", "part", "event", "ruf", "aufnahme", "enregistrement", "new"),
    )
)


@dataclass(frozen=True)
class Tapes:
    """Recordings of clips.

    Attributes:
        of: Tape of each clip by its path.
        unknown: Clips whose names say none, so that each is one of its own.
    """

    of: Mapping[str, str]
    unknown: tuple[str, ...] = ()


def tapes_by_pattern(paths: Sequence[str], pattern: str) -> Tapes:
    """Find tapes with a regular expression, which is looked for in the whole path.

    Args:
        paths: Clips, relative to their folder, with ``/`` between folders.
        pattern: The tape is its group ``tape``, else its first group, else all that matches.
    """
    compiled = re.compile(pattern)
    of, unknown = {}, []
    for path in paths:
        found = compiled.search(composed(path))
        tape = None
        if found is not None:
            group = "tape" if "tape" in compiled.groupindex else min(1, compiled.groups)
            tape = found[group]
        if not tape:
            unknown.append(path)
        of[path] = tape or _own(path)
    return Tapes(of, tuple(unknown))


def guessed_tapes(class_of: Mapping[str, str]) -> Tapes:
    """Guess the recording of each clip from its name.

    A name that is a number alone, or a word such as ``clip`` and a number, says none; then it is
    the folder that the clip lies in below that of its class, if there is one.

    Args:
        class_of: Class of each clip by its path, whose first folder is that of the class.
    """
    stems = {path: _stem(path, name) for path, name in class_of.items()}
    by_fields: dict[int, list[str]] = defaultdict(list)
    for path, stem in stems.items():
        by_fields[len(_levels(stem)) - 1].append(path)
    of: dict[str, str] = {}
    for paths in by_fields.values():
        of |= _best_level({path: _levels(stems[path]) for path in paths})
    n_clips = Counter(of.values())
    silent = [
        path
        for path, tape in of.items()
        if not _says_recording(tape, is_whole=tape == stems[path], n_clips=n_clips[tape])
    ]
    unknown = []
    folders = {path: _folder(path, class_of[path]) for path in silent}
    are_recordings = len(set(folders.values())) > 1
    for path, folder in folders.items():
        of[path] = folder if folder and are_recordings else _own(path)
        if of[path] != folder:
            unknown.append(path)
    return Tapes({path: of[path] for path in class_of}, tuple(sorted(unknown)))


def _says_recording(tape: str, *, is_whole: bool, n_clips: int) -> bool:
    """Tell whether a name can be that of a recording.

    Args:
        tape: What is left of the name of a clip.
        is_whole: Whether nothing was taken off.
        n_clips: Clips of which the same is left.
    """
    if not re.search(r"[^\W\d_]", tape) and not _DATE_TIME.search(tape):  # a number alone
        return n_clips > 1 and not is_whole
    return tape.casefold().strip(" _-.") not in _NO_RECORDING


def _folder(path: str, class_name: str) -> str:
    """Return the folders of a clip below that of its class."""
    folders = PurePosixPath(composed(path)).parts[1:-1]
    return "/".join(name for name in folders if name.casefold() != class_name.casefold())


def _own(path: str) -> str:
    """Return the tape of a clip that is a recording of its own."""
    return composed(str(PurePosixPath(path).with_suffix("")))


def _stem(path: str, class_name: str) -> str:
    """Return the name without ending, class and scores."""
    stem = _SCORED.sub("", composed(PurePosixPath(path).stem))
    word = re.escape(class_name)
    without = re.sub(rf"\A{word}{_GAP}", "", stem, flags=re.IGNORECASE)
    without = re.sub(rf"{_GAP}{word}\Z", "", without, flags=re.IGNORECASE)
    return without or stem


def _levels(stem: str) -> list[str]:
    """Return a name, and what is left of it each time that a field of numbers is taken off."""
    levels = [stem]
    fixed = max((match.end() for match in _DATE_TIME.finditer(stem)), default=0)
    while (field := _FIELD.search(levels[-1])) and field.start() >= max(1, fixed):
        levels.append(levels[-1][: field.start()])
    return levels


def _best_level(levels: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the tapes of clips whose names have as many fields: the first level that is shared.

    Where none is, it is the last one that still has a number, or the first.
    """
    n_fields = len(next(iter(levels.values()))) - 1
    if n_fields == 0:
        return _without_first_numbers({path: names[0] for path, names in levels.items()})
    numbered = 1
    for level in range(1, n_fields + 1):
        found = {path: names[level] for path, names in levels.items()}
        has_numbers = all(re.search(r"\d", name) for name in found.values())
        if level > 1 and not has_numbers:
            break
        numbered = level
        if len(set(found.values())) <= _SHARED * len(found):
            break
    return {path: names[numbered] for path, names in levels.items()}


def _without_first_numbers(stems: Mapping[str, str]) -> dict[str, str]:
    """Take off numbers at the start, if clips share a name with a number in it then."""
    left = {path: _FIRST_FIELD.sub("", stem) for path, stem in stems.items()}
    changed = {path: name for path, name in left.items() if name != stems[path]}
    shared = len(set(changed.values())) <= _SHARED * len(changed)
    if changed and shared and all(re.search(r"\d", name) for name in changed.values()):
        return left
    return dict(stems)
