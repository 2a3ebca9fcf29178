"""How often each training clip is drawn where rare classes are to be seen more often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from animal_spot.data.class_balance import balance_factors
from animal_spot.data.clip_dataset import Sample

RARE_SHARE = 0.05  # of the training clips; a class with fewer is rare


def class_factors(counts: np.ndarray, strategy: str, rare_class_boost: float = 1.0) -> np.ndarray:
    """Return how often a clip of each class is drawn, relative to the most drawn ones.

    Args:
        counts: Clips of each class, shape ``(classes,)``.
        strategy: See ``balance_factors``.
        rare_class_boost: Further factor for classes with less than a twentieth of the clips.
    """
    factors = balance_factors(counts, strategy)
    rare = np.asarray(counts) < RARE_SHARE * np.sum(counts)
    factors = np.where(rare, factors * rare_class_boost, factors)
    return factors / factors.max()


def draw_probabilities(
    samples: Sequence[Sample],
    n_classes: int,
    *,
    strategy: str,
    rare_class_boost: float = 1.0,
    balance_tapes: bool = False,
) -> np.ndarray:
    """Return the probability of each clip in one draw, shape ``(samples,)``; their sum is 1.

    Args:
        samples: Training clips.
        n_classes: Number of classes.
        strategy: See ``balance_factors``.
        rare_class_boost: See ``class_factors``.
        balance_tapes: Spread what a class has equally over its tapes, then over the clips of each
            tape; without it, equally over its clips. A clip without a tape is one for itself.
    """
    labels = np.array([sample.label for sample in samples])
    counts = np.bincount(labels, minlength=n_classes)
    weights = class_factors(counts, strategy, rare_class_boost)[labels]
    if balance_tapes:
        places = [(sample.label, sample.tape or sample.name) for sample in samples]
        n_clips = Counter(places)
        n_tapes = Counter(label for label, _ in n_clips)
        weights *= [counts[p[0]] / (n_tapes[p[0]] * n_clips[p]) for p in places]
    return weights / weights.sum()
