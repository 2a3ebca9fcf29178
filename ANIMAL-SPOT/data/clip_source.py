"""The labelled clips of a data folder, however people keep them; one form for all who read them.

Classes and tapes come from the names of the clips (``data.convention``), from a folder for each
class (``data.class_folders``) or from a table (``data.labels_csv``).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from animal_spot.data.labels import Clip, ClipNameError, clip_by_name
from animal_spot.utils.names import composed

Kind = Literal["names", "folders", "table"]


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
            return clip_by_name(path)
        for name in (written, path):
            if composed(name) in self._by_name:
                return self._by_name[composed(name)]
        raise ClipNameError("listed in the stored split, but not labelled any more")
