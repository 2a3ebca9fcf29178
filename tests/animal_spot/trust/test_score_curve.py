"""The logistic curve and its thresholds, against closed forms and scikit-learn."""

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from animal_spot.trust.score_curve import (
    ALL_RIGHT,
    ALL_WRONG,
    NO_SLOPE,
    NOT_REACHED,
    REACHED,
    TOO_FEW,
    ScoreCurve,
    firth_logistic,
    fit_score_curve,
    precision_threshold,
    probability_threshold,
)


def reviewed(n, intercept=-1.0, slope=1.2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(2, 1.5, n)
    return expit(x), rng.random(n) < expit(intercept + slope * x)


@pytest.mark.parametrize("cells", [(3, 7, 8, 2), (5, 5, 10, 0), (0, 10, 10, 0)])
def test_two_groups_have_half_a_row_added_to_each_cell(cells):
    """Firth's estimate of a 2x2 table in closed form; the last one has no finite likelihood fit."""
    a, b, c, d = cells
    x = np.repeat([0.0, 1.0], [a + b, c + d])
    right = np.repeat([True, False, True, False], cells)
    (intercept, slope), covariance = firth_logistic(x, right)
    assert intercept == pytest.approx(math.log((a + 0.5) / (b + 0.5)), abs=1e-6)
    assert intercept + slope == pytest.approx(math.log((c + 0.5) / (d + 0.5)), abs=1e-6)
    assert (np.diag(covariance) > 0).all()


def test_of_many_rows_it_is_the_fit_of_scikit_learn():
    scores, right = reviewed(20_000)
    curve = fit_score_curve(scores, right)
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(scores)[:, None], right)
    assert curve.slope == pytest.approx(model.coef_[0, 0], rel=1e-3)
    assert curve.intercept == pytest.approx(model.intercept_[0], rel=1e-3)


def test_probability_threshold_is_where_the_curve_has_it():
    scores, right = reviewed(200)
    curve = fit_score_curve(scores, right)
    found = probability_threshold(curve, 0.9)
    middle, _, high_at_low = (p[0] for p in curve.at([found.score])[:1] + curve.at([found.low])[1:])
    assert middle == pytest.approx(0.9)
    assert high_at_low == pytest.approx(0.9)  # the ends are Fieller's
    assert curve.at([found.high])[1][0] == pytest.approx(0.9)
    assert found.low < found.score < found.high
    assert found.reason is None


def test_precision_threshold_is_below_that_of_the_probability():
    """From there up most detections are better than the worst one."""
    scores, right = reviewed(200)
    curve = fit_score_curve(scores, right)
    every = expit(np.random.default_rng(9).normal(2, 1.5, 50_000))
    found = precision_threshold(curve, every, 0.9)
    assert found.score < probability_threshold(curve, 0.9).score
    above = every[every >= found.score]
    assert curve.at(above)[0].mean() == pytest.approx(0.9, abs=0.003)
    assert precision_threshold(curve, every, 0.9) == found


@pytest.mark.parametrize(
    "threshold",
    [
        pytest.param(lambda curve, _: probability_threshold(curve, 0.9), id="probability"),
        pytest.param(lambda curve, scores: precision_threshold(curve, scores, 0.9), id="precision"),
    ],
)
@pytest.mark.parametrize(
    ("n", "right", "reason"),
    [
        pytest.param(19, [1, 0] * 9 + [1], TOO_FEW, id="nineteen"),
        pytest.param(0, [], TOO_FEW, id="none"),
        pytest.param(30, [1] * 30, ALL_RIGHT, id="all-right"),
        pytest.param(30, [0] * 30, ALL_WRONG, id="all-wrong"),
        pytest.param(40, [1, 0] * 20, NO_SLOPE, id="scores-say-nothing"),
        pytest.param(40, [1] * 20 + [0] * 20, NO_SLOPE, id="lower-scores-are-better"),
    ],
)
def test_no_threshold_is_made_up(threshold, n, right, reason):
    scores = np.linspace(0.5, 0.95, n)
    curve = fit_score_curve(scores, np.array(right, bool))
    found = threshold(curve, scores)
    assert found.score is None
    assert found.reason == reason


def test_equal_scores_tell_nothing():
    assert fit_score_curve(np.ones(30), np.arange(30) % 2 == 0) == NO_SLOPE


def test_scores_that_part_right_and_wrong_have_a_threshold_between_them():
    scores = np.concatenate([np.linspace(0.5, 0.7, 40), np.linspace(0.8, 0.99, 40)])
    found = probability_threshold(fit_score_curve(scores, scores > 0.75), 0.5)
    assert 0.7 < found.score < 0.8
    assert found.low < 0.75 < found.high


def test_nothing_is_said_beyond_the_reviewed_scores():
    covariance = np.diag([0.01, 0.01])
    poor = ScoreCurve(-4.0, 1.0, covariance, 0.5, 0.9)  # 14 % at the top
    assert probability_threshold(poor, 0.9).reason == NOT_REACHED
    assert precision_threshold(poor, np.linspace(0.5, 0.9, 99), 0.9).reason == NOT_REACHED
    good = ScoreCurve(4.0, 1.0, covariance, 0.5, 0.9)  # 98 % at the bottom
    assert probability_threshold(good, 0.9).reason == REACHED
    assert precision_threshold(good, np.linspace(0.5, 0.9, 99), 0.9).reason == REACHED


def test_scores_of_0_and_1_are_finite():
    scores = np.tile([0.0, 0.4, 0.6, 1.0], 10)
    curve = fit_score_curve(scores, np.tile([False, False, True, True], 10))
    assert np.isfinite(curve.at(np.array([0.0, 1.0]))).all()
