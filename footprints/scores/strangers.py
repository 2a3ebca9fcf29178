"""Animals of no class: how well a score tells them from those of the classes. Pure functions.

A score of strangeness is a number, the higher the stranger; which ones there are stands in
``network.strangeness``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from footprints.scores.intervals import Z_95, wilson_interval
from footprints.system.typed import as_number, as_text

OTHER = "other"  # the folder of photos of other animals, which is no class
NONE_OF_THESE, DISTANCE, ENERGY = RULES = ("none of these", "distance", "energy")
KNOWN_KEPT = 0.95  # share of validation photos of the classes that a refusal leaves alone


@dataclass(frozen=True)
class Refusal:
    """When a photo is refused as that of a stranger.

    Attributes:
        rule: Of ``RULES``: the network's own output for other animals; the distance to the photos
            that it learned from; the energy of its classes.
        cut: A photo is refused if its score is above it.
        found: How it was found, for the reader, fit for JSON.
    """

    rule: str
    cut: float
    found: Mapping[str, Any]

    def refuses(self, strangeness: np.ndarray) -> np.ndarray:
        """Return whether each photo is refused, ``(n,)``."""
        return np.asarray(strangeness) > self.cut

    def facts(self) -> dict[str, Any]:
        """Return what a model file keeps."""
        return {"rule": self.rule, "cut": self.cut, **self.found}


def is_other(name: str) -> bool:
    """Tell whether the name of a folder says that its photos are of no class."""
    return name.strip().casefold() == OTHER


def refusal_of(facts: Mapping[str, Any]) -> Refusal | None:
    """Return the refusal of a model from what its file says; None of files without one.

    Raises:
        ValueError: If it cannot be meant.
    """
    given = facts.get("refusal")
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ValueError("its refusal is no JSON object")
    rule = as_text(given.get("rule"))
    if rule not in RULES:
        raise ValueError(f"its refusal goes by {rule!r}, which this release does not know")
    cut = as_number(given.get("cut"))
    found = {key: value for key, value in given.items() if key not in ("rule", "cut")}
    return Refusal(rule, cut, found)


def cut_keeping(known: np.ndarray, share: float) -> float:
    """Return the lowest cut that at least such a share of the known photos does not exceed.

    Args:
        known: Their scores, ``(n,)``, at least one.
        share: 0 to 1.
    """
    return float(np.quantile(np.asarray(known, dtype=np.float64), share, method="higher"))


def auroc(known: np.ndarray, strangers: np.ndarray) -> float:
    """Return how often a stranger has a higher score than a known photo; ties count half.

    Args:
        known: Scores of photos of the classes, ``(n,)``.
        strangers: Scores of photos of other animals, ``(m,)``.

    Returns:
        0 to 1, 0.5 by chance; NaN where either is missing.
    """
    if not len(known) or not len(strangers):
        return math.nan
    return float(_wins(known, strangers).mean())


def auroc_interval(known: np.ndarray, strangers: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of ``auroc`` (DeLong, DeLong and Clarke-Pearson 1988).

    Args:
        known: As of ``auroc``.
        strangers: As of ``auroc``.

    Returns:
        Two ends from 0 to 1; two NaN with fewer than two photos of either kind.
    """
    if len(known) < 2 or len(strangers) < 2:
        return math.nan, math.nan
    wins = _wins(known, strangers)
    spread = wins.mean(axis=1).var(ddof=1) / len(strangers)
    spread += wins.mean(axis=0).var(ddof=1) / len(known)
    half = Z_95 * math.sqrt(spread)
    return max(0.0, float(wins.mean() - half)), min(1.0, float(wins.mean() + half))


def _wins(known: np.ndarray, strangers: np.ndarray) -> np.ndarray:
    """Return 1 where a stranger has the higher score, 0.5 in a tie: ``(strangers, known)``."""
    known, strangers = np.asarray(known), np.asarray(strangers)[:, None]
    return (strangers > known) + 0.5 * (strangers == known)


def counts(refusal: Refusal, known: np.ndarray, strangers: np.ndarray) -> dict[str, Any]:
    """Return what a refusal does to photos of the classes and to those of other animals.

    Args:
        refusal: Of a model.
        known: Scores of photos of its classes, ``(n,)``.
        strangers: Scores of photos of other animals, ``(m,)``.
    """
    lost, refused = int(refusal.refuses(known).sum()), int(refusal.refuses(strangers).sum())
    found: dict[str, Any] = {"known": len(known), "known_lost": lost}
    if len(known):
        found["known_lost_interval"] = list(wilson_interval(lost, len(known)))
    if len(strangers):
        found |= {
            "strangers": len(strangers),
            "strangers_refused": refused,
            "strangers_refused_interval": list(wilson_interval(refused, len(strangers))),
        }
        if len(known):
            found["auroc"] = auroc(known, strangers)
            ends = auroc_interval(known, strangers)
            found["auroc_interval"] = [None if math.isnan(end) else end for end in ends]
    return found


def in_words(found: Mapping[str, Any]) -> str:
    """Say in one clause what ``counts`` found."""
    text = f"{found['known_lost']} of {found['known']} photos of the classes are lost by it"
    if not found.get("strangers"):
        return f"{text}; no photos of other animals to try it on"
    refused, n = found["strangers_refused"], found["strangers"]
    low, high = found["strangers_refused_interval"]
    least = (found.get("auroc_interval") or [None])[0]
    if least is not None and least <= 0.5:  # by chance
        text += "; it may tell no better than chance"
    return f"{refused} of {n} strangers are refused ({low:.0%} to {high:.0%}), {text}"
