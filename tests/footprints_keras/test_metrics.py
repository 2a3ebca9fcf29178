from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import sklearn.metrics
from scipy.stats import binomtest
from sklearn.dummy import DummyClassifier

from footprints.scores import metrics
from footprints.scores.calibration import calibrated
from footprints.scores.intervals import wilson_interval


def answers(n: int = 400, k: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return random probabilities that lean to the truth, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), labels] += 1.0
    probabilities = np.exp(logits)
    return probabilities / probabilities.sum(1, keepdims=True), labels


@pytest.mark.parametrize("absent", [None, 3], ids=["all-classes", "a-class-without-photos"])
def test_scores_are_those_of_scikit_learn(absent):
    probabilities, labels = answers()
    keep = labels != absent
    labels, predicted = labels[keep], probabilities[keep].argmax(1)
    matrix = metrics.confusion_matrix(labels, predicted, 7)
    np.testing.assert_array_equal(
        matrix, sklearn.metrics.confusion_matrix(labels, predicted, labels=range(7))
    )
    present = sorted(set(labels))
    expected = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=present, zero_division=0
    )
    scores = metrics.class_scores(matrix)
    for values, wanted in zip(
        (scores.precision, scores.recall, scores.f1), expected[:3], strict=True
    ):
        np.testing.assert_allclose(values[present], wanted)
        assert metrics.macro(values) == pytest.approx(wanted.mean())
        assert np.isnan(np.delete(values, present)).all()
    np.testing.assert_array_equal(scores.support[present], expected[3])
    assert metrics.accuracy(matrix) == sklearn.metrics.accuracy_score(labels, predicted)
    assert metrics.macro(scores.recall) == pytest.approx(
        sklearn.metrics.balanced_accuracy_score(labels, predicted)
    )


def test_a_class_that_is_never_named_has_precision_0():
    scores = metrics.class_scores(np.array([[0, 2], [0, 3]]))
    assert scores.precision.tolist() == [0.0, 0.6]
    assert scores.f1.tolist() == [0.0, 0.75]


def test_classes_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"predictions must lie in 0\.\.1"):
        metrics.confusion_matrix(np.array([0, 1]), np.array([0, 2]), 2)
    with pytest.raises(ValueError, match="one shape"):
        metrics.confusion_matrix(np.array([0, 1]), np.array([0]), 2)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (3, 10), (150, 221)])
def test_wilson_interval_is_that_of_scipy(right, n):
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson_interval(right, n) == pytest.approx((expected.low, expected.high))


def test_no_photos_no_interval():
    assert all(math.isnan(end) for end in wilson_interval(0, 0))


def test_bootstrap_equals_drawing_photos_again():
    probabilities, labels = answers(150, 4)
    predicted = probabilities.argmax(1)
    matrix = metrics.confusion_matrix(labels, predicted, 4)
    interval = metrics.bootstrap_intervals(matrix, 4000, seed=1)
    assert interval == metrics.bootstrap_intervals(matrix, 4000, seed=1)
    rng = np.random.default_rng(2)
    by_class = [np.flatnonzero(labels == c) for c in range(4)]
    f1, recall = [], []
    for _ in range(300):
        drawn = np.concatenate([rng.choice(own, len(own)) for own in by_class])
        f1.append(sklearn.metrics.f1_score(labels[drawn], predicted[drawn], average="macro"))
        recall.append(sklearn.metrics.balanced_accuracy_score(labels[drawn], predicted[drawn]))
    # Two random estimates of a quantile; 0.02 is 3 standard errors here.
    assert interval["macro_f1"] == pytest.approx(np.quantile(f1, [0.025, 0.975]), abs=0.02)
    assert interval["macro_recall"] == pytest.approx(np.quantile(recall, [0.025, 0.975]), abs=0.02)


def test_bootstrap_of_perfect_answers_with_an_absent_class():
    intervals = metrics.bootstrap_intervals(np.diag([5, 0, 7]))
    assert intervals == {"macro_f1": (1.0, 1.0), "macro_recall": (1.0, 1.0)}


@pytest.mark.parametrize("k", [1, 3, 7])
def test_top_k_is_that_of_scikit_learn(k):
    probabilities, labels = answers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sklearn.metrics.top_k_accuracy_score(labels, probabilities, k=k)
    assert metrics.top_k_accuracy(probabilities, labels, k) == pytest.approx(expected)


