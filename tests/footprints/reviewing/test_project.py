"""Decisions are kept at once, by several reviewers and processes, and never lost."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from datetime import datetime, timedelta

import pytest

from footprints.reviewing.importing import ExifReader, bring_in
from footprints.reviewing.judged import judged
from footprints.reviewing.project import NO_PRINT, Decision, Project
from footprints.reviewing.queue import Queue
from footprints.reviewing.store import ProjectError
from footprints.system.errors import UserError
from tests.footprints.reviewing.conftest import N
from tests.helpers.photo_review import Server, write_predictions


def test_what_counts_of_several_reviewers(project):
    project.decide([(1, Decision("right")), (2, Decision("wrong"))], "Ann")
    project.decide([(1, Decision("skip")), (2, Decision("unsure"))], "Ben")
    project.decide([(3, Decision("right"))], "Ann")
    project.decide([(3, Decision("other", "wolf"))], "Ben")
    project.decide([(4, Decision("other", NO_PRINT, (0.1, 0.2, 0.3, 0.4), "mud"))], "Ann")
    found = {row.id: row for row in judged(project)}
    assert [found[n].verdict for n in (1, 2, 3, 4)] == ["right", "wrong", "unsure", "other"]
    assert found[1].class_name == found[1].predicted
    assert (found[3].class_name, found[4].class_name) == (None, NO_PRINT)
    assert (found[4].box, found[4].note) == ((0.1, 0.2, 0.3, 0.4), "mud")


def test_another_prediction_keeps_what_was_decided(open_project, folder):
    project = open_project()
    project.decide([(1, Decision("right"))], "Ann")
    path = folder / "answers" / "predictions.json"
    content = json.loads(path.read_text())
    for record in content["photos"][:2]:  # decided, and undecided
        record["answer"] = "wolf"
    content["photos"][2]["top"][0]["probability"] = 0.123
    path.write_text(json.dumps(content))
    bring_in(project, folder / "answers", None)
    rows = {row["id"]: row for row in project.detections(range(1, 30))}
    assert rows[1]["class"] != "wolf", "that somebody decided on it stays"
    assert 2 not in rows
    assert sorted(row["class"] for row in rows.values() if row["photo_id"] == 1) == sorted(
        [rows[1]["class"], "wolf"]
    )
    assert rows[3]["score"] == 0.123
    assert [row.verdict for row in judged(project)] == ["right"]


def test_all_prints_of_a_photo_are_rows_and_its_answer_counts_once(open_project, folder):
    path = folder / "answers" / "predictions.json"
    content = json.loads(path.read_text())
    record = content["photos"][0]
    said = {"confidence": 0.4, "best_class": "fox", "probability": 0.3}
    further = [0.0, 0.0, 32.0, 24.0]
    record["boxes"] = [said | {"box_xyxy": box} for box in (record["box_xyxy"], further)]
    record["why"] = "stranger"
    path.write_text(json.dumps(content))
    project = open_project()
    first, second = (row for row in project.detections(range(1, 30)) if row["photo_id"] == 1)
    assert (first["source"], second["source"]) == ("prediction", "print")
    assert [second[key] for key in ("x2", "y2", "class", "score")] == [0.1, 0.1, "fox", 0.3]
    assert json.loads(first["said"])["why"] == "stranger"
    assert len(Queue(project).answers()) == N
    bring_in(project, folder / "answers", folder / "photos")
    assert [row["id"] for row in project.detections(range(1, 30)) if row["photo_id"] == 1] == [1, 2]


def test_photos_alone_and_when_they_were_taken(open_project, folder):
    project = open_project(None, "photos")
    assert [row["source"] for row in project.detections([1, N])] == ["photo"] * 2
    assert project.photos()[0].taken.taken_at is None
    reader = ExifReader(project)
    reader.run()
    taken = project.photos()[0].taken
    assert taken.taken_at == "2026-03-01T07:00:00+01:00"
    assert (taken.latitude, taken.camera) == (47.2345, "Canon EOS R7")
    bring_in(project, None, folder / "photos")
    assert project.photos()[0].taken == taken, "not read a second time"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda c: c.pop("photos"), "its photos are no list"),
        (lambda c: c["photos"][0].pop("box_xyxy"), "must be 4 numbers"),
        (lambda c: c["photos"][0].update(width=0), "must be a whole number"),
        (lambda c: c["photos"][0].update(taken_at="yesterday"), "no such text"),
        (lambda c: c["photos"][0].update(taken_at="2026-13-01T07:00:00"), "month must be"),
        (lambda c: c["photos"][0].update(latitude=91), "from -90 to 90"),
        (lambda c: c.update(photos_dir="/nowhere"), "name their folder with --photos"),
    ],
)
def test_a_damaged_prediction_is_refused(open_project, folder, change, line):
    path = folder / "answers" / "predictions.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=line) as caught:
        open_project()
    assert "\n" not in str(caught.value)


def test_other_files_are_not_touched(tmp_path):
    with sqlite3.connect(tmp_path / "other.sqlite") as db:
        db.execute("CREATE TABLE a(b)")
    for path in (tmp_path, tmp_path / "other.sqlite"):
        with pytest.raises(ProjectError):
            Project(path)


def test_a_killed_server_loses_nothing_and_another_place_is_found(folder):
    server = Server(folder / "p.sqlite", "--predictions", folder / "answers", "--reviewer", "Ann")
    port = server.address.split("/?")[0]
    try:
        for number in (1, 2, 3):
            post(server, "decide", ids=[number], verdict="right", reviewer="Ann")
        server.kill()
        (folder / "photos").rename(folder / "moved")
        server.stop()
        again = Server(
            folder / "p.sqlite", "--predictions", folder / "answers", "--photos", folder / "moved"
        )
        assert again.address.split("/?")[0] == port, "an open page finds it again"
        post(again, "undo", reviewer="Ann")
        again.stop()
        assert again.decisions("Ann") == [(1, "right", None), (2, "right", None)]
        assert again.rows("SELECT count(*) FROM photos") == [(N,)]
        assert again.rows("SELECT count(*) FROM photos WHERE missing") == [(0,)]
    finally:
        server.process.kill()


def post(server: Server, path: str, **body) -> dict:
    base, token = server.address.split("/?token=")
    headers = {"X-Token": token, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{base}/api/{path}", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def test_a_moved_set_of_answers_is_another_one(open_project, folder):
    project = open_project()
    write_predictions(folder / "other", folder / "photos", 3)
    bring_in(project, folder / "other", None)
    assert len(project.photos()) == 3


def _taken(folder, minutes) -> None:
    """Let the prediction say that photos were taken so many minutes later than it said."""
    path = folder / "answers" / "predictions.json"
    content = json.loads(path.read_text())
    for record, later in zip(content["photos"], minutes, strict=False):
        at = datetime.fromisoformat(record["taken_at"]) + timedelta(minutes=later)
        record["taken_at"] = at.isoformat()
    path.write_text(json.dumps(content))


def test_other_photos_of_the_same_names_are_refused(open_project, folder):
    """A card is used again: the names are those of last month."""
    project = open_project()
    project.decide([(1, Decision("right")), (2, Decision("right"))], "Ann")
    _taken(folder, [60, 60])
    bring_in(project, folder / "answers", None)  # the clock was put right
    assert project.photo(1).taken.taken_at == "2026-03-01T08:00:00+01:00"
    _taken(folder, [40_000, 40_007])
    with pytest.raises(UserError, match=r"2 photos, such as .*0000\.jpg, were taken at another"):
        bring_in(project, folder / "answers", None)
    assert project.photo(1).taken.taken_at == "2026-03-01T08:00:00+01:00"
    project.undo("Ann")
    bring_in(project, folder / "answers", None)  # nothing was said of those


def test_a_prediction_that_was_stopped_is_said(open_project, folder, capsys):
    path = folder / "answers" / "predictions.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"complete": False}))
    open_project()
    assert "was stopped before its end" in capsys.readouterr().err
