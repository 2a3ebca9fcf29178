"""The two halves fit a temperature by one rule, though neither imports the other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.detections.calibration import TEMPERATURES
from animal_spot.detections.calibration import fit_temperature as of_logits
from footprints.scores.metrics import TEMPERATURE_RANGE
from footprints.scores.metrics import fit_temperature as of_probabilities


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_ranges_are_equal() -> None:
    assert TEMPERATURES == TEMPERATURE_RANGE


def test_where_all_are_right_both_leave_it_at_one() -> None:
    logits = np.array([[4.0, 0.0, 1.0], [0.0, 2.0, 1.0], [1.0, 0.0, 1.5]])
    labels = np.arange(3)
    assert of_logits(logits, labels) == of_probabilities(softmax(logits), labels) == 1.0


@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 6),
    st.integers(1, 80),
    st.floats(0.2, 8),
    st.floats(0, 1),
)
def test_both_find_the_same_temperature(
    seed: int, n_classes: int, n: int, scale: float, share_right: float
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, scale, (n, n_classes))
    labels = np.where(rng.random(n) < share_right, logits.argmax(1), rng.integers(0, n_classes, n))
    sound, prints = of_logits(logits, labels), of_probabilities(softmax(logits), labels)
    assert math.log(prints) == pytest.approx(math.log(sound), abs=2e-3)
