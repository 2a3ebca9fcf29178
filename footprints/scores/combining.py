"""One answer of many: what several prints of one animal say together."""

from __future__ import annotations

import numpy as np

# How much several prints count: n of them as n ** POWER independent ones. Chosen on runs of
# OpenAnimalTracks crops of one photo or track, see docs/results.md.
POWER = 0.5
_FLOOR = 0.02  # part of each answer that is spread over all classes: one print alone rules out none


def combined(
    probabilities: np.ndarray, prior: np.ndarray, power: float = POWER, floor: float = _FLOOR
) -> np.ndarray:
    """Return the probabilities of the animal that left several prints.

    Independent prints multiply (Kittler et al., On combining classifiers, IEEE PAMI 20, 1998):
    P(class | all) ~ prior x product of P(class | print) / prior. Prints of one trail are not
    independent: same ground, light, animal and camera. So the mean of the logarithms is taken and
    counted ``n ** power`` times: once for 0 (the mean alone), n times for 1 (independent).

    Args:
        probabilities: Calibrated, of each print: ``(prints, classes)``, one print at least.
        prior: How frequent classes were in training, ``(classes,)``.
        power: 0 to 1.
        floor: Of each print's answer this part is spread evenly over all classes.

    Returns:
        ``(classes,)``, adds up to 1; of one print its own probabilities.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    n, n_classes = probabilities.shape
    if n == 1:
        return probabilities[0].copy()
    spread = (1 - floor) * probabilities + floor / n_classes
    evidence = np.log(spread) - np.log(prior)
    total = np.log(prior) + n**power * evidence.mean(axis=0)
    found = np.exp(total - total.max())
    return found / found.sum()
