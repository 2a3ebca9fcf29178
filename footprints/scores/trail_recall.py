"""How often a trail is named rightly, against a single photo: real trails, or simulated ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from footprints.scores.combining import combined
from footprints.scores.intervals import wilson_interval

_ROUNDS = 50  # divisions of the photos of a class into trails


def simulated_trails(
    labels: np.ndarray, size: int, rng: np.random.Generator
) -> list[tuple[int, ...]]:
    """Divide the photos of each class at random into trails of one size; what is left over is not.

    Args:
        labels: True classes as numbers, ``(photos,)``.
        size: Photos of a trail.
        rng: Draws the division.
    """
    found: list[tuple[int, ...]] = []
    for label in np.unique(labels):
        photos = rng.permutation(np.flatnonzero(labels == label)).tolist()
        found += [tuple(photos[at : at + size]) for at in range(0, len(photos) - size + 1, size)]
    return found


def recall_of_simulated(
    probabilities: np.ndarray,
    labels: np.ndarray,
    sizes: Sequence[int],
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return how often trails of some sizes are named rightly.

    The photos of such a trail are of one class and nothing else: other animals, grounds and days.
    They are less alike than those of a real trail, so what they bring is an upper bound. The share
    is the mean over ``_ROUNDS`` divisions; the interval is that of the number of trails in one, as
    further divisions show no further photos.

    Args:
        probabilities: Calibrated, ``(photos, classes)``.
        labels: True classes as numbers, ``(photos,)``.
        sizes: Photos of a trail.
        seed: Of the divisions.

    Returns:
        For each size that a class has photos for: ``size``, ``trails``, ``right`` (a share),
        ``right_interval``, ``mean_probability`` of the answers.
    """
    rows = []
    for size in sizes:
        rng = np.random.default_rng([seed, size])
        shares, said, n = [], [], 0
        for _ in range(1 if size == 1 else _ROUNDS):
            trails = simulated_trails(labels, size, rng)
            n = len(trails)
            if n:
                right, best = _named(probabilities, labels, trails)
                shares.append(right.mean())
                said.append(best.mean())
        if n:
            rows.append(_row(float(np.mean(shares)), n, float(np.mean(said)), size=size))
    return rows


def recall_of_real(
    probabilities: np.ndarray,
    labels: np.ndarray,
    trail_of: Mapping[int, str],
) -> list[dict[str, Any]]:
    """Return how often real trails are named rightly, and the single photos of the same trails.

    Args:
        probabilities: Calibrated, ``(photos, classes)``.
        labels: True classes as numbers, ``(photos,)``.
        trail_of: Trail of each photo that is of one, by its number.

    Returns:
        For trails of 2 photos, of 3 or 4, and of 5 or more, where there are some: ``photos`` (of a
        trail, as words), ``trails``, ``right`` and so on as in ``recall_of_simulated``, and
        ``single_right``, the mean over these trails of the share of their photos named rightly.
    """
    photos_of: dict[str, list[int]] = defaultdict(list)
    for photo, trail in trail_of.items():
        photos_of[trail].append(photo)
    trails = [tuple(photos) for photos in photos_of.values()]
    right_alone = probabilities.argmax(axis=1) == labels
    rows = []
    for words, least, most in (("2", 2, 2), ("3 to 4", 3, 4), ("5 or more", 5, len(labels))):
        some = [trail for trail in trails if least <= len(trail) <= most]
        if some:
            right, best = _named(probabilities, labels, some)
            single = float(np.mean([right_alone[list(trail)].mean() for trail in some]))
            row = _row(float(right.mean()), len(some), float(best.mean()), size=words)
            rows.append(row | {"single_right": single})
    return rows


def recall_table(rows: Sequence[Mapping[str, Any]], title: str) -> list[str]:
    """Return such figures as lines for the screen."""
    is_real = any("single_right" in row for row in rows)
    lines = ["", title, "photos     trails  right  95 % interval    mean probability"]
    if is_real:
        lines[-1] += "  single photos right"
    for row in rows:
        low, high = row["right_interval"]
        line = (
            f"{row['size']!s:9}  {row['trails']:6}  {row['right']:.3f}  {low:.3f} to {high:.3f}  "
            f"{row['mean_probability']:16.3f}"
        )
        lines.append(line + (f"  {row['single_right']:.3f}" if is_real else ""))
    return lines


def _named(
    probabilities: np.ndarray,
    labels: np.ndarray,
    trails: Sequence[tuple[int, ...]],
) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each trail is named rightly, and how probable its name is."""
    said = np.stack([combined(probabilities[list(trail)]) for trail in trails])
    true = np.array([labels[trail[0]] for trail in trails])
    return said.argmax(axis=1) == true, said.max(axis=1)


def _row(share: float, n: int, mean_probability: float, *, size: int | str) -> dict[str, Any]:
    return {
        "size": size,
        "trails": n,
        "right": share,
        "right_interval": list(wilson_interval(share * n, n)),
        "mean_probability": mean_probability,
    }
