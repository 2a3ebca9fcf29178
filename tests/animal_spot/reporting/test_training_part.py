"""The part of a report that tells of a training: what the page says is what the file says."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from animal_spot.reporting.methods import CITATION
from tests.helpers.places import ROOT
from tests.helpers.programs import run_here
from tests.helpers.report_html import read_page
from tests.helpers.run_results import partition, training, write_results

NAMES = ["cow", "fox", "sea"]
TEST = [[7, 2, 0], [1, 11, 1], [0, 0, 5]]


def page_of(folder, *flags):
    made = run_here("report", folder, *flags)
    assert made.returncode == 0, made.stderr
    return read_page(folder / "report.html")


def close(found, expected):
    """Whether a number of a page, which is written with 17 digits, is that of the file."""
    return found == pytest.approx(expected, rel=1e-15)


def test_accuracy_and_confusion_are_those_of_the_file(tmp_path):
    content = training(NAMES, TEST)
    page = page_of(write_results(tmp_path, content))
    test = content["partitions"]["test"]
    rows = [row for row in page.tables["test_classes"] if row]
    for row, entry in zip(rows, test["classes"], strict=False):
        assert row[:3] == [entry["class"], entry["clips"], entry["correct"]]
        assert close(row[3], entry["accuracy"])
        assert close(row[4], entry["interval_95"][0])
    # 23 of 27 clips: 85.2 %, worked by hand
    assert rows[3][0] == "all clips"
    assert rows[3][1:3] == [27, 23]
    assert close(rows[3][3], 23 / 27)
    assert close(rows[4][3], (7 / 9 + 11 / 13 + 1) / 3)
    assert [row[:3] for row in page.tables["test_confused"] if row] == [
        ["cow", "fox", 2],
        ["fox", "cow", 1],
        ["fox", "sea", 1],
    ]
    assert close(page.tables["test_confused"][1][3], 2 / 9)
    assert "23 of 27 test clips are named right: 85.2 %" in page.text
    assert page.shown["test_classes"][1][3:] == ["77.8 %", "65.4 to 82.8 %"]
    assert page.pictures == ["test_accuracy", "test_confusion"]
    assert len(page.tables["val_classes"]) == len(page.tables["test_classes"])
    for ending in ("svg", "png"):
        assert (tmp_path / "report_figures" / f"test_confusion.{ending}").stat().st_size > 1000


def test_old_runs_lack_what_they_never_said(tmp_path):
    content = training(NAMES, TEST)
    content["partitions"] = {"test": partition(NAMES, TEST, probability=None)}
    for key in ("precision", "versions", "data", "model_digest", "warnings", "noise_class"):
        del content[key]
    for key in ("tune_decoder", "labels", "fill_holes"):  # settings that came later
        del content["settings"][key]
    page = page_of(write_results(tmp_path, content))
    assert "does not say how many training clips each class has" in page.text
    assert "does not say how sure the network was" in page.text
    assert "does not say which right answers" in page.text
    assert [row[3] for row in page.shown["wrong_clips"] if row] == ["–"] * 4
    assert "Every 2 epochs it was validated" in page.text


def test_new_runs_say_recordings_sites_and_surest_clips(tmp_path):
    data = tmp_path / "clips"
    data.mkdir()
    (data / "labels.csv").write_text("file,label,site\na.wav,cow,North\nb.wav,fox,\nc.wav,sea,N2\n")
    content = training(NAMES, TEST, data_dir=str(data))
    content["split"] = "ab" * 16
    content["tapes"] = {"train": 31, "val": 4, "test": None}
    content["classes_of_clips"] = {
        part: [{"class": n, "clips": 10 + i, "tapes": 5 + i} for i, n in enumerate(NAMES)]
        for part in ("train", "val", "test")
    }
    best = {"file": "cow-y_1_2020_T_0_1.wav", "true": "cow", "predicted": "cow"}
    content["partitions"]["test"]["surest_clips"] = [best | {"probability": 0.987654}]
    page = page_of(write_results(tmp_path / "run", content))
    assert [row for row in page.tables["clips"] if row] == [
        ["cow", 10, 5, 10, 5, 10, 5],
        ["fox", 11, 6, 11, 6, 11, 6],
        ["sea", 12, 7, 12, 7, 12, 7],
        ["all", 33, 31, 33, 4, 33, "–"],
    ]
    assert page.tables["sites"][1:] == [["N2", 1], ["North", 1], ["not known", 1]]
    assert "ab" * 16 in page.text
    assert "cow-y_1_2020_T_0_1.wav" in page.text
    assert "answer cow: 98.8 %" in page.text


def test_the_surest_mistake_comes_first(tmp_path):
    content = training(NAMES, TEST)
    wrong = content["partitions"]["test"]["wrong_clips"]
    for clip, probability in zip(wrong, (0.5, 0.9, 0.7, 0.6), strict=True):
        clip["probability"] = probability
    page = page_of(write_results(tmp_path, content), "--examples", "1")
    assert [row[3] for row in page.tables["wrong_clips"] if row] == [0.9, 0.7, 0.6, 0.5]
    heard = page.text[page.text.index("Wrong answers") : page.text.index("All wrong answers")]
    assert heard.index("90.0 %") < heard.index("70.0 %")
    assert "60.0 %" not in heard  # twice one example


def test_names_stay_text(tmp_path):
    names = ["<b>cow</b>", "a&b", "</script><script>alert(1)</script>"]
    content = training(names, TEST)
    content["warnings"] = ["<img src=x onerror=alert(1)> is not as meant"]
    page = page_of(write_results(tmp_path, content))
    assert [row[0] for row in page.shown["test_classes"] if row][:3] == names
    assert page.scripts == 1
    assert page.warnings[0].endswith("<img src=x onerror=alert(1)> is not as meant")


@pytest.mark.parametrize("n", [2, 60])
def test_few_and_many_classes(tmp_path, n):
    names = [f"class{i:02d}" for i in range(n)]
    counts = np.eye(n, dtype=int) * 12 + np.eye(n, k=1, dtype=int)
    page = page_of(write_results(tmp_path, training(names, counts)), "--examples", "0")
    assert len([row for row in page.tables["test_classes"] if row]) == n + 2
    assert ("test_confusion" in page.pictures) == (n < 40)  # which nobody could read
    assert page.n_audio == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda c: c["partitions"]["test"].pop("classes"), "test.classes", id="lacks"),
        pytest.param(
            lambda c: c["partitions"]["test"].update(accuracy=1.5), "not in 0..1", id="bounds"
        ),
        pytest.param(
            lambda c: c["partitions"]["test"].update(confusion_matrix=[[1]]),
            "is not of 3 classes",
            id="shape",
        ),
        pytest.param(lambda c: c.update(classes=["cow"]), "classes", id="type"),
        pytest.param(lambda c: c.update(warnings=[7]), "warnings", id="warnings"),
    ],
)
def test_damaged_results_are_named(tmp_path, change, said):
    content = training(NAMES, TEST)
    change(content)
    made = run_here("report", write_results(tmp_path, content))
    assert made.returncode == 1
    assert f"{tmp_path / 'results.json'} is damaged" in made.stderr
    assert said in made.stderr
    assert not (tmp_path / "report.html").exists()


def test_settings_that_cannot_be_meant_leave_the_rest_of_the_page(tmp_path):
    content = training(NAMES, TEST)
    content["settings"]["lr"] = "much"
    page = page_of(write_results(tmp_path, content))
    assert "cannot be put into words" in page.text
    assert "much" in [row[1] for row in page.shown["settings"] if row]


def test_calibration_and_decoder_are_those_of_the_file(tmp_path):
    content = training(NAMES, TEST)
    bins = [
        {"low": i / 5, "high": (i + 1) / 5, "clips": i, "confidence": 0.1, "accuracy": 0.2}
        for i in range(5)
    ]
    judged = {"loss": 0.4321, "expected_calibration_error": 0.0789, "bins": bins}
    content["calibration"] = {
        "temperature": 1.4375,
        "precision": 0.9,
        "wrong_clips": 4,
        "partitions": {"val": {"before": judged, "after": judged | {"loss": 0.4}}},
        "thresholds": {
            "cow": {"threshold": 0.625, "precision": 0.91, "recall": 0.5, "clips": 9}
            | {"detections": 5, "reason": None},
            "fox": {"threshold": None, "precision": None, "recall": None, "clips": 3}
            | {"detections": 0, "reason": "too few detections"},
        },
    }
    content["decoder"] = {
        "start": 0.75,
        "smoothing_s": 0.5,
        "threshold": 0.25,
        "found": {"f1": 0.875, "f1_whatever_class": 0.9, "recall_whatever_class": 0.8}
        | {"false_per_hour": 4.5, "begin_error_s": 0.171, "end_error_s": 0.126},
    }
    # A rule that finds nothing has no ends that could be off.
    nothing = {"f1": 0.0, "begin_error_s": math.nan, "end_error_s": None}
    content["decoder"]["found"]["original"] = nothing
    page = page_of(write_results(tmp_path, content))
    assert page.tables["calibration"][1] == ["validation", 0.0789, 0.0789, 0.4321, 0.4]
    assert page.tables["thresholds"][1:] == [
        ["cow", 0.625, 0.91, 0.5, 9, 5, ""],
        ["fox", "–", "–", "–", 3, 0, "too few detections"],
    ]
    assert "a temperature of 1.438" in page.text
    assert page.tables["decoder"][1] == ["tuned", 0.875, 0.9, 0.8, 4.5, 0.171, 0.126]
    assert page.shown["decoder"][2] == ["original rule", "0.00", "–", "–", "–", "–", "–"]
    assert "reliability" in page.pictures


def test_methods_say_the_rate_as_it_was_used(tmp_path):
    settings = {"batch_size": 8, "lr": 5e-6, "sr": 22050, "fmin": 200, "fmax": 9000}
    content = training(NAMES, TEST, **settings, augmentation=True, seed=17)
    page = page_of(write_results(tmp_path, content))
    methods = page.text[page.text.index("Methods, for a paper") : page.text.index("What to cite")]
    for text in (
        "Bergler et al. 2022",
        "ResNet-18",
        "from random weights",
        "22.05 kHz",
        "between 200 Hz and 9 kHz",
        "batches of 8 clips, with Adam (beta1 0.5)",
        "learning rate was 4 × 10⁻⁵ (5 × 10⁻⁶ for each clip of a batch)",
        "pitch by factors of 0.5 to 1.5",
        "level by −6 to 2 dB",
        "each clip came once in an epoch",
        "Seed 17",
        "PyTorch 2.14.1",
        "70 for training, 15 for validation, 27 for test",
    ):
        assert text in methods
    assert "https://doi.org/10.1038/s41598-022-26429-y" in page.text


def test_a_json_of_another_program_is_none_of_ours(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps({"score": 1}))
    made = run_here("report", tmp_path)
    assert made.returncode == 1
    assert "holds nothing to report on" in made.stderr


def test_what_to_cite_is_what_the_changes_say():
    text = (ROOT / "CHANGES.md").read_text(encoding="utf-8")
    said = text.split("## Citation")[1].split("## Licence")[0]
    assert " ".join(said.split()) == CITATION
