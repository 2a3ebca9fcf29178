"""The dictionary that page and report read."""

import json

import numpy as np
import pytest
from scipy.special import expit

from animal_spot.trust.sampling import next_to_review
from animal_spot.trust.summary import summary, summary_lines


def rows_of(name, n, n_reviewed, seed=0, intercept=-1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(2, 1.5, n)
    scores, right = expit(x), rng.random(n) < expit(intercept + 1.2 * x)
    answers = [None] * n
    for i in next_to_review(scores, answers, n_reviewed):
        answers[i] = "right" if right[i] else "wrong"
    return [(name, float(s), a) for s, a in zip(scores, answers, strict=True)]


def test_summary_of_two_classes_is_json_and_says_the_same_again():
    rows = [*rows_of("K1", 500, 100), *rows_of("B", 100, 10)]
    found = summary(rows, thresholds={"K1": 0.7})
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert summary(rows, thresholds={"K1": 0.7}) == found
    assert [row["class"] for row in found["classes"]] == ["B", "K1"]
    lowest = min(s for n, s, _ in rows if n == "B")
    given = [(row["threshold"], row["threshold_given"]) for row in found["classes"]]
    assert given == [(lowest, False), (0.7, True)]
    row = found["classes"][1]
    assert row["detections"] == 500
    assert row["reviewed"] == 100 == row["right"] + row["wrong"]
    above = [(s, a) for n, s, a in rows if n == "K1" and s >= 0.7]
    (at_threshold,) = [p for p in row["curve"] if p["detections"] == len(above)]
    assert at_threshold["reviewed"] == sum(a is not None for _, a in above)
    for key in ("value", "low", "high"):
        assert at_threshold[key] == row["precision"][key]
    calls = row["true_calls_at_threshold"]
    assert calls["value"] == pytest.approx(row["precision"]["value"] * len(above))
    assert row["true_calls"]["value"] > calls["value"]
    assert sum(b["detections"] for b in row["bins"]) == 500
    assert all(a["high"] < b["low"] for a, b in zip(row["bins"], row["bins"][1:], strict=False))
    both = zip(row["wanted"], row["wanted_probability"], strict=True)
    assert all(one["threshold"] < other["threshold"] for one, other in list(both)[:2])
    assert [one["precision"] for one in row["wanted"]] == [0.9, 0.95, 0.99]


def test_under_20_reviewed_rows_there_is_no_threshold_and_that_is_said():
    row = summary(rows_of("B", 500, 19))["classes"][0]
    assert row["logistic"] == []
    for one in row["wanted"] + row["wanted_probability"]:
        assert (one["threshold"], one["reason"]) == (None, "under 20 reviewed rows")
    assert "no threshold for a wanted precision: under 20 reviewed rows" in row["reasons"]
    assert row["precision"]["low"] is not None
    assert summary(rows_of("B", 500, 40))["classes"][0]["logistic"]


def test_nothing_reviewed():
    row = summary(rows_of("B", 100, 0))["classes"][0]
    assert row["precision"] == {"value": None, "low": 0.0, "high": 1.0}
    assert row["true_calls"] == {"value": None, "low": 0.0, "high": 100.0}
    assert row["more"] is None
    assert row["reasons"][0].startswith("nothing is reviewed in 10 of 10 score bins (100%")


def test_no_rows_and_rows_without_scores():
    assert summary([])["classes"] == []
    row = summary([("A", None, "right"), ("A", float("nan"), None)])["classes"][0]
    assert (row["detections"], row["without_score"], row["right"]) == (0, 2, 0)
    assert row["precision"]["low"] is None
    assert summary_lines(summary([("A", None, "right")]))


def test_unsure_rows_are_left_out_and_their_worst_cases_said():
    rows = rows_of("A", 300, 60)
    plain = summary(rows)["classes"][0]
    assert plain["if_unsure"] is None
    seen = [i for i, (_, _, a) in enumerate(rows) if a is None][:20]
    for i in seen:
        rows[i] = (*rows[i][:2], "unsure")
    row = summary(rows)["classes"][0]
    assert row["unsure"] == 20
    assert row["precision"] == plain["precision"]
    assert row["if_unsure"]["low"] < row["precision"]["low"]
    assert row["if_unsure"]["high"] > row["precision"]["high"]
    assert any(note.startswith("20 unsure rows are left out") for note in row["reasons"])


def test_rows_chosen_by_score_within_their_bins_are_noticed():
    rows = rows_of("A", 300, 0)
    order = np.argsort([s for _, s, _ in rows])
    for top in order.reshape(10, 30)[:, -6:].ravel():
        rows[top] = (*rows[top][:2], "right")
    notes = summary(rows)["classes"][0]["reasons"]
    assert any("as if they had been chosen by score" in note for note in notes)
    by_sampler = summary(rows_of("A", 300, 60))["classes"][0]["reasons"]
    assert not any("chosen by score" in note for note in by_sampler)


def test_a_threshold_above_all_detections():
    row = summary(rows_of("A", 50, 30), thresholds={"A": 1.0})["classes"][0]
    assert row["precision"] == {"value": None, "low": None, "high": None}
    assert row["true_calls"]["value"] is not None


@pytest.mark.parametrize("wanted", [0, 1, 90, float("nan")])
def test_a_wanted_precision_out_of_range_is_refused(wanted):
    with pytest.raises(ValueError, match="must be above 0 and below 1"):
        summary([], wanted=[wanted])


def test_scores_of_another_scale_have_a_precision_but_no_threshold():
    rows = [(name, score * 40 - 20, answer) for name, score, answer in rows_of("A", 300, 60)]
    row = summary(rows)["classes"][0]
    plain = summary(rows_of("A", 300, 60))["classes"][0]
    assert row["precision"] == plain["precision"]
    assert {one["reason"] for one in row["wanted"]} == {"scores are not in 0..1"}


def test_lines_name_each_class_and_its_notes():
    lines = summary_lines(summary([*rows_of("K1", 500, 100), *rows_of("B", 100, 10)]))
    assert lines[0].split()[:3] == ["class", "detections", "reviewed"]
    assert [line.split()[0] for line in lines[1:3]] == ["B", "K1"]
    assert "B: no threshold for a wanted precision: under 20 reviewed rows" in lines


def test_a_hundred_thousand_detections_take_no_time():
    import time

    rows = rows_of("A", 100_000, 200)
    start = time.process_time()
    summary(rows)
    assert time.process_time() - start < 2
