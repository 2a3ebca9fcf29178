"""From events of a recording to the clips that are cut out of it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from animal_spot.audio.channel_choice import MIX
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
        channel: What is heard of several channels, see ``audio.channel_choice``.
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
    channel: str = MIX


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
        keep_overlapping: Also cut clips in which events of other classes are heard.
        channel: What is heard of several channels; None: that which the table names, else the mix.
        background_class: Class of what holds no call: it spoils no example.
    """

    class_of: Callable[[str], str | None]
    clip_length: float | None = None
    margin: float = 0.0
    shortest: float = 0.0
    keep_overlapping: bool = False
    channel: str | None = None
    background_class: str = NOISE_CLASS


@dataclass(frozen=True)
class AnnotatedRecording:
    """A recording that can be read, and what is annotated in it.

    Attributes:
        path: The file.
        rate: Samples a second.
        n_samples: Samples of each channel.
        events: All of them, also those of labels without class.
        n_channels: Channels of the file.
    """

    path: Path
    rate: int
    n_samples: int
    events: tuple[LabelledEvent, ...]
    n_channels: int = 1

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
    events = sorted(recording.events, key=lambda e: (e.start_s, e.end_s, e.label, e.row))
    neighbours = _Neighbours(events, rules)
    plans: list[ClipPlan] = []
    left_out: list[LeftOut] = []
    seen: dict[tuple, LabelledEvent] = {}
    for event in events:
        class_name = rules.class_of(event.label)
        obstacle = _obstacle(event, class_name, recording, rules)
        if obstacle is None:
            clips = _clips_of(event, class_name, recording, rules)
            if not rules.keep_overlapping:
                obstacle = _keep_clean(clips, neighbours, recording.rate)
            obstacle = obstacle or _keep_new(clips, seen, recording.rate)
            plans += clips
        if obstacle is not None:
            left_out.append(LeftOut(event, recording.path, class_name, *obstacle))
    plans.sort(key=lambda plan: (plan.start, plan.end))
    return plans, left_out


def named_row(event: LabelledEvent) -> str:
    """Say which row of which table an event is."""
    return f"row {event.row} of {event.table.name}"


def _obstacle(
    event: LabelledEvent, class_name: str | None, recording: AnnotatedRecording, rules: PlanRules
) -> tuple[str, str] | None:
    """Return the kind and reason of an event that no clip can be cut of; None: one can."""
    if event.is_wrong:
        return WRONG, "somebody marked it as wrong"
    if class_name is None:
        return NOT_MAPPED, f"the label map gives {event.label!r} no class"
    start, end = _samples_of(event, recording)
    if start >= recording.n_samples:
        lasts = f"{recording.duration_s:.3f} s"
        return OUTSIDE, f"it begins at {event.start_s:.3f} s, and the recording lasts {lasts}"
    seconds = event.end_s - event.start_s
    if end <= start or seconds < rules.shortest:
        least = f"--shortest_event {rules.shortest:g}" if end > start else "one sample"
        return TOO_SHORT, f"{seconds:.4f} s is less than {least}"
    return None


def _samples_of(event: LabelledEvent, recording: AnnotatedRecording) -> tuple[int, int]:
    """Return the first sample of an event and the one after its last, in the recording."""
    start, end = round(event.start_s * recording.rate), round(event.end_s * recording.rate)
    return max(0, start), min(end, recording.n_samples)


def _clips_of(
    event: LabelledEvent, class_name: str, recording: AnnotatedRecording, rules: PlanRules
) -> list[ClipPlan]:
    start, end = _samples_of(event, recording)
    n_samples, rate = recording.n_samples, recording.rate
    if rules.clip_length is None:
        margin = round(rules.margin * rate)
        length = end - start + 2 * margin
        starts = [start - margin]
    else:
        length = max(1, round(rules.clip_length * rate))
        starts = _starts(start, end, length)
    channel, why = _channel(event, recording, rules)
    clips = []
    for part, wanted in enumerate(starts):
        begin = max(0, min(wanted, n_samples - length))
        if length > n_samples:
            note = f"the recording is shorter: {length / rate:.3f} s were wanted"
        elif begin != wanted:
            note = f"moved by {(begin - wanted) / rate:+.3f} s: it is at an edge of the recording"
        else:
            note = ""
        clips.append(
            ClipPlan(
                class_name,
                recording.path,
                begin,
                min(begin + length, n_samples),
                event,
                event.low_hz,
                event.high_hz,
                part,
                "; ".join(filter(None, (why, note))),
                channel,
            )
        )
    return clips


