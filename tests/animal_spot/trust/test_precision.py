"""Shares of right rows from bins, against closed forms and scipy."""

import math

import numpy as np
import pytest
from scipy.stats import beta, binomtest

from animal_spot.trust.precision import reviews_to_halve, stratified_interval


def test_bins_are_weighed_by_all_their_rows():
    """900 detections of which half are right, 100 that are all right: 0.55, not 15 of 20."""
    estimate, low, high = stratified_interval([5, 10], [10, 10], [900, 100])
    assert estimate == pytest.approx(0.55)
    assert low < 0.55 < high


def test_one_bin_is_jeffreys_interval():
    """Of so many detections that 200 are a small part; smoothing moves it by under 1 %."""
    _, low, high = stratified_interval([60], [200], [10**9])
    wanted = beta.ppf([0.025, 0.975], 60.5, 140.5)
    assert (low, high) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("right", [0, 30])
def test_all_alike_has_the_exact_limit(right):
    """Clopper and Pearson: 30 of 30 right leave up to 11.6 % wrong, in one bin or in ten."""
    exact = binomtest(right, 30).proportion_ci(0.95, "exact")
    for n_bins in (1, 10):
        sample = [[x / n_bins] * n_bins for x in (right, 30, 10**9)]
        _, low, high = stratified_interval(*sample)
        assert (low, high) == pytest.approx((exact.low, exact.high), rel=1e-5)


def test_what_was_seen_is_certain():
    estimate, low, high = stratified_interval([7, 1], [10, 3], [10, 3])
    assert (estimate, low, high) == pytest.approx((8 / 13,) * 3)
    _, low, high = stratified_interval([10], [12], [13])
    assert low >= 10 / 13
    assert high <= 11 / 13


def test_an_unknown_bin_may_be_all_right_or_all_wrong():
    estimate, low, high = stratified_interval([10, 0], [10, 0], [10, 30])
    assert math.isnan(estimate)
    assert (low, high) == pytest.approx((0.25, 1.0))
    estimate, low, high = stratified_interval([0, 0], [0, 0], [5, 5])
    assert math.isnan(estimate)
    assert (low, high) == (0, 1)


def test_many_samples_at_once():
    right = np.array([[5, 10], [10, 0]])
    together = np.array(stratified_interval(right, [10, 10], [900, 100]))
    each = [stratified_interval(row, [10, 10], [900, 100]) for row in right]
    np.testing.assert_allclose(together.T, each)


def test_reviews_to_halve_an_ordinary_sample():
    """Four times as many rows halve the interval: 300 more than 100, of a great many."""
    assert reviews_to_halve([5] * 10, [10] * 10, [10**6] * 10) == pytest.approx(300, rel=0.05)


def test_reviews_to_halve_is_never_more_than_are_left():
    assert reviews_to_halve([5, 5], [10, 10], [12, 12]) <= 4
    assert reviews_to_halve([5, 5], [10, 10], [10, 10]) is None
    assert reviews_to_halve([5, 0], [10, 0], [100, 100]) is None
