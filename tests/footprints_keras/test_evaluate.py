from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from PIL import Image

from footprints import evaluate
from footprints.network.prepared_set import open_set
from footprints.scores import report
from footprints.system.errors import UserError
from tests.helpers.keras_steps import even, list_in_manifest, make_prepared
from tests.helpers.programs import call

NAMES = ("adder", "boar", "cat", "dog")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    sets = {"real": even(NAMES, train=2, val=9, test=3)}
    sets["real"]["val"] = dict(zip(NAMES, (9, 4, 0, 6), strict=True))
    return make_prepared(tmp_path_factory.mktemp("data"), sets) / "real"


@pytest.fixture(scope="module")
def model_file(keras, data, tmp_path_factory) -> Path:
    """A network with a random head: right and wrong answers."""
    from footprints.network.build import build_model
    from footprints.network.freezing import measure_batch_norm
    from footprints.network.keras_file import save_model
    from footprints.network.loader import CropLoader

    net = build_model(4, image_size=32, seed=3)
    loader = CropLoader(open_set(data, ("val",)), "val")
    measure_batch_norm(net, [x for x, _ in loader.batches(64)])
    path = tmp_path_factory.mktemp("model") / "m.keras"
    save_model(net, path, classes=NAMES, stage="real", temperature=0.5, threshold=0.3)
    return path


def flags(model: Path, data: Path, output: Path, *more: object) -> list[str]:
    given = ["--model", model, "--data_dir", data, "--output_dir", output, *more]
    return [*map(str, given), "--no_report"]


