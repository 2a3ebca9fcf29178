"""How windows become events: numbers that a model file keeps."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from animal_spot.detections.events import EventConfidence


@dataclass(frozen=True)
class EventSettings:
    """How windows become events; in seconds wherever it is a time.

    Attributes:
        start: Evidence that an event reaches at its peak, 0..1.
        stay: Evidence above which it goes on, at most ``start``.
        smoothing_s: Windows whose centres are closer than this are averaged, the nearer the more.
        begin_s: From where the first window ends that hears a call, back to the call's begin: how
            much of a call a window needs to hear it.
        end_s: From where the last such window starts, on to the call's end.
        valley: An event is cut where the evidence falls by at least this between two peaks.
        second: Probability from which another class in an event is a call of its own, if its
            windows say that it lies beside the first one; 1: none is.
        apart_s: Quiet that such calls have between them; 0: they may overlap by a tenth. The name
            of one call often changes while a window holds its end and what follows.
        slack_s: All windows that hold a call should hear it: an event of too few windows ends, as
            they say, before it begins. If by more than this, it is dropped; ``inf``: none is.
        min_duration_s: Shorter events are dropped.
        max_duration_s: Longer events are cut at their lowest evidence; ``inf``: none is.
        together: Classes that call at the same time as others. Each of them is decoded by itself
            against the background.
        confidence: Of events; None: their highest evidence times the share of their class.
        threshold: Least confidence of an event, where no other is asked for.
        found: How the numbers were found, for people.
    """

    start: float = 0.8
    stay: float = 0.5
    smoothing_s: float = 0.75
    begin_s: float = 0.3
    end_s: float = 0.3
    valley: float = 0.1
    second: float = 0.25
    apart_s: float = 0.0
    slack_s: float = math.inf
    min_duration_s: float = 0.0
    max_duration_s: float = math.inf
    together: tuple[str, ...] = ()
    confidence: EventConfidence | None = None
    threshold: float = 0.3
    found: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("start", "stay", "valley", "second", "threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} of a decoder must be in 0..1, got {getattr(self, name)}")
        for name in ("smoothing_s", "apart_s", "slack_s", "min_duration_s", "max_duration_s"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} of a decoder must be at least 0")
        for name in ("begin_s", "end_s"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} of a decoder must be a number")
        if self.stay > self.start:
            raise ValueError(
                f"an event cannot go on above {self.stay} of evidence and start at {self.start}"
            )

    @classmethod
    def for_windows(cls, window_s: float) -> EventSettings:
        """Return settings for windows of a length of which nothing else is known, seconds."""
        tenth = round(0.1 * window_s, 6)
        return cls(smoothing_s=round(0.25 * window_s, 6), begin_s=tenth, end_s=tenth)

    def entries(self) -> dict[str, Any]:
        """Return what a model file keeps: plain numbers and texts."""
        content = dataclasses.asdict(self)
        content["together"] = list(self.together)
        content["found"] = dict(self.found)
        for name in ("slack_s", "max_duration_s"):
            if math.isinf(content[name]):
                del content[name]  # no number in JSON
        if not self.apart_s:
            del content["apart_s"]  # as files of models that know nothing of it
        return content

    def to_json(self) -> str:
        """Return what results of a prediction keep, in one line; not how it was found."""
        return json.dumps({k: v for k, v in self.entries().items() if k != "found"})

    @classmethod
    def from_json(cls, text: str) -> EventSettings:
        """Read what ``to_json`` returns.

        Raises:
            ValueError: If it cannot be meant.
        """
        return cls.from_entries(json.loads(text))

    @classmethod
    def from_entries(cls, content: Any) -> EventSettings:
        """Read what ``entries`` returns.

        Raises:
            ValueError: If it cannot be meant.
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"its decoder must be a dictionary, got {content!r}")
        known = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(map(str, content)) - known):
            raise ValueError(f"its decoder has settings that are not known: {', '.join(unknown)}")
        values = dict(content)
        together, found = values.pop("together", ()), values.pop("found", {})
        confidence = values.pop("confidence", None)
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"its decoder has {name} {value!r}, which is no number")
        if confidence is not None:
            try:
                confidence = EventConfidence(**{k: float(v) for k, v in confidence.items()})
            except (AttributeError, TypeError, ValueError) as error:
                raise ValueError(f"its decoder has a confidence {confidence!r}") from error
        if not isinstance(together, (list, tuple)) or not all(isinstance(n, str) for n in together):
            raise ValueError(f"its decoder must name classes, got {together!r}")
        found = dict(found) if isinstance(found, Mapping) else {}
        return cls(**values, together=tuple(together), confidence=confidence, found=found)


def average(settings: Sequence[EventSettings]) -> EventSettings:
    """Return the mean of the settings of networks whose probabilities are averaged."""
    numbers = [f.name for f in dataclasses.fields(EventSettings) if f.type == "float"]
    mean = {name: float(np.mean([getattr(s, name) for s in settings])) for name in numbers}
    confidences = [s.confidence for s in settings]
    confidence = None
    if all(confidences):
        fields = dataclasses.fields(EventConfidence)
        confidence = EventConfidence(
            *(float(np.mean([getattr(c, f.name) for c in confidences])) for f in fields)
        )
    together = sorted({name for s in settings for name in s.together})
    found = {"mean_of": len(settings)}
    return EventSettings(**mean, together=tuple(together), confidence=confidence, found=found)
