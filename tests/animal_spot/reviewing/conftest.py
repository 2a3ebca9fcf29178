from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from animal_spot.reviewing.answers import Review
from animal_spot.reviewing.config import ReviewConfig
from animal_spot.reviewing.guard import Guard
from animal_spot.reviewing.importing import bring_in
from animal_spot.reviewing.project import Project
from animal_spot.reviewing.server import make_app
from tests.helpers import reviewing

TOKEN, HOST = "s3cret", "127.0.0.1:8000"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Folder with ``recordings`` and ``predictions``."""
    reviewing.write_recordings(tmp_path / "recordings")
    reviewing.write_tables(tmp_path / "predictions")
    return tmp_path


@pytest.fixture
def open_project(folder) -> Callable[..., Project]:
    """Make or open a project in a folder."""
    every = []

    def opened(**settings) -> Project:
        project = Project(folder / "review.sqlite")
        every.append(project)
        given = {
            "predictions": str(folder / "predictions"),
            "recordings": (str(folder / "recordings"),),
        }
        bring_in(project, ReviewConfig(**(given | settings)))
        return project

    yield opened
    for project in every:
        project.close()


@pytest.fixture
def project(open_project) -> Project:
    return open_project()


@pytest.fixture
def review(project) -> Review:
    return Review(project, "Ann", ("newt",))


@pytest.fixture
def client(review):
    """A page that has the token."""
    with TestClient(
        Guard(make_app(review), TOKEN, frozenset({HOST}), 8000),
        base_url=f"http://{HOST}",
        headers={"X-Token": TOKEN},
    ) as client:
        yield client


@pytest.fixture
def decide(client) -> Callable[..., dict]:
    """Decide as a page does; must go well."""

    def decided(ids, verdict, reviewer="Ann", **more) -> dict:
        body = {"ids": ids, "verdict": verdict, "reviewer": reviewer, **more}
        answer = client.post("/api/decide", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return decided
