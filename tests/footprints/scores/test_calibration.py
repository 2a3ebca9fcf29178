"""No guess is called certain, and a weak model says what it is."""

from __future__ import annotations

import pytest

from footprints.scores.calibration import (
    is_unknown,
    least_threshold,
    threshold_in_use,
    weakness,
)


@pytest.mark.parametrize(("n_classes", "least"), [(2, 0.625), (4, 0.4375), (6, 0.375)])
def test_the_least_threshold_lies_a_quarter_above_chance(n_classes: int, least: float) -> None:
    assert least_threshold(n_classes) == pytest.approx(least)


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


@pytest.mark.parametrize(
    ("macro_f1", "error", "said"),
    [
        (0.49, 0.05, "macro F1 0.49 on 200 validation photos, below 0.50"),
        (0.51, 0.16, "off by 0.16 in the mean on 200 validation photos, more than 0.15"),
        (0.51, 0.14, None),
    ],
)
def test_macro_f1_and_calibration_have_bounds(macro_f1, error, said: str | None) -> None:
    validation = {"photos": 200, "accuracy": 0.7, "macro_f1": macro_f1}
    validation["expected_calibration_error_calibrated"] = error
    found = weakness({"classes": list("abcdef"), "validation": validation})
    assert found is None if said is None else said in found


@pytest.mark.parametrize("validation", [None, [], {}, {"photos": "x", "accuracy": 1}])
def test_files_that_say_nothing_of_validation_are_not_judged(validation) -> None:
    assert weakness({"classes": ["a", "b"], "validation": validation}) is None


@pytest.mark.parametrize(
    ("name", "is_it"),
    [("unknown", True), ("Unknown ", True), ("UNKNOWN", True), ("unknowns", False)],
)
def test_the_word_unknown(name: str, is_it: bool) -> None:
    assert is_unknown(name) is is_it


def test_a_validation_that_cannot_be_is_not_judged():
    """It was an error that was not foreseen."""
    facts = {"classes": ["a", "b"], "validation": {"photos": 10**400, "accuracy": 0.5}}
    assert weakness(facts) is None
