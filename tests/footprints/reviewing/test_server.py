"""What the server answers, and to whom."""

from __future__ import annotations

import io
import json

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from starlette.testclient import TestClient

from footprints.pictures.raw import can_develop
from footprints.reviewing.answers import Review
from footprints.reviewing.guard import Guard
from footprints.reviewing.importing import bring_in
from footprints.reviewing.project import Project
from footprints.reviewing.server import make_app
from footprints.reviewing.shown_pictures import ShownPictures
from tests.footprints.reviewing.conftest import HOST, TOKEN, N
from tests.helpers.dng import dng
from tests.helpers.field_photos import SECRETS, field_exif
from tests.helpers.photo_review import HEIGHT, MARKUP, WIDTH, drawn_photos
from tests.helpers.photos import QUARTERS, encoded, marker, turned

DECISION = {"ids": [1], "verdict": "right", "reviewer": "Ann"}


def test_nothing_without_the_token(project):
    app = Guard(make_app(Review(project)), TOKEN, frozenset({HOST}), 8000)
    stranger = TestClient(app, base_url=f"http://{HOST}", follow_redirects=False)
    for path in ("/", "/api/project", "/api/queue", "/api/picture?photo=1", "/static/main.js"):
        for headers in ({}, {"X-Token": "s3crex"}, {"Cookie": "a=b"}):
            assert stranger.get(path, headers=headers).status_code == 403, path
    assert stranger.post("/api/decide", json=DECISION).status_code == 403
    assert stranger.get(f"/?token={TOKEN}").status_code == 303
    assert stranger.get("/api/project").status_code == 200, "the client keeps the cookie"
    assert project.counting() == []


def test_other_pages_and_names_are_refused_also_with_the_token(client, project):
    others = (
        ({"Host": "evil.example:8000"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    )
    for headers, status in others:
        answer = client.post("/api/decide", json=DECISION, headers=headers)
        assert answer.status_code == status, headers
    for path in ("decide", "undo", "add", "export"):
        assert client.get(f"/api/{path}").status_code == 405
    assert project.counting() == []


# As they are sent: a client takes plain ../ out itself.
OUTSIDE = ("%2e%2e/%2e%2e/etc/passwd", "%2fetc%2fpasswd", "..%2f..%2fetc%2fpasswd", "..%5cx", "%00")


def test_no_path_leads_outside(client):
    paths = ("/static/{}", "/api/picture?photo={}", "/api/detection/{}", "/api/rows?ids={}")
    for path in (*paths, "/api/queue?photo={}", "/api/queue?order={}", "/api/queue?from={}"):
        for text in OUTSIDE:
            answer = client.get(path.format(text))
            assert answer.status_code in (400, 404), (path, text)
            assert list(answer.json()) == ["error"]
    for name in ("server.py", "__init__.py", "index.html%2f..%2f..%2fserver.py"):
        assert client.get(f"/static/{name}").status_code == 404


def test_exports_stay_below_the_project_and_out_of_the_photos(client, decide, tmp_path):
    (tmp_path / "link").symlink_to("/tmp")
    before = {path.name for path in tmp_path.parent.iterdir()}
    decide([1], "right")
    targets = ("../../x", "/etc/x", "..", "a/../../b", "link/x", "review.sqlite", "a\nb")
    for target in (*targets, "answers", "answers/x", "photos/a"):
        answer = client.post("/api/export", json={"kind": "csv", "folder": target})
        assert answer.status_code == 400, target
    assert {path.name for path in tmp_path.parent.iterdir()} == before


def test_names_with_html_stay_text(client, decide):
    decide([1], "other", MARKUP, reviewer="<b>Ann</b>", note="</script><script>alert(1)</script>")
    answer = client.get("/api/detection/1")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["decisions"][0]["class"] == MARKUP
    headers = client.get("/").headers
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_all_is_told_of_an_answer(client):
    said = client.get("/api/detection/1").json()
    one = drawn_photos(N)[0]
    assert said["name"] == one.name
    assert [said["x1"], said["y2"]] == pytest.approx(
        [one.box[0] / WIDTH, one.box[3] / HEIGHT], abs=1e-4
    )
    assert said["score"] == pytest.approx(one.score)
    assert said["top"][0]["probability"] == pytest.approx(one.score)
    assert [said["photo"][key] for key in ("taken_at", "latitude", "trail")] == [
        "2026-03-01T07:00:00+01:00",
        47.2,
        "trail 1",
    ]
    assert [row["id"] for row in said["trail"]] == list(range(1, 11))
    project = client.get("/api/project").json()
    assert project["note"] == "weak model: 40% right"
    assert project["trails"] == ["trail 1", "trail 2"]
    assert "newt" in [one["name"] for one in project["classes"]]


def test_a_picture_is_a_jpeg_without_what_the_photo_says_of_itself(client, folder):
    answer = client.get("/api/picture?photo=1&side=160")
    assert answer.headers["content-type"] == "image/jpeg"
    shown = Image.open(io.BytesIO(answer.content))
    assert shown.size == (160, 120)
    stored = (folder / "photos" / drawn_photos(N)[0].name).read_bytes()
    assert all(secret in stored for secret in SECRETS)
    assert not any(secret in answer.content for secret in SECRETS)
    assert not shown.getexif()


def test_a_crop_shows_the_print(client):
    x1, y1, x2, y2 = (
        part / side for part, side in zip(drawn_photos(N)[0].box, (WIDTH, HEIGHT) * 2, strict=True)
    )
    answer = client.get(f"/api/picture?photo=1&side=96&x1={x1}&y1={y1}&x2={x2}&y2={y2}")
    crop = np.asarray(Image.open(io.BytesIO(answer.content)).convert("L"), float)
    assert crop.shape == (96, 96)
    assert crop[48, 48] < 50  # the ellipse is dark, what lies around it is not
    assert min(crop[2, 2], crop[2, -3], crop[-3, 2], crop[-3, -3]) > 60


def test_a_photo_that_cannot_be_read_is_said_in_a_line(client, folder):
    (folder / "photos" / drawn_photos(N)[1].name).write_bytes(b"\xff\xd8\xff damaged")
    answer = client.get("/api/picture?photo=2")
    assert answer.status_code == 404
    assert "this photo cannot be shown" in answer.json()["error"]
    (folder / "photos" / drawn_photos(N)[2].name).unlink()
    assert "file not found" in client.get("/api/picture?photo=3").json()["error"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"ids": []},
        {"ids": [1, 10**9]},
        {"verdict": "perhaps"},
        {"verdict": "other"},
        {"reviewer": ""},
        {"x1": 0.2, "y1": 0.2, "x2": 0.1, "y2": 0.4},
        {"x1": 0.2, "y1": 0.2, "x2": 1.1, "y2": 0.4},
        {"x1": 0.2},
        {"x1": float("inf"), "y1": 0.2, "x2": 0.3, "y2": 0.4},
        {"ids": [1, 2], "x1": 0.1, "y1": 0.1, "x2": 0.2, "y2": 0.2},
    ],
)
def test_wrong_decisions_are_refused(client, project, wrong):
    content = json.dumps(DECISION | wrong)
    kind = {"Content-Type": "application/json"}
    answer = client.post("/api/decide", content=content, headers=kind)
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]
    assert project.counting() == []


