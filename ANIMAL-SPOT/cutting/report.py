"""What a run of ``clips.py`` did: what the summary, the lists and the pictures are made of."""

from __future__ import annotations

from collections import Counter
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


@dataclass(frozen=True)
class ClassCounts:
    """What there is of a class.

    Attributes:
        class_name: The class; empty: of labels that have none.
        events: Of which there are clips.
        clips: Of them, or of background.
        new: Clips that this run cut.
        recordings: That they are of.
        seconds: Of all clips together.
        left_out: Events without a clip.
    """

    class_name: str
    events: int
    clips: int
    new: int
    recordings: int
    seconds: float
    left_out: int


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
        is_stale_removed: They were moved out of the corpus.
    """

    output_dir: Path
    recordings: list[AnnotatedRecording] = field(default_factory=list)
    clips: list[CorpusClip] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)
    is_stale_removed: bool = False

    def counts(self) -> list[ClassCounts]:
        """Return what there is of each class, in the order of their names."""
        clips: dict[str, list[CorpusClip]] = {}
        for clip in self.clips:
            clips.setdefault(clip.plan.class_name, []).append(clip)
        left_out = Counter(one.class_name or "" for one in self.left_out)
        return [
            ClassCounts(
                name,
                events=len({id(c.plan.event) for c in clips.get(name, ()) if c.plan.event}),
                clips=len(clips.get(name, ())),
                new=sum(c.is_new for c in clips.get(name, ())),
                recordings=len({c.plan.source for c in clips.get(name, ())}),
                seconds=sum(c.seconds for c in clips.get(name, ())),
                left_out=left_out[name],
            )
            for name in sorted({*clips, *left_out})
        ]
