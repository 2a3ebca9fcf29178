"""Who is let in, and that nothing outside the project can be named."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from animal_spot.reviewing.guard import LARGEST_BODY, Guard, cookie_name, digest_of
from animal_spot.reviewing.server import make_app
from animal_spot.reviewing.serving import still_good
from tests.animal_spot.reviewing.conftest import HOST, TOKEN

DECISION = {"ids": [1], "verdict": "right", "reviewer": "Ann"}


@pytest.fixture
def stranger(review):
    """A page without token."""
    app = Guard(make_app(review), TOKEN, frozenset({HOST}), 8000)
    return TestClient(app, base_url=f"http://{HOST}", follow_redirects=False)


def test_nothing_without_the_token(stranger):
    paths = (
        "/",
        "/api/project",
        "/api/queue",
        "/api/sound?recording=1&from=0&to=1",
        "/static/a.js",
    )
    for headers in ({}, {"X-Token": ""}, {"X-Token": "s3crex"}, {"Cookie": "a=b"}):
        for path in paths:
            answer = stranger.get(path, headers=headers)
            assert answer.status_code == 403
            assert "token is missing" in answer.json()["error"]
        assert stranger.post("/api/decide", json=DECISION, headers=headers).status_code == 403


def test_the_token_of_the_address_becomes_a_cookie(stranger):
    assert stranger.get("/?token=wrong").status_code == 403
    answer = stranger.get(f"/?view=grid&token={TOKEN}&class=owl")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?view=grid&class=owl")
    said = answer.headers["set-cookie"]
    assert said.startswith(f"{cookie_name(8000)}={TOKEN};")
    assert "HttpOnly" in said
    assert "SameSite=strict" in said
    assert stranger.get("/api/project").status_code == 200, "the client keeps the cookie"
    assert stranger.get(f"/api/project?token={TOKEN}", headers={"Cookie": "x=y"}).status_code == 403


def test_tokens_of_earlier_runs_count_on_this_computer_alone(review):
    for host, status in (("127.0.0.1", 200), ("localhost", 200), ("0.0.0.0", 403)):
        earlier = still_good([digest_of("earlier")], host)
        app = Guard(make_app(review), TOKEN, frozenset({HOST}), 8000, earlier)
        page = TestClient(app, base_url=f"http://{HOST}", headers={"X-Token": "earlier"})
        assert page.get("/api/project").status_code == status


OTHERS = (
    ({"Host": "evil.example:8000"}, 421),  # by DNS rebinding
    ({"Host": "127.0.0.1:9999"}, 421),
    ({"Host": "127.0.0.1"}, 421),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "https://127.0.0.1:8000"}, 403),
    ({"Origin": "http://127.0.0.1:9999"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
)


def test_other_pages_are_refused_also_with_the_token(client, project):
    for headers, status in OTHERS:
        assert client.get("/api/project", headers=headers).status_code == status, headers
        answer = client.post("/api/decide", json=DECISION, headers=headers)
        assert answer.status_code == status, headers
    assert project.counting() == []


def test_the_own_page_is_let_in(client):
    headers = {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/decide", json=DECISION, headers=headers).status_code == 200


def test_forms_of_other_pages_cannot_decide(client, project):
    """What a form can send without asking is no JSON by its type."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = client.post("/api/decide", content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 415
    assert project.counting() == []


def test_get_changes_nothing_and_other_methods_are_refused(client):
    for path in ("decide", "undo", "add", "export"):
        assert client.get(f"/api/{path}").status_code == 405
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert client.request(method, "/api/project").status_code == 405


def test_huge_requests_are_refused(client, project):
    large = {**DECISION, "note": "x" * LARGEST_BODY}
    assert client.post("/api/decide", json=large).status_code == 413
    parts = (b" " * 1024 for _ in range(LARGEST_BODY // 1024 + 1))  # without a length
    kind = {"Content-Type": "application/json"}
    assert client.post("/api/decide", content=parts, headers=kind).status_code == 413
    wrong = kind | {"Content-Length": "12x"}
    assert client.post("/api/decide", content=b"{}", headers=wrong).status_code == 413
    assert client.get("/api/queue?class=" + "x" * 9000).status_code == 414
    assert project.counting() == []


# As they are sent: a client takes plain ../ out itself.
OUTSIDE = ("%2e%2e/%2e%2e/etc/passwd", "%2fetc%2fpasswd", "..%2f..%2fetc%2fpasswd", "..%5cx", "%00")
PATHS = (
    "/static/{}",
    "/api/sound?recording={}&from=0&to=1",
    "/api/spectrogram?recording={}&from=0&to=1",
    "/api/detection/{}",
    "/api/rows?ids={}",
    "/api/near?recording={}&from=0&to=1",
    "/api/queue?recording={}",
    "/api/queue?order={}",
    "/api/queue?state={}",
    "/api/queue?from={}",
    "/api/sound?recording=1&from={}&to=1",
)


def test_no_path_leads_outside(client):
    for path in PATHS:
        for text in OUTSIDE:
            answer = client.get(path.format(text))
            assert answer.status_code in (400, 404), (path, text)
            assert list(answer.json()) == ["error"]


def test_no_source_of_the_program_is_given(client):
    for name in ("server.py", "__init__.py", "%2e%2e", "index.html%2f..%2f..%2fserver.py"):
        assert client.get(f"/static/{name}").status_code == 404


def test_exports_stay_below_the_project(client, decide, tmp_path):
    (tmp_path / "link").symlink_to("/tmp")
    before = {path.name for path in tmp_path.parent.iterdir()}
    decide([1], "right")
    targets = ("../../x", "/etc/x", "..", "a/../../b", "link/x", "review.sqlite", "a\nb", "x" * 300)
    for target in (*targets, "predictions", "predictions/x", "recordings"):
        answer = client.post("/api/export", json={"kind": "csv", "folder": target})
        assert answer.status_code == 400, target
    assert {path.name for path in tmp_path.parent.iterdir()} == before


def test_what_a_browser_is_told(client):
    headers = client.get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy.replace("'self'", "")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_names_with_html_stay_text(client, decide):
    name = "<img src=x onerror=alert(1)>"
    decide(
        [1],
        "other",
        reviewer="<b>Ann</b>",
        note="</script><script>alert(1)</script>",
        **{"class": name},
    )
    answer = client.get("/api/detection/1")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["decisions"][0]["class"] == name
    assert name in [one["name"] for one in client.get("/api/project").json()["classes"]]
