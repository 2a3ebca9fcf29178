"""Long recordings that workers share: what is known of their sections, and when all are done.

Pure bookkeeping, as ``handing_out``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from animal_spot.cluster.worker import SectionMade, Task
from animal_spot.prediction.outcome import Part


@dataclass
class _Shared:
    """A recording in work.

    Attributes:
        task: The recording.
        parts: Its sections.
        n_needed: Sections that are needed: those before the first that cannot be used.
        reason: Why that cannot.
        files: Of the sections that are done, by their index.
        sound_s: How much sound they are.
    """

    task: Task
    parts: Sequence[Part]
    n_needed: int
    reason: str = ""
    files: dict[int, Path] = field(default_factory=dict)
    sound_s: float = 0.0


class SharedRecordings:
    """Recordings of which sections are in work or wait."""

    def __init__(self) -> None:
        self._open: dict[Path, _Shared] = {}

    def begin(self, task: Task, parts: Sequence[Part]) -> list[Task]:
        """Divide a recording; return its sections to do."""
        self._open[task.path] = _Shared(task, parts, len(parts))
        return [task._replace(part=part) for part in parts]

    def is_needed(self, task: Task) -> bool:
        """Tell whether a task is not one of a recording that has failed meanwhile."""
        shared = self._open.get(task.path)
        if task.part is None:
            return True
        return shared is not None and (bool(task.sections) or task.part.index < shared.n_needed)

    def take(self, made: SectionMade) -> Task | str | None:
        """Take in what came of a section.

        Returns:
            What is to be done when all sections are there; or, when all before one that cannot be
            used are there, why it cannot, as one process that reads on to there would say; None
            while some are missing.
        """
        shared = self._open.get(made.path)
        if shared is None:
            return None
        if made.file is not None:
            shared.files[made.index] = made.file
            shared.sound_s += made.sound_s
        elif made.index < shared.n_needed:
            shared.n_needed, shared.reason = made.index, made.reason
        if not shared.files.keys() >= set(range(shared.n_needed)):
            return None
        if shared.reason:
            return shared.reason
        files = tuple(shared.files[i] for i in range(shared.n_needed))
        return shared.task._replace(part=shared.parts[0], sections=files)

    def end(self, path: Path) -> tuple[list[Path], float] | None:
        """Forget a recording.

        Returns:
            The files of its sections, and how much sound they are; None if it is none of these.
        """
        shared = self._open.pop(path, None)
        return None if shared is None else (list(shared.files.values()), shared.sound_s)
