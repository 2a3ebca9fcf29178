"""What the command refuses, and what it prints."""

from __future__ import annotations

import pytest

from footprints import review
from footprints.reviewing.project import Decision
from footprints.system.errors import UserError


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--photos", "nowhere"], "nowhere: no such photo or folder"),
        (["--predictions", "photos"], "no predictions.json is here"),
        (["--predictions", "answers", "--project", "answers/x.sqlite"], "nothing is changed"),
        (["--photos", "empty"], "no photo is in this folder"),
        (["--photos", "photos", "--project", "text"], "not a database"),
        (["--photos", "photos", "--project", "empty"], "is a folder"),
        (["--photos", "photos", "--host", "256.0.0.1"], "cannot listen"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line(folder, monkeypatch, flags, line):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    (folder / "text").write_text("no database" * 100)
    with pytest.raises(UserError, match=line) as caught:
        review.main(["--no_browser", *flags])
    assert "\n" not in str(caught.value)
    assert (folder / "text").read_text() == "no database" * 100
    if line != "cannot listen":
        assert not list(folder.rglob("*.sqlite"))


def test_a_damaged_file_is_said_in_a_line(project):
    project.close()
    with open(project.path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * (project.path.stat().st_size - 4096))
    with pytest.raises(UserError, match=r"is damaged .* put back a copy"):
        review.main(["--no_browser", "--project", str(project.path)])


def test_nothing_to_review_is_a_usage_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        review.main([])
    assert caught.value.code == 2
    assert "what shall be reviewed?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_statistics(project, capsys):
    project.decide([(number, Decision("right")) for number in range(1, 21)], "Ann")
    assert review.main(["--project", str(project.path), "--statistics"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "true prints (95 %)" in said[0]
    assert any(line.startswith("fox") and "100.0% (100.0% to 100.0%)" in line for line in said)
