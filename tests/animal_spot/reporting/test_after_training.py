"""What a training leaves behind for people: a report and a card, which are never its end."""

from __future__ import annotations

import json

import pytest

from tests.helpers.clips import make_corpus
from tests.helpers.programs import run_here, run_program
from tests.helpers.report_html import read_page
from tests.helpers.training import SMALL, TAPES, folders

RUN = (*SMALL, "--max_train_epochs", "2", "--epochs_per_eval", "1", "--num_workers", "0")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    base = tmp_path_factory.mktemp("trained")
    data = base / "data"
    make_corpus(data, dict.fromkeys(("A", "B", "noise"), TAPES))
    return base


def command(place, run):
    flags = [flag for flag in folders(place / run) if flag != "--no_report"]
    return ["--data_dir", str(place / "data"), *flags, *RUN]


@pytest.fixture(scope="module")
def trained(place):
    """The command as a process."""
    done = run_program("main", *command(place, "run"))
    assert done.returncode == 0, done.stderr
    return done


def test_the_last_lines_name_card_and_report(trained, place):
    model = place / "run" / "model"
    lines = trained.stderr.strip().splitlines()
    assert lines[-2].endswith(f"model card: {model / 'MODEL_CARD.md'}")
    assert lines[-1].endswith(f"report: {model / 'report.html'}")
    assert f"report: {model / 'report.html'}" in (place / "run/log/TRAIN.log").read_text()


def test_page_says_what_the_results_say(trained, place):
    model = place / "run" / "model"
    results = json.loads((model / "results.json").read_text())
    page = read_page(model / "report.html")
    test = results["partitions"]["test"]
    rows = [row for row in page.tables["test_classes"] if row]
    assert [row[1:3] for row in rows[:3]] == [[e["clips"], e["correct"]] for e in test["classes"]]
    assert rows[3][3] == pytest.approx(test["accuracy"], rel=1e-15)
    counts = results["classes_of_clips"]["train"]
    assert sum(row["clips"] for row in counts) == results["clips"]["train"]
    assert [row[1:3] for row in page.tables["clips"] if row][:3] == [
        [row["clips"], row["tapes"]] for row in counts
    ]
    # Each tape has a clip of each class, and is in one part.
    assert sum(results["tapes"].values()) == len(TAPES)
    assert "learning" in page.pictures  # TensorBoard's folder is that of results.json
    judged = [*test["wrong_clips"], *test["surest_clips"]]
    assert all(1 / 3 <= clip["probability"] <= 1 for clip in judged)
    assert results["split"] in (model / "MODEL_CARD.md").read_text()


def test_a_finished_run_that_is_repeated_leaves_all_as_it_is(trained, place):
    model = place / "run" / "model"
    before = {p: p.stat().st_mtime_ns for p in model.rglob("*") if p.is_file()}
    again = run_here("main", *command(place, "run"))
    assert again.returncode == 0
    assert "finished already" in again.stderr
    assert {p: p.stat().st_mtime_ns for p in model.rglob("*") if p.is_file()} == before


def test_without_a_report_the_model_is_the_same(trained, place):
    done = run_here("main", *command(place, "plain"), "--no_report")
    assert done.returncode == 0, done.stderr
    model = place / "plain" / "model"
    assert sorted(p.name for p in model.iterdir()) == ["ANIMAL-SPOT.pk", "results.json"]
    own = (place / "run" / "model" / "ANIMAL-SPOT.pk").read_bytes()
    assert (model / "ANIMAL-SPOT.pk").read_bytes() == own


def test_a_report_that_cannot_be_written_is_a_warning(place):
    model = place / "blocked" / "model"
    (model / "report.html").mkdir(parents=True)
    (model / "MODEL_CARD.md").mkdir()
    done = run_here("main", *command(place, "blocked"))
    assert done.returncode == 0, done.stderr
    assert "no report: " in done.stderr
    assert "no model card of" in done.stderr
    assert (model / "ANIMAL-SPOT.pk").is_file()
