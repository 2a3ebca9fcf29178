"""The labelled clips of a data folder, however people keep them; one form for all who read them.

Classes and tapes come from the names of the clips (``data.convention``), from a folder for each
class (``data.class_folders``) or from a table (``data.labels_csv``).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from animal_spot.data.labels import Clip, ClipNameError, clip_by_name
from animal_spot.data.tapes import Tapes
from animal_spot.utils.names import composed

Kind = Literal["names", "folders", "table"]
_EXAMPLES = 3


@dataclass(frozen=True)
class ClipSource:
    """What was found, before any clip is opened.

    Attributes:
        kind: Where classes and tapes come from.
        folder: What ``Clip.file`` is relative to.
        how: How it was decided, and what tapes are, in a line.
        clips: Each with a class and a tape.
        excluded: Name of each other one that could be meant, and why it is none.
        not_read: Sound of kinds that cannot be read, and why; see ``FoundFiles``.
        names: Of all clips, also of those whose name says nothing.
        class_names: Classes of the clips and of ``not_read``.
        shown_classes: Classes that a stored split has to hold a training clip of.
        partitions: Partition of each clip by ``Clip.path``, where people give their own.
        warnings: What is probably not as it was meant.
        sources: Recording that a clip was cut from and its start there, in seconds, by
            ``Clip.path``, where a table says them.
    """

    kind: Kind
    folder: Path
    how: str
    clips: tuple[Clip, ...]
    excluded: Mapping[str, str] = field(default_factory=dict)
    not_read: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    class_names: frozenset[str] = frozenset()
    shown_classes: frozenset[str] = frozenset()
    partitions: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    sources: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    @functools.cached_property
    def _by_name(self) -> dict[str, Clip]:
        return {composed(clip.path): clip for clip in self.clips}

    def clip_of(self, path: str, written: str) -> Clip:
        """Return the clip of a row of a stored split.

        Args:
            path: By the folder of the list that it stands in.
            written: As the row has it.

        Raises:
            ClipNameError: If there is none, or its name says no class.
        """
        if self.kind == "names":
            clip = self._by_name.get(composed(path))
            return clip if clip is not None and clip.path == path else clip_by_name(path)
        for name in (written, path):
            if composed(name) in self._by_name:
                return self._by_name[composed(name)]
        raise ClipNameError("listed in the stored split, but not labelled any more")


def tapes_line(clips: Sequence[Clip], by: str) -> str:
    """Say how many tapes there are, with examples.

    Args:
        clips: Each with a tape.
        by: How they were found.
    """
    n_clips = Counter(clip.tape for clip in clips)
    several = [tape for tape, n in n_clips.most_common() if n > 1]
    n_own = len(n_clips) - len(several)
    line = f"{len(clips)} clips from {len(n_clips)} tapes (recordings), {by}"
    said = []
    for tape in several[:_EXAMPLES]:
        example = next(clip.path for clip in clips if clip.tape == tape)
        said.append(f"{tape} with {n_clips[tape]} clips such as {PurePosixPath(example).name}")
    if n_own:
        example = next(clip.path for clip in clips if n_clips[clip.tape] == 1)
        said.append(f"{n_own} with one clip such as {PurePosixPath(example).name}")
    return f"{line}: {', '.join(said)}" if said else line


def unknown_tapes(tapes: Tapes, n_clips: int, tape_pattern: str | None) -> list[str]:
    """Say how many clips have names that say no recording."""
    if not tapes.unknown:
        return []
    why = "is not matched by --tape_pattern" if tape_pattern else "says no recording"
    return [
        f"the name of {len(tapes.unknown)} of {n_clips} clips {why}, such as {tapes.unknown[0]}: "
        "each counts as a recording of its own, so accuracy will flatter if several come from one; "
        "say which with --tape_pattern, or in the column tape of a labels.csv"
    ]
