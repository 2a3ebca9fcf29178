"""Cards of model files: numbers, checksum, licences; what people edited stays."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil

import pytest

from animal_spot.embeddings.embedding_model import BIRDNET
from animal_spot.model_files.ensemble_file import Ensemble, save_ensemble
from animal_spot.model_files.model_file import save_model
from animal_spot.reporting.card_files import card_path, write_card
from animal_spot.reporting.card_licences import is_not_commercial, licences_of
from animal_spot.utils.files import digest_of
from tests.helpers.programs import run_here
from tests.helpers.report_html import read_page
from tests.helpers.run_results import training, write_results

MULTI = ["K1", "a-b", "x,y", "noise"]
COUNTS = [[7, 2, 0, 0], [1, 11, 1, 0], [0, 0, 5, 0], [0, 0, 0, 3]]


@pytest.fixture
def model(models, tmp_path):
    return shutil.copy(models("multi"), tmp_path / "ANIMAL-SPOT.pk")


def results_of(model, **changes):
    content = training(MULTI, COUNTS)
    content |= {"noise_class": "noise", "model_digest": digest_of(model.read_bytes())}
    content["classes_of_clips"] = {
        "train": [{"class": n, "clips": 20 + i, "tapes": 8 + i} for i, n in enumerate(MULTI)]
    }
    return content | changes


def test_numbers_are_those_of_the_file_and_its_results(model):
    content = results_of(model)
    write_results(model.parent, content)
    write_card(model)
    text = card_path(model).read_text(encoding="utf-8")
    assert card_path(model).name == "MODEL_CARD.md"
    assert f"* SHA-256: {hashlib.sha256(model.read_bytes()).hexdigest()}" in text
    assert "It tells 3 classes of sound apart: K1, a-b, x,y. The class noise is background" in text
    assert "26 of 30 test clips are named right: 86.7 %" in text
    assert "| a-b | 13 | 11 | 84.6 % | 72.3 to 89.6 % |" in text
    assert "| x,y | 22 | 10 |" in text
    assert "70 for training, 15 for validation, 30 for test" in text
    assert "GNU General Public License version 3" in text
    assert "--model_path ANIMAL-SPOT.pk" in text
    assert "CallClassifier.load('ANIMAL-SPOT.pk')" in text


def test_results_of_another_model_are_not_taken_for_its_own(model):
    write_results(model.parent, results_of(model, model_digest="f" * 32))
    write_card(model)
    text = card_path(model).read_text(encoding="utf-8")
    assert "is of another model" in text.replace("\\", "")
    assert "86.7 %" not in text


def test_a_file_of_the_original_has_a_card_and_a_report(models, tmp_path):
    model = shutil.copy(models("original"), tmp_path / "ANIMAL-SPOT.pk")
    made = run_here("report", tmp_path)
    assert made.returncode == 0, made.stderr
    text = card_path(model).read_text(encoding="utf-8")
    assert "does not say how long the clips were" in text
    assert "* Length of a window: not said" in text
    assert "It tells 1 class of sound apart: target" in text
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    assert digest in text
    assert digest in read_page(tmp_path / "report.html").text
    assert made.stderr.splitlines()[-2].endswith(str(card_path(model)))


def test_an_ensemble_beside_a_model_has_a_card_of_its_own(models, tmp_path):
    members = [models.content("multi"), models.content("multi-24k")]
    path = tmp_path / "both.pk"
    save_ensemble(Ensemble(members, ["a|b", "<i>c</i>"]), path)
    write_card(path)
    text = (tmp_path / "MODEL_CARD_both.md").read_text(encoding="utf-8")
    assert "the mean of the answers of 2 networks" in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "resnet" in line]
    assert [row.split(" | ")[0] for row in rows] == ["| a\\|b", "| \\<i\\>c\\</i\\>"]
    assert not (tmp_path / "MODEL_CARD.md").exists()


def test_an_edited_card_stays_and_others_are_renewed(model, caplog):
    write_card(model)
    card = card_path(model)
    first = card.read_text(encoding="utf-8")
    write_results(model.parent, results_of(model))
    write_card(model)
    second = card.read_text(encoding="utf-8")
    assert second != first
    card.write_text(f"{second}\nOurs: no use near harbours.\n", encoding="utf-8")
    (model.parent / "results.json").unlink()
    write_card(model)
    assert "Ours: no use near harbours." in card.read_text(encoding="utf-8")
    assert "was edited after it was written and is left as it is" in caplog.text
    write_card(model, replace_edited=True)
    assert card.read_text(encoding="utf-8") == first
    assert "Ours" in card.with_name(f"{card.name}.bak").read_text(encoding="utf-8")


def test_a_card_that_people_wrote_first_stays(model):
    card_path(model).write_text("ours\n", encoding="utf-8")
    write_card(model)
    assert card_path(model).read_text(encoding="utf-8") == "ours\n"


def test_names_of_classes_are_no_markup(models, tmp_path):
    names = ["*a*", "b_c", "<script>", "noise"]
    classes = {name: i for i, name in enumerate(names)}
    content = dataclasses.replace(models.content("multi"), classes=classes)
    path = tmp_path / "ANIMAL-SPOT.pk"
    save_model(content, path)
    write_results(
        tmp_path, training(names, COUNTS) | {"model_digest": digest_of(path.read_bytes())}
    )
    write_card(path)
    text = card_path(path).read_text(encoding="utf-8")
    assert "apart: \\*a\\*, b\\_c, \\<script\\>." in text
    assert not re.search(r"(?<!\\)<script>", text)


@pytest.mark.parametrize(
    ("backbone", "options", "settings", "said"),
    [
        pytest.param(
            "birdnet",
            {"embedding_model": BIRDNET},
            {},
            "CC BY-NC-SA 4.0: not for comm",
            id="birdnet",
        ),
        pytest.param(
            *("birdnet", {"embedding_model": "x.onnx", "preset": "perch2"}, {}),
            "Perch 2.0 is licensed Apache-2.0",
            id="perch",
        ),
        pytest.param(
            *("birdnet", {"embedding_model": "own.onnx"}, {}),
            "own.onnx has a licence of its own",
            id="unknown",
        ),
        pytest.param("resnet", {}, {"pretrained": True}, "torchvision", id="torchvision"),
        pytest.param(
            "efficientnet_lite0", {"pretrained": True}, {}, "Apache License 2.0", id="lite"
        ),
        pytest.param(
            "timm:x",
            {"pretrained": True, "timm": "x"},
            {},
            "some not for commercial use",
            id="timm",
        ),
        pytest.param("resnet", {}, {"distill": "t.pk"}, "answers of another model", id="taught"),
    ],
)
def test_licences_of_what_it_was_made_of(models, backbone, options, settings, said):
    content = dataclasses.replace(
        models.content("multi"), backbone=backbone, encoder_opts=options, extra={}
    )
    assert said in " ".join(licences_of([content], settings))
    assert is_not_commercial([content]) == ("NC" in said)


def test_random_weights_bring_no_licence(models):
    said = licences_of([models.content("multi")], {"pretrained": False})
    assert len(said) == 2
    assert not any("ImageNet" in text for text in said)


@pytest.mark.parametrize("name", ["calibrated.pk", "other.pk"])
def test_what_calibrate_wrote_beside_its_file_is_in_the_report(models, tmp_path, name):
    model = shutil.copy(models("multi"), tmp_path / "calibrated.pk")
    said = {"model": name, "temperature": 1.25, "thresholds": {}, "partitions": {}}
    model.with_suffix(".json").write_text(json.dumps(said))
    made = run_here("report", model)
    assert made.returncode == 0, made.stderr
    page = read_page(tmp_path / "report.html")
    assert ("a temperature of 1.250" in page.text) == (name == model.name)
    assert (tmp_path / "MODEL_CARD_calibrated.md").is_file()


def test_what_is_no_model_is_no_source(tmp_path):
    (tmp_path / "table.pk").write_bytes(b"\x80\x04N.")
    made = run_here("report", tmp_path)
    assert made.returncode == 1
    assert "holds nothing to report on" in made.stderr
