"""Answers of several prints together: limits that can be worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from footprints.scores.combining import combined
from footprints.scores.trail_recall import recall_of_real, recall_of_simulated

ROWS = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])


def test_one_print_speaks_for_itself():
    np.testing.assert_array_equal(combined(ROWS[:1]), ROWS[0])


def test_independent_prints_multiply():
    expected = ROWS[0] * ROWS[1]
    np.testing.assert_allclose(combined(ROWS, power=1, floor=0), expected / expected.sum())


def test_the_mean_alone_is_as_sure_however_many_copies_there_are():
    for n in (2, 5, 50):
        copies = np.repeat(ROWS[:1], n, axis=0)
        np.testing.assert_allclose(combined(copies, power=0, floor=0), ROWS[0])
    tempered = [combined(np.repeat(ROWS[:1], n, axis=0))[0] for n in (2, 5, 50)]
    independent = combined(np.repeat(ROWS[:1], 50, axis=0), power=1)[0]
    assert ROWS[0, 0] < tempered[0] < tempered[1] < tempered[2] < independent


def test_one_print_alone_rules_nothing_out():
    rows = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.0, 0.0, 1.0]])
    found = combined(rows)
    assert np.isfinite(found).all()
    assert found.argmax() == 0


def test_recall_of_trails_by_hand():
    """Of class 0 all photos are right by themselves; of class 1 two of three, faintly wrong."""
    rows = np.array([[0.9, 0.1]] * 4 + [[0.1, 0.9], [0.1, 0.9], [0.55, 0.45]])
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    single, three = recall_of_simulated(rows, labels, [1, 3])
    assert (single["trails"], single["right"]) == (7, pytest.approx(6 / 7))
    assert (three["trails"], three["right"]) == (2, 1.0)
    (real,) = recall_of_real(rows, labels, {4: "a", 6: "a", 0: "b"})
    assert (real["trails"], real["right"], real["single_right"]) == (1, 1.0, 0.5)
