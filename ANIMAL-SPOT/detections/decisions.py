"""What a window is: thresholds, and the one rule of tables, annotations and close decisions."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Thresholds:
    """Least probability of a detection, for all classes or for some of them."""

    default: float = 0.5
    by_class: Mapping[str, float] = field(default_factory=dict)

    def of(self, name: str) -> float:
        """Return the threshold of a class."""
        return self.by_class.get(name, self.default)


class Decisions(NamedTuple):
    """What windows are; each of shape ``(window,)``.

    Attributes:
        is_detection: The score reaches the threshold; noise, too, can be one.
        winner: Class index: that of the most probable class, or of two classes 1 for a detection.
        score: Probability of the most probable class; of two classes that of class 1.
        label: Class index in annotations.
        probability: Of that class.
        counts: That class is not refused: it is a call or noise.
        is_noise: It is noise, and counts.
    """

    is_detection: np.ndarray
    winner: np.ndarray
    score: np.ndarray
    label: np.ndarray
    probability: np.ndarray
    counts: np.ndarray
    is_noise: np.ndarray

    @property
    def in_tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What tables of windows show: detection, winner, score."""
        return self.is_detection, self.winner, self.score


def winner_and_score(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the most probable class of each window; the first one if several are.

    Args:
        probabilities: Shape ``(window, class)``, at least two classes.

    Returns:
        Class index, and score: the winner's probability, but that of class 1 if there are two
        classes. Each of shape ``(window,)``.
    """
    winner = probabilities.argmax(axis=1)
    if probabilities.shape[1] == 2:
        return winner, probabilities[:, 1]
    return winner, np.take_along_axis(probabilities, winner[:, None], axis=1)[:, 0]


@dataclass(frozen=True)
class DecisionRule:
    """Says of windows what they are.

    With more than two classes a window is of the class that won if that reaches its threshold.
    With two it is of class 1 if that reaches its threshold, else of class 0. Annotations know
    besides that noise is no call: of two classes, class 0 is tested if class 1 is noise; and if
    class 0 has a threshold of its own, it must reach that too.

    Attributes:
        names: Classes in index order.
        thresholds: Least probabilities.
        noise: The class that is no call; None: there is none.
    """

    names: tuple[str, ...]
    thresholds: Thresholds = Thresholds()
    noise: str | None = None

    def decide(self, probabilities: np.ndarray) -> Decisions:
        """Decide windows by their probabilities ``(window, class)``."""
        return self.decide_scores(*winner_and_score(probabilities))

    def decide_scores(self, winner: np.ndarray, score: np.ndarray) -> Decisions:
        """Decide windows by what ``winner_and_score`` returns.

        Scores of 32 bits are compared in 64, as the original does: 0.7 does not reach 0.7 then.
        """
        score = score.astype(np.float64)
        if len(self.names) > 2:
            found = score >= self._limits[winner]
            label, probability, counts = winner, score, found
        else:
            found = score >= self._limits[1]
            winner = label = found.astype(np.int64)
            if self._is_noise[1]:
                label = np.where(1 - score >= self._limits[0], 0, 1)
            probability = np.where(label == 1, score, 1 - score)
            counts = probability >= self._limits_of_two[label]
        return Decisions(
            found, winner, score, label, probability, counts, counts & self._is_noise[label]
        )

    def undecided(self, probabilities: np.ndarray, margin: float) -> np.ndarray:
        """Tell which windows an error could decide otherwise, in tables or in annotations.

        Args:
            probabilities: Shape ``(window, class)``.
            margin: Most that a probability may be off.

        Returns:
            Shape ``(window,)``, bool.
        """
        if len(self.names) == 2:
            distances = np.abs(probabilities[:, 1:] - self._turns_of_two)
            return (distances <= margin).any(axis=1)
        second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
        rivals = (first - second <= 2 * margin) & (first >= self._limits.min() - margin)
        return rivals | (np.abs(first - self._limits[probabilities.argmax(1)]) <= margin)

    @functools.cached_property
    def _limits(self) -> np.ndarray:
        return np.array([self.thresholds.of(name) for name in self.names])

    @functools.cached_property
    def _is_noise(self) -> np.ndarray:
        return np.array([name == self.noise for name in self.names])

    @functools.cached_property
    def _turns_of_two(self) -> np.ndarray:
        """Scores at which the decision on two classes can change, shape ``(turns,)``."""
        turns = [self._limits[1], self._limits_of_two[1], 1 - self._limits_of_two[0]]
        if self._is_noise[1]:
            turns.append(1 - self._limits[0])
        return np.array([turn for turn in turns if 0 < turn < 1] or [self._limits[1]])

    @functools.cached_property
    def _limits_of_two(self) -> np.ndarray:
        # Of two classes one is always said; only a threshold of its own, or noise, can refuse it.
        own = [self.thresholds.by_class.get(name, 0.0) for name in self.names]
        return np.where(self._is_noise, self._limits, own)
