from __future__ import annotations

import pytest

from animal_spot.training.early_stopping import EarlyStopping


def stops_after(values, **options) -> int | None:
    """Return how many values were taken when it said stop."""
    stopping = EarlyStopping(**options)
    for number, value in enumerate(values, 1):
        if stopping.step(value):
            assert stopping.should_stop
            return number
        assert not stopping.should_stop
    return None


@pytest.mark.parametrize(
    ("values", "patience", "expected"),
    [
        pytest.param([0.5], 0, None, id="first-value-never-stops"),
        pytest.param([0.5, 0.4], 0, 2, id="no-patience"),
        pytest.param([0.5, 0.4, 0.4, 0.4], 2, 4, id="one-more-than-patience"),
        pytest.param([0.5, 0.4, 0.4], 2, None, id="patience-not-used-up"),
        pytest.param([0.5, 0.4, 0.5, 0.4, 0.5, 0.4], 1, None, id="equality-counts-as-better"),
        pytest.param([0.5, 0.4, 0.6, 0.5, 0.5], 1, 5, id="better-starts-the-count-again"),
        pytest.param([1.0] * 50, 1, None, id="saturated-never-stops"),
        pytest.param([0.1, 0.0, 0.05, 0.09], 2, 4, id="against-the-best-not-the-last"),
    ],
)
def test_stops_after_patience_plus_one_worse_values(values, patience, expected):
    assert stops_after(values, patience=patience) == expected


def test_smaller_is_better_in_min_mode():
    assert stops_after([1.0, 0.5, 0.6, 0.7], patience=1, mode="min") == 4
    assert stops_after([1.0, 0.9, 0.8, 0.7], patience=1, mode="min") is None


def test_state_has_the_original_keys_and_goes_on():
    stopping = EarlyStopping(2)
    for value in (0.5, 0.4):
        stopping.step(value)
    state = stopping.state_dict()
    assert list(state) == ["patience", "mode", "min_delta", "_count", "_best_score", "is_improved"]
    assert (state["_count"], state["_best_score"], state["patience"]) == (1, 0.5, 2)
    other = EarlyStopping(2)
    other.load_state_dict(state)
    assert [other.step(0.4), other.step(0.4)] == [False, True]
