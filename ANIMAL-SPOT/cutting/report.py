"""What a run of ``clips.py`` did: what the summary, the lists and the pictures are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from animal_spot.cutting.plan import AnnotatedRecording, ClipPlan, LeftOut


@dataclass(frozen=True)
class CorpusClip:
    """A clip in the corpus that a run planned.

    Attributes:
        plan: What it was cut by.
        file: Its name in the corpus.
        rate: Samples a second.
        is_new: This run cut it; else it was there.
    """

    plan: ClipPlan
    file: str
    rate: int
    is_new: bool

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.plan.end - self.plan.start) / self.rate


@dataclass
class CutReport:
    """What a run did.

    Attributes:
        output_dir: The corpus.
        recordings: Those that were read, with their events.
        clips: Clips of events and background of this run, also those that were there already.
        left_out: Events that no clip was cut of.
        failed: Recordings and tables that cannot be used, and why.
        stale: Clips of earlier runs, from recordings of this run, whose event is in no table now
            or is of another class now, and why; files in the corpus.
    """

    output_dir: Path
    recordings: list[AnnotatedRecording] = field(default_factory=list)
    clips: list[CorpusClip] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)
