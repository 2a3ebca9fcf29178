"""Event and window scores against a hand-worked example, mir_eval, SciPy and brute force."""

import itertools

import mir_eval
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.detections.annotations import Annotation
from animal_spot.evaluation.event_scores import (
    Counts,
    best_threshold,
    confusion_of,
    count_detection,
    count_events,
    counts_of,
    event_confusion,
    macro,
    match_events,
    overlap_iou,
    per_hour,
    sweep_thresholds,
    window_truth,
)


def events(*rows: tuple) -> list[Annotation]:
    return [Annotation(b, e, name, 1.0) for b, e, name in rows]


# Worked by hand. A: the event at 0 is found, one at 10 is missed, one detection at 20 is false.
# B: two events are covered by one detection, which can be right only once. C: called B.
TRUTH = events((0, 2, "A"), (10, 12, "A"), (30, 31, "B"), (32, 33, "B"), (40, 42, "C"))
FOUND = events((1, 3, "A"), (20, 21, "A"), (30, 33, "B"), (41, 42, "B"))
NAMES = ["A", "B", "C"]


def test_hand_worked_example():
    counts = count_events(TRUTH, FOUND, NAMES)
    assert counts == {"A": Counts(1, 1, 1), "B": Counts(1, 1, 1), "C": Counts(0, 0, 1)}
    assert (counts["A"].precision, counts["A"].recall, counts["A"].f1) == (0.5, 0.5, 0.5)
    assert (counts["C"].precision, counts["C"].recall, counts["C"].f1) == (None, 0, 0)
    assert macro(counts.values(), "precision") == 0.5  # of A and B
    assert macro(counts.values(), "recall") == pytest.approx(1 / 3)
    assert macro(counts.values(), "f1") == pytest.approx(1 / 3)
    assert per_hour(counts["A"].fp, 50.0) == 72
    assert count_detection(TRUTH, FOUND) == Counts(3, 1, 2)
    assert event_confusion(TRUTH, FOUND, NAMES).tolist() == [
        [1, 0, 0, 1],
        [0, 1, 0, 1],
        [0, 1, 0, 0],
        [1, 0, 0, 0],
    ]


def test_iou_threshold_of_the_example():
    # Overlaps: A 1/3, B 1/3, C with B 1/2.
    assert count_events(TRUTH, FOUND, NAMES, iou_threshold=0.34)["A"] == Counts(0, 2, 2)
    assert count_events(TRUTH, FOUND, NAMES, iou_threshold=0.33)["A"] == Counts(1, 1, 1)
    assert count_detection(TRUTH, FOUND, iou_threshold=0.5) == Counts(1, 3, 4)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, 2), (1, 3), 1 / 3),
        ((0, 2), (0, 2), 1),
        ((0, 4), (1, 2), 1 / 4),
        ((0, 1), (1, 2), 0),
        ((0, 1), (5, 6), 0),
    ],
)
def test_overlap(first, second, expected):
    iou = overlap_iou(events((*first, "A")), events((*second, "B")))
    assert iou.tolist() == [[pytest.approx(expected)]]


def test_nothing_is_defined_without_events_and_detections():
    empty = Counts()
    assert (empty.precision, empty.recall, empty.f1) == (None, None, None)
    assert macro([empty], "f1") is None
    assert per_hour(3, 0.0) is None
    assert count_events([], [], ["A"]) == {"A": empty}
    assert count_detection([], events((0, 1, "A"))) == Counts(0, 1, 0)
    assert Counts(0, 1, 1).f1 == 0


def test_a_greedy_pairing_would_find_one_pair_less():
    # The first event overlaps both detections, most the one that is all the second event has.
    truth, found = events((0, 10, "A"), (9, 11, "A")), events((8, 11, "A"), (0, 1, "A"))
    assert match_events(truth, found) == [(0, 1), (1, 0)]


def test_of_equally_many_pairs_names_count_then_overlap():
    truth = events((0, 10, "A"))
    assert match_events(truth, events((0, 9, "B"), (0, 2, "A"))) == [(0, 1)]
    assert match_events(truth, events((0, 2, "A"), (0, 9, "A"))) == [(0, 1)]


intervals = st.lists(
    st.builds(
        lambda begin, length, name: Annotation(begin / 4, (begin + length) / 4, name, 1.0),
        st.integers(0, 40),
        st.integers(1, 12),
        st.sampled_from("AB"),
    ),
    max_size=6,
)


@given(intervals, intervals, st.sampled_from([0.0, 0.3, 0.7]))
def test_as_many_pairs_as_mir_eval_finds(truth, found, iou_threshold):
    graph = {
        i: [
            j
            for j, f in enumerate(found)
            if (common := min(t.end_s, f.end_s) - max(t.begin_s, f.begin_s)) > 0
            and common / (max(t.end_s, f.end_s) - min(t.begin_s, f.begin_s)) >= iou_threshold
        ]
        for i, t in enumerate(truth)
    }
    pairs = match_events(truth, found, iou_threshold=iou_threshold)
    assert len(pairs) == len(mir_eval.util._bipartite_match(graph))
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(j in graph[i] for i, j in pairs)


