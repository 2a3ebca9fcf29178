"""What the server answers to a page."""

from __future__ import annotations

import io
import sqlite3
import threading

import numpy as np
import soundfile as sf
from PIL import Image


def test_project_and_recordings(client, decide):
    decide([1, 2], "right")
    decide([3], "other", **{"class": "newt"})
    found = client.get("/api/project").json()
    assert found["totals"]["detections"] == 6
    assert found["totals"]["states"] == {
        **{"open": 3, "right": 2, "wrong": 0, "other": 1, "unsure": 0, "skip": 0}
    }
    counts = {one["name"]: one["n"] for one in found["classes"]}
    assert counts == {"newt": 0, "fox": 2, "owl": 4, "noise": 0}
    assert found["starts"] == ["2026-05-01T21:30:00.000", "2026-05-02T12:00:00.000"]
    assert (found["reviewer"], found["reviewers"]) == ("Ann", {"Ann": 3})
    names = [one["name"] for one in client.get("/api/recordings").json()]
    assert names[0] == "pond_20260501_213000.wav"
    assert all("/" not in name for name in names), "no path of this computer"


def test_a_queue_page_by_page(client, decide):
    first = client.get("/api/queue?order=time&limit=4").json()
    rest = client.get("/api/queue?order=time&limit=4&offset=4").json()
    assert [row["id"] for row in first["rows"] + rest["rows"]] == [1, 2, 3, 4, 5, 6]
    decide([2], "wrong")
    still_open = client.get("/api/queue?order=time&state=open&limit=2&around=4").json()
    assert (still_open["total"], still_open["of"], still_open["left"]) == (5, 6, 5)
    assert [row["id"] for row in still_open["rows"]] == [1, 3]
    assert still_open["at"] == 2


def test_a_detection_with_its_neighbours_and_clock(client, decide):
    decide([2], "right", begin_s=3.9, note="faint")
    found = client.get("/api/detection/2").json()
    assert found["time"]["end_s"] == "2026-05-01T21:30:05.000"
    assert found["begin_s"] == 3.9
    assert [one["id"] for one in found["neighbours"]] == [1, 3]
    assert found["decisions"][0]["note"] == "faint"
    assert client.get("/api/detection/99").status_code == 404


def test_decide_undo_add(client, decide):
    assert decide([1, 2], "wrong")["states"][0] == {"id": 1, "state": "wrong", "own": "wrong"}
    undone = client.post("/api/undo", json={"reviewer": "Ann"}).json()
    assert [one["state"] for one in undone["states"]] == ["open", "open"]
    added = client.post(
        "/api/add",
        json={"recording": 3, "begin_s": 1.5, "end_s": 2, "class": "newt", "reviewer": "Ann"},
    ).json()
    assert client.get(f"/api/detection/{added['id']}").json()["source"] == "missed"
    near = client.get("/api/near?recording=3&from=0&to=5.5").json()["rows"]
    assert [row["id"] for row in near] == [added["id"], 6]


def test_the_same_class_is_right_and_noise_is_wrong(client, decide):
    assert decide([1], "other", **{"class": "owl"})["states"][0]["state"] == "right"
    assert decide([1], "other", **{"class": "Noise"})["states"][0]["state"] == "wrong"


WRONG = (
    ({"verdict": "maybe"}, "verdict must be one of"),
    ({"verdict": "other"}, "class is missing"),
    ({"verdict": "other", "class": "a\nb"}, "class must be a text of characters"),
    ({"verdict": "other", "class": "x" * 101}, "at most 100 characters"),
    ({"ids": []}, "ids must be a list"),
    ({"ids": ["1"]}, "ids must be whole numbers"),
    ({"ids": [1, 99]}, "no such detection"),
    ({"reviewer": " "}, "reviewer must be a text"),
    ({"begin_s": 3}, "end_s must be after begin_s"),
    ({"begin_s": -1}, "begin_s must not be below 0"),
    ({"end_s": 99}, "end_s must be within the recording, up to 12.000"),
    ({"end_s": "Infinity"}, "end_s must be a number"),
    ({"low_hz": 5000}, "low_hz must be below high_hz"),
    ({"note": 3}, "note must be a text"),
    ({"low_hz": -1}, "low_hz must be 0 to 1000000 Hz"),
    ({"high_hz": 1e11}, "high_hz must be 0 to 1000000 Hz"),
    ({"begin_s": 1.5, "end_s": 1.5 + 1e-10}, "a call must last 0.0001 s at least"),
)


def test_wrong_decisions_are_refused_in_one_line(client, project):
    for body, says in WRONG:
        given = {"ids": [1], "verdict": "right", "reviewer": "Ann"} | body
        answer = client.post("/api/decide", json=given)
        assert answer.status_code == 400, body
        assert says in answer.json()["error"]
    assert project.counting() == []


def test_wrong_stretches_are_not_added(client, project):
    for more, says in (
        ({"end_s": 1 + 1e-10}, "a call must last 0.0001 s at least"),
        ({"end_s": 2, "high_hz": 1e11}, "high_hz must be 0 to 1000000 Hz"),
    ):
        body = {"recording": 1, "begin_s": 1, "class": "owl", "reviewer": "Ann", **more}
        answer = client.post("/api/add", json=body)
        assert (answer.status_code, answer.json()["error"]) == (400, says)
    assert project.counting() == []


