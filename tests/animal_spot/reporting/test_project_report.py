"""Reports of whole projects, of what is damaged, and of places where nothing can be written."""

import json
import re
import resource
import shutil
import sys

import pytest

from animal_spot.reporting import evaluation_part
from animal_spot.reporting.page import Picture, Section, Table, Text
from animal_spot.reporting.sources import find_sources
from animal_spot.reporting.unique_names import with_prefix
from animal_spot.reviewing.config import ReviewConfig
from animal_spot.reviewing.importing import bring_in
from animal_spot.reviewing.project import Decision, Project
from tests.helpers.evaluated import evaluate_it, write_prediction
from tests.helpers.places import SOUND
from tests.helpers.programs import run_here, run_process, run_program
from tests.helpers.report_page import ReportPage
from tests.helpers.reviewing import write_recordings, write_tables


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two evaluations and a review, some folders deep."""
    folder = tmp_path_factory.mktemp("project")
    june = write_prediction(folder / "june")
    evaluate_it(june, "--no_report")
    shutil.copytree(june / "scores", folder / "july" / "scores")
    (folder / "pond").mkdir()
    write_recordings(folder / "pond" / "recordings")
    write_tables(folder / "pond" / "tables")
    project = Project(folder / "pond" / "review.sqlite")
    recordings = (str(folder / "pond" / "recordings"),)
    tables = str(folder / "pond" / "tables")
    bring_in(project, ReviewConfig(predictions=tables, recordings=recordings))
    project.decide([(1, Decision("right"))], "Ida")
    project.close()
    return folder


@pytest.fixture
def project(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "all")


def report(*arguments, status=0):
    result = run_here("report", *arguments)
    assert "Traceback" not in result.stderr
    assert result.returncode == status, result.stderr
    return result.stderr


def lines(said, level):
    """Return the messages of a level."""
    return [line[11:] for line in said.splitlines() if line[9:10] == level]


def test_all_of_a_project_together(project):
    (project / "broken").mkdir()
    (project / "broken" / "scores.json").write_text("a list of what we heard")
    (project / "pond" / "notes.sqlite").write_text("no database")
    result = run_program("report", project, "--examples", 1)
    assert result.returncode == 0, result.stderr
    page = project / "report.html"
    top = re.findall(r"<h2[^>]*>(.*?)</h2>", page.read_text())
    assert top == [
        *("Evaluation: broken", "Evaluation: july/scores", "Evaluation: june/scores"),
        *("Review: notes.sqlite", "Review: review.sqlite"),
    ]
    broken = f"{project / 'broken' / 'scores.json'} is damaged: it is no JSON"
    notes = f"{project / 'pond' / 'notes.sqlite'} is damaged: it is no SQLite database"
    assert lines(result.stderr, "W") == [
        f"Evaluation: broken is left out of the report: {broken}",
        f"Review: notes.sqlite is left out of the report: {notes}",
    ]
    read = ReportPage(page)
    assert [text.removeprefix("Warning: ") for text in read.warnings if "left out" in text] == (
        [f"{line}." for line in lines(result.stderr, "W")]
    )
    tables = read.tables
    assert {"part2_classes", "part3_classes", "part5_verified"} <= set(tables)
    assert tables["part2_classes"] == tables["part3_classes"]
    figures = {path.stem for path in (project / "report_figures").glob("*.svg")}
    assert {"part2_confusion_events", "part3_confusion_events"} <= figures


def test_ids_in_pictures_of_two_parts_differ():
    svg = (
        '<svg><defs><clipPath id="curve-a"/></defs><g clip-path="url(#curve-a)">'
        '<use href="#curve-a"/><text>id= curve-a</text></g></svg>'
    )
    inside = [Picture("curve", "Curve", svg), Table("rows", "Rows", ("A",), [("curve-a",)])]
    section = with_prefix(Section("One", [Section("Two", inside), Text(("curve-a",))]), "part2_")
    picture, table = section.blocks[0].blocks
    assert picture.name == "part2_curve"
    assert picture.svg == (
        '<svg><defs><clipPath id="part2_curve-a"/></defs><g clip-path="url(#part2_curve-a)">'
        '<use href="#part2_curve-a"/><text>id= curve-a</text></g></svg>'
    )
    assert (table.name, table.rows) == ("part2_rows", [("curve-a",)])
    assert section.blocks[1].paragraphs == ("curve-a",)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda path: None, "{} does not exist", id="wrong-path"),
        pytest.param(lambda path: path.mkdir(), "{} holds nothing to report on", id="empty"),
        pytest.param(
            lambda path: (path.mkdir(), (path / ".completed.jsonl").write_text("")),
            "{} holds a prediction that did not come to its end",
            id="killed-prediction",
        ),
        pytest.param(
            lambda path: (path.mkdir(), (path / "scores.json").write_text("text")),
            "{}/scores.json is damaged: it is no JSON",
            id="text",
        ),
        pytest.param(
            lambda path: (path.mkdir(), (path / "review.sqlite").write_bytes(b"GIF89a")),
            "{}/review.sqlite is damaged: it is no SQLite database",
            id="no-database",
        ),
        pytest.param(
            lambda path: (
                path.mkdir(),
                (path / "scores.json").write_text('{"all_recordings": 3}'),
            ),
            "{}/scores.json is damaged: all_recordings is 3, not an object",
            id="other-json",
        ),
        pytest.param(
            lambda path: path.write_text("{}"), "{} holds nothing to report on", id="other-file"
        ),
    ],
)
def test_what_cannot_be_reported_on_is_named(tmp_path, make, message):
    place = tmp_path / "place"
    make(place)
    before = sorted(tmp_path.rglob("*"))
    (line,) = lines(report(place, status=1), "E")
    assert line.startswith(message.format(place))
    assert sorted(tmp_path.rglob("*")) == before


def test_an_edited_report_is_kept(project):
    review = project / "pond" / "review.sqlite"
    report(review, "--examples", 0)
    page = review.with_name("report.html")
    made = page.read_text()
    page.write_text(f"{made}<!-- mine -->")
    (line,) = lines(report(review, "--examples", 0, status=3), "W")
    assert line.startswith(f"{page} was edited after it was written and is left as it is")
    assert page.read_text().endswith("<!-- mine -->")
    report(review, "--examples", 0, "--replace_edited")
    assert page.read_text() == made
    assert page.with_name("report.html.bak").read_text().endswith("<!-- mine -->")


def test_the_folder_of_the_report_is_made(project, tmp_path):
    page = tmp_path / "new" / "folder" / "mine.html"
    report(project / "pond" / "review.sqlite", "--output", page, "--examples", 0)
    assert page.is_file()
    assert (tmp_path / "new" / "folder" / "mine_figures" / "score_curves.png").is_file()
    said = report(project / "june", project / "july", status=1)
    assert "--output is needed" in said


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(project):
    pond = project / "pond"
    result = run_process(
        *(sys.executable, SOUND / "report.py", pond, "--examples", "0"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)),
    )
    assert result.returncode == 1
    (line,) = lines(result.stderr, "E")
    assert line.startswith("File too large: ")
    assert str(pond) in line
    assert "Traceback" not in result.stderr
    assert not (pond / "report.html").exists()
    assert not list(pond.rglob("*.tmp"))


def test_the_report_of_an_evaluation_never_fails_it(project, monkeypatch, tmp_path):
    june = project / "june"
    for error in (OSError(28, "No space left on device", "x"), RuntimeError("a fault")):

        def fails(*_, error=error):
            raise error

        monkeypatch.setattr(evaluation_part, "sections", fails)
        said = run_here(
            *("evaluate", "--prediction_dir", june / "found", "--truth_dir", june / "truth"),
            *("--output_dir", tmp_path / "out"),
        )
        assert said.returncode == 0
        assert len([line for line in lines(said.stderr, "W") if "no report" in line]) == 1
        assert "Traceback" not in said.stderr
    assert not (tmp_path / "out" / "report.html").exists()


def test_without_truth_there_is_no_report_and_no_word_of_one(project, tmp_path):
    found = project / "june" / "found"
    said = run_here("evaluate", "--prediction_dir", found, "--output_dir", tmp_path / "out")
    assert said.returncode == 0
    assert "report" not in said.stderr
    assert not (tmp_path / "out" / "report.html").exists()


def test_stopping_leaves_no_report(project, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation_part, "sections", stopped)
    scores = project / "june" / "scores"
    (line,) = lines(report(scores, status=130), "W")
    assert line == "stopped at once: files that were written are whole"
    assert not (scores / "report.html").exists()


def test_folders_that_cannot_be_read_are_named(project, monkeypatch):
    import os

    whole = os.scandir

    def scandir(path):
        if str(path).endswith("july"):
            raise PermissionError(13, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(os, "scandir", scandir)
    sources = find_sources([project])
    assert [(source.kind, source.path.name) for source in sources] == (
        [("evaluation", "scores"), ("review", "review.sqlite"), ("folder", "july")]
    )
    assert sources[-1].problem == f"{project / 'july'} cannot be read: Permission denied"
    with pytest.raises(PermissionError):
        find_sources([project / "july"])


def test_rounds_of_retraining_belong_to_their_review(project):
    for name in ("review_retrained", "other_retrained"):
        round_ = project / "pond" / name / "round_1"
        round_.mkdir(parents=True)
        (round_ / "summary.csv").write_text("file,status,duration_s\n")
        (round_ / "results.json").write_text('{"partitions": {}}')
    found = {source.path for source in find_sources([project / "pond"])}
    pond = project / "pond"
    assert found == {pond / "review.sqlite", pond / "other_retrained" / "round_1"}


def test_results_of_the_other_half_are_not_reported_on(tmp_path):
    scores = tmp_path / "footprints"
    scores.mkdir()
    (scores / "scores.json").write_text(json.dumps({"accuracy": 0.9}))
    (scores / "results.json").write_text(json.dumps({"classes": []}))
    (scores / "summary.csv").write_text("name,n\n")
    assert "holds nothing to report on" in report(tmp_path, status=1)