@pytest.fixture(scope="module")
def evaluated(model_file, data, tmp_path_factory):
    output = tmp_path_factory.mktemp("scores")
    done = call(evaluate.main, *flags(model_file, data, output))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return output, done.stdout


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_scores_follow_from_the_predictions(evaluated, data):
    """Defect 11: labels and predictions were read in two passes over a shuffled set."""
    output, _ = evaluated
    rows = read(output / "predictions.csv")
    assert [row["crop"] for row in rows] == sorted(
        p.relative_to(data).as_posix() for p in data.glob("val/*/*.png")
    )
    for row in rows:
        assert row["crop"].split("/")[1] == row["is"]
        assert int(row["right"]) == (row["class_1"] == row["is"])
    labels, named = [r["is"] for r in rows], [r["class_1"] for r in rows]
    scores = json.loads((output / "scores.json").read_text())
    assert scores["photos"] == 19
    assert scores["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, named))
    present = sorted(set(labels))
    p, r, f, _ = sklearn.metrics.precision_recall_fscore_support(
        labels, named, labels=present, zero_division=0
    )
    assert scores["macro_precision"] == pytest.approx(p.mean())
    assert scores["macro_recall"] == pytest.approx(r.mean())
    assert scores["macro_f1"] == pytest.approx(f.mean())
    top3 = np.mean([row["is"] in (row["class_1"], row["class_2"], row["class_3"]) for row in rows])
    assert scores["top3_accuracy"] == pytest.approx(top3)
    expected = sklearn.metrics.confusion_matrix(labels, named, labels=NAMES)
    assert scores["confusion"] == expected.tolist()
    with open(output / "confusion.csv", newline="") as file:
        table = list(csv.reader(file))
    assert table[0][1:] == list(NAMES)
    assert [[int(n) for n in row[1:]] for row in table[1:]] == expected.tolist()
    low, high = scores["macro_f1_interval"]
    assert low <= scores["macro_f1"] <= high
    absent = scores["per_class"][NAMES.index("cat")]
    assert (absent["support"], absent["recall"], absent["f1"]) == (0, None, None)
    with Image.open(output / "confusion.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.slow
def test_predictions_are_those_of_the_loaded_model(evaluated, model_file, data):
    from footprints.network.keras_file import load_model

    rows = read(evaluated[0] / "predictions.csv")
    photos = np.stack([np.asarray(Image.open(data / row["crop"])) for row in rows])
    saved = load_model(model_file)
    scaled = np.asarray(saved.model(photos, training=False), float) ** (1 / 0.5)  # temperature
    probabilities = scaled / scaled.sum(1, keepdims=True)
    np.testing.assert_allclose(saved.predict(photos), probabilities, rtol=1e-3, atol=1e-6)
    assert [NAMES[i] for i in probabilities.argmax(1)] == [row["class_1"] for row in rows]
    found = [float(row["p_1"]) for row in rows]
    np.testing.assert_allclose(found, probabilities.max(1), atol=1e-3)


@pytest.mark.slow
def test_the_table_names_every_figure(evaluated):
    _, screen = evaluated
    for word in (*NAMES, "accuracy", "macro F1", "top 3", "by chance", "calibration", "flatter"):
        assert word in screen


@pytest.mark.slow
def test_the_test_part_can_be_asked_for_and_is_repeatable(model_file, data, tmp_path, capsys):
    """Defect 9: there was no test set."""
    for name in ("one", "two"):
        assert evaluate.main(flags(model_file, data, tmp_path / name, "--split", "test")) == 0
    assert "had no part in training" in capsys.readouterr().out
    one, two = (tmp_path / n / "scores.json" for n in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert json.loads(one.read_text())["photos"] == 12


def test_perfect_answers():
    labels = np.array([0, 1, 1, 2])
    raw = np.eye(3)[labels] * 0.97 + 0.01
    scores = report.score(raw, labels, ("a", "b", "c"), 1.0)
    assert scores["accuracy"] == scores["macro_f1"] == scores["top3_accuracy"] == 1
    assert scores["most_confused"] == []
    assert scores["expected_calibration_error"] == pytest.approx(0.02)
    assert scores["baselines"]["majority"]["accuracy"] == 0.5


@pytest.mark.parametrize("change", ["renamed", "one-more", "one-less"])
def test_other_classes_are_refused_in_one_line(model_file, data, tmp_path, change):
    """Defect 4: predictions of an 18-way head on 13 classes."""
    copy = tmp_path / "set"
    shutil.copytree(data, copy)
    for part in copy.iterdir():
        if change == "renamed" and part.is_dir():
            (part / "dog").rename(part / "wolf")
        elif change == "one-less" and part.is_dir():
            shutil.rmtree(part / "dog")
    if change == "one-more":
        shutil.copytree(copy / "val" / "dog", copy / "val" / "wolf")
    list_in_manifest(copy)
    with pytest.raises(UserError, match="classes are not those of") as caught:
        evaluate.main(flags(model_file, copy, tmp_path / "out"))
    said = str(caught.value)
    assert "\n" not in said
    assert ("wolf" in said, "dog" in said) == (change != "one-less", change != "one-more")


def test_other_crop_sizes_and_missing_parts_are_refused(model_file, data, tmp_path):
    larger = make_prepared(tmp_path, {"real": even(NAMES, val=1)}, size=40) / "real"
    with pytest.raises(UserError, match=r"takes photos of 32 pixels, the crops in .* have 40"):
        evaluate.main(flags(model_file, larger, tmp_path / "out"))
    with pytest.raises(UserError, match="no photos in its part test; it has val"):
        evaluate.main(flags(model_file, larger, tmp_path / "out", "--split", "test"))
    with pytest.raises(UserError, match=r"holds several sets; give one of them: .*real"):
        evaluate.main(flags(model_file, tmp_path, tmp_path / "out"))


def test_a_damaged_crop_is_named(model_file, data, tmp_path):
    copy = tmp_path / "set"
    shutil.copytree(data, copy)
    photo = sorted((copy / "val" / "boar").iterdir())[1]
    photo.write_bytes(photo.read_bytes()[:-500])
    with pytest.raises(UserError, match=f"{photo.name}: damaged"):
        evaluate.main(flags(model_file, copy, tmp_path / "out"))


def test_models_keep_their_own_order_of_classes(data):
    """Class numbers come from the model, not from the order of folders."""
    turned = open_set(data, ("val",)).with_classes(NAMES[::-1], "m.keras")
    part = turned.parts["val"]
    assert [NAMES[::-1][i] for i in part.labels] == [path.parent.name for path in part.paths]
