"""Filters and orders, and states that other processes change."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest

from animal_spot.reviewing.ordering import ORDERS, seconds_each
from animal_spot.reviewing.project import Decision, Project
from animal_spot.reviewing.queue import Filter, Queue, QueueError

# Ids of ROWS: 1 owl .99, 2 owl .8, 3 fox .55 (pond, May 1, 21:30), 4 fox .95, 5 owl .6 (pond, May
# 2, 3:30), 6 owl .7 (wood, noon)


@pytest.fixture
def queue(project) -> Queue:
    with project.writing() as db:
        db.execute("UPDATE recordings SET site = 'pond' WHERE path LIKE '%/pond_%'")
    return Queue(project)


def ids(queue, order="time", **wanted):
    return queue.find(Filter(**wanted), order)[0].tolist()


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("score", [3, 5, 6, 2, 4, 1]),
        ("-score", [1, 4, 2, 6, 5, 3]),
        ("uncertainty", [3, 5, 6, 2, 4, 1]),
        ("time", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_orders(queue, order, expected):
    assert ids(queue, order) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"class_names": ("fox",)}, [3, 4]),
        ({"least": 0.7, "most": 0.95}, [2, 4, 6]),
        ({"sites": ("pond",)}, [1, 2, 3, 4, 5]),
        ({"recording": 3}, [6]),
        ({"begins": datetime(2026, 5, 2)}, [4, 5, 6]),
        ({"ends": datetime(2026, 5, 1, 21, 30, 4)}, [1, 2]),
        ({"hours": (21, 5)}, [1, 2, 3, 4, 5]),
        ({"hours": (5, 21)}, [6]),
        ({"sources": ("missed",)}, []),
    ],
    ids=lambda value: str(value)[:40],
)
def test_filters(queue, wanted, expected):
    assert ids(queue, **wanted) == expected


def test_states_of_one_and_of_all(queue, project):
    project.decide([(1, Decision("right")), (2, Decision("right"))], "Ann")
    project.decide([(2, Decision("wrong")), (3, Decision("skip"))], "Ben")
    assert ids(queue, states=("open",)) == [4, 5, 6]
    assert ids(queue, states=("right",)) == [1]
    assert ids(queue, states=("unsure",)) == [2], "where reviewers differ nobody can tell"
    assert ids(queue, states=("open",), reviewer="Ann") == [3, 4, 5, 6]
    assert ids(queue, states=("decided",), reviewer="Ben") == [2, 3]
    _, total, n_open = queue.find(Filter(class_names=("owl",)))
    assert (total, n_open) == (4, 2)


def test_what_another_process_writes_is_seen(queue, folder):
    assert ids(queue, states=("open",)) == [1, 2, 3, 4, 5, 6]
    other = Project(folder / "review.sqlite")
    other.decide([(4, Decision("other", "newt"))], "Ben")
    assert ids(queue, states=("open",)) == [1, 2, 3, 5, 6]
    assert ids(queue, class_names=("newt",)) == [4], "also by the class that was said"
    other.undo("Ben")
    assert ids(queue, states=("open",)) == [1, 2, 3, 4, 5, 6]
    added = other.add(3, (1.0, 2.0), "newt", "Ben")
    assert ids(queue) == [1, 2, 3, 4, 5, added, 6]
    other.undo("Ben")
    assert ids(queue) == [1, 2, 3, 4, 5, 6], "what was added and taken back is not shown"
    other.close()


def with_scores(project, scores, names=None):
    with project.writing() as db:
        db.execute("DELETE FROM detections")
        db.executemany(
            "INSERT INTO detections VALUES (?, 1, ?, ?, 0, 1, ?, ?, 'prediction', 1)",
            [
                (i, i, i + 1.0, names[i] if names else "owl", float(s))
                for i, s in enumerate(scores, 1)
            ],
        )
        db.execute("INSERT OR REPLACE INTO settings VALUES ('run', '2')")


def test_a_sample_over_bins_takes_each_equally(project):
    """Of scores that crowd at 1, as networks' do, each tenth of the rows gives a tenth."""
    scores = 1 - np.random.default_rng(0).random(1000) ** 3
    with_scores(project, scores)
    queue = Queue(project)
    first = queue.find(Filter(), "bins")[0][:100]
    ranks = np.argsort(np.argsort(scores))[first - 1]  # of 1000
    assert np.bincount(ranks // 100, minlength=10).tolist() == [10] * 10
    other = queue.find(Filter(), "bins", 1)[0][:100]
    assert 0 < len({*first.tolist()} & {*other.tolist()}) < 50, "another seed, another sample"
    assert sorted(queue.find(Filter(), "bins")[0].tolist()) == list(range(1, 1001))


def test_a_hundred_thousand_detections_open_at_once(project):
    with_scores(project, np.random.default_rng(0).beta(4, 1, 100_000))
    project.decide([(number, Decision("right")) for number in range(1, 5001)], "Ann")
    began = time.process_time()
    queue = Queue(project)
    for order in ORDERS:
        found, _, n_open = queue.find(Filter(states=("open",), least=0.5), order)
        assert n_open == len(found) > 80_000
    queue.totals()
    assert time.process_time() - began < 2, "0.4 s of a processor of 2023"


def test_random_is_the_same_again_and_not_in_order(project):
    with_scores(project, np.linspace(0.5, 1, 1000))
    queue = Queue(project)
    first = queue.find(Filter(), "random", 3)[0]
    assert (queue.find(Filter(), "random", 3)[0] == first).all()
    assert abs(np.corrcoef(first, np.arange(1000))[0, 1]) < 0.1
    kept = queue.find(Filter(least=0.75), "random", 3)[0]
    assert (kept == [i for i in first if i > 500]).all(), "a filter leaves the order as it is"


def test_answers_for_estimates(queue, project):
    project.decide([(1, Decision("right")), (3, Decision("other", "newt"))], "Ann")
    project.add(1, (3.0, 3.5), "newt", "Ann")
    assert queue.answers() == [
        *(("owl", 0.99, "right"), ("owl", 0.8, None), ("fox", 0.55, "wrong")),
        *(("fox", 0.95, None), ("owl", 0.6, None), ("owl", 0.7, None)),
    ]


def test_unknown_orders_and_detections_are_refused(queue):
    with pytest.raises(QueueError, match="order must be one of"):
        queue.find(Filter(), "alphabet")
    with pytest.raises(QueueError, match="no such detection"):
        queue.state_of([1, 77])


def test_pace_without_pauses():
    start = datetime(2026, 5, 1, tzinfo=timezone.utc)
    at_s = [0, 2, 4, 6, 8, 10, 1000, 1002]
    assert seconds_each([start + timedelta(seconds=s) for s in at_s]) == 2.0
    assert seconds_each([start, start + timedelta(seconds=3)]) is None
