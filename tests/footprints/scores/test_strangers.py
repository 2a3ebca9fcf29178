"""Animals of no class: figures against scikit-learn, cuts, and what a refusal does to an answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics

from footprints.scores.judging import Rules, judge
from footprints.scores.strangers import (
    Refusal,
    auroc,
    auroc_interval,
    counts,
    cut_keeping,
    in_words,
    is_other,
    refusal_of,
)


@pytest.fixture(scope="module")
def scores() -> tuple[np.ndarray, np.ndarray]:
    """Of 80 known photos and 60 strangers, with ties."""
    rng = np.random.default_rng(4)
    return rng.normal(0, 1, 80).round(1), rng.normal(1, 1, 60).round(1)


def test_area_is_that_of_scikit_learn(scores) -> None:
    known, strangers = scores
    truth = np.repeat([0, 1], [80, 60])
    expected = sklearn.metrics.roc_auc_score(truth, np.concatenate(scores))
    assert auroc(known, strangers) == pytest.approx(expected, abs=1e-12)


def test_interval_is_about_that_of_drawing_photos_again(scores) -> None:
    known, strangers = scores
    rng = np.random.default_rng(0)
    drawn = [auroc(rng.choice(known, 80), rng.choice(strangers, 60)) for _ in range(2000)]
    expected = np.quantile(drawn, [0.025, 0.975])
    assert auroc_interval(known, strangers) == pytest.approx(expected, abs=0.012)


def test_without_photos_there_is_no_figure() -> None:
    assert math.isnan(auroc(np.zeros(0), np.ones(3)))
    assert all(math.isnan(end) for end in auroc_interval(np.ones(1), np.ones(9)))


@pytest.mark.parametrize(("share", "lost"), [(0.95, 5), (0.951, 4), (1.0, 0), (0.5, 50)])
def test_a_cut_keeps_no_fewer_than_asked_for(share: float, lost: int) -> None:
    known = np.random.default_rng(1).permutation(101).astype(float)
    cut = cut_keeping(known, share)
    assert (known > cut).sum() == lost
    assert (known <= cut).mean() >= share


def test_counts_say_what_is_refused_and_what_is_lost() -> None:
    refusal = Refusal("distance", 0.5, {})
    found = counts(refusal, np.array([0.1, 0.5, 0.6, 0.2]), np.array([0.4, 0.9]))
    assert (found["known"], found["known_lost"]) == (4, 1)
    assert (found["strangers"], found["strangers_refused"]) == (2, 1)
    assert found["auroc"] == 0.75
    assert in_words(found) == (
        "1 of 2 strangers are refused (9% to 91%), 1 of 4 photos of the classes are lost by it; "
        "it may tell no better than chance"
    )
    clear = counts(refusal, np.arange(9) / 20, np.arange(9) / 20 + 0.7)
    assert in_words(clear).endswith("0 of 9 photos of the classes are lost by it")
    alone = counts(refusal, np.array([0.1, 0.6]), np.zeros(0))
    assert in_words(alone).endswith("lost by it; no photos of other animals to try it on")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "no JSON object"),
        ({"rule": "smell", "cut": 1.0}, "'smell', which this release does not know"),
        ({"rule": "energy"}, "must be a number"),
        ({"rule": "energy", "cut": float("nan")}, "must be a number"),
    ],
)
def test_a_refusal_that_cannot_be_meant(given, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        refusal_of({"refusal": given})


def test_files_of_older_releases_refuse_nothing() -> None:
    assert refusal_of({"classes": ["a", "b"]}) is None


@pytest.mark.parametrize(
    ("best", "strangeness", "answer", "why"),
    [
        (0.9, 0.1, "fox", ""),
        (0.9, 0.3, "unknown", "stranger"),
        (0.5, 0.1, "unknown", "doubtful"),
        (0.5, 0.3, "unknown", "stranger"),
        (0.9, None, "fox", ""),
    ],
)
def test_an_answer_needs_both(best: float, strangeness, answer: str, why: str) -> None:
    rules = Rules(["fox", "hare"], 0.6, 2, refusal=Refusal("energy", 0.2, {}))
    found = judge(np.array([best, 1 - best]), rules, strangeness)
    assert (found.answer, found.why, found.ranking[0][0]) == (answer, why, "fox")
    assert found.is_certain is (answer == "fox")


@pytest.mark.parametrize(("name", "is_it"), [("other", True), (" Other", True), ("otter", False)])
def test_the_folder_of_other_animals(name: str, is_it: bool) -> None:
    assert is_other(name) is is_it
