"""A call that was found in a recording, and how likely it is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_LEAST_S = 1e-3  # in the logarithm of a length
_TINY = 1e-6


@dataclass(frozen=True)
class Event:
    """A call that was found.

    Attributes:
        begin_s: Begin in seconds.
        end_s: End in seconds.
        label: Class index.
        peak: Highest evidence of its windows, 0..1.
        share: Its class's share of what its windows say of all calls, 0..1.
        crossings: When the first window that hears it ends, and when the last one starts, seconds.
    """

    begin_s: float
    end_s: float
    label: int
    peak: float
    share: float
    crossings: tuple[float, float]


@dataclass(frozen=True)
class EventConfidence:
    """How likely an event is right: it is a call, and of this class.

    A logistic curve over the logit of the highest evidence of its windows, the logit of its class's
    share of all calls' probability, and the logarithm of its length in seconds.

    Attributes:
        bias: Of the curve.
        evidence: Weight of the evidence.
        share: Weight of the share.
        duration: Weight of the length.
    """

    bias: float
    evidence: float
    share: float
    duration: float = 0.0

    def of(self, event: Event) -> float:
        """Return the probability that an event is right."""
        features = confidence_features([event])[0]
        logit = self.bias + float(features @ [self.evidence, self.share, self.duration])
        return 1 / (1 + math.exp(-logit))


def confidence_features(events: Sequence[Event]) -> np.ndarray:
    """Return what a confidence is made of, shape ``(event, 3)``; see ``EventConfidence``."""
    duration = [max(e.end_s - e.begin_s, _LEAST_S) for e in events]
    columns = logits([e.peak for e in events]), logits([e.share for e in events]), np.log(duration)
    return np.stack(columns, axis=1)


def logits(probability: Sequence[float]) -> np.ndarray:
    """Return ``log(p / (1 - p))``, bounded where ``p`` is 0 or 1."""
    p = np.clip(np.asarray(probability, np.float64), _TINY, 1 - _TINY)
    return np.log(p) - np.log1p(-p)
