from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from footprints.reviewing.answers import Review
from footprints.reviewing.guard import Guard
from footprints.reviewing.importing import bring_in
from footprints.reviewing.project import Project
from footprints.reviewing.server import make_app
from tests.helpers.photo_review import write_photos, write_predictions

TOKEN, HOST = "s3cret", "127.0.0.1:8000"
N = 20  # photos


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """Photos, which nobody changes."""
    return write_photos(tmp_path_factory.mktemp("drawn"), N)


@pytest.fixture
def folder(tmp_path, drawn) -> Path:
    """Folder with ``photos`` and the ``answers`` to them."""
    shutil.copytree(drawn, tmp_path / "photos")
    write_predictions(tmp_path / "answers", tmp_path / "photos", N)
    return tmp_path


@pytest.fixture
def open_project(folder) -> Callable[..., Project]:
    """Make or open a project in a folder."""
    every = []

    def opened(predictions="answers", photos=None) -> Project:
        project = Project(folder / "review.sqlite")
        every.append(project)
        given = [None if name is None else folder / name for name in (predictions, photos)]
        bring_in(project, *given)
        return project

    yield opened
    for project in every:
        project.close()


@pytest.fixture
def project(open_project) -> Project:
    return open_project()


@pytest.fixture
def client(project):
    """A page that has the token."""
    app = Guard(make_app(Review(project, "Ann", ("newt",))), TOKEN, frozenset({HOST}), 8000)
    with TestClient(app, base_url=f"http://{HOST}", headers={"X-Token": TOKEN}) as client:
        yield client


@pytest.fixture
def decide(client) -> Callable[..., dict]:
    """Decide as a page does; must go well."""

    def decided(ids, verdict, class_name=None, reviewer="Ann", **more) -> dict:
        body = {"ids": ids, "verdict": verdict, "reviewer": reviewer, **more}
        body |= {} if class_name is None else {"class": class_name}
        answer = client.post("/api/decide", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return decided
