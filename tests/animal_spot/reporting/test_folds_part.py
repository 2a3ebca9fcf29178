"""The part of a report that tells of a cross-validation."""

from __future__ import annotations

from tests.helpers.programs import run_here
from tests.helpers.report_html import read_page
from tests.helpers.run_results import training, write_results

NAMES = ["cow", "sea"]
COUNTS = [[5, 1], [0, 4]]


def pooled():
    single = training(NAMES, COUNTS)
    rows = single["partitions"]["test"]["classes"]
    rows[0] |= {"tapes": 4, "interval_95": [0.51, 1.0]}
    rows[1] |= {"tapes": 1, "interval_95": None}
    probabilities = {"cow": [0.8, 0.2], "sea": [0.3, 0.7]}
    answers = [("cow", "cow")] * 5 + [("cow", "sea")] + [("sea", "sea")] * 4
    return {key: single[key] for key in ("settings", "classes", "noise_class", "warnings")} | {
        "excluded_files": 2,
        "folds": [
            {"fold": k, "model": f"fold_{k}/ANIMAL-SPOT.pk", "tapes": k, "accuracy": 0.9}
            | {"clips": {"train": 4, "val": 1, "test": 5}, "macro_accuracy": 0.85}
            for k in (1, 2)
        ],
        "pooled": {
            "clips": 10,
            "tapes": 5,
            "accuracy": 0.9,
            "accuracy_interval_95": [0.6123, 1.0],
            "macro_accuracy": 0.9166,
            "macro_accuracy_interval_95": [0.7, 1.0],
            "classes": rows,
            "confusion_matrix": COUNTS,
            "most_confused": [],
        },
        "bootstrap": {"over": "tapes", "draws": 1234, "seed": 0, "interval": "percentile"},
        "clips": [
            {"file": f"c{i}.wav", "tape": f"T{i % 5}", "fold": 1, "true": t, "predicted": p}
            | {"probabilities": probabilities[p]}
            for i, (t, p) in enumerate(answers)
        ],
    }


def test_pooled_figures_are_those_of_the_file(tmp_path):
    made = run_here("report", write_results(tmp_path, pooled()), "--examples", "2")
    assert made.returncode == 0, made.stderr
    page = read_page(tmp_path / "report.html")
    assert [row for row in page.tables["all_classes"] if row] == [
        ["cow", 6, 4, 5, 5 / 6, 0.51],
        ["sea", 4, 1, 4, 1, "–"],
        ["all clips", 10, 5, 9, 0.9, 0.6123],
        ["mean of classes", "", "", "", 0.9166, 0.7],
    ]
    assert page.tables["folds"][1:] == [[1, 4, 5, 1, 0.9, 0.85], [2, 4, 5, 2, 0.9, 0.85]]
    assert page.tables["wrong_clips"][1:] == [["c5.wav", "cow", "sea", 0.7]]
    assert "bootstrap over whole recordings (1,234 draws); it has none" in page.text
    assert "2-fold cross-validation" in page.text
    assert "10 clips of 2 classes from 5 recordings" in page.text
    # Answers of 0.8 and 0.7 in bins of their own: |5 * (0.8 - 1) + 5 * (0.7 - 4 / 5)| / 10
    assert "confidence and share of right answers are apart: 15.0 %" in page.text
    assert (tmp_path / "report_figures" / "reliability.png").is_file()
    assert "9 of 10 clips are named right: 90.0 % (95 % interval 61.2 to 100.0 %)" in page.text


def test_folds_that_say_something_of_themselves(tmp_path):
    write_results(tmp_path, pooled())
    single = training(NAMES, COUNTS)
    single["decoder"] = {"start": 0.7, "found": {}}
    write_results(tmp_path / "fold_1", single)
    made = run_here("report", tmp_path)
    assert made.returncode == 0, made.stderr
    page = read_page(tmp_path / "report.html")
    assert "Of network 1 of 1" in page.text
    assert "does not say how well that went" in page.text
    assert "Cross-validation: " in page.text
    assert "test_classes" not in page.tables  # folds are no trainings of their own


def test_draws_that_are_all_alike_are_no_interval(tmp_path):
    content = pooled()
    content["pooled"]["classes"][1]["interval_95"] = [1.0, 1.0]
    write_results(tmp_path, content)
    assert run_here("report", tmp_path, "--examples", "0").returncode == 0
    page = read_page(tmp_path / "report.html")
    assert page.tables["all_classes"][2] == ["sea", 4, 1, 4, 1, "–"]
    assert "100.0 to 100.0 %" not in page.text
