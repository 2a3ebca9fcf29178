"""Clips in a folder for each class, whatever their names are.

The class is the name of the folder directly below the data folder; folders in it belong to it.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from animal_spot.data.clip_source import ClipSource, tapes_line, unknown_tapes
from animal_spot.data.labels import Clip, FoundFiles
from animal_spot.data.tapes import guessed_tapes, tapes_by_pattern
from animal_spot.utils.names import composed


def clips_in_folders(data_dir: Path, files: FoundFiles, tape_pattern: str | None) -> ClipSource:
    """Return the clips of a folder by the folders that they lie in.

    Args:
        data_dir: The data folder.
        files: What is in it.
        tape_pattern: See ``tapes_by_pattern``; None: tapes are guessed.
    """
    class_of, excluded = {}, {}
    for path in files.clips:
        name = class_folder(path)
        if name is None:
            excluded[path] = "lies in no folder of a class"
        elif not is_text(name):
            excluded[path] = "the name of its folder holds bytes that are no letters (not UTF-8)"
        else:
            class_of[path] = name
    if tape_pattern is None:
        tapes = guessed_tapes(class_of)
    else:
        tapes = tapes_by_pattern(list(class_of), tape_pattern)
    clips = tuple(Clip(path, name, tapes.of[path]) for path, name in class_of.items())
    unread = {name for path in files.not_read if (name := class_folder(path)) and is_text(name)}
    classes = frozenset({*class_of.values(), *unread})
    by = f"found by --tape_pattern {tape_pattern}" if tape_pattern else "guessed from their names"
    return ClipSource(
        "folders",
        data_dir,
        f"labels: classes by the {len(set(class_of.values()))} folders; {tapes_line(clips, by)}",
        clips,
        excluded,
        files.not_read,
        tuple(files.clips),
        classes,
        classes,
        warnings=tuple(unknown_tapes(tapes, len(clips), tape_pattern)),
    )


def class_folder(path: str) -> str | None:
    """Return the class of a clip by its folder; None if it lies in none."""
    parts = PurePosixPath(path).parts
    return composed(parts[0].strip()) if len(parts) > 1 else None


def is_text(name: str) -> bool:
    """Tell whether a name holds letters only, and not bytes of another encoding."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
