"""Classes that clip names give but that are probably not meant. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from animal_spot.data.labels import Clip
from animal_spot.utils.names import composed, look_alikes

_LEAST_LETTERS = 3  # of what is taken for the second word of a class
_LEAST_CLIPS = 2  # of such a word


def look_alike_error(clips: Iterable[Clip], what: str = "clips") -> str | None:
    """Say which classes differ only in case or blanks, and where their clips are; None if none.

    Args:
        clips: All clips.
        what: Is to be renamed.
    """
    paths: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        paths[clip.class_name].append(clip.path)
    groups = look_alikes(paths)
    if not groups:
        return None
    said = [" and ".join(f"{name!r} ({_where(paths[name])})" for name in group) for group in groups]
    return (
        f"classes whose names differ only in case or blanks: {'; '.join(said)}; rename the "
        f"{what} of one to the name of the other"
    )


def _where(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{min(paths)}{more}"


def divided_class_warnings(clips: Iterable[Clip]) -> list[str]:
    """Say which classes have probably lost what stands after a ``-`` of their own.

    ``Roe-deer-x_...wav`` is of class ``Roe``. That it is meant to be ``Roe-deer`` is likely where
    its folder has that name, or where several words follow ``Roe-``, each before another ``-``.
    """
    by_folder: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    by_word: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for clip in clips:
        path = PurePosixPath(composed(clip.path))
        folder, base = path.parent.name, path.name
        if folder.startswith(f"{clip.class_name}-") and base.startswith(folder):
            by_folder[clip.class_name][folder] += 1
        words = base.split("_")[0].split("-")
        if len(words) > 2 and words[1].isalpha() and len(words[1]) >= _LEAST_LETTERS:
            by_word[clip.class_name][f"{words[0]}-{words[1]}"] += 1
    warnings = []
    for name in sorted({*by_folder, *by_word}):
        meant = by_folder[name] or {
            full: n for full, n in by_word[name].items() if n >= _LEAST_CLIPS
        }
        if not by_folder[name] and len(meant) < 2:
            continue
        found = ", ".join(f"{full} ({n} clips)" for full, n in sorted(meant.items())[:6])
        first = min(meant)
        warnings.append(
            f"{found}: the class of these clips is {name}, since a class is what stands before "
            f"the first '-'; if {first} is meant to be a class, rename them to "
            f"{first.replace('-', '_')}-..."
        )
    return warnings
