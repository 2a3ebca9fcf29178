"""No guess is called certain, and a weak model says what it is."""

from __future__ import annotations

import numpy as np
import pytest

from footprints.scores.calibration import (
    choose_threshold,
    is_unknown,
    least_threshold,
    threshold_in_use,
    weakness,
)


@pytest.mark.parametrize(("n_classes", "least"), [(2, 0.625), (4, 0.4375), (6, 0.375)])
def test_the_least_threshold_lies_a_quarter_above_chance(n_classes: int, least: float) -> None:
    assert least_threshold(n_classes) == pytest.approx(least)


def test_a_threshold_near_chance_is_raised() -> None:
    """Six classes, right answers with 0.25, wrong ones with 0.23: the best cut alone is 0.24."""
    rows = [[0.25, 0.15, 0.15, 0.15, 0.15, 0.15], [0.23, 0.154, 0.154, 0.154, 0.154, 0.154]]
    probabilities = np.repeat(rows, 40, axis=0)
    labels = np.repeat([0, 1], 40)
    assert choose_threshold(probabilities, labels) == pytest.approx(0.375)


@pytest.mark.parametrize(
    ("stored", "n_classes", "used"),
    [(0.24, 6, 0.375), (0.7, 6, 0.7), (None, 6, 0.5), (None, 2, 0.625)],
)
def test_older_files_get_the_floor_too(stored, n_classes: int, used: float) -> None:
    facts = {"classes": list("abcdef"[:n_classes]), "threshold": stored}
    assert threshold_in_use(facts) == pytest.approx(used)


@pytest.mark.parametrize(
    ("photos", "accuracy", "said"),
    [
        pytest.param(200, 0.3, "guesses", id="near-chance"),
        pytest.param(200, 0.9, None, id="good"),
        pytest.param(30, 0.95, "so few photos tell little", id="good-but-few"),
        pytest.param(12, 0.25, "guesses", id="few-and-near-chance"),
        pytest.param(60, 0.45, "so few photos tell little", id="interval-from-0.33"),
    ],
)
def test_weak_models(photos: int, accuracy: float, said: str | None) -> None:
    facts = {"classes": list("abcdef"), "validation": {"photos": photos, "accuracy": accuracy}}
    found = weakness(facts)
    assert found is None if said is None else (said in found and "by chance 17%" in found)


@pytest.mark.parametrize("validation", [None, [], {}, {"photos": "x", "accuracy": 1}])
def test_files_that_say_nothing_of_validation_are_not_judged(validation) -> None:
    assert weakness({"classes": ["a", "b"], "validation": validation}) is None


@pytest.mark.parametrize(
    ("name", "is_it"),
    [("unknown", True), ("Unknown ", True), ("UNKNOWN", True), ("unknowns", False)],
)
def test_the_word_unknown(name: str, is_it: bool) -> None:
    assert is_unknown(name) is is_it
