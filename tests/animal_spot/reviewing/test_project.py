"""The file of a review."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading

import pytest

from animal_spot.reviewing.project import Decision, Project
from animal_spot.reviewing.store import ProjectError, ProjectGoneError, stored

RIGHT, WRONG = Decision("right"), Decision("wrong")


def counting(project):
    return [(row["detection_id"], row["reviewer"], row["verdict"]) for row in project.counting()]


def test_of_each_reviewer_the_last_decision_counts(project):
    project.decide([(1, RIGHT), (2, RIGHT)], "Ann")
    project.decide([(1, WRONG)], "Ben")
    project.decide([(1, WRONG)], "Ann")
    assert counting(project) == [(2, "Ann", "right"), (1, "Ben", "wrong"), (1, "Ann", "wrong")]
    assert project.reviewers() == {"Ann": 2, "Ben": 1}


def test_undo_takes_back_a_whole_key_of_its_own_reviewer(project):
    project.decide([(1, WRONG)], "Ann")
    project.decide([(1, RIGHT), (2, RIGHT), (3, RIGHT)], "Ann")
    project.decide([(2, WRONG)], "Ben")
    assert [row["detection_id"] for row in project.undo("Ann")] == [1, 2, 3]
    assert counting(project) == [(1, "Ann", "wrong"), (2, "Ben", "wrong")]
    assert [row["detection_id"] for row in project.undo("Ann")] == [1]
    assert project.undo("Ann") == []
    assert len(project.decisions_of(1)) == 2, "what was undone is kept"


def test_a_request_that_is_sent_again_counts_once(project):
    project.decide([(1, RIGHT)], "Ann", "k1")
    project.decide([(1, RIGHT)], "Ann", "k1")
    assert len(project.decisions_of(1)) == 1
    first = project.add(1, (3.0, 4.0), "newt", "Ann", key="k2")
    assert project.add(1, (3.0, 4.0), "newt", "Ann", key="k2") == first
    assert project.undo("Ben", "k3") == []
    project.decide([(1, RIGHT)], "Ben", "k3")
    assert len(project.decisions_of(1)) == 2, "a key tells requests of one kind apart"


def test_all_of_a_batch_or_nothing(project):
    with pytest.raises(ProjectError, match="no such detection"):
        project.decide([(1, RIGHT), (999, RIGHT)], "Ann")
    assert counting(project) == []


def test_two_processes_lose_nothing(folder, project):
    """Two connections write at the same time, each as a process of its own would."""
    other = Project(folder / "review.sqlite")
    threads = [
        threading.Thread(target=lambda p, r: [p.decide([(1, RIGHT)], r) for _ in range(30)], args=a)
        for a in ((project, "Ann"), (other, "Ben"), (other, "Cy"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(project.decisions_of(1)) == 90
    assert len({row["batch"] for row in project.decisions_of(1)}) == 90
    other.close()


def test_a_copy_of_the_file_has_every_decision(folder, project):
    """Also without the -wal file, while the project is open."""
    project.decide([(1, RIGHT)], "Ann")
    project.decide([(2, WRONG)], "Ann")
    shutil.copy(folder / "review.sqlite", folder / "copy.sqlite")
    with contextlib.closing(sqlite3.connect(folder / "copy.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM decisions").fetchone() == (2,)


def test_nothing_is_written_into_a_file_that_was_moved(folder, project):
    path, aside = folder / "review.sqlite", folder / "aside.sqlite"
    project.decide([(1, RIGHT)], "Ann")
    path.rename(aside)
    with pytest.raises(ProjectGoneError, match=r"review.sqlite was moved, removed or replaced"):
        project.decide([(2, RIGHT)], "Ann")
    assert not path.exists(), "no empty file in its place"
    shutil.copy(aside, path)
    with pytest.raises(ProjectGoneError):
        project.decide([(2, RIGHT)], "Ann")
    aside.replace(path)
    project.decide([(3, RIGHT)], "Ann")
    assert [row[0] for row in counting(project)] == [1, 3]


def test_what_cannot_be_a_project_file(folder, project, monkeypatch):
    with pytest.raises(ProjectError, match=r"is a folder: name a file, such as .*review.sqlite"):
        Project(folder)
    project.close()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(ProjectError, match=r"review.sqlite is write-protected: allow writing"):
        Project(folder / "review.sqlite")


def test_other_databases_and_newer_ones_are_refused(tmp_path):
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE birds(name)")
    before = foreign.read_bytes()
    with pytest.raises(ProjectError, match=r"foreign.sqlite is a database of another program"):
        Project(foreign)
    assert foreign.read_bytes() == before
    text = tmp_path / "text.sqlite"
    text.write_text("Selection\tView\n" * 100)
    with pytest.raises(ProjectError, match=r"text.sqlite cannot be used.*not a database"):
        Project(text)
    newer = tmp_path / "newer.sqlite"
    Project(newer).close()
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(ProjectError, match="newer version of this program"):
        Project(newer)


def test_names_that_are_not_utf_8(tmp_path):
    project = Project(tmp_path / "review.sqlite")
    path = tmp_path / os.fsdecode(b"fr\xf6sche.wav")
    with project.writing() as db:
        db.execute("INSERT INTO recordings(path, duration_s) VALUES (?, 1)", (stored(path),))
    assert project.recording(1).path == path
    project.close()
