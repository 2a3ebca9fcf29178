import numpy as np
import pytest
from scipy.stats import binom

from animal_spot.utils.tape_bootstrap import (
    accuracies,
    class_intervals,
    draw_tapes,
    middle,
    ratio_intervals,
)


def test_two_tapes_worked_by_hand():
    """Tape a has 3 right clips, b a wrong one.

    The draws are aa, ab, ba, bb: 1, 3/4, 3/4, 0 of the clips are right, each as often. So 75 % of
    the draws are above 0 and 75 % below 1.
    """
    draws = draw_tapes([0, 0, 0, 0], [0, 0, 0, 1], ["a", "a", "a", "b"], 2)
    values, counts = np.unique(draws.accuracy, return_counts=True)
    assert values.tolist() == [0.0, 0.75, 1.0]
    # Standard deviation of these shares: below 0.005.
    np.testing.assert_allclose(counts / counts.sum(), [0.25, 0.5, 0.25], atol=0.02)
    assert middle(draws.accuracy) == (0.0, 1.0)
    assert middle(draws.accuracy, level=0.4) == (0.75, 0.75)


def test_macro_accuracy_worked_by_hand():
    """Class 0 on tapes a and b, class 1 on b only: a draw without b has no class 1.

    a: class 0 right; b: all wrong. Class 1 counts with 0 in every draw, there is no class 2.
    aa: (1 + 0) / 2; ab: (1/2 + 0) / 2; bb: 0.
    """
    draws = draw_tapes([0, 0, 1], [0, 1, 0], ["a", "b", "b"], 3)
    assert sorted(set(draws.macro.tolist())) == [0, 0.25, 0.5]
    without = np.isnan(draws.per_class[:, 1])
    assert without.mean() == pytest.approx(0.25, abs=0.02)
    assert set(draws.macro[without]) == {0.5}
    assert np.isnan(draws.per_class[:, 2]).all()


@pytest.mark.parametrize(("n_tapes", "n_right"), [(20, 14), (50, 45), (200, 60)])
def test_one_clip_a_tape_gives_quantiles_of_the_binomial_distribution(n_tapes, n_right):
    predictions = [0] * n_right + [1] * (n_tapes - n_right)
    tapes = [f"tape {i}" for i in range(n_tapes)]
    draws = draw_tapes([0] * n_tapes, predictions, tapes, 2, n_draws=40_000)
    expected = binom.ppf([0.025, 0.975], n_tapes, n_right / n_tapes) / n_tapes
    # One clip: where a quantile lies between two counts, chance decides.
    np.testing.assert_allclose(middle(draws.accuracy), expected, atol=1.01 / n_tapes)


def test_clips_of_one_tape_do_not_count_as_so_many():
    """Ten copies of each clip on its tape change nothing: they say nothing new."""
    labels, predictions = [0] * 8, [0, 0, 0, 1, 0, 1, 0, 0]
    tapes = list("abcdefgh")
    once = draw_tapes(labels, predictions, tapes, 2)
    tenfold = draw_tapes(labels * 10, predictions * 10, tapes * 10, 2)
    np.testing.assert_allclose(once.accuracy, tenfold.accuracy)


def test_same_seed_same_draws_whatever_the_order_of_the_clips():
    labels, predictions, tapes = [0, 1, 1, 0, 1], [0, 1, 0, 0, 0], list("abcad")
    first = draw_tapes(labels, predictions, tapes, 2, seed=3)
    turned = draw_tapes(labels[::-1], predictions[::-1], tapes[::-1], 2, seed=3)
    other = draw_tapes(labels, predictions, tapes, 2, seed=4)
    assert np.array_equal(first.accuracy, turned.accuracy)
    assert not np.array_equal(first.accuracy, other.accuracy)


def test_a_class_of_one_tape_has_no_interval():
    labels, tapes = [0, 0, 1, 1], ["a", "b", "c", "c"]
    draws = draw_tapes(labels, [0, 1, 1, 0], tapes, 3)
    intervals = class_intervals(draws, labels, tapes)
    assert intervals[0] == (0.0, 1.0)
    assert intervals[1:] == [None, None]


def test_accuracies_of_classes_and_their_mean():
    per_class, macro = accuracies([0, 0, 0, 0, 2, 2], [0, 0, 0, 1, 2, 0], 3)
    assert per_class == [0.75, None, 0.5]
    assert macro == pytest.approx(0.625)


@pytest.mark.parametrize("tapes", [[], ["a", "b"]])
def test_wrong_lengths_are_refused(tapes):
    with pytest.raises(ValueError, match="as many"):
        draw_tapes([0] * (len(tapes) // 2), [0], tapes, 1)


def test_one_event_a_recording_gives_quantiles_of_the_binomial_distribution():
    found = np.array([[1]] * 35 + [[0]] * 15)
    (interval,) = ratio_intervals(found, np.ones_like(found), n_draws=40_000)
    expected = binom.ppf([0.025, 0.975], 50, 0.7) / 50
    # Where a quantile lies between two counts, chance decides.
    np.testing.assert_allclose(interval, expected, atol=1.01 / 50)


def test_events_of_one_recording_do_not_count_as_so_many():
    found = np.array([[3, 0], [1, 0], [0, 0], [2, 4]])
    events = np.array([[4, 0], [1, 0], [3, 0], [2, 5]])
    many, few = ratio_intervals(found, events)
    assert (many, few) == tuple(ratio_intervals(10 * found, 10 * events))
    assert few is None  # only one recording has any
    assert ratio_intervals(found, events, fewest=5) == [None, None]
