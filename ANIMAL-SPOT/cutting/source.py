"""A recording that clips are cut out of."""

from __future__ import annotations

from dataclasses import dataclass, field

from animal_spot.cutting.clip_names import clip_stem
from animal_spot.cutting.cutter import ClipForm
from animal_spot.cutting.plan import AnnotatedRecording, ClipPlan
from animal_spot.cutting.report import CorpusClip
from animal_spot.cutting.tapes import Tape
from animal_spot.metadata.recording_time import RecordingTime


@dataclass
class Source:
    """A recording that can be read.

    Attributes:
        recording: What is annotated in it.
        form: Kind of file of its clips.
        tape: Its tape.
        time: When and where it was made.
        is_annotated: What no table names in it is background.
        plans: Clips that are wanted of it.
        kept: Clips of background of earlier runs.
    """

    recording: AnnotatedRecording
    form: ClipForm
    tape: Tape
    time: RecordingTime
    is_annotated: bool = True
    plans: list[ClipPlan] = field(default_factory=list)
    kept: list[CorpusClip] = field(default_factory=list)

    def stem(self, plan: ClipPlan) -> str:
        """Return the name of a clip without its ending."""
        return clip_stem(plan, self.recording.rate, self.tape.year, self.tape.name)