def test_a_box_is_corrected_drawn_and_taken_back(client, decide, project):
    box = {"x1": 0.1, "y1": 0.2, "x2": 0.3, "y2": 0.5}
    row = decide([1], "right", **box)["rows"][0]
    assert {key: row[key] for key in box} == box
    assert project.detections([1])[0]["x1"] != 0.1, "what the model said is as before"
    added = client.post(
        "/api/add", json={"photo": 1, **box, "class": "wolf", "reviewer": "Ann", "key": "k"}
    ).json()
    again = client.post(
        "/api/add", json={"photo": 1, **box, "class": "wolf", "reviewer": "Ann", "key": "k"}
    ).json()
    assert added["id"] == again["id"], "the same request twice is one box"
    others = client.get("/api/detection/1").json()["others"]
    assert [(one["class"], one["source"]) for one in others] == [("wolf", "drawn")]
    client.post("/api/undo", json={"reviewer": "Ann"})
    assert client.get("/api/detection/1").json()["others"] == []
    assert client.post("/api/undo", json={"reviewer": "Ann"}).json()["rows"][0]["state"] == "open"
    assert len(project.decisions_of(1)) == 1, "nothing is deleted"


def test_heic_and_raw_are_shown_as_jpeg(tmp_path):
    """What no browser opens."""
    pillow_heif.register_heif_opener()
    (tmp_path / "photos").mkdir()
    Image.fromarray(marker()).save(tmp_path / "photos/a.heic")
    kinds = ["a.heic"]
    if can_develop():
        (tmp_path / "photos/b.dng").write_bytes(dng(marker()))
        kinds.append("b.dng")
    project = Project(tmp_path / "p.sqlite")
    bring_in(project, None, tmp_path / "photos")
    pictures = Review(project).pictures
    for photo in project.photos():
        shown = Image.open(io.BytesIO(pictures.photo(photo.path, 640)))
        assert shown.format == "JPEG", photo.name
        if photo.name == "a.heic":
            assert shown.size == (128, 96)
            assert np.asarray(shown, float)[20, 20] == pytest.approx(QUARTERS[0, 0], abs=25)
    assert [photo.name for photo in project.photos()] == kinds
    project.close()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_photos_stand_upright_also_where_they_are_decoded_small(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    large = turned(orientation).resize([10 * side for side in turned(orientation).size])
    path.write_bytes(encoded(large, exif=field_exif(orientation=orientation)))
    shown = Image.open(io.BytesIO(ShownPictures(0.1, 1).photo(path, 128)))
    assert shown.size == (128, 96)
    for (row, column), colour in QUARTERS.items():
        pixel = np.asarray(shown, float)[24 + 48 * row, 32 + 64 * column]
        assert pixel == pytest.approx(colour, abs=15), (row, column)


def test_a_class_in_another_spelling_is_the_same(client, decide, project):
    """Else "Fox" would be a folder, and a class, beside "fox"."""
    bodies = [(1, "Newt "), (2, "river-otter"), (3, "River Otter"), (4, "Unknown"), (5, "No print")]
    for number, name in bodies:
        decide([number], "other", name)
    body = {"photo": 6, "class": "FOX", "reviewer": "Ann", "x1": 0, "y1": 0, "x2": 0.2, "y2": 0.2}
    assert client.post("/api/add", json=body).status_code == 200
    said = [row["class"] for row in project.counting()]
    assert said[:5] == ["newt", "river-otter", "river-otter", "unknown", "no print"]
    assert project.detections([N + 1])[0]["class"] == "fox"
