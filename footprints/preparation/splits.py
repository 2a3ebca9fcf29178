"""Which photos are learned from and which are kept for checking."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

import numpy as np


def grouped_split(
    labels: Sequence[str],
    groups: Sequence[Hashable],
    fractions: Mapping[str, float],
    seed: int,
) -> list[str]:
    """Divide photos so that look-alikes stay together and every part has every class.

    Whole groups go to one part, also where a group holds several classes. A class gets into as
    many parts as it has groups, in the order of ``fractions``. Beyond that each class is divided
    by ``fractions`` as closely as the groups allow: groups are dealt out in random order, large
    ones first, each to the part that misses most of its classes (greedily, as scikit-learn's
    ``StratifiedGroupKFold`` does).

    The result depends on the photos' classes and groups and on the seed, not on their order.

    Args:
        labels: Class of each photo.
        groups: Group of each photo; groups are told apart and ordered by ``str``.
        fractions: Share of each part, as ``{"train": 0.8, "val": 0.2}``; the sum is 1. The first
            part is served first. A part of share 0 stays empty.
        seed: Any whole number from 0 on; each gives another division.

    Returns:
        The part of each photo.

    Raises:
        ValueError: If lengths differ, or shares are negative or do not sum to 1.
    """
    if len(labels) != len(groups):
        raise ValueError(f"{len(labels)} labels, but {len(groups)} groups")
    if any(share < 0 for share in fractions.values()) or abs(sum(fractions.values()) - 1) > 1e-9:
        raise ValueError(f"shares must not be negative and sum to 1, got {dict(fractions)}")
    parts = [part for part, share in fractions.items() if share > 0]
    shares = np.array([fractions[part] for part in parts])
    classes = sorted(set(labels))
    names = sorted({str(group) for group in groups})
    group_of = {name: index for index, name in enumerate(names)}
    class_of = {name: index for index, name in enumerate(classes)}
    counts = np.zeros((len(names), len(classes)), dtype=np.int64)
    for label, group in zip(labels, groups, strict=True):
        counts[group_of[str(group)], class_of[label]] += 1
    part_of = _deal(counts, shares, np.random.default_rng(seed))
    return [parts[part_of[group_of[str(group)]]] for group in groups]


def _deal(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the part of each group, ``(groups,)``, from photos per class ``(groups, classes)``."""
    n_groups, n_classes = counts.shape
    part_of = np.full(n_groups, -1)
    order = rng.permutation(n_groups)
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]  # large ones first
    wanted = shares[:, None] * counts.sum(axis=0)
    given = np.zeros_like(wanted)

    def give(group: int, part: int) -> None:
        part_of[group] = part
        given[part] += counts[group]

    # First every class into every part, rare classes before they are used up: the first part
    # gets a large group, the others small ones.
    has = defaultdict(list)
    for group in order:
        for label in np.nonzero(counts[group])[0]:
            has[int(label)].append(int(group))
    for label in sorted(range(n_classes), key=lambda label: (len(has[label]), label)):
        for part in range(len(shares)):
            free = [group for group in has[label] if part_of[group] < 0]
            if free and not given[part, label]:
                give(_smallest_first(free, counts)[0] if part else free[0], part)

    weight = 1.0 / np.maximum(counts.sum(axis=0), 1)  # a rare class counts as much as a common one
    for group in order:
        if part_of[group] < 0:
            missing = ((wanted - given) * counts[group] * weight).sum(axis=1)
            give(int(group), int(np.argmax(missing)))
    return part_of


def _smallest_first(groups: list[int], counts: np.ndarray) -> list[int]:
    """Order groups by size; those of equal size stay as they were."""
    return sorted(groups, key=lambda group: int(counts[group].sum()))
