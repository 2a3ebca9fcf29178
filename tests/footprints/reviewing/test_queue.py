"""Which boxes are looked at, and in what order."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from footprints.reviewing.found_rows import FoundPhoto, FoundRow
from footprints.reviewing.importing import Found, _store
from footprints.reviewing.project import NO_PRINT, Decision, Project
from footprints.reviewing.queue import Filter, Queue, QueueError
from tests.footprints.reviewing.conftest import N
from tests.helpers.photo_review import drawn_photos


def test_filters(project):
    queue = Queue(project)
    drawn = drawn_photos(N)
    every = range(1, N + 1)

    def fitting(**wanted) -> list[int]:
        return sorted(queue.find(Filter(**wanted))[0])

    assert fitting() == list(every)
    assert fitting(class_names=("fox",)) == [n for n in every if drawn[n - 1].answer == "fox"]
    assert fitting(least=0.6, most=0.9) == [n for n in every if 0.6 <= drawn[n - 1].score <= 0.9]
    assert fitting(folders=("a",)) == list(range(1, N // 2 + 1))
    assert fitting(trail="trail 2") == list(range(11, 21))
    assert fitting(photo=3) == [3]
    assert fitting(begins=datetime(2026, 3, 1, 7, 5), ends=datetime(2026, 3, 1, 7, 7)) == [6, 7, 8]
    assert fitting(hours=(7, 7.05)) == [1, 2, 3]  # until three minutes past seven
    assert fitting(hours=(22, 6)) == []
    project.decide([(1, Decision("right")), (2, Decision("other", "wolf"))], "Ann")
    project.decide([(1, Decision("wrong"))], "Ben")
    assert fitting(states=("right",), reviewer="Ann") == [1]
    assert fitting(states=("wrong",), reviewer="Ben") == [1]
    assert fitting(states=("unsure",)) == [1], "where they differ nobody can tell"
    assert fitting(states=("decided",)) == [1, 2]
    assert fitting(class_names=("wolf",)) == [2]


def test_orders(project):
    queue = Queue(project)
    score = {number: one.score for number, one in enumerate(drawn_photos(N), 1)}
    by_score = [score[number] for number in queue.find(Filter(), "score")[0]]
    assert by_score == sorted(score.values())
    doubt = [abs(score[number] - 0.5) for number in queue.find(Filter(), "uncertainty")[0]]
    assert doubt == sorted(doubt)
    assert queue.find(Filter(), "time")[0] == list(range(1, N + 1))
    first, second = (queue.find(Filter(), "random", seed)[0] for seed in (1, 2))
    assert first != second
    assert sorted(first) == sorted(second)
    assert sorted(queue.find(Filter(), "bins")[0]) == sorted(score)
    with pytest.raises(QueueError, match="order must be one of"):
        queue.find(Filter(), "beauty")


def test_answers_for_estimates(project):
    project.decide([(1, Decision("right")), (2, Decision("other", NO_PRINT))], "Ann")
    project.add(1, (0.1, 0.1, 0.2, 0.2), "wolf", "Ann", Decision("right"))
    answers = Queue(project).answers()
    assert len(answers) == N, "what a person drew is none of the model's answers"
    assert [verdict for _, _, verdict in answers[:3]] == ["right", "wrong", None]


def test_ten_thousand_photos_open_at_once(tmp_path):
    photos = [
        FoundPhoto(
            tmp_path / f"{n:05d}.jpg",
            f"{n:05d}.jpg",
            [FoundRow((0.1, 0.1, 0.5, 0.5), "fox", n % 1000 / 1000)],
        )
        for n in range(10_000)
    ]
    project = Project(tmp_path / "p.sqlite")
    _store(project, Found(photos), "prediction")
    queue = Queue(project)
    began = time.process_time()
    ids, total, n_open = queue.find(Filter(), "bins")
    took_s = time.process_time() - began
    project.close()
    assert len(ids) == total == n_open == 10_000
    print(f"10,000 rows in {took_s:.2f} s")
    assert took_s < 1
