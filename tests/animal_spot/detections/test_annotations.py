"""Merging and noise rows, against hand-worked cases and a slow literal check."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_spot.detections.annotations import (
    Annotation,
    Window,
    add_noise_rows,
    found_windows,
    merge_by_priority,
    merge_windows,
)
from animal_spot.detections.decisions import DecisionRule


def windows(*rows: tuple) -> list[Window]:
    """Make windows of (start, end, name, score); the name noise is noise, None is nothing."""
    return [Window(s, e, None if n == "noise" else n, p) for s, e, n, p in rows if n is not None]


def rows(annotations) -> list[tuple]:
    return [tuple(row) for row in annotations]


def test_the_original_s_check():
    """The two cases that were run with the original: target in windows 4 to 8; A then B."""
    binary = [Window(round(0.2 * i, 3), round(0.2 * i + 0.5, 3), None, 0) for i in range(18)]
    for i in range(4, 9):
        binary[i] = binary[i]._replace(name="target", score=0.9)
    merged = merge_windows(binary)
    with_noise = [row[:3] for row in add_noise_rows(merged, binary[-1].end_s, "noise")]
    assert with_noise == [(0.0, 0.8, "noise"), (0.8, 2.1, "target"), (2.1, 3.9, "noise")]
    binary[3] = binary[3]._replace(name="A", score=0.9)
    assert [row[:3] for row in merge_windows(binary)] == [(0.6, 1.1, "A"), (1.1, 2.1, "target")]


@pytest.mark.parametrize(
    ("given_windows", "expected"),
    [
        pytest.param([], [], id="none"),
        pytest.param([(0, 1, None, 0.9)], [], id="nothing-found"),
        pytest.param([(0, 1, "A", 0.6), (1, 2, "A", 0.8)], [(0, 2, "A", 0.8)], id="touching"),
        pytest.param(
            [(0, 1, "A", 0.6), (1.001, 2, "A", 0.8)],
            [(0, 1, "A", 0.6), (1.001, 2, "A", 0.8)],
            id="apart",
        ),
        pytest.param(
            [(0, 2, "A", 0.6), (1, 3, "B", 0.9)],
            [(0, 2, "A", 0.6), (2, 3, "B", 0.9)],
            id="earlier-keeps-overlap",
        ),
        pytest.param(
            [(0, 2, "A", 0.9), (1, 3, "noise", 0.99), (2, 4, "A", 0.6)],
            [(0, 4, "A", 0.9)],
            id="noise-cuts-nothing",
        ),
        pytest.param([(0.00049, 0.99951, "A", 1.0)], [(0, 1, "A", 1.0)], id="milliseconds"),
    ],
)
def test_merging_by_the_original_rule(given_windows, expected):
    assert rows(merge_windows(windows(*given_windows))) == expected


def test_merging_reads_windows_one_by_one():
    read = []

    def endless():
        for i in range(10**9):
            read.append(i)
            yield Window(2.0 * i, 2.0 * i + 1, "A", 0.5)

    assert next(merge_windows(endless())) == (0.0, 1.0, "A", 0.5)
    assert len(read) == 2


@pytest.mark.parametrize(
    ("given_windows", "gap", "shortest", "expected"),
    [
        pytest.param([], 0.1, 0.1, [], id="none"),
        pytest.param(
            [(0, 2, "A", 0.6), (1, 3, "B", 0.9)],
            0.0,
            0.0,
            [(0, 1, "A", 0.6), (1, 3, "B", 0.9)],
            id="the-surer-one-wins",
        ),
        pytest.param(
            [(0, 2, "A", 0.9), (1, 3, "B", 0.6)],
            0.0,
            0.0,
            [(0, 2, "A", 0.9), (2, 3, "B", 0.6)],
            id="also-the-earlier",
        ),
        pytest.param(
            [(0, 2, "A", 0.7), (1, 3, "B", 0.7)],
            0.0,
            0.0,
            [(0, 2, "A", 0.7), (2, 3, "B", 0.7)],
            id="equal-scores-the-first",
        ),
        pytest.param(
            [(0, 2, "A", 0.7), (1, 3, "noise", 0.9), (2, 4, "A", 0.8)],
            0.0,
            0.0,
            [(0, 1, "A", 0.7), (3, 4, "A", 0.8)],
            id="noise-competes",
        ),
        pytest.param(
            [(0, 2, "A", 0.7), (1, 3, "noise", 0.6), (2, 4, "A", 0.8)],
            0.0,
            0.0,
            [(0, 4, "A", 0.8)],
            id="unsure-noise-loses",
        ),
        pytest.param(
            [(0, 1, "A", 0.7), (1.1, 2, "A", 0.8)],
            0.0,
            0.0,
            [(0, 1, "A", 0.7), (1.1, 2, "A", 0.8)],
            id="gap-0-joins-nothing-apart",
        ),
        pytest.param(
            [(0, 1, "A", 0.7), (1.1, 2, "A", 0.8)], 0.11, 0.0, [(0, 2, "A", 0.8)], id="gap-closed"
        ),
        pytest.param(
            [(0, 1, "A", 0.7), (1.1, 2, "A", 0.8)],
            0.1,
            0.0,
            [(0, 1, "A", 0.7), (1.1, 2, "A", 0.8)],
            id="gap-must-be-less",
        ),
        pytest.param(
            [(0, 0.05, "A", 0.7), (0.1, 0.16, "A", 0.8)],
            0.1,
            0.15,
            [(0, 0.16, "A", 0.8)],
            id="joined-before-the-short-are-dropped",
        ),
        pytest.param(
            [(0, 1, "A", 0.7), (1, 1.05, "B", 0.9), (1.05, 2, "A", 0.8)],
            0.1,
            0.1,
            [(0, 2, "A", 0.8)],
            id="what-was-dropped-does-not-part",
        ),
        pytest.param([(0, 0.3, "A", 0.7)], 0.0, 0.3, [(0, 0.3, "A", 0.7)], id="just-long-enough"),
        pytest.param(
            [(0, 1, "A", 0.7), (5, 5, "B", 0.9)], 0.0, 0.0, [(0, 1, "A", 0.7)], id="no-length"
        ),
    ],
)
def test_merging_by_probability(given_windows, gap, shortest, expected):
    merged = merge_by_priority(windows(*given_windows), merge_gap=gap, min_duration=shortest)
    assert rows(merged) == expected


some_windows = st.lists(
    st.builds(
        lambda start, length, name, score: (start / 10, (start + length) / 10, name, score / 8),
        st.integers(0, 60),
        st.integers(1, 9),
        st.sampled_from(["A", "B", "noise", None]),
        st.integers(1, 8),
    ),
    max_size=14,
)


@given(some_windows)
def test_each_moment_belongs_to_the_best_window_over_it(given_windows):
    merged = merge_by_priority(windows(*given_windows), merge_gap=0, min_duration=0)
    by_start = sorted(given_windows, key=lambda window: window[0])
    for moment in np.arange(0.05, 7, 0.1):  # between the edges, which are tenths
        over = [w for w in by_start if w[0] < moment < w[1] and w[2] is not None]
        best = max(over, key=lambda w: w[3], default=(0, 0, "noise", 0))
        expected = [] if best[2] == "noise" else [best[2]]
        assert [row.name for row in merged if row.begin_s < moment < row.end_s] == expected


@given(some_windows, st.sampled_from([0.0, 0.15, 0.31]), st.sampled_from([0.0, 0.2, 0.45]))
def test_what_probability_priority_promises(given_windows, gap, shortest):
    merged = merge_by_priority(windows(*given_windows), merge_gap=gap, min_duration=shortest)
    edges = {edge for window in given_windows for edge in window[:2]}
    for row in merged:
        assert row.begin_s in edges
        assert row.end_s in edges
        assert round(row.end_s - row.begin_s, 3) >= shortest
        assert row.end_s > row.begin_s
    for last, row in itertools.pairwise(merged):
        assert row.begin_s >= last.end_s
        if row.name == last.name:
            assert round(row.begin_s - last.end_s, 3) >= max(gap, 0.001)


@given(some_windows)
def test_original_rule_gives_ordered_rows_that_cover_every_detection(given_windows):
    # Windows of a recording start and end in one order.
    starts, ends = (sorted(w[i] for w in given_windows) for i in (0, 1))
    series = [(s, e, *w[2:]) for s, e, w in zip(starts, ends, given_windows, strict=True) if s < e]
    merged = list(merge_windows(windows(*series)))
    for last, row in itertools.pairwise(merged):
        assert row.begin_s >= last.end_s
    for start, end, name, _ in series:
        if name not in (None, "noise"):
            covered = sum(max(0, min(end, r.end_s) - max(start, r.begin_s)) for r in merged)
            assert covered == pytest.approx(end - start, abs=1e-9)


def test_merging_many_windows_takes_seconds():
    rng = np.random.default_rng(0)
    names, scores = rng.integers(0, 3, 345_600), rng.random(345_600)
    many = [
        Window(i / 4, i / 4 + 0.5, "AB"[n] if n < 2 else None, s)
        for i, (n, s) in enumerate(zip(names.tolist(), scores.tolist(), strict=True))
    ]
    begin = time.process_time()
    n_rows = len(list(merge_windows(many))), len(merge_by_priority(many))
    assert time.process_time() - begin < 20  # about 3 s; a scan of all for each takes hours
    assert min(n_rows) > 50_000


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        pytest.param([], [(0, 5, "noise")], id="empty"),
        pytest.param(
            [(1, 2, "A")], [(0, 1, "noise"), (1, 2, "A"), (2, 5, "noise")], id="both-ends"
        ),
        pytest.param([(0, 5, "A")], [(0, 5, "A")], id="full"),
        pytest.param(
            [(0, 2, "A"), (2, 3, "B"), (4, 5, "A")],
            [(0, 2, "A"), (2, 3, "B"), (3, 4, "noise"), (4, 5, "A")],
            id="gap",
        ),
    ],
)
def test_noise_rows(annotations, expected):
    filled = list(add_noise_rows((Annotation(*row, 0.5) for row in annotations), 5.0, "noise"))
    assert [row[:3] for row in filled] == expected
    assert all(math.isnan(row.score) == (row.name == "noise") for row in filled)


def test_windows_that_were_found_with_their_times():
    rule = DecisionRule(("A", "B", "noise"), noise="noise")
    decisions = rule.decide(np.array([[0.6, 0.3, 0.1], [0.3, 0.3, 0.4], [0.1, 0.1, 0.8]]))
    windows = list(found_windows([0.0, 0.5, 1.0], [1.0, 1.5, 2.0], decisions, rule.names))
    assert windows == [Window(0.0, 1.0, "A", 0.6), Window(1.0, 2.0, None, 0.8)]
