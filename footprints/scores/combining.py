"""One answer of many: what several prints of one animal say together."""

from __future__ import annotations

import numpy as np

# How much several prints count: n of them as n ** POWER independent ones. Of 0, 0.25, 0.5, 0.75 and
# 1 it has the smallest loss on runs of OpenAnimalTracks validation crops, see docs/results.md.
POWER = 0.25
_FLOOR = 1e-4  # part of each answer that is spread over all classes: one print rules out none


def combined(probabilities: np.ndarray, power: float = POWER, floor: float = _FLOOR) -> np.ndarray:
    """Return the probabilities of the animal that left several prints.

    Independent prints multiply (Kittler et al., On combining classifiers, IEEE PAMI 20, 1998).
    Prints of one trail are not independent: same ground, light, animal and camera. So the mean of
    the logarithms is taken and counted ``n ** power`` times: once for 0 (the mean alone), n times
    for 1 (independent). The order of the classes is the same for each power. Kittler's rule divides
    by how frequent a class was in training; on validation photos that was worse than without.

    Args:
        probabilities: Calibrated, of each print: ``(prints, classes)``, one print at least.
        power: 0 to 1.
        floor: Of each print's answer this part is spread evenly over all classes.

    Returns:
        ``(classes,)``, adds up to 1; of one print its own probabilities.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    n, n_classes = probabilities.shape
    if n == 1:
        return probabilities[0].copy()
    logs = np.log((1 - floor) * probabilities + floor / n_classes)
    total = n**power * logs.mean(axis=0)
    found = np.exp(total - total.max())
    return found / found.sum()
