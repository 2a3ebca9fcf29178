"""A review that is read while it goes on, and nothing of it changes."""

import shutil
import sqlite3

import pytest

from animal_spot.reviewing.project import Decision, Project
from animal_spot.reviewing.reading import ReadProject
from animal_spot.reviewing.store import ProjectError


@pytest.fixture
def project(tmp_path):
    """An open review of one recording with two detections, the first of them decided."""
    opened = Project(tmp_path / "own #1 ?.sqlite")
    with opened.writing() as db:
        db.execute("INSERT INTO recordings(path, duration_s) VALUES ('a.wav', 10)")
        for begin_s in (1, 2):
            db.execute(
                "INSERT INTO detections(recording_id, begin_s, end_s, class, score, source, run) "
                "VALUES (1, ?, ?, 'owl', 0.5, 'prediction', 1)",
                (begin_s, begin_s + 1),
            )
    opened.decide([(1, Decision("right"))], "Ida")
    yield opened
    opened.close()


def content(folder):
    """Return the files, without what SQLite keeps to stay in step with other programs."""
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")
    }


def test_what_is_decided_meanwhile_is_seen_and_nothing_changes(project, tmp_path):
    before = content(tmp_path)
    assert f"{project.path.name}-wal" in before
    read = ReadProject(project.path)
    assert read.reviewers() == {"Ida": 1}
    project.decide([(2, Decision("wrong"))], "Jon")
    assert read.reviewers() == {"Ida": 1}, "it is of one moment"
    assert ReadProject(project.path).reviewers() == {"Ida": 1, "Jon": 1}
    read.decide([(2, Decision("wrong"))], "Eve")
    assert ReadProject(project.path).reviewers() == {"Ida": 1, "Jon": 1}, "a copy was written to"
    project.undo("Jon")
    project.undo("Ida")
    assert ReadProject(project.path).reviewers() == {}


def test_no_file_is_left_beside_a_closed_review(project, tmp_path):
    project.close()
    before = content(tmp_path)
    assert list(before) == [project.path.name]
    assert ReadProject(project.path).reviewers() == {"Ida": 1}
    assert content(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [project.path.name]


def test_a_review_that_was_killed_is_read_with_its_last_decisions(project, tmp_path):
    killed = tmp_path / "killed"
    killed.mkdir()
    for path in (project.path, project.path.with_name(f"{project.path.name}-wal")):
        shutil.copy(path, killed)
    before = content(killed)
    assert ReadProject(killed / project.path.name).reviewers() == {"Ida": 1}
    assert content(killed) == before


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE detections SET begin_s = 'soon'", "detections have a wrong begin_s"),
        ("UPDATE decisions SET reviewer = x'ff'", "decisions have a wrong reviewer"),
        ("DROP TABLE settings", "no such table: settings"),
        ("PRAGMA application_id = 7", "database of another program"),
        ("PRAGMA user_version = 99", "newer version"),
    ],
)
def test_damage_is_named(project, statement, message):
    project.db.execute("PRAGMA foreign_keys = OFF")
    project.db.execute(statement)
    with pytest.raises(ProjectError, match=message) as caught:
        ReadProject(project.path)
    assert str(project.path) in str(caught.value)


def test_other_files_are_named(project, tmp_path):
    project.close()
    whole = project.path.read_bytes()
    project.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ProjectError, match=r"cannot be read as the file of a review|is damaged"):
        ReadProject(project.path)
    (tmp_path / "text.sqlite").write_text("no database, but long enough to look like one" * 50)
    with pytest.raises(ProjectError, match=r"text.sqlite cannot be read .* not a database"):
        ReadProject(tmp_path / "text.sqlite")
    sqlite3.connect(tmp_path / "empty.sqlite").close()
    with pytest.raises(ProjectError, match="database of another program"):
        ReadProject(tmp_path / "empty.sqlite")
    with pytest.raises(FileNotFoundError, match=r"gone.sqlite"):
        ReadProject(tmp_path / "gone.sqlite")
    assert not (tmp_path / "gone.sqlite").exists()