def test_numbers_that_are_too_large_are_refused(client):
    for asked, says in (
        ("spectrogram?recording=1&from=0&to=1e12", "a picture may show 900 s at most"),
        ("spectrogram?recording=1&from=0&to=1&gain=1e9", "gain must be -120 to 120 dB"),
        ("sound?recording=1&from=0&to=1&gain=1e9", "gain must be -120 to 120 dB"),
    ):
        answer = client.get(f"/api/{asked}")
        assert (answer.status_code, answer.json()["error"]) == (400, says)


def test_bodies_that_are_no_object(client):
    for content in (b"", b"[]", b"{", b'{"ids":' + b"[" * 30_000, b"\xff"):
        kind = {"Content-Type": "application/json"}
        assert client.post("/api/decide", content=content, headers=kind).status_code == 400


def test_sound_and_parts_of_it(client, folder):
    whole = client.get("/api/sound?recording=1&from=1&to=3")
    assert whole.headers["content-type"] == "audio/wav"
    samples, rate = sf.read(io.BytesIO(whole.content))
    expected, _ = sf.read(folder / "recordings" / "pond_20260501_213000.wav")
    assert np.abs(samples - expected[rate : 3 * rate]).max() < 1e-4
    n = len(whole.content)
    for wanted, part in (
        ("bytes=0-99", slice(0, 100)),
        ("bytes=100-", slice(100, n)),
        ("bytes=-44", slice(n - 44, n)),
        (f"bytes=10-{n + 50}", slice(10, n)),
    ):
        answer = client.get("/api/sound?recording=1&from=1&to=3", headers={"Range": wanted})
        assert answer.status_code == 206
        assert answer.content == whole.content[part]
        last = part.stop - 1
        assert answer.headers["content-range"] == f"bytes {part.start}-{last}/{n}"
    beyond = client.get("/api/sound?recording=1&from=1&to=3", headers={"Range": f"bytes={n}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{n}")


def test_picture_says_its_axes(client):
    answer = client.get("/api/spectrogram?recording=1&from=0&to=4&width=200&height=80&high=6000")
    assert Image.open(io.BytesIO(answer.content)).size == (200, 80)
    said = [answer.headers[f"x-{key}"] for key in ("from-s", "to-s", "low-hz", "high-hz", "rate")]
    assert said == ["0", "4", "0", "6000", "16000"]


def test_a_recording_that_is_gone_meanwhile(client, folder):
    (folder / "recordings" / "wood_20260502_120000.wav").unlink()
    answer = client.get("/api/sound?recording=3&from=1&to=3")
    assert answer.status_code == 404
    assert "No such file" in answer.json()["error"]


def test_statistics_and_agreement(client, decide):
    decide([1, 2, 5, 6], "right")
    decide([1, 2], "right", reviewer="Ben")
    decide([5], "wrong", reviewer="Ben")
    owl = client.get("/api/statistics?class=owl").json()["classes"]
    assert [(one["class"], one["reviewed"], one["right"], one["unsure"]) for one in owl] == [
        ("owl", 3, 3, 1)
    ]
    assert owl[0]["precision"]["value"] == 1.0
    pair = client.get("/api/agreement").json()["pairs"][0]
    assert (pair["both"], pair["same"], pair["differ"]) == (3, 2, [5])


def test_what_comes_later_says_so(client):
    for path in ("similar?id=1", "retrain"):
        answer = client.get(f"/api/{path}")
        assert answer.status_code in (200, 404, 501)
        assert answer.status_code == 200 or answer.json()["error"]


def test_a_file_that_cannot_be_written_is_no_fault(client, project, decide, monkeypatch):
    def read_only(path, *_, **more):
        db = connect(path, *_, **more)
        db.execute("PRAGMA query_only = ON")
        return db

    decide([1], "right")
    connect = sqlite3.connect
    project.close()
    project._of_thread = threading.local()
    monkeypatch.setattr(sqlite3, "connect", read_only)
    body = {"ids": [2], "verdict": "right", "reviewer": "Ann"}
    for path in ("decide", "undo"):
        answer = client.post(f"/api/{path}", json=body)
        assert answer.status_code == 503
        assert "review.sqlite cannot be written: attempt to write a readonly" in answer.text
    monkeypatch.undo()
    project.path.unlink()
    answer = client.post("/api/decide", json=body)
    assert answer.status_code == 503
    assert "review.sqlite was moved, removed or replaced" in answer.json()["error"]


def test_a_fault_is_one_line_in_the_terminal(client, review, monkeypatch, caplog):
    monkeypatch.setattr(review.queue, "totals", lambda: 1 / 0)
    answer = client.get("/api/project")
    assert answer.status_code == 500
    said = "a fault of this program: ZeroDivisionError: division by zero"
    assert answer.json()["error"] == said
    assert [record.getMessage() for record in caplog.records] == [said]
