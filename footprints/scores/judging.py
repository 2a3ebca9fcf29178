"""From the probabilities of a photo or a trail to its answer: a species, a group, or unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from footprints.scores.answers import rank
from footprints.scores.calibration import UNKNOWN
from footprints.scores.groups import Groups, group_probabilities, least_of_group
from footprints.scores.region import Region
from footprints.scores.strangers import Refusal

SPECIES, GROUP = "species", "group"  # levels of an answer; the third is "unknown"
STRANGER, DOUBTFUL = "stranger", "doubtful"  # why it is unknown


@dataclass(frozen=True)
class Rules:
    """How probabilities become an answer.

    Attributes:
        classes: Names in the order of the probabilities.
        threshold: Least probability of a species.
        top_k: Length of rankings.
        groups: Answers where no species is so probable.
        region: What is known of the place, or None.
        refusal: When a photo is that of an animal of no class, or None.
    """

    classes: Sequence[str]
    threshold: float
    top_k: int
    groups: Groups = field(default_factory=Groups)
    region: Region | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True)
class Judgement:
    """What is answered.

    Attributes:
        answer: A class, a group, or "unknown".
        level: ``species``, ``group`` or ``unknown``.
        probability: Of the answer; of the best class where it is unknown.
        ranking: The best classes with their probabilities, best first.
        without_region: The answer without the region where that is another one, else None.
        is_stranger: Whether it is unknown since the photo looks like none of a class.
    """

    answer: str
    level: str
    probability: float
    ranking: tuple[tuple[str, float], ...]
    without_region: str | None = None
    is_stranger: bool = False

    @property
    def why(self) -> str:
        """Why it is unknown: ``stranger``, ``doubtful``, or empty where there is an answer."""
        return "" if self.is_certain else STRANGER if self.is_stranger else DOUBTFUL

    @property
    def is_certain(self) -> bool:
        """Whether there is an answer."""
        return self.level != UNKNOWN

    @property
    def group_probability(self) -> float | None:
        """Of the group that is the answer, or None."""
        return self.probability if self.level == GROUP else None


def judge(probabilities: np.ndarray, rules: Rules, strangeness: float | None = None) -> Judgement:
    """Return the answer to a photo.

    One that is too strange is unknown, whatever else is said of it.

    A species that reaches its threshold is the answer. Else it is the most probable group if that
    reaches its own threshold and is well above chance (``groups.least_of_group``). Else it is
    unknown. With a region, the probabilities are those after it, but it only chooses among the
    animals that the picture may show. What would be unknown without the region stays unknown, and
    so does what the region names although the picture makes it less probable than chance.

    Args:
        probabilities: Calibrated, ``(classes,)``, without the region.
        rules: Of the run.
        strangeness: Score of the photo, for the refusal of the rules; None refuses nothing.
    """
    found = _judged(probabilities, rules)
    if rules.refusal is None or strangeness is None or not rules.refusal.refuses(strangeness):
        return found
    best = found.ranking[0][1]
    return replace(found, answer=UNKNOWN, level=UNKNOWN, probability=best, is_stranger=True)


def _judged(probabilities: np.ndarray, rules: Rules) -> Judgement:
    plain = _by_thresholds(probabilities, probabilities, rules)
    if rules.region is None:
        return plain
    inside = rules.region.applied(probabilities)
    found = _by_thresholds(inside, probabilities, rules)
    if not plain.is_certain:
        best = found.ranking[0][1]
        found = replace(found, answer=UNKNOWN, level=UNKNOWN, probability=best)
    changed = plain.answer if plain.answer != found.answer else None
    return replace(found, without_region=changed)


def _by_thresholds(probabilities: np.ndarray, seen: np.ndarray, rules: Rules) -> Judgement:
    """Judge by probabilities; in those of the picture an answer must not be below chance."""
    answer, is_certain, ranking = rank(probabilities, rules.classes, rules.top_k, rules.threshold)
    n_classes = len(rules.classes)
    # Without a region the best class is never below chance.
    if is_certain and seen[list(rules.classes).index(answer)] >= 1 / n_classes - 1e-9:
        return Judgement(answer, SPECIES, ranking[0][1], ranking)
    if rules.groups:
        summed, names = group_probabilities(probabilities[None], rules.classes, rules.groups)
        plain, _ = group_probabilities(seen[None], rules.classes, rules.groups)
        # A class that stands for itself was judged above.
        at = max(
            (i for i, name in enumerate(names) if name in rules.groups.members),
            key=lambda i: summed[0, i],
        )
        n_members = len(rules.groups.members[names[at]])
        least = max(rules.groups.threshold_in_use, least_of_group(n_members, n_classes))
        if summed[0, at] >= least and plain[0, at] >= n_members / n_classes - 1e-9:
            return Judgement(names[at], GROUP, float(summed[0, at]), ranking)
    return Judgement(UNKNOWN, UNKNOWN, ranking[0][1], ranking)
