"""Several views of each picture, one answer: training, evaluation, prediction, export."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import sklearn.metrics
from PIL import Image

from footprints import evaluate, export, predict, train
from footprints.network.classifier import Classifier, read_model_metadata
from footprints.pictures.views import mean_over_views, views
from footprints.system.errors import UserError
from tests.helpers.keras_models import (
    TEMPERATURE,
    is_best_temperature,
    pictures,
    save,
    softened,
    write_model,
)
from tests.helpers.keras_steps import REAL, even, make_prepared

COUNTS = even(REAL, train=6, val=5, test=4)
FAST = ("--weights", "none", "--cached_views", 2, "--head_epochs", 2, "--unfreeze", 0)


def smooth(n: int, side: int) -> np.ndarray:
    """Pictures that change slowly, so that one interpolation is much like another."""
    rng = np.random.default_rng(3)
    small = rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in small])


def mean_by_hand(model: Path, data: Path, split: str) -> tuple[np.ndarray, list[str]]:
    """Return the mean of what the bare network says of eight views, and the classes."""
    from footprints.network.keras_file import load_model

    net = load_model(model).model
    paths = sorted(data.glob(f"{split}/*/*.png"))
    crops = np.stack([np.asarray(Image.open(path)) for path in paths])
    raw = [net(seen, training=False).numpy() for seen in views(crops, 8)]
    return np.mean(raw, axis=0), [path.parent.name for path in paths]


# --- the views ---------------------------------------------------------------------------------


def test_views_are_what_opencv_makes():
    side = 96
    given = smooth(2, side)
    found = list(views(given, 8))
    assert [one.shape for one in found] == [given.shape] * 8
    assert {one.dtype for one in found} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(found[0], given)
    np.testing.assert_array_equal(found[1], [cv2.flip(one, 1) for one in given])
    edge = side // 16
    middle = (side - 1) / 2
    for base, nearer, left, right in zip(given, found[2], found[4], found[6], strict=True):
        cut = base[edge:-edge, edge:-edge]
        wanted = cv2.resize(cut, (side, side), interpolation=cv2.INTER_LINEAR)
        inner = np.s_[2:-2, 2:-2]
        np.testing.assert_allclose(nearer[inner].astype(int), wanted[inner], atol=4)
        for turned, degrees in ((left, 15), (right, -15)):
            matrix = cv2.getRotationMatrix2D((middle, middle), degrees, 1)
            wanted = cv2.warpAffine(base, matrix, (side, side), borderMode=cv2.BORDER_REFLECT)
            np.testing.assert_allclose(turned.astype(int), wanted, atol=16)
            assert np.abs(turned.astype(int) - wanted).mean() < 1.5
    for plain, mirrored in ((2, 3), (4, 7), (6, 5)):  # a mirrored turn is a turn the other way
        back = found[mirrored][:, :, ::-1].astype(int)
        np.testing.assert_allclose(back, found[plain], atol=2)


def test_one_and_two_views():
    given = smooth(3, 32)
    assert [len(list(views(given, n))) for n in (1, 2)] == [1, 2]

    def brightness_of_left(seen: np.ndarray) -> np.ndarray:
        return seen[:, :, :16].mean((1, 2, 3))[:, None]

    wanted = given.mean((1, 2, 3))[:, None]
    np.testing.assert_allclose(mean_over_views(brightness_of_left, given, 2), wanted)
    np.testing.assert_array_equal(
        mean_over_views(brightness_of_left, given, 1), brightness_of_left(given)
    )
    with pytest.raises(ValueError, match="1, 2, 8 views, not 3"):
        next(views(given, 3))


# --- training, evaluation, prediction ----------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_prepared(tmp_path_factory.mktemp("views"), {"real": COUNTS})


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("trained")
    flags = ("--stage", "real", "--data_dir", data, "--output_dir", output, *FAST, "--views", 8)
    assert train.main([str(flag) for flag in flags]) == 0
    return output


@pytest.mark.slow
def test_training_calibrates_what_users_get(trained, data):
    path = trained / "mobilenet_real.keras"
    facts = read_model_metadata(path)
    assert facts["views"] == 8
    mean, labels = mean_by_hand(path, data / "real", "val")
    loss = sklearn.metrics.log_loss(labels, mean)
    assert facts["validation"]["loss"] == pytest.approx(loss, rel=1e-4)
    assert is_best_temperature(facts["temperature"], mean, labels)


@pytest.mark.slow
def test_other_views_are_another_training(trained, data):
    flags = ("--stage", "real", "--data_dir", data, "--output_dir", trained, *FAST)
    with pytest.raises(UserError, match=r"mobilenet_real\.keras: was trained .*views"):
        train.main([str(flag) for flag in flags])


@pytest.mark.slow
def test_evaluation_takes_all_views(trained, data, tmp_path):
    path = trained / "mobilenet_real.keras"
    flags = ["--model", path, "--data_dir", data / "real", "--output_dir", tmp_path]
    assert (
        evaluate.main([*map(str, flags), "--split", "test", "--batch_size", "3", "--no_report"])
        == 0
    )
    mean, labels = mean_by_hand(path, data / "real", "test")
    expected = softened(mean, read_model_metadata(path)["temperature"])
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["is"] for row in rows] == labels
    np.testing.assert_allclose([float(row["p_1"]) for row in rows], expected.max(1), atol=1e-3)
    assert json.loads((tmp_path / "scores.json").read_text())["views"] == 8


@pytest.fixture(scope="module")
def of_views(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    return write_model(folder / "eight.keras", views=8)


@pytest.mark.slow
def test_prediction_takes_all_views(of_views, tmp_path):
    from footprints.network.keras_file import load_model

    given = np.stack(pictures(3, seed=5))
    net = load_model(of_views).model
    raw = np.mean([net(seen, training=False).numpy() for seen in views(given, 8)], axis=0)
    wanted = softened(raw, TEMPERATURE)
    classifier = Classifier(of_views)
    assert classifier.views == 8
    found = classifier.predict(given)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    plain = softened(net(given, training=False).numpy(), TEMPERATURE)
    assert np.abs(found - plain).max() > 1e-3, "these pictures show no difference"

    save(tmp_path / "a.png", given[0])
    flags = ("--model", of_views, "--detector", "none", "--output_dir", tmp_path / "out")
    assert predict.main([str(flag) for flag in (tmp_path / "a.png", *flags)] + ["--no_report"]) == 0
    (result,) = json.loads((tmp_path / "out" / "predictions.json").read_text())["photos"]
    said = {one["class"]: one["probability"] for one in result["top"]}
    best = classifier.classes[int(wanted[0].argmax())]
    assert said[best] == pytest.approx(wanted[0].max(), abs=1e-3)


def test_exported_files_say_what_to_average(of_views, tmp_path, monkeypatch):
    classifier = Classifier(of_views)
    monkeypatch.setattr(export, "Classifier", lambda _: classifier)
    monkeypatch.setattr(export, "load_model", lambda _: SimpleNamespace(model=None))
    monkeypatch.setattr(export, "convert", lambda *_: b"converting takes long")
    given = ("--model", of_views, "--output_dir", tmp_path, "--formats", "onnx")
    assert export.main([str(word) for word in given]) == 0
    facts = json.loads((tmp_path / f"{of_views.stem}.onnx.json").read_text(encoding="utf-8"))
    assert facts["views"] == 8
    assert facts["output"].endswith(
        "softmax(log(p) / temperature), p being the mean over 8 views of each picture"
    )


def test_views_of_a_later_release_are_refused(tmp_path, of_views):
    path = tmp_path / "later.keras"
    with zipfile.ZipFile(of_views) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            target.writestr(entry, source.read(entry).replace(b'"views": 8', b'"views": 5'))
    with pytest.raises(UserError, match=r"later\.keras: was made by a newer release"):
        read_model_metadata(path)
