"""What occurs where the photos were taken: a list of species, or how frequent each is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from footprints.scores.class_names import class_meant, with_nearest
from footprints.system.errors import UserError
from footprints.system.files import read_table, read_text
from footprints.system.text import printable

_LEAST_WEIGHT, _MOST_WEIGHT = 1e-12, 1e12  # others would end in no number


@dataclass(frozen=True)
class Region:
    """What is known of the place.

    Attributes:
        factors: By which the probability of each class is multiplied, ``(classes,)``, 0 where it
            does not occur: 1 for a list; for a prior, the prior divided by that of the training.
        kind: ``list`` or ``prior``.
    """

    factors: np.ndarray
    kind: str

    def applied(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the probabilities of a photo after the region, which add up to 1.

        Where all that occurs is impossible by the picture, the region alone speaks.

        Args:
            probabilities: ``(classes,)``.
        """
        product = np.asarray(probabilities, dtype=np.float64) * self.factors
        if product.sum() <= 0:
            product = self.factors
        return product / product.sum()


def read_region(path: Path, classes: Sequence[str], prior: np.ndarray) -> Region:
    """Return the region that a file describes.

    With a prior, Bayes' rule is P(class | picture, place) ~ P(class | picture) x P(class at the
    place) / P(class in training), as in Mac Aodha et al., Presence-only geographical priors for
    fine-grained image classification, ICCV 2019.

    Args:
        path: Names of classes, one a line (``#`` begins a remark); or a table with the columns
            ``class`` and ``weight``, of which absent classes weigh nothing.
        classes: Of the model.
        prior: How frequent they were in training, ``(classes,)``, adds up to 1.

    Raises:
        UserError: If a name is no class or there twice, or a weight no number from 0 on; or fewer
            than two are left.
    """
    lines = [line.split("#")[0].strip() for line in read_text(path).splitlines()]
    lines = [line for line in lines if line]
    is_table = bool(lines) and "," in lines[0]
    weights = _weights_of(path) if is_table else [(line, 1.0) for line in lines]
    found = np.zeros(len(classes))
    strange, seen = [], set[int]()
    for name, weight in weights:
        meant = class_meant(name, classes)
        if meant is None:
            strange.append(with_nearest(name, classes))
            continue
        at = list(classes).index(meant)
        if at in seen:
            raise UserError(f"{printable(path)}: names {printable(meant)} twice")
        found[at] = weight
        seen.add(at)
    if strange:
        raise UserError(
            f"{printable(path)}: no classes of the model: {', '.join(strange)}; its classes are "
            f"{', '.join(map(printable, classes))}"
        )
    if np.count_nonzero(found) < 2:
        raise UserError(f"{printable(path)}: names fewer than two animals; nothing to choose from")
    return Region(found / prior if is_table else found, "prior" if is_table else "list")


def _weights_of(path: Path) -> list[tuple[str, float]]:
    rows = []
    for row in read_table(path):
        if not {"class", "weight"} <= row.keys():
            raise UserError(f"{printable(path)}: needs the columns class and weight")
        name, text = row["class"].strip(), row["weight"].strip()
        if not name:
            continue
        try:
            weight = float(text)
        except ValueError:
            weight = np.nan
        if weight != 0 and not _LEAST_WEIGHT <= weight <= _MOST_WEIGHT:
            raise UserError(
                f"{printable(path)}: the weight of {printable(name)} must be 0 or a number from "
                f"{_LEAST_WEIGHT:g} to {_MOST_WEIGHT:g}, not {printable(text)!r}"
            )
        rows.append((name, weight))
    return rows


def training_prior(facts: dict, n_classes: int) -> np.ndarray:
    """Return how frequent each class was in a model's training; the same for all if unknown.

    Args:
        facts: What the model's file says, ``class_prior`` among it.
        n_classes: How many there are.
    """
    given = facts.get("class_prior")
    if given is None:
        return np.full(n_classes, 1 / n_classes)
    return np.asarray(given, dtype=np.float64)
