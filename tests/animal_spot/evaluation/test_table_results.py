"""Predictions that wrote only tables: they are scored by what the journal says of them."""

import json

import pytest

from animal_spot.detections.annotation_tables import read_table
from tests.helpers.prediction import predict_here, write_sound
from tests.helpers.programs import run_here


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    for seed in (1, 2):
        write_sound(folder / f"r{seed}.wav", 10, seed=seed)
    return folder


def predict(models, sounds, out, *formats) -> None:
    arguments = ("--model_path", models("multi"), "--input_file", sounds, "--output_dir", out)
    assert predict_here(*arguments, "--threshold", "0.5", "--format", *formats) == 0


def scores(folder, truth, *options) -> dict:
    out = folder.parent / "scores of evaluation"
    result = run_here(
        *("evaluate", "--prediction_dir", folder, "--output_dir", out, "--truth_dir", truth),
        *("--no_report", *options),
    )
    assert result.returncode == 0, result.stderr
    return json.loads((out / "scores.json").read_text()) | {"said": result.stderr}


@pytest.mark.parametrize("kind", ["raven", "audacity"])
def test_tables_are_scored_as_the_windows_of_the_same_prediction(kind, models, sounds, tmp_path):
    predict(models, sounds, tmp_path / "tables", kind)
    predict(models, sounds, tmp_path / "windows", "csv", "raven")
    truth = tmp_path / "truth"
    truth.mkdir()
    for name in ("r1", "r2"):
        rows = read_table(tmp_path / "windows" / f"{name}.Table.1.selections.txt")[::2]
        assert rows
        lines = [f"{row.begin_s}\t{row.end_s}\t{row.name}\n" for row in rows]
        (truth / f"{name}.txt").write_text("".join([*lines, "8\t8.5\tnever heard\n"]))
    by_tables, by_windows = (scores(tmp_path / kind, truth) for kind in ("tables", "windows"))
    assert "2 recordings have only tables, whose rows are scored" in by_tables["said"]
    assert "does not know" not in by_tables["said"]
    tables, windows = (one["all_recordings"] for one in (by_tables, by_windows))
    heard = tables["events"]["classes"]
    for name, entry in heard.items():
        wanted = windows["events"]["classes"][name]
        counts = ("tp", "fp", "fn", "events", "precision", "recall")
        assert [entry[key] for key in counts] == [wanted[key] for key in counts]
    assert heard["never heard"]["fn"] == 2
    assert tables["events"]["whatever_class"]["tp"] > 0
    assert all(entry["f1"] is None for entry in tables["windows"]["classes"].values())
    hop_s = 0.5
    assert tables["duration_s"] == pytest.approx(windows["duration_s"], abs=2 * hop_s)
    assert tables["duration_s"] == 20


def test_an_edited_table_is_the_truth_of_what_was_found(models, sounds, tmp_path):
    """A person takes out a row in Raven: that is one false alarm, and nothing is missed."""
    out = tmp_path / "out"
    predict(models, sounds, out, "raven")
    table = out / "r1.Table.1.selections.txt"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(lines[:-1]))
    found = scores(out, out)
    assert list(found["recordings"]) == ["r1"]
    whole = found["all_recordings"]["events"]["whatever_class"]
    assert (whole["tp"], whole["fp"], whole["fn"]) == (len(lines) - 2, 1, 0)


def test_tables_alone_give_nothing_but_scores(models, sounds, tmp_path):
    predict(models, sounds, tmp_path / "out", "raven")
    result = run_here(
        *("evaluate", "--prediction_dir", tmp_path / "out", "--output_dir", tmp_path / "new")
    )
    assert result.returncode == 1
    assert "only tables of annotations" in result.stderr
    assert "with --truth_dir" in result.stderr
