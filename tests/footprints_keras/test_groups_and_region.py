"""Groups and regions from the flag to the tables, with real networks."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from footprints import evaluate, predict, train
from footprints.network.classifier import Classifier
from footprints.network.keras_file import read_metadata
from footprints.scores.groups import groups_of
from tests.helpers.keras_models import CLASSES, pictures, save
from tests.helpers.keras_steps import even, make_prepared
from tests.helpers.programs import call, run_step

GROUPS = "class,group\nécureuil,autres\nloup,autres\nfox,autres\n"


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    (folder / "groups.csv").write_text(GROUPS, encoding="utf-8")
    (folder / "here.txt").write_text("Cerf\nchien\necureuil\n", encoding="utf-8")
    return folder


def test_predict_answers_groups_and_minds_the_region(model_file, tables, tmp_path):
    """Every row against its probabilities, which are those of the classifier itself."""
    for i, rgb in enumerate(pictures(24, seed=3)):
        save(tmp_path / "photos" / f"{i:02}.png", rgb)
    out = tmp_path / "out"
    flags = ("--model", model_file, "--detector", "none", "--output_dir", out, "--top_k", 4)
    flags += ("--groups", tables / "groups.csv", "--group_threshold", 0.63, "--threshold", 0.6)
    done = run_step("predict", tmp_path / "photos", *flags, "--processes", 1)
    assert done.returncode == 0, done.stderr
    assert "answers are a group, which is at least 0.63 probable" in done.stdout
    rows = rows_of(out / "predictions.csv")
    levels = set()
    for row in rows:
        p = {row[f"class_{k}"]: float(row[f"probability_{k}"]) for k in (1, 2, 3, 4)}
        both, best = p["écureuil"] + p["loup"], max(p.values())
        level = "species" if best >= 0.6 else "group" if both >= 0.63 else "unknown"
        expected = {"species": row["class_1"], "group": "autres", "unknown": "unknown"}[level]
        assert (row["answer"], row["answer_level"]) == (expected, level)
        probability = both if level == "group" else best
        assert float(row["probability"]) == pytest.approx(probability, abs=2e-4)
        levels.add(level)
    assert levels == {"species", "group", "unknown"}, "the photos show less than they should"
    header = list(rows[0])
    assert header.index("camera") < header.index("answer_level"), "older columns stay first"
    assert "a group is answered from" in (out / "report.html").read_text(encoding="utf-8")

    flags += ("--region_list", tables / "here.txt", "--no_report")
    done = call(predict.main, tmp_path / "photos", *flags, "--processes", 1)
    assert done.returncode == 0, done.stderr
    before = {row["photo"]: row for row in rows}
    record = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    assert record["region"]["kind"] == "list"
    for row in record["photos"]:
        old = before[row["photo"]]
        p = {old[f"class_{k}"]: float(old[f"probability_{k}"]) for k in (1, 2, 3, 4)}
        top = {one["class"]: one["probability"] for one in row["top"]}
        assert top["loup"] == 0
        assert top["cerf"] == pytest.approx(p["cerf"] / (1 - p["loup"]), abs=2e-3)
        changed = row["answer"] != old["answer"]
        assert row["name_without_region"] == (old["answer"] if changed else "")
        if old["answer"] == "unknown":
            assert row["answer"] == "unknown"
    assert any(row["name_without_region"] for row in record["photos"])


def test_a_name_that_is_no_class_is_one_line(model_file, tables, tmp_path):
    save(tmp_path / "photos" / "a.png", pictures(1)[0])
    (tmp_path / "here.txt").write_text("cerf\nlup\n")
    flags = ("--model", model_file, "--detector", "none", "--region_list", tmp_path / "here.txt")
    done = run_step("predict", tmp_path / "photos", *flags)
    assert done.returncode == 1
    assert "lup (nearest: loup)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def trained(keras, tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    sets = {"real": even(tuple(CLASSES), train=4, val=6)}
    sets["real"]["train"]["loup"] = 8
    data = make_prepared(folder / "data", sets)
    flags = ("--stage", "real", "--data_dir", data, "--output_dir", folder / "models")
    flags += ("--weights", "none", "--head_epochs", 1, "--unfreeze", 0, "--cached_views", 1)
    done = call(train.main, *flags, "--groups", tables / "groups.csv", "--no_report")
    assert done.returncode == 0, done.stderr
    return folder / "models" / "mobilenet_real.keras", data / "real"


@pytest.mark.slow
def test_training_keeps_groups_and_how_frequent_classes_were(trained):
    facts = read_metadata(trained[0])
    assert groups_of(facts).members == {"autres": ("écureuil", "loup")}
    np.testing.assert_allclose(facts["class_prior"], [0.2, 0.2, 0.4, 0.2])
    assert Classifier(trained[0]).metadata["groups"] == {"autres": ["écureuil", "loup"]}


@pytest.mark.slow
def test_evaluate_counts_answers_by_what_they_are_worth(trained, tmp_path):
    model, data = trained
    flags = ("--model", model, "--data_dir", data, "--output_dir", tmp_path, "--no_report")
    done = call(evaluate.main, *flags)
    assert done.returncode == 0, done.stderr
    assert "right group" in done.stdout
    counts = json.loads((tmp_path / "scores.json").read_text())["answers"]
    for which in ("with_groups", "without_groups"):
        assert sum(one["photos"] for one in counts[which].values()) == 24
    assert counts["without_groups"]["right_group"]["photos"] == 0
    done = call(evaluate.main, *flags, "--groups", "none")
    assert done.returncode == 0, done.stderr
    assert "answers" not in json.loads((tmp_path / "scores.json").read_text())
