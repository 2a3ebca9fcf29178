"""The curve's arithmetic, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from tests.bench.bench_footprint_curve import N_FOLDS, Discriminant, draw, folds


@pytest.mark.parametrize("shrinkage", [0.1, 0.6])
def test_discriminant_is_that_of_scikit_learn(shrinkage):
    """Classes of one size, for which both weigh covariances alike."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 20)
    x = rng.normal(0, [1, 2, 0.5, 1], (60, 4)) + 0.8 * rng.normal(0, 1, (3, 4))[y]
    other = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, priors=[1 / 3] * 3)
    found = Discriminant(x, y, 3, shrinkage).probabilities(x + 0.3)
    np.testing.assert_allclose(found, other.fit(x, y).predict_proba(x + 0.3), rtol=1e-6)


def test_photos_are_drawn_by_class():
    labels = np.array([0] * 10 + [1] * 3 + [2] * 7)
    taken = draw(labels, 5, np.random.default_rng(1))
    assert sorted(np.bincount(labels[taken])) == [3, 5, 5]
    assert len({*taken}) == len(taken)
    assert sorted(draw(labels, None, np.random.default_rng(1))) == list(range(20))


def test_folds_are_even_and_keep_lookalikes_together():
    labels = np.repeat([0, 1], 50)
    groups = [f"{number // 2}" if number < 20 else f"alone {number}" for number in range(100)]
    fold = folds(groups, labels, seed=4)
    for first in range(0, 20, 2):
        assert fold[first] == fold[first + 1]
    for of_class in (0, 1):
        counts = np.bincount(fold[labels == of_class], minlength=N_FOLDS)
        assert counts.min() >= 8
        assert counts.max() <= 12
    assert (folds(groups, labels, seed=5) != fold).any()
