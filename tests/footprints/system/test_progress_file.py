"""Progress as lines for programs."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from footprints.system import progress_file
from footprints.system.errors import UserError
from footprints.system.progress_file import photo_progress, refuse_other_file


def test_rate_and_seconds_left_follow_from_the_clock(tmp_path, monkeypatch):
    seconds = iter([100.0, 100.0, 100.0, 112.0, 112.0, 112.0, 120.0, 120.0])
    monkeypatch.setattr(progress_file.time, "monotonic", lambda: next(seconds))
    path = tmp_path / "progress.jsonl"
    path.write_text('{"photos_total": 3}\n')
    with photo_progress(path, 30) as noted:
        noted.photo(failed=True)  # at 112 s
    first, earlier, middle, last = map(json.loads, path.read_text().splitlines())
    assert first == {"photos_total": 3}, "lines are appended"
    assert (earlier["photos_done"], earlier["seconds_left"]) == (0, None)
    assert (middle["photos_failed"], middle["photos_per_s"]) == (1, round(1 / 12, 2))
    assert middle["seconds_left"] == 29 * 12
    assert (last["state"], last["photos_total"]) == ("stopped", 30)
    assert datetime.fromisoformat(last["time"]).tzinfo is not None


def test_all_reached_is_done(tmp_path):
    path = tmp_path / "progress.jsonl"
    with photo_progress(path, 2) as noted:
        noted.photo(failed=False)
        noted.photo(failed=True)
    assert json.loads(path.read_text().splitlines()[-1])["state"] == "done"


def test_somebodys_file_is_left_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("lynx seen at the ford")
    with pytest.raises(UserError, match="holds something else"):
        refuse_other_file(path)
    with pytest.raises(UserError, match="wants a file"):
        refuse_other_file(tmp_path)
    refuse_other_file(tmp_path / "new.jsonl")