def test_loss_is_that_of_scikit_learn():
    probabilities, labels = answers()
    assert metrics.negative_log_likelihood(probabilities, labels) == pytest.approx(
        sklearn.metrics.log_loss(labels, probabilities)
    )


def test_most_confused_pairs():
    matrix = np.array([[5, 1, 0], [4, 5, 3], [0, 0, 2]])
    assert metrics.most_confused(matrix, ["a", "b", "c"], 2) == [
        ("b", "a", 4, pytest.approx(1 / 3)),
        ("b", "c", 3, 0.25),
    ]
    assert metrics.most_confused(np.diag([1, 2]), ["a", "b"]) == []


def test_calibration_error_by_hand():
    # 10 photos at confidence 0.9, 6 right: gap 0.3. 5 at 0.5, 4 right: gap 0.3.
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.5, 0.5]] * 5)
    labels = np.array([0] * 6 + [1] * 4 + [0] * 4 + [1])
    assert metrics.expected_calibration_error(probabilities, labels) == pytest.approx(0.3)
    # In one bin, gaps cancel out: mean confidence 23/30, accuracy 20/30.
    assert metrics.expected_calibration_error(probabilities, labels, 1) == pytest.approx(0.1)


def test_calibration_error_of_certain_right_answers_is_0():
    assert metrics.expected_calibration_error(np.eye(4), np.arange(4)) == 0


@pytest.mark.parametrize("share_right", [0.6, 0.7, 0.85], ids=str)
def test_temperature_has_a_closed_form_with_two_classes(share_right):
    # All answers say 0.95; the best single confidence is the share of right ones.
    n = 200
    probabilities = np.tile([0.95, 0.05], (n, 1))
    labels = (np.arange(n) >= share_right * n).astype(int)
    expected = math.log(0.95 / 0.05) / math.log(share_right / (1 - share_right))
    found = metrics.fit_temperature(probabilities, labels)
    assert found == pytest.approx(expected, rel=1e-3)
    assert calibrated(probabilities, found)[0, 0] == pytest.approx(share_right, abs=1e-3)


def test_temperature_stays_in_its_range():
    low, high = metrics.TEMPERATURE_RANGE
    nearly = np.tile([0.51, 0.49], (1000, 1))  # 999 of 1000 right, with 0.51: ln(999)/ln(51/49)
    assert metrics.fit_temperature(nearly, (np.arange(1000) > 998).astype(int)) == pytest.approx(
        low, rel=1e-3
    )
    wrong = np.tile([0.999, 0.001], (50, 1))
    assert metrics.fit_temperature(wrong, np.ones(50, int)) == pytest.approx(high, rel=1e-3)
    assert metrics.fit_temperature(np.zeros((0, 3)), np.zeros(0, int)) == 1.0


def test_temperature_mends_overconfidence():
    probabilities, labels = answers(4000)
    overconfident = calibrated(probabilities, 1 / 3)
    temperature = metrics.fit_temperature(overconfident, labels)
    before = metrics.expected_calibration_error(overconfident, labels)
    mended = calibrated(overconfident, temperature)
    assert metrics.expected_calibration_error(mended, labels) < before / 5
    assert (mended.argmax(1) == probabilities.argmax(1)).all()


def test_baselines_are_those_of_scikit_learn():
    labels = np.repeat(range(4), [10, 20, 5, 15])
    photos = np.zeros((50, 1))
    found = metrics.baselines(np.bincount(labels))
    dummy = DummyClassifier(strategy="most_frequent").fit(photos, labels).predict(photos)
    f1 = sklearn.metrics.f1_score(labels, dummy, average="macro", zero_division=0)
    assert found["majority"] == {
        "accuracy": sklearn.metrics.accuracy_score(labels, dummy),
        "macro_recall": sklearn.metrics.balanced_accuracy_score(labels, dummy),
        "macro_f1": pytest.approx(f1),
    }
    many = np.tile(labels, 2000)
    guess = DummyClassifier(strategy="uniform", random_state=0)
    guess = guess.fit(photos, labels).predict(np.zeros((len(many), 1)))
    assert found["chance"]["accuracy"] == 0.25
    assert found["chance"]["macro_f1"] == pytest.approx(
        sklearn.metrics.f1_score(many, guess, average="macro"), abs=0.01
    )
