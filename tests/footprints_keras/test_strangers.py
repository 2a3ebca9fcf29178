"""Animals of no class, from training to the exported file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footprints import evaluate, export, predict, train
from footprints.network.classifier import Classifier
from footprints.network.keras_file import load_model, save_model
from footprints.network.prepared_set import open_set
from footprints.network.strangeness import References, directions, references_of, strangeness_of
from footprints.scores.strangers import Refusal
from footprints.system.errors import UserError
from tests.helpers.keras_models import CLASSES, SIDE, pictures
from tests.helpers.keras_steps import draw_crop, make_prepared
from tests.helpers.programs import call, run_step

NAMES = {"loup": 24, "ours": 24, "other": 24}  # red, green, and blue, which is none
VAL = {"loup": 27, "ours": 27, "other": 12}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    sets = {"real": {"train": NAMES, "val": VAL}}
    # Names are drawn in their order here, red first; the folder is sorted behind no class.
    return make_prepared(tmp_path_factory.mktemp("data"), sets)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Stage real with a folder of other animals, as a process."""
    output = tmp_path_factory.mktemp("trained") / "models"
    given = ["--stage", "real", "--data_dir", data, "--output_dir", output, "--weights", "none"]
    given += ["--cached_views", 2, "--head_epochs", 12, "--unfreeze", 0, "--seed", 3, "--no_report"]
    done = run_step("train", *given)
    assert done.returncode == 0, done.stderr
    return output / "mobilenet_real.keras", done.stdout


def photos_of(folder: Path, kind: int, n: int) -> Path:
    rng = np.random.default_rng(77 + kind)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        Image.fromarray(draw_crop(rng, kind)).save(folder / f"{kind}-{i}.png")
    return folder


def test_other_is_no_class_and_comes_last(data) -> None:
    prepared = open_set(data / "real", ("train", "val"))
    assert prepared.classes == ("loup", "ours")
    assert prepared.counts("val").tolist() == [27, 27, 12]
    assert [path.parent.name for path in prepared.parts["val"].paths[-12:]] == ["other"] * 12


def test_training_says_how_many_strangers_are_refused(trained) -> None:
    path, said = trained
    [line] = [line for line in said.splitlines() if "strangers are unknown by" in line]
    facts = json.loads(path.with_name("history_real.json").read_text())["refusal"]
    found = facts["validation"]
    assert (found["known"], found["strangers"]) == (54, 12)
    assert found["known_lost"] <= 54 * 0.05
    assert f"{found['strangers_refused']} of 12 strangers are refused" in line
    assert facts["auroc_of_rules"].keys() == {"none of these", "distance", "energy"}
    assert found["auroc"] == max(facts["auroc_of_rules"].values())
    rows = list(csv.DictReader(path.with_name("validation_real.csv").open()))
    assert len(rows) == 54, "answers to photos of the classes alone"


def test_photos_of_other_animals_are_unknown_and_say_why(trained, tmp_path, capsys) -> None:
    path, _ = trained
    folder = photos_of(photos_of(photos_of(tmp_path / "photos", 0, 6), 1, 6), 2, 6)
    given = ["--model", path, "--detector", "none", "--margin", 0, "--min_crop_side", 8]
    output = ["--output_dir", tmp_path / "out", "--processes", 1, "--no_report"]
    done = run_step("predict", folder, *given, *output)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open()))
    blue = [row for row in rows if row["photo"].startswith("2-")]
    assert [row["answer"] for row in blue] == ["unknown"] * 6
    assert {row["why"] for row in blue} <= {"stranger", "doubtful"}
    assert "stranger" in {row["why"] for row in blue}
    assert sum(row["why"] == "stranger" for row in rows) <= 8
    assert {row["answer"] for row in rows} <= {"loup", "ours", "unknown"}
    assert "photos look like none of the classes" in done.stdout
    output[1] = tmp_path / "named"
    done = call(predict.main, folder, *given, *output, "--no_refusal", "--threshold", 0)
    assert done.returncode == 0
    rows = list(csv.DictReader((tmp_path / "named" / "predictions.csv").open()))
    assert {row["answer"] for row in rows} == {"loup", "ours"}
    assert "why" not in rows[0]


def test_evaluation_counts_strangers_beside_the_classes(trained, data, tmp_path) -> None:
    path, _ = trained
    given = ["--model", path, "--data_dir", data / "real", "--output_dir", tmp_path / "scores"]
    done = call(evaluate.main, *map(str, given), "--no_report")
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
    history = json.loads(path.with_name("history_real.json").read_text())
    assert scores["photos"] == 54
    for key in ("known_lost", "strangers_refused", "strangers"):
        assert scores["strangers"][key] == history["refusal"]["validation"][key]
    assert scores["accuracy"] == pytest.approx(history["validation"]["accuracy"])


