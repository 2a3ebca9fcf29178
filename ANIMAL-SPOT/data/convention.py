"""Clips that say their class and tape in their names, by the rule of ``data.labels``."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable
from pathlib import Path

from animal_spot.data.clip_source import ClipSource, tapes_line, unknown_tapes
from animal_spot.data.labels import (
    Clip,
    ClipNameError,
    FoundFiles,
    class_name_of,
    parse_clip,
)
from animal_spot.data.tapes import tapes_by_pattern


def named_clips(paths: Iterable[str]) -> tuple[list[Clip], dict[str, str]]:
    """Read the names of clips; return the clips, and of names that cannot be read the reason."""
    clips, excluded = [], {}
    for path in paths:
        try:
            clips.append(parse_clip(path))
        except ClipNameError as error:
            excluded[path] = f"badly named: {error}"
    return clips, excluded


def clips_by_name(data_dir: Path, files: FoundFiles, tape_pattern: str | None = None) -> ClipSource:
    """Return the clips of a folder by what their names say.

    A class is not to vanish because its clips are of a kind that cannot be read.

    Args:
        data_dir: The data folder.
        files: What is in it.
        tape_pattern: See ``tapes_by_pattern``; None: the tape is that of the name.
    """
    clips, excluded = named_clips(files.clips)
    warnings, what, by = [], "classes and tapes", ""
    if tape_pattern is not None:
        tapes = tapes_by_pattern([clip.path for clip in clips], tape_pattern)
        clips = [dataclasses.replace(clip, tape=tapes.of[clip.path]) for clip in clips]
        warnings = unknown_tapes(tapes, len(clips), tape_pattern)
        what, by = "classes", f"; {tapes_line(clips, f'found by --tape_pattern {tape_pattern}')}"
    n = len(files.clips)
    others = f", {len(excluded)} do not" if excluded else ""
    return ClipSource(
        "names",
        data_dir,
        f"labels: {what} by the names of the clips; {len(clips)} of {n} follow the "
        f"rule{others}{by}",
        tuple(clips),
        excluded,
        files.not_read,
        tuple(files.clips),
        frozenset(clip.class_name for clip in [*clips, *named_clips(files.not_read)[0]]),
        frozenset(_classes_shown(files.clips)),
        warnings=tuple(warnings),
    )


def _classes_shown(paths: Iterable[str]) -> set[str]:
    """Return the classes that file names show."""
    names = set()
    for path in paths:
        with contextlib.suppress(ClipNameError):
            names.add(class_name_of(path))
    return names