def _starts(start: int, end: int, length: int) -> list[int]:
    """Return where clips of a length begin: one about the middle, or several in a long event."""
    lasts = end - start
    if lasts <= _SPLIT_FROM * length:
        return [(start + end - length) // 2]
    n_parts = math.ceil(lasts / length - (_SPLIT_FROM - 1))
    return [start + round(i * (lasts - length) / (n_parts - 1)) for i in range(n_parts)]


def _channel(
    event: LabelledEvent, recording: AnnotatedRecording, rules: PlanRules
) -> tuple[str, str]:
    """Return the channel that is heard, and what is odd about it."""
    if rules.channel is not None:
        return rules.channel, ""
    if recording.n_channels == 1 or event.channel is None:
        return MIX, ""
    if not 1 <= event.channel <= recording.n_channels:
        return MIX, f"the recording has no channel {event.channel}: all are mixed"
    return str(event.channel), ""


def _keep_new(
    clips: list[ClipPlan], seen: dict[tuple, LabelledEvent], rate: int
) -> tuple[str, str] | None:
    """Remove clips that another event of the class has given; say so if none is left."""
    before = [(clip, seen.get(_key(clip, rate))) for clip in clips]
    clips[:] = [clip for clip, other in before if other is None]
    for clip in clips:
        seen[_key(clip, rate)] = clip.event
    if clips:
        return None
    return DOUBLE, f"its clip is that of {named_row(before[0][1])}"


def _key(clip: ClipPlan, rate: int) -> tuple:
    """Return what names of clips differ in: they tell ends to the millisecond."""
    return clip.class_name, clip.start, milliseconds(clip.end, rate), clip.channel


def milliseconds(sample: int, rate: int) -> int:
    """Return the time of a sample as names of clips have it."""
    return round(1000 * sample / rate)


def _keep_clean(
    clips: list[ClipPlan], neighbours: _Neighbours, rate: int
) -> tuple[str, str] | None:
    """Remove clips in which another class is heard too; say so if none is left."""
    heard = [
        (clip, neighbours.heard(clip.class_name, (clip.start + 1) / rate, (clip.end - 1) / rate))
        for clip in clips
    ]
    clips[:] = [clip for clip, other in heard if other is None]
    if clips:
        return None
    other = heard[0][1]
    return OVERLAPPING, f"{other.label!r}, {named_row(other)}, is heard in its clip too"


class _Neighbours:
    """Finds what of other classes is heard in a stretch of a recording.

    Args:
        events: In the order of their begin.
        rules: Labels without class, and background, do no harm to an example.
    """

    def __init__(self, events: Sequence[LabelledEvent], rules: PlanRules) -> None:
        self._starts: dict[str, list[float]] = {}
        self._latest: dict[str, list[LabelledEvent]] = {}  # that which ends last, up to each
        for event in events:
            name = rules.class_of(event.label)
            if name in (None, rules.background_class) or event.is_wrong:
                continue
            latest = self._latest.setdefault(name, [])
            latest.append(max([*latest[-1:], event], key=lambda e: e.end_s))
            self._starts.setdefault(name, []).append(event.start_s)

    def heard(self, class_name: str, start_s: float, end_s: float) -> LabelledEvent | None:
        """Return an event of another class that is heard between two times; None: there is none."""
        for name, starts in self._starts.items():
            n_before = bisect_left(starts, end_s)
            if name != class_name and n_before:
                latest = self._latest[name][n_before - 1]
                if latest.end_s > start_s:
                    return latest
        return None