@given(intervals, intervals)
def test_pairing_is_the_best_of_all(truth, found):
    iou = overlap_iou(truth, found)

    def value(pairs) -> tuple:
        agree = sum(truth[i].name == found[j].name for i, j in pairs)
        return len(pairs), agree, round(sum(iou[i, j] for i, j in pairs), 9)

    smaller = min(len(truth), len(found), 4)
    truth, found = truth[:4], found[:4]
    best = (0, 0, 0)
    for n in range(smaller + 1):
        for rows in itertools.combinations(range(len(truth)), n):
            for columns in itertools.permutations(range(len(found)), n):
                pairs = list(zip(rows, columns, strict=True))
                if all(iou[i, j] > 0 for i, j in pairs):
                    best = max(best, value(pairs))
    assert value(match_events(truth, found)) == best


@given(intervals, intervals)
def test_counts_add_up(truth, found):
    for name, counts in count_events(truth, found, "AB").items():
        assert counts.tp + counts.fn == sum(row.name == name for row in truth)
        assert counts.tp + counts.fp == sum(row.name == name for row in found)
    confusion = event_confusion(truth, found, ["A", "B"])
    assert confusion[:, :2].sum() == len(found)
    assert confusion[:2].sum() == len(truth)
    detection = count_detection(truth, found)
    assert confusion[:2, :2].sum() == detection.tp


def test_onsets_within_a_tolerance_agree_with_mir_eval():
    """Events of one length overlap exactly if their onsets are nearer than that."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        onsets = [np.sort(rng.uniform(0, 30, rng.integers(1, 25))) for _ in range(2)]
        truth, found = (events(*((t, t + 1, "A") for t in some)) for some in onsets)
        counts = count_detection(truth, found)
        f1, precision, recall = mir_eval.onset.f_measure(*onsets, window=1.0)
        assert (counts.precision, counts.recall) == pytest.approx((precision, recall))
        assert counts.f1 == pytest.approx(f1)


def test_many_events_are_matched_in_seconds():
    rng = np.random.default_rng(6)
    some, other = ([(t, t + 2, "A") for t in rng.uniform(0, 40_000, 8000)] for _ in range(2))
    counts = count_detection(events(*some), events(*other))
    assert counts.tp + counts.fn == 8000


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param((0.0, 1.0), "A...", id="one-window"),
        pytest.param((0.5, 1.5), "AA..", id="half-of-each"),
        pytest.param((0.6, 3.0), ".AA.", id="less-than-half-of-the-first"),
        pytest.param((0.0, 2.4), "AA..", id="less-than-half-of-the-last"),
        pytest.param((2.2, 2.4), "..A.", id="short-event-inside"),
        pytest.param((0.9, 1.1), "AA..", id="half-of-a-short-event"),
        pytest.param((0.9, 1.2), ".A..", id="most-of-a-short-event"),
        pytest.param((8.0, 9.0), "....", id="elsewhere"),
    ],
)
def test_truth_of_windows(event, expected):
    start = np.arange(4.0)
    label = window_truth(start, start + 1, events((*event, "A")), ["A"])
    assert "".join("A."[i] for i in label) == expected


def test_the_event_that_covers_most_of_a_window_counts():
    start = np.array([0.0])
    both = events((0.0, 0.6, "A"), (0.2, 1.0, "B"))
    for order in (both, both[::-1]):
        assert window_truth(start, start + 1, order, ["A", "B"]).tolist() == [1]


def test_window_confusion_and_its_counts():
    true, found = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 0])
    confusion = confusion_of(true, found, 3)
    assert confusion.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert counts_of(confusion, ["A", "B"]) == {"A": Counts(1, 1, 1), "B": Counts(1, 1, 0)}


def test_sweep_and_best_threshold():
    truth = events((0, 1, "A"), (5, 6, "A"))
    scored = [Annotation(0, 1, "A", 0.9), Annotation(3, 4, "A", 0.7), Annotation(5, 6, "A", 0.5)]
    curves = sweep_thresholds(
        truth,
        lambda threshold: [row for row in scored if row.score >= threshold],
        ["A", "B"],
        thresholds=(0.4, 0.6, 0.8, 0.95),
    )
    assert curves["A"] == {
        0.4: Counts(2, 1, 0),
        0.6: Counts(1, 1, 1),
        0.8: Counts(1, 0, 1),
        0.95: Counts(0, 0, 2),
    }
    assert best_threshold(curves["A"]) == (0.4, 0.8)
    assert best_threshold(curves["B"]) is None


def test_of_equal_thresholds_the_higher_is_best():
    assert best_threshold({0.2: Counts(1, 0, 1), 0.7: Counts(1, 0, 1), 0.9: Counts(0, 0, 2)}) == (
        0.7,
        pytest.approx(2 / 3),
    )
