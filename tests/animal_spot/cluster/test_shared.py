"""cluster/shared.py: sections of long recordings that are in work or wait."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from animal_spot.cluster.handing_out import HandingOut
from animal_spot.cluster.shared import SharedRecordings
from animal_spot.cluster.worker import SectionMade, Task
from animal_spot.metadata.recording_time import NO_TIME
from animal_spot.prediction.outcome import Part

LONG = Task(Path("long.wav"), "long", "run", NO_TIME)
OTHER = Task(Path("other.wav"), "other", "run", NO_TIME)


def begun(n: int) -> tuple[SharedRecordings, list[Task]]:
    shared = SharedRecordings()
    return shared, shared.begin(LONG, [Part(i, n, (), "mix", None) for i in range(n)])


def made(index: int, reason: str = "") -> SectionMade:
    file = None if reason else Path(f"{index}.section")
    return SectionMade(LONG.path, index, file, reason, 10.0)


@pytest.mark.parametrize("seed", range(3))
def test_sections_are_joined_in_their_order_when_the_last_is_there(seed):
    shared, tasks = begun(5)
    assert [task.part.index for task in tasks] == [0, 1, 2, 3, 4]
    order = random.Random(seed).sample(range(5), 5)
    found = [shared.take(made(i)) for i in order]
    assert found[:-1] == [None] * 4
    assert found[-1].sections == tuple(Path(f"{i}.section") for i in range(5))
    assert shared.is_needed(found[-1])
    files, sound_s = shared.end(LONG.path)
    assert (sorted(files), sound_s) == (sorted(found[-1].sections), 50.0)
    assert shared.end(LONG.path) is None


def test_the_first_reason_counts_as_in_one_process():
    shared, tasks = begun(5)
    assert shared.take(made(4)) is None
    assert shared.take(made(3, "damaged after 30 s")) is None, "one before it may fail too"
    assert [shared.is_needed(task) for task in tasks] == [True, True, True, False, False]
    assert shared.take(made(0)) is None
    assert shared.take(made(2)) is None
    assert shared.take(made(1, "damaged after 10 s")) == "damaged after 10 s"
    shared.end(LONG.path)
    assert not any(map(shared.is_needed, tasks))
    assert shared.take(made(2)) is None, "it comes too late"
    assert shared.is_needed(OTHER)


def test_sections_come_before_what_is_new_and_go_when_they_are_not_needed():
    out = HandingOut(iter([LONG, OTHER]), 2)
    for worker in "ab":
        out.join(worker)
    assert out.next_for("a") == (LONG,)
    shared, tasks = begun(4)
    out.done("a", None)
    out.add(tasks)
    assert [out.next_for(worker) for worker in "abab"] == [(task,) for task in tasks]
    assert out.died("b") == []
    out.join("c")
    assert shared.take(made(0, "unreadable")) == "unreadable"
    shared.end(LONG.path)
    out.withdraw(shared.is_needed)
    out.done("a", 1.0)
    out.done("a", 1.0)
    assert out.next_for("c") == (OTHER,)
    out.done("c", 1.0)
    assert out.is_done


def test_a_section_that_kills_its_workers_is_given_up():
    out = HandingOut(iter([LONG]), 1)
    out.join(0)
    out.next_for(0)
    _, tasks = begun(3)
    out.done(0, None)
    out.add(tasks)
    given_up, worker, done = [], 0, []
    while not out.is_done:
        handful = out.next_for(worker)
        if handful == (tasks[1],):
            given_up += out.died(worker)
            out.join(worker := worker + 1)
        else:
            done += out.done(worker, 1.0)
    assert given_up == [tasks[1]]
    assert sorted(task.part.index for task in done) == [0, 2], "no other one is done again"
