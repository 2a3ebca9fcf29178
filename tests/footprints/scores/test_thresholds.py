"""The threshold of "unknown": chosen for a precision, never near chance, and it says how."""

from __future__ import annotations

import numpy as np
import pytest

from footprints.scores.thresholds import LEAST_ANSWERS, choose_threshold


def answers(*groups: tuple[float, int, int], classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and labels of groups: best probability, photos, right ones."""
    rows, labels = [], []
    for best, n, n_right in groups:
        rows += [[best, *[(1 - best) / (classes - 1)] * (classes - 1)]] * n
        labels += [0] * n_right + [1] * (n - n_right)
    return np.array(rows).reshape(-1, classes), np.array(labels, int)


def test_it_is_the_lowest_that_reaches_the_wanted_precision() -> None:
    """30 of 30, then 27 of 40 (57 of 70 in all), then 10 of 40 (67 of 110)."""
    found = choose_threshold(*answers((0.9, 30, 30), (0.7, 40, 27), (0.5, 40, 10)), 0.8)
    assert found.rule == "wanted precision"
    assert found.value == pytest.approx(0.6)  # in the middle of a gap
    assert (found.precision, found.answered) == (pytest.approx(57 / 70), 70)
    assert found.record()["precision_interval"] == pytest.approx([0.708, 0.888], abs=1e-3)


@pytest.mark.parametrize(("wanted", "value"), [(0.6, 0.4375), (0.81, 0.6), (0.9, 0.8)])
def test_a_higher_precision_costs_answers(wanted: float, value: float) -> None:
    given = answers((0.9, 30, 30), (0.7, 40, 27), (0.5, 40, 10))
    assert choose_threshold(*given, wanted).value == pytest.approx(value, abs=0.04)


def test_out_of_reach_it_is_the_most_precise() -> None:
    found = choose_threshold(*answers((0.9, 30, 15), (0.7, 40, 10)), 0.8)
    assert (found.rule, found.precision, found.answered) == ("best precision", 0.5, 30)
    assert "the most that any threshold reaches; wanted were 80%" in found.in_words()


def test_a_few_lucky_answers_choose_nothing() -> None:
    n = LEAST_ANSWERS - 1
    found = choose_threshold(*answers((0.95, n, n), (0.7, 60, 30)), 0.9)
    assert found.answered == n + 60


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(answers((0.9, 49, 49)), id="49-photos"),
        pytest.param(answers((0.9, 19, 19), (0.3, 200, 20)), id="19-answers-above-the-floor"),
        pytest.param(answers(), id="no-photos"),
    ],
)
def test_with_too_little_the_floor_rule_holds(given) -> None:
    found = choose_threshold(*given)
    assert (found.value, found.rule, found.precision) == (None, "floor", None)
    assert found.in_words().startswith(f"floor rule: of {len(given[1])} validation photos")
    assert found.record()["floor"] == pytest.approx(0.4375)  # 1/4 + (1 - 1/4) / 4


def test_however_right_guesses_are_it_is_not_near_chance() -> None:
    found = choose_threshold(*answers((0.6, 30, 30), (0.28, 40, 40)))
    assert found.value == pytest.approx(0.4375, abs=0.01)
    assert found.answered == 30