@pytest.fixture(scope="module", params=["distance", "energy", "none of these"])
def scored(request, keras, tmp_path_factory) -> Path:
    """A network with random weights and a refusal by one of the scores."""
    from footprints.network.build import build_model
    from footprints.network.freezing import measure_batch_norm

    is_output = request.param == "none of these"
    net = build_model(len(CLASSES) + is_output, seed=4, image_size=SIDE)
    measure_batch_norm(net, [np.stack(pictures(64, seed=9))])
    inner = keras.Model(net.inputs[0], net.get_layer("hidden").output)
    seen = np.asarray(inner(np.stack(pictures(30, seed=5)).astype("float32"), training=False))
    found = References(seen).facts() if request.param == "distance" else {}
    path = tmp_path_factory.mktemp("scored") / "m.keras"
    refusal = Refusal(request.param, 0.25, found)
    save_model(net, path, classes=CLASSES, stage="real", refusal=refusal)
    return path


def test_scores_are_those_by_hand(scored, keras) -> None:
    """Of the network as Keras itself loads it."""
    net = keras.models.load_model(scored, safe_mode=True)
    inner = keras.Model(net.inputs[0], net.get_layer("hidden").output)
    photos = pictures(7, seed=1)
    hidden = np.asarray(inner(np.stack(photos).astype("float32"), training=False), np.float64)
    raw = np.asarray(net(np.stack(photos).astype("float32"), training=False), np.float64)
    classifier = Classifier(scored)
    probabilities, strangeness = classifier.look(photos)
    rule = classifier.refusal.rule
    if rule == "energy":
        kernel, bias = net.get_layer("probabilities").get_weights()
        expected = -np.log(np.exp(hidden @ kernel + bias).sum(axis=1))
    elif rule == "distance":
        seen = inner(np.stack(pictures(30, seed=5)).astype("float32"), training=False)
        cosines = directions(hidden) @ directions(np.asarray(seen, np.float64)).T
        expected = 1 - np.sort(cosines, axis=1)[:, -5]
    else:
        expected, raw = raw[:, -1], raw[:, :-1] / raw[:, :-1].sum(axis=1, keepdims=True)
    tolerance = 2e-3 if rule == "distance" else 1e-5  # references are kept in 8 bits
    np.testing.assert_allclose(strangeness, expected, atol=tolerance)
    np.testing.assert_allclose(probabilities, raw, atol=1e-5)
    assert classifier.predict(photos).shape == (7, len(CLASSES))


def test_exported_files_refuse_as_the_model_does(scored, tmp_path) -> None:
    output = tmp_path / "exported"
    done = call(
        export.main, "--model", scored, "--output_dir", output, "--formats", "tflite", "onnx"
    )
    assert done.returncode == 0, done.stderr
    original = Classifier(scored)
    photos = pictures(5, seed=2)
    for path in (output / "m.tflite", output / "m.onnx"):
        exported = Classifier(path)
        for mine, its in zip(original.look(photos), exported.look(photos), strict=True):
            np.testing.assert_allclose(its, mine, atol=1e-3)
        assert exported.refusal.cut == original.refusal.cut
        facts = json.loads(path.with_name(f"{path.name}.json").read_text())
        assert "above the cut" in facts["refusal"]["meaning"]
        assert "references" not in facts["refusal"]


def test_references_survive_the_file() -> None:
    features = np.abs(np.random.default_rng(0).normal(size=(9, 512)))
    features[3] = 0
    found = references_of(json.loads(json.dumps(References(features).facts())))
    np.testing.assert_allclose(found.features, directions(features), atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [{"shape": [9, 511]}, {"shape": [9]}, {"shape": None}, {"uint8_base64": "%"}, {"step": "x"}],
)
def test_damaged_references_are_refused(change, keras, tmp_path) -> None:
    from footprints.network.build import build_model

    facts = References(np.ones((9, 512))).facts()
    facts["references"] |= change
    path = tmp_path / "m.keras"
    net = build_model(len(CLASSES), image_size=SIDE)
    save_model(net, path, classes=CLASSES, stage="real", refusal=Refusal("distance", 0.2, facts))
    with pytest.raises(UserError, match=r"references|must be|is no such text"):
        load_model(path)


def test_references_of_another_network_are_refused(keras) -> None:
    from footprints.network.build import build_model

    net = build_model(3, image_size=SIDE)
    with pytest.raises(ValueError, match="not of its network"):
        strangeness_of(net, 3, "distance", References(np.ones((9, 100))))
    with pytest.raises(ValueError, match="output that its network has not"):
        strangeness_of(net, 3, "none of these")


def test_others_without_photos_of_classes_say_what_to_do(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    photos_of(tmp_path / "strange", 2, 2)
    make_prepared(tmp_path / "prepared", {"real": {"train": {"a": 1}, "val": {"a": 1}}})
    given = ["--stage", "real", "--data_dir", "prepared", "--others", "strange"]
    with pytest.raises(UserError, match=r"strange: is prepared together .* by --real_dir"):
        train.main(given)
    assert call(train.main, "--stage", "oat", "--others", "strange").returncode == 2
