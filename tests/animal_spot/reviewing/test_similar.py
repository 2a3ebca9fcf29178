"""More like this: the index through the command, and what the page is answered."""

from __future__ import annotations

import pytest

from animal_spot.reviewing.similar import index_path
from tests.helpers.embeddings import write_model
from tests.helpers.places import SOUND
from tests.helpers.programs import run_here, run_python

TONES = ((1, 1.0, 2.0), (1, 4.0, 5.0), (1, 7.0, 8.5), (2, 2.0, 3.0), (2, 9.0, 10.0), (3, 5.0, 6.0))


def build(folder, *more):
    arguments = ("--predictions", folder / "predictions", "--recordings", folder / "recordings")
    project = ("--project", folder / "review.sqlite")
    return run_here("review", *arguments, *project, "--index", *more)


@pytest.fixture
def indexed(folder, review, client):
    done = build(folder, write_model(folder / "tiny.onnx"))
    assert done.returncode == 0, done.stderr
    return client


def heard(row) -> tuple | None:
    """Return the tone of the made-up recordings that a row lies at."""
    for tone in TONES:
        if row["recording"] == tone[0] and row["begin_s"] < tone[2] and row["end_s"] > tone[1]:
            return tone
    return None


def test_without_an_index(client):
    answer = client.get("/api/similar?id=1")
    assert answer.status_code == 404
    assert answer.json()["error"].endswith("start it once with --index MODEL")
    assert client.get("/api/project").json()["has_index"] is False


def test_like_a_detection(indexed, decide):
    """All tones are alike: each is found once, as the detection that it is."""
    assert indexed.get("/api/project").json()["has_index"] is True
    rows = indexed.get("/api/similar?id=1&n=5").json()["rows"]
    assert {row["id"] for row in rows} <= {2, 3, 4, 5, 6}
    assert {2, 4, 5, 6} <= {row["id"] for row in rows}
    assert all(row["score"] > 0.9 for row in rows)
    decide([2, 4], "right")
    left = indexed.get("/api/similar?id=1&n=3").json()["rows"]
    assert {row["id"] for row in left} == {3, 5, 6}, "what was reviewed is left out"
    by_other = indexed.get("/api/similar?id=1&n=5&reviewer=Bob").json()["rows"]
    assert {2, 4} <= {row["id"] for row in by_other}


def test_what_is_no_detection_can_become_one(indexed, project):
    project.db.execute("DELETE FROM detections WHERE id = 6")
    found = indexed.get("/api/similar?recording=1&from=1.1&to=1.6&n=4").json()["rows"]
    (row,) = [row for row in found if row["id"] is None and heard(row) == TONES[5]]
    assert (row["source"], row["state"], row["class"]) == ("similar", "open", None)
    of_class = indexed.get("/api/similar?id=1&n=4").json()["rows"]
    assert [row["class"] for row in of_class if row["id"] is None] == ["owl"]
    keys = ("recording", "begin_s", "end_s", "class", "source")
    body = {key: row[key] for key in keys} | {"class": "owl", "reviewer": "Ann"}
    added = indexed.post("/api/add", json=body).json()
    shown = indexed.get(f"/api/detection/{added['id']}").json()
    assert (shown["source"], shown["state"]) == ("similar", "right")
    again = indexed.get("/api/similar?recording=1&from=1.1&to=1.6&n=4").json()["rows"]
    assert TONES[5] not in [heard(row) for row in again]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        pytest.param("id=99", 404, id="no-such-detection"),
        pytest.param("recording=9&from=1&to=2", 404, id="no-such-recording"),
        pytest.param("recording=1&from=2&to=1", 400, id="backwards"),
        pytest.param("recording=1&from=500&to=501", 400, id="beyond-the-end"),
        pytest.param("recording=1&from=1", 400, id="no-end"),
        pytest.param("id=1&n=0", 400, id="none"),
    ],
)
def test_wrong_questions_are_refused(indexed, query, status):
    answer = indexed.get(f"/api/similar?{query}")
    assert (answer.status_code, "\n" in answer.json()["error"]) == (status, False)


def test_without_the_model_the_nearest_window_stands_for_the_sound(indexed, folder):
    (folder / "tiny.onnx").unlink()
    rows = indexed.get("/api/similar?recording=1&from=1.1&to=1.6&n=4").json()["rows"]
    assert len(rows) == 4
    assert all(heard(row) for row in rows)


def test_the_command_as_a_process(folder, project):
    """It goes on where it was, and says in one line what it cannot use."""
    model = write_model(folder / "tiny.onnx")
    command = (SOUND / "review.py", "--project", folder / "review.sqlite", "--index")
    done = run_python(*command, model)
    assert done.returncode == 0, done.stderr
    assert "windows of 3 recordings can be searched (0 were there" in done.stderr
    assert done.stdout == ""
    assert index_path(project).is_file()
    (folder / "recordings" / "wood_20260502_120000.wav").write_bytes(b"RIFF")
    again = run_here("review", *command[1:], model)
    assert again.returncode != 0
    assert "windows of 2 recordings can be searched (2 were there" in again.stderr
    for arguments, line in (
        (("--index",), "--index needs a model"),
        (("--index", folder / "no.pk"), "no.pk"),
        (("--embedding_model", model), "--embedding_model needs --index"),
    ):
        refused = run_here("review", *command[1:3], *arguments)
        assert refused.returncode in (1, 2)
        assert line in refused.stderr.strip().splitlines()[-1]
        assert "Traceback" not in refused.stderr
