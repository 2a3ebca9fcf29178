"""From events of a recording to the clips that are cut out of it. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from animal_spot.tables.event import LabelledEvent

NOISE_CLASS = "noise"
# Kinds of events that no clip is cut of, in the order in which they are told.
NOT_MAPPED = "label without class"
WRONG = "marked as wrong"
DOUBLE = "twice in the tables"
OVERLAPPING = "overlaps another class"
TOO_SHORT = "too short"
OUTSIDE = "outside the recording"
NO_RECORDING = "recording cannot be used"
REMOVED = "clip was removed by hand"
KINDS = (NOT_MAPPED, WRONG, DOUBLE, OVERLAPPING, TOO_SHORT, OUTSIDE, NO_RECORDING, REMOVED)

_SPLIT_FROM = 1.25  # clip lengths; of shorter events a clip holds the most part


@dataclass(frozen=True)
class ClipPlan:
    """A clip that is to be cut.

    Attributes:
        class_name: Its class.
        source: The recording.
        start: First sample, at the rate of the recording.
        end: Sample after its last.
        event: What it shows; None: background.
        low_hz: Lower end of the event's box; None where none is known.
        high_hz: Upper end.
        part: Number of the part of a long event, from 0.
        why: What is unusual about it, in a line.
    """

    class_name: str
    source: Path
    start: int
    end: int
    event: LabelledEvent | None = None
    low_hz: float | None = None
    high_hz: float | None = None
    part: int = 0
    why: str = ""


@dataclass(frozen=True)
class LeftOut:
    """An event that no clip is cut of.

    Attributes:
        event: The event.
        source: Its recording; None where none is known.
        class_name: Its class; None where its label has none.
        kind: One of ``KINDS``.
        reason: Why, in a line.
    """

    event: LabelledEvent
    source: Path | None
    class_name: str | None
    kind: str
    reason: str


@dataclass(frozen=True)
class PlanRules:
    """How clips are cut out of a recording.

    Attributes:
        class_of: Class of a label; None: it has none.
        clip_length: Seconds of each clip, about the middle of its event; None: the event's own.
        margin: Seconds before and after an event; where there is a clip length it does not count.
        shortest: Seconds; shorter events are left out.
        keep_overlapping: Also cut what overlaps events of other classes.
    """

    class_of: Callable[[str], str | None]
    clip_length: float | None = None
    margin: float = 0.0
    shortest: float = 0.0
    keep_overlapping: bool = False


@dataclass(frozen=True)
class AnnotatedRecording:
    """A recording that can be read, and what is annotated in it.

    Attributes:
        path: The file.
        rate: Samples a second.
        n_samples: Samples of each channel.
        events: All of them, also those of labels without class.
    """

    path: Path
    rate: int
    n_samples: int
    events: tuple[LabelledEvent, ...]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.rate


def plan_events(
    recording: AnnotatedRecording, rules: PlanRules
) -> tuple[list[ClipPlan], list[LeftOut]]:
    """Plan the clips of a recording's events.

    Each event comes back in one of the two lists: in plans, or once among those that are left out.

    Returns:
        Plans in the order of time, and what is left out and why.
    """
    raise NotImplementedError
