"""The report of made-up results: what stands in it is what the files say."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from footprints.reporting.run import make_report, report_after
from footprints.reporting.wanted import Wanted
from footprints.system.errors import UserError
from tests.helpers import footprint_results as made_up
from tests.helpers.programs import run_python
from tests.helpers.report_page import ReportPage

CODE = """
import sys
from footprints.report import main
status = main(sys.argv[1:])
print(sorted({"tensorflow", "keras", "torch", "ultralytics"} & set(sys.modules)))
sys.exit(status)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Results of all steps, and their report, made by a process; not to be changed."""
    root = tmp_path_factory.mktemp("project")
    data = made_up.write_prepared(root / "prepared" / "real")
    made_up.write_stage(root / "models", data, "oat", weakness=None)
    made_up.write_stage(root / "models", data)
    made_up.write_detector(root / "detector")
    made_up.write_evaluation(root / "scores", data)
    made_up.write_prediction(root / "answers", root / "photos")
    done = run_python("-c", CODE, root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"report: {root / 'report.html'}", "[]"]
    return root


@pytest.fixture(scope="module")
def page(project) -> ReportPage:
    return ReportPage(project / "report.html")


def of_class(path: Path, key: str) -> list[float]:
    content = json.loads(path.read_text())
    return [row[key] for row in content.get("scores", content)["per_class"]]


@pytest.mark.parametrize("key", ["recall", "precision", "f1"])
@pytest.mark.parametrize(
    ("table", "file"),
    [
        ("stage_real_classes", "models/history_real.json"),
        ("evaluation_classes", "scores/scores.json"),
    ],
)
def test_figures_of_classes_are_those_of_the_file(project, page, table, file, key) -> None:
    shown = page.column(table, {"recall": 2, "precision": 4, "f1": 6}[key])
    assert shown == of_class(project / file, key)


def test_what_is_shown_is_the_rounded_number(page) -> None:
    texts = [text for row in page.tables["stage_real_classes"] for text, value in row if value]
    recall = page.tables["stage_real_classes"][1][2]
    assert recall[0] == f"{100 * recall[1]:.1f} %"
    assert len(texts) == 3 * 6


def test_figures_of_the_detector_are_those_of_the_file(page) -> None:
    assert page.values["mAP50"] == 0.4961
    assert page.facts["mAP50"] == "0.496"
    assert "8.4.999" in page.text


def test_answers_are_counted_as_in_the_table(project, page) -> None:
    with open(project / "answers" / "predictions.csv", encoding="utf-8") as file:
        given = [row["answer"] for row in csv.DictReader(file)]
    shown = {row[0][0]: row[1][1] for row in page.tables["prediction_answers"] if row}
    assert shown == {name: given.count(name) for name in (*made_up.CLASSES, "unknown")}
    assert page.values["share that is unknown"] == given.count("unknown") / len(given)
    assert len(page.tables["prediction_photos"]) == 1 + len(given)
    assert [row[0][0] for row in page.tables["prediction_folders"][1:]] == ["monday", "tuesday"]


def test_photos_are_counted_by_class_part_and_group(page) -> None:
    rows = [[cell[0] for cell in row] for row in page.tables["prepared_real_classes"] if row]
    assert rows == [  # two photos are a group
        ["<b>fox</b>", "8", "4", "12", "6"],
        ["bear", "12", "6", "18", "9"],
        ["wolf", "10", "5", "15", "8"],
        ["all", "30", "15", "45", "23"],
    ]


def test_warnings_are_said(page) -> None:
    said = "\n".join(page.warnings)
    for text in (
        "Weak model: 60% of 15",
        "No print was found on 1 of 9 photos",
        "1 photo could not be used",
        "Fewer than 10 training photos: <b>fox</b>",
        "rest on 31 prints",
    ):
        assert text in said


def test_names_stay_text(project) -> None:
    html = (project / "report.html").read_text(encoding="utf-8")
    assert "<b>" not in html
    assert "<script>alert" not in html
    assert html.count("<script>") == 1


def test_page_needs_nothing_else_and_is_small(project, page) -> None:
    html = (project / "report.html").read_text(encoding="utf-8")
    assert len(html) < 10_000_000
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.images)
    # A crop of each class (fox and wolf of training are not there), answers to validation crops of
    # two stages, and up to four photos of each answer.
    assert len(page.images) > 20


def test_each_figure_is_saved_for_papers(project, page) -> None:
    assert len(page.pictures) == len({*page.pictures}) == 14
    folder = project / "report_figures"
    assert {path.stem for path in folder.glob("[a-z]*")} == {*page.pictures}
    for name in page.pictures:
        with Image.open(folder / f"{name}.png") as picture:
            assert picture.width >= 1050  # a column of 89 mm at 300 dots an inch
        assert ElementTree.parse(folder / f"{name}.svg").getroot().tag.endswith("svg")


def test_a_card_lies_beside_each_model(project) -> None:
    card = (project / "models" / "MODEL_CARD.md").read_text(encoding="utf-8")
    for name in ("mobilenet_oat.keras", "mobilenet_real.keras"):
        assert f"## {name}" in card
        digest = hashlib.sha256((project / "models" / name).read_bytes()).hexdigest()
        assert digest in card
    scores = json.loads((project / "models" / "history_real.json").read_text())["scores"]
    low, high = scores["accuracy_interval"]
    value = f"{100 * scores['accuracy']:.1f} % | {100 * low:.1f} to {100 * high:.1f} %"
    for text in (value, "GPL-3.0", "ImageNet", "AGPL-3.0", "OpenAnimalTracks", "keras 3.99.0"):
        assert text in card
    assert r"| \<b\>fox\</b\> | 8 | 4 | 4 | 2 |" in card
    assert "0.5500 are `unknown`" in card
    detector = (project / "detector" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| mAP50 | 0.496 |" in detector
    assert hashlib.sha256(b"weights").hexdigest() in detector


def test_it_is_called_by_what_it_is_of(page) -> None:
    assert "Footprints: photos, detector, training, evaluation and photos named" in page.text


def test_methods_are_in_words_with_the_works(page) -> None:
    for text in (
        "to tell 3 animals apart on 30 photos",
        "15 other photos served for validation",
        "a new head and the last 20 layers learned",
        "Searching for MobileNetV3",
        "Scientific Reports 12, 21966",
        "least confidence 0.25",
    ):
        assert text in page.text


# --- made again --------------------------------------------------------------------------------


def test_it_is_the_same_again_and_other_examples_with_another_seed(tmp_path) -> None:
    made_up.write_prediction(tmp_path, tmp_path / "photos", 30)
    pages = []
    for seed in (0, 0, 1):
        make_report([tmp_path], None, Wanted(examples=2, seed=seed))
        pages.append((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert pages[0] == pages[1]
    assert ReportPage(tmp_path / "report.html").images != []
    assert pages[0] != pages[2]


def test_what_was_edited_is_left_and_what_is_of_before_goes(tmp_path, capsys) -> None:
    made_up.write_detector(tmp_path)
    report_after(tmp_path)
    for name in ("report.html", "MODEL_CARD.md"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "report_figures" / "notes.txt").write_text("mine")
    (tmp_path / "training.csv").unlink()
    capsys.readouterr()
    report_after(tmp_path)
    said = capsys.readouterr()
    assert said.err.count("was edited after it was written") == 2
    assert "report: " not in said.out + said.err  # there is no new one
    assert (tmp_path / "report.html").read_text() == "mine"
    assert (tmp_path / "MODEL_CARD.md").read_text() == "mine"
    left = {path.name for path in (tmp_path / "report_figures").glob("[a-z]*")}
    assert left == {"notes.txt"}
    assert make_report([tmp_path], None, Wanted()) == 3
    report_after(tmp_path, replace_edited=True)
    assert (tmp_path / "report.html.bak").read_text() == "mine"
    assert ReportPage(tmp_path / "report.html").values["mAP50"] == 0.4961


def test_photos_that_moved_are_found(tmp_path) -> None:
    made_up.write_prediction(tmp_path / "answers", tmp_path / "photos", 4)
    shutil.move(tmp_path / "photos", tmp_path / "archive")
    make_report([tmp_path / "answers"], None, Wanted())
    page = ReportPage(tmp_path / "answers" / "report.html")
    assert page.images == []
    assert "the photo is not there any more" in page.text
    make_report([tmp_path / "answers"], None, Wanted(photos=tmp_path / "archive"))
    assert len(ReportPage(tmp_path / "answers" / "report.html").images) == 4


def test_a_training_of_an_older_release_has_a_report(tmp_path) -> None:
    absent = dict.fromkeys(("scores", "photos", "data_dir", "versions", "weakness"))
    made_up.write_stage(tmp_path, **absent)
    (tmp_path / "validation_real.csv").unlink()
    make_report([tmp_path / "history_real.json"], None, Wanted())
    page = ReportPage(tmp_path / "report.html")
    assert page.pictures == ["stage_real_curves"]
    assert "An older release made this training" in page.text
    validation = json.loads((tmp_path / "history_real.json").read_text())["validation"]
    assert page.values["accuracy, 95 % interval"] == validation["accuracy"]


COUNTED = {"known": 80, "known_lost": 4, "strangers": 40, "strangers_refused": 30}
COUNTED["strangers_refused_interval"] = [0.598, 0.858]
REFUSAL = {"rule": "none of these", "cut": 0.4, "validation": COUNTED}
CHOICE = {"rule": "best precision", "wanted_precision": 0.8, "precision": 0.715, "answered": 39}


def test_reports_and_cards_say_how_strangers_are_refused(tmp_path) -> None:
    made_up.write_stage(tmp_path, refusal=REFUSAL, threshold_choice=CHOICE)
    make_report([tmp_path / "history_real.json"], None, Wanted())
    report_after(tmp_path)
    text = ReportPage(tmp_path / "report.html").text
    card = (tmp_path / "MODEL_CARD.md").read_text(encoding="utf-8")
    for said in ("30 of 40 (75.0 %)", "4 of 80 (5.0 %)", "59.8 % to 85.8 %"):
        assert said in text
        assert said in card
    assert "71.5 % of 39 validation answers above it are right, wanted were 80.0 %" in card


def test_a_report_counts_strangers_among_photos(tmp_path) -> None:
    path = made_up.write_prediction(tmp_path, tmp_path / "photos", 4)
    content = json.loads(path.read_text()) | {"refusal": {"rule": "energy", "cut": -2.0}}
    for photo, why in zip(content["photos"], ("stranger", "", "doubtful", "stranger"), strict=True):
        photo["why"] = why
    path.write_text(json.dumps(content))
    make_report([path], None, Wanted(examples=0))
    assert "2, told by energy" in ReportPage(tmp_path / "report.html").text


# --- what cannot be used -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ('{"photos": [', "predictions.json: cannot be read as JSON"),
        ({"threshold": "high"}, "predictions.json: its threshold must be a number"),
        ({"photos": [{"photo": "a.jpg"}]}, "one of its photos is not as predict wrote it"),
        ({"photos": 7}, "its photos is no list"),
        ({"settings": []}, "its settings is no JSON object"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, changes, said) -> None:
    path = made_up.write_prediction(tmp_path, tmp_path / "photos", 2)
    text = changes
    if isinstance(changes, dict):
        text = json.dumps(json.loads(path.read_text()) | changes)
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        make_report([path], None, Wanted(examples=0))


def test_a_damaged_part_is_left_out_of_a_report_of_several(tmp_path, capsys) -> None:
    made_up.write_detector(tmp_path / "detector")
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "scores.json").write_text("{")
    make_report([tmp_path], None, Wanted())
    said = capsys.readouterr().err
    page = ReportPage(tmp_path / "report.html")
    assert page.values["mAP50"] == 0.4961
    (warning,) = (text for text in page.warnings if "left out" in text)
    for text in (said, warning):
        assert "Evaluation: scores is left out of the report" in text
        assert "scores.json: cannot be read as JSON" in text


def test_a_report_that_fails_is_a_warning_for_the_step(tmp_path, capsys) -> None:
    (tmp_path / "predictions.json").write_text("{")
    report_after(tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: no report: {tmp_path / 'predictions.json'}: cannot be read")
    assert not (tmp_path / "report.html").exists()


def test_what_is_no_result_is_refused(tmp_path) -> None:
    (tmp_path / "manifest.csv").write_text("a,b\n1,2\n")  # of another program
    (tmp_path / "scores.json").write_text("{}")
    (tmp_path / "predictions.json").write_text('{"photos": []}')
    with pytest.raises(UserError, match="nothing that a report can be made of"):
        make_report([tmp_path], None, Wanted())
    with pytest.raises(UserError, match="no such file or folder"):
        make_report([tmp_path / "none"], None, Wanted())
    with pytest.raises(UserError, match="--output is needed"):
        make_report([tmp_path, tmp_path], None, Wanted())


def test_several_results_of_one_kind_make_one_report(tmp_path) -> None:
    for name in ("a", "b"):
        made_up.write_detector(tmp_path / name)
    make_report([tmp_path / "a", tmp_path / "b"], tmp_path / "both.html", Wanted())
    assert ReportPage(tmp_path / "both.html").pictures == ["detector_curves", "detector_2_curves"]
    assert not (tmp_path / "a" / "MODEL_CARD.md").exists()


def test_damaged_and_missing_photos_are_said(tmp_path) -> None:
    made_up.write_prediction(tmp_path, tmp_path / "photos", 2)
    (tmp_path / "photos" / "monday" / "0.jpg").write_bytes(b"no picture")
    make_report([tmp_path], None, Wanted())
    page = ReportPage(tmp_path / "report.html")
    assert len(page.images) == 1
    assert "no picture: " in page.text


def test_a_name_that_leads_elsewhere_is_not_opened(tmp_path) -> None:
    path = made_up.write_prediction(tmp_path / "answers", tmp_path / "photos", 1)
    Image.new("RGB", (64, 64)).save(tmp_path / "secret.png")
    content = json.loads(path.read_text())
    content["photos"][0]["photo"] = "../secret.png"
    path.write_text(json.dumps(content))
    make_report([path], None, Wanted())
    assert ReportPage(path.with_name("report.html")).images == []


def test_small_pictures_keep_to_their_share_of_the_page(tmp_path) -> None:
    from footprints.reporting.thumbnails import Thumbnails

    made_up.write_photo(tmp_path / "a.jpg", 1)
    few = Thumbnails(most_bytes=1)
    first, second = (few.of(tmp_path / "a.jpg", "a", (), (20, 20, 60, 60)) for _ in range(2))
    assert second.png is None
    assert second.lines == ("no picture: the report would grow too large",)
    with Image.open(io.BytesIO(first.png)) as picture:
        red, green, blue = picture.convert("RGB").getpixel((32, 52))  # left edge of the box
    assert min(red, green) > blue + 60  # yellow
