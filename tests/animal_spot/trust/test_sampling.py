"""Answers of several reviewers, score bins, and which row comes next."""

import numpy as np
import pytest

from animal_spot.trust.answers import joint_answer
from animal_spot.trust.sampling import filled_evenly, next_to_review
from animal_spot.trust.score_bins import bin_of, score_bins


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        pytest.param([], None, id="nobody"),
        pytest.param(["right"], "right", id="one"),
        pytest.param(["other"], "wrong", id="another-class-is-wrong-for-this-one"),
        pytest.param(["wrong", "other"], "wrong", id="both-say-it-is-not"),
        pytest.param(["right", "wrong"], "unsure", id="disagreement"),
        pytest.param(["right", "other", "right"], "unsure", id="no-vote"),
        pytest.param(["unsure", "right"], "right", id="one-of-them-knew"),
        pytest.param(["skip", "wrong"], "wrong", id="one-of-them-skipped"),
        pytest.param(["skip", "unsure"], "unsure", id="unsure-says-more-than-skip"),
        pytest.param(["skip"], "skip", id="skip"),
    ],
)
def test_joint_answer(verdicts, expected):
    assert joint_answer(verdicts) == expected


def test_an_unknown_verdict_is_refused():
    with pytest.raises(ValueError, match="got maybe"):
        joint_answer(["right", "maybe"])


def test_bins_hold_equally_many_whatever_the_scores():
    scores = 1 - np.random.default_rng(0).random(1000) ** 4 * 0.5
    lows = score_bins(scores)
    assert np.bincount(bin_of(scores, lows)).tolist() == [100] * 10
    assert lows[0] == scores.min()


def test_equal_scores_share_a_bin():
    scores = np.array([1.0] * 70 + [0.9] * 20 + [0.5] * 10)
    lows = score_bins(scores)
    assert lows.tolist() == [0.5, 0.9, 1.0]
    assert np.bincount(bin_of(scores, lows)).tolist() == [10, 20, 70]


@pytest.mark.parametrize("n", [0, 1, 5, 11, 12, 13, 59, 60, 61])
def test_few_detections_have_few_bins_and_none_is_lost(n):
    scores = np.linspace(0.5, 1, n)
    lows = score_bins(scores)
    counts = np.bincount(bin_of(scores, lows)) if n else np.array([], int)
    assert len(lows) == min(10, max(1, n // 6)) if n else len(lows) == 0
    assert counts.sum() == n
    assert (counts >= min(n, 6)).all()


def test_a_bin_begins_at_the_threshold():
    scores = np.linspace(0, 1, 101)
    lows = score_bins(scores, 0.655)
    assert 0.66 in lows
    assert len(lows) == 11
    for outside in (0.0, 1.5):
        assert len(score_bins(scores, outside)) == 10


def test_each_bin_gets_the_same_number_from_the_top_down():
    scores = np.linspace(0.5, 1, 100)
    where = bin_of(scores, score_bins(scores))
    chosen = next_to_review(scores, [None] * 100, 25)
    assert len(set(chosen)) == 25
    assert np.bincount(where[chosen]).tolist() == [2] * 5 + [3] * 5
    assert where[chosen[:10]].tolist() == list(range(9, -1, -1))


def test_a_decision_changes_nothing_of_what_comes_later():
    scores = np.random.default_rng(1).random(200)
    wanted = next_to_review(scores, [None] * 200, 30, seed=4)
    answers, found = [None] * 200, []
    for _ in range(30):
        (i,) = next_to_review(scores, answers, 1, seed=4)
        found.append(i)
        answers[i] = "right"
    assert found == wanted
    assert next_to_review(scores, [None] * 200, 30, seed=5) != wanted


def test_who_looked_at_the_best_ones_first_gets_the_others_next():
    scores = np.linspace(0.5, 1, 100)
    answers = [None] * 95 + ["right"] * 5
    where = bin_of(scores, score_bins(scores))
    assert 9 not in where[next_to_review(scores, answers, 45)]


def test_unsure_ones_fill_no_bin_and_skipped_ones_come_last():
    scores = np.full(6, 0.7)
    answers = ["unsure", "skip", None, "right", None, "skip"]
    found = next_to_review(scores, answers, 10)
    assert sorted(found[:2]) == [2, 4]
    assert sorted(found[2:]) == [1, 5]


def test_within_a_bin_every_row_is_as_likely():
    """Chi-square with 9 degrees of freedom: above 27.9 in one of 1,000 fair samplers."""
    counts = np.zeros(10)
    for seed in range(1000):
        counts[next_to_review(np.full(10, 0.5), [None] * 10, 3, seed=seed)] += 1
    # Three without replacement of ten: the variance is 0.7 of that of independent draws.
    assert ((counts - 300) ** 2 / 300).sum() / 0.7 < 27.9


def test_answers_must_be_as_many_as_scores():
    with pytest.raises(ValueError, match="3 scores need as many answers, got 2"):
        next_to_review(np.ones(3), [None] * 2, 1)
    assert next_to_review(np.array([]), [], 5) == []


def test_what_the_sampler_would_do_is_foretold():
    rng = np.random.default_rng(8)
    for more in (0, 1, 7, 40, 97, 500):
        scores = rng.random(100).round(2)
        answers = [("right" if rng.random() < 0.2 else None) for _ in scores]
        where = bin_of(scores, score_bins(scores))
        total = np.bincount(where)
        decided = np.bincount(where[[a is not None for a in answers]], minlength=len(total))
        chosen = next_to_review(scores, answers, more)
        wanted = decided + np.bincount(where[chosen], minlength=len(total)) if chosen else decided
        assert filled_evenly(decided, total, more).tolist() == wanted.tolist()
