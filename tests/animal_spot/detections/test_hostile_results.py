"""Names that no terminal, table or spreadsheet shall obey, and files that never end."""

import csv
import json
import os

import pandas as pd
import pytest

from animal_spot import evaluate
from animal_spot.model_files.model_file import save_model
from tests.helpers.prediction import make_content, predict_into, visible, write_sound
from tests.helpers.report_page import ReportPage
from tests.helpers.results import log_text, write_csv, write_parquet

CLASSES = {"=1+1": 0, "a-b": 1, "noise": 2, "$x_{$": 3}
LATIN = os.fsdecode(b"r\xe9c")  # bytes that are not UTF-8
STEMS = [LATIN, "=2+5", "-dash", "a\nb", "\x1b[31mred", "tab\there"]
posix = pytest.mark.skipif(os.name == "nt", reason="names that Windows does not allow")


def run_evaluate(folder, *options, status=0):
    out = folder.parent / "tables"
    arguments = ["--prediction_dir", str(folder), "--output_dir", str(out), *map(str, options)]
    assert evaluate.main(arguments) == status
    return out


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """Results of recordings with such names, by a model with such classes."""
    base = tmp_path_factory.mktemp("hostile")
    save_model(make_content(CLASSES, seed=1), base / "m.pk")
    (base / "in").mkdir()
    for number, stem in enumerate(STEMS):
        os.rename(write_sound(base / "plain.wav", 0.8, number), base / "in" / f"{stem}.wav")
    predict_into(
        *(base / "m.pk", base / "in", base / "out", "--format", "log", "csv", "parquet"),
        *("raven", "audacity"),
    )
    return base


@posix
@pytest.mark.parametrize("kind", ["log", "csv", "parquet"])
def test_results_of_such_names_are_evaluated_and_scored(predicted, kind, tmp_path, capfd):
    results, truth = tmp_path / "results", tmp_path / "truth"
    results.mkdir()
    truth.mkdir()
    for path in (predicted / "out").glob(f"*_predict_output.{kind}"):
        (results / path.name).write_bytes(path.read_bytes())
        stem = path.name.removesuffix(f"_predict_output.{kind}")
        (truth / f"{stem}.txt").write_text("0.1\t0.3\t=1+1\n0.4\t0.5\t$x_{$\n")
    out = run_evaluate(results, "--truth_dir", truth, *([] if kind == "log" else ["--no_report"]))
    scores = json.loads((out / "scores.json").read_text())
    assert len(scores["recordings"]) == len(STEMS)
    if kind == "log":
        page = ReportPage(out / "report.html")
        assert len(page.tables["recordings"]) == len(STEMS) + 1
        assert [row[0][0] for row in page.tables["classes"][1:3]] == ["=1+1", "a-b"]
    assert scores["all_recordings"]["events"]["classes"]["=1+1"]["events"] == len(STEMS)
    for stem in STEMS:
        found = (out / f"{stem}.Table.1.selections.txt").read_bytes()
        assert found == (predicted / "out" / f"{stem}.Table.1.selections.txt").read_bytes()
    shown = "".join(capfd.readouterr())
    assert "\x1b[" not in shown
    assert "Traceback" not in shown


@posix
def test_no_cell_of_a_csv_is_a_formula(predicted):
    names = [*(predicted / "out").glob("*.csv")]
    assert len(names) == len(STEMS) + 2
    for path in names:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            for row in csv.reader(file):
                assert not [cell for cell in row if cell[:1] in tuple("=+-@\t\r")], path


@posix
def test_tables_keep_their_columns(predicted):
    for path in (predicted / "out").glob("*.Table.1.selections.txt"):
        lines = path.read_bytes().decode(errors="surrogateescape").split("\n")
        assert {line.count("\t") for line in lines[:-1]} == {lines[0].count("\t")}
        frame = pd.read_csv(path, sep="\t", encoding="latin-1")
        assert set(frame["Annotation"]) <= set(CLASSES)


@posix
def test_pipes_and_endless_files_are_passed_over(tmp_path):
    results, truth = tmp_path / "results", tmp_path / "truth"
    for folder in (results, truth):
        folder.mkdir()
    for stem in ("good", "bad"):
        path = results / f"{stem}_predict_output.log"
        path.write_text(log_text(["A", "noise"], [[0.9, 0.1]] * 3, f"{stem}.wav"))
        (truth / f"{stem}.txt").write_text("0\t0.4\tA\n")
    (truth / "bad.txt").unlink()
    os.mkfifo(truth / "bad.txt")
    os.mkfifo(results / "pipe_predict_output.csv")
    (results / "zero_predict_output.log").symlink_to("/dev/zero")
    out = run_evaluate(results, "--truth_dir", truth, "--no_report")
    assert set(json.loads((out / "scores.json").read_text())["recordings"]) == {"good"}
    assert "pipe.Table.1.selections.txt" not in visible(out)


def test_csv_of_a_name_that_is_a_formula_round_trips(tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    names = ["noise", "=target"]
    p = [[0.05, 0.95], [0.9, 0.1]]
    write_csv(results / "a_predict_output.csv", names, p, file="'-x/a.wav")
    write_parquet(results / "b_predict_output.parquet", names, p, file="-x/b.wav")
    out = run_evaluate(results)
    tables = [(out / f"{stem}.Table.1.selections.txt").read_text() for stem in "ab"]
    assert tables[0] == tables[1]
    assert "\t=target\t" in tables[0]
