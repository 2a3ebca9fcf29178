"""One network, two pictures of each photo, one answer: training, evaluation, prediction, export."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.metrics
from PIL import Image

from footprints import evaluate, export, predict, train
from footprints.network.classifier import Classifier, read_model_metadata
from footprints.network.prepared_set import open_set
from footprints.pictures import crops
from footprints.prediction import sources
from footprints.system.errors import UserError
from tests.helpers.keras_models import (
    CLASSES,
    SIDE,
    TEMPERATURE,
    is_best_temperature,
    pictures,
    save,
    softened,
    write_model,
)
from tests.helpers.keras_steps import REAL, draw_crop, even, list_in_manifest, make_prepared

BOTH = ["crop", "photo"]
COUNTS = even(REAL, train=6, val=5, test=4)
FAST = ("--weights", "none", "--cached_views", 2, "--head_epochs", 2, "--unfreeze", 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A prepared folder; of each photo the whole is unlike the crop."""
    folder = make_prepared(tmp_path_factory.mktemp("two"), {"real": COUNTS})
    rng = np.random.default_rng(7)
    for crop in sorted((folder / "real").rglob("*.png")):
        part, label, name = crop.relative_to(folder / "real").parts
        kind = sorted(REAL).index(label) + (rng.random() < 0.3)  # some are misleading
        save(folder / "real" / f"{part}_photo" / label / name, draw_crop(rng, kind))
    list_in_manifest(folder / "real")
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("trained")
    flags = ("--stage", "real", "--data_dir", data, "--output_dir", output, *FAST)
    assert train.main([str(flag) for flag in flags]) == 0
    return output


@pytest.fixture(scope="module")
def two_scales(tmp_path_factory) -> Path:
    """A model of four classes that looks at two pictures."""
    return write_model(tmp_path_factory.mktemp("models") / "mobilenet_real.keras", scales=BOTH)


@pytest.fixture(scope="module")
def classifier(two_scales) -> Classifier:
    return Classifier(two_scales)


def mean_by_hand(model: Path, data: Path, split: str) -> tuple[list[str], np.ndarray, list[str]]:
    """Return crops, mean of what the network says of crop and photo, classes; by Keras alone."""
    from footprints.network.keras_file import load_model

    net = load_model(model).model
    names = sorted(path.relative_to(data).as_posix() for path in data.glob(f"{split}/*/*.png"))
    raw = [
        net(
            np.stack([np.asarray(Image.open(data / name)) for name in part]), training=False
        ).numpy()
        for part in (names, [name.replace(split, f"{split}_photo", 1) for name in names])
    ]
    return names, (raw[0] + raw[1]) / 2, [name.split("/")[1] for name in names]


# --- data --------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_memory", [True, False], ids=["in-memory", "from-disk"])
def test_every_picture_comes_once_with_its_label(data, keras, in_memory):
    from footprints.network.loader import CropLoader

    found = open_set(data / "real", ("train", "val"))
    assert found.scales == ("crop", "photo")
    np.testing.assert_array_equal(found.counts("train"), [6, 6])  # photos, not pictures
    loader = CropLoader(found, "train", in_memory)
    assert (len(loader), loader.n_photos) == (24, 12)
    assert [path.parts[-3] for path in loader.paths] == ["train"] * 12 + ["train_photo"] * 12
    assert [p.name for p in loader.paths[:12]] == [p.name for p in loader.paths[12:]]
    assert [found.classes[i] for i in loader.labels] == [p.parent.name for p in loader.paths]
    expected = np.stack([np.asarray(Image.open(path)) for path in loader.paths])

    def read(seed):
        batches = [(x.numpy(), y.numpy()) for x, y in loader.batches(5, seed)]
        return tuple(np.concatenate(part) for part in zip(*batches, strict=True))

    np.testing.assert_array_equal(read(None)[0], expected)
    orders = []
    for seed in (1, 1, 2):
        drawn, labels = read(seed)
        where = [int(np.flatnonzero((expected == one).all((1, 2, 3)))[0]) for one in drawn]
        assert sorted(where) == list(range(24))
        np.testing.assert_array_equal(labels, loader.labels[where])
        orders.append(where)
    assert orders[0] == orders[1] != orders[2]
    first = np.array(orders[0][:12]) < 12
    assert 0 < first.sum() < 12, "both scales from the beginning"


def test_a_photo_without_its_other_picture_is_named(data, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    lost = sorted((copy / "real" / "val_photo" / "loup").iterdir())[0]
    lost.unlink()
    with pytest.raises(UserError, match=f"val_photo/loup/{lost.name}: this crop was removed"):
        open_set(copy / "real", ("train", "val"))
    list_in_manifest(copy / "real")
    with pytest.raises(UserError, match=f"val_photo/loup/{lost.name}: not a readable picture"):
        open_set(copy / "real", ("train", "val"))


# --- training and evaluation -------------------------------------------------------------------


@pytest.mark.slow
def test_training_goes_by_photos(trained, data):
    """Epoch, temperature and figures come from the mean of the two pictures of each photo."""
    path = trained / "mobilenet_real.keras"
    facts = read_model_metadata(path)
    assert facts["scales"] == BOTH
    assert facts["training"]["scales"] == BOTH
    assert facts["validation"]["photos"] == 10
    _, mean, labels = mean_by_hand(path, data / "real", "val")
    loss = sklearn.metrics.log_loss(labels, mean)
    assert facts["validation"]["loss"] == pytest.approx(loss, rel=1e-4)
    history = json.loads((trained / "history_real.json").read_text())
    assert min(row["val_loss"] for row in history["epochs"]) == pytest.approx(loss, rel=1e-4)
    assert is_best_temperature(facts["temperature"], mean, labels)


@pytest.mark.slow
def test_evaluation_has_one_answer_a_photo(trained, data, tmp_path):
    path = trained / "mobilenet_real.keras"
    flags = ["--model", path, "--data_dir", data / "real", "--output_dir", tmp_path]
    assert (
        evaluate.main([*map(str, flags), "--split", "test", "--batch_size", "3", "--no_report"])
        == 0
    )
    names, mean, labels = mean_by_hand(path, data / "real", "test")
    expected = softened(mean, read_model_metadata(path)["temperature"])
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["crop"] for row in rows] == names
    assert [row["is"] for row in rows] == labels
    np.testing.assert_allclose([float(row["p_1"]) for row in rows], expected.max(1), atol=1e-3)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert (scores["photos"], scores["scales"]) == (8, BOTH)
    assert np.sum(scores["confusion"]) == 8


@pytest.mark.slow
def test_models_look_at_their_own_scales(trained, data, prepared, two_scales, tmp_path):
    path = trained / "mobilenet_real.keras"
    flags = ["--model", path, "--data_dir", prepared / "real", "--output_dir", tmp_path]
    with pytest.raises(UserError, match=r"has only crop; run prepare again with --scales crop pho"):
        evaluate.main([str(flag) for flag in flags])
    found = open_set(data / "real", ("val",)).with_scales(("crop",), "m.keras")
    assert found.scales == ("crop",)
    assert found.fingerprint() != open_set(data / "real", ("val",)).fingerprint()


# --- answers -----------------------------------------------------------------------------------


def test_classifier_takes_the_mean_and_then_calibrates(classifier, two_scales, keras):
    from footprints.network.keras_file import load_model

    net = load_model(two_scales).model
    many, photos = pictures(40, seed=1), pictures(40, side=2 * SIDE, seed=2)
    small = [crops.whole(photo, SIDE) for photo in photos]
    raw = [net(np.stack(part), training=False).numpy() for part in (many, small)]
    assert np.abs(raw[0] - raw[1]).max() > 0.2
    expected = softened((raw[0] + raw[1]) / 2, TEMPERATURE)
    np.testing.assert_allclose(classifier.predict(many, photos), expected, atol=1e-5)
    assert classifier.scales == ("crop", "photo")
    assert classifier.predict([], []).shape == (0, len(CLASSES))


def test_classifier_misses_photos(classifier):
    with pytest.raises(ValueError, match=r"give as many photos as crops \(2 crops, none photos\)"):
        classifier.predict(pictures(2))
    with pytest.raises(ValueError, match=r"\(2 crops, 1 photos\)"):
        classifier.predict(pictures(2), pictures(1))


def test_predict_makes_the_pictures_that_the_model_knows(
    classifier, two_scales, tmp_path, monkeypatch
):
    monkeypatch.setattr(sources, "Classifier", lambda path: classifier)
    photo = np.concatenate([pictures(1, 90, seed=3)[0], pictures(1, 90, seed=4)[0]], axis=1)
    save(tmp_path / "photos" / "a.png", photo)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    flags = ("--model", two_scales, "--detector", "none", "--output_dir", tmp_path / "out")
    assert (
        predict.main([str(tmp_path / "photos"), *map(str, flags), "--top_k", "4", "--no_report"])
        == 3
    )
    result = json.loads((tmp_path / "out" / "predictions.json").read_text(encoding="utf-8"))
    assert result["scales"] == BOTH
    found = {entry["class"]: entry["probability"] for entry in result["photos"][0]["top"]}
    crop = crops.cut(photo, (45, 0, 135, 90), SIDE)
    expected = classifier.predict([crop], [crops.whole(photo, SIDE)])[0]
    np.testing.assert_allclose([found[name] for name in CLASSES], expected, atol=1e-5)
    alone = classifier.predict([crop], [crop])[0]
    assert np.abs(alone - expected).max() > 1e-3, "this photo shows no difference"


def test_export_compares_answers_to_photos(classifier, two_scales, tmp_path, monkeypatch):
    asked = []

    class Spy(Classifier):
        def __init__(self, path):
            vars(self).update(vars(classifier))

        def look(self, *pictures):
            asked.append(pictures)
            return super().look(*pictures)

    monkeypatch.setattr(export, "Classifier", Spy)
    monkeypatch.setattr(export, "load_model", lambda path: SimpleNamespace(model=None))
    monkeypatch.setattr(export, "convert", lambda *_: b"converting takes long")
    wide = np.concatenate(pictures(3, seed=5), axis=1)
    for i in range(6):
        save(tmp_path / "photos" / f"{i}.png", wide // (i + 1))
    flags = ["--model", two_scales, "--output_dir", tmp_path / "out", "--formats", "tflite"]
    assert export.main([str(f) for f in (*flags, "--photos", tmp_path / "photos")]) == 0
    assert len(asked) == 2  # the original, the exported one
    for centres, wholes in asked:
        assert len(centres) == len(wholes) == 6
        np.testing.assert_array_equal(centres[0], wide[:, SIDE : 2 * SIDE])
        np.testing.assert_array_equal(wholes[0], crops.whole(wide, SIDE))
    path = tmp_path / "out" / "mobilenet_real.tflite.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    assert facts["scales"] == BOTH
    assert "mean over the crop and the whole photo" in facts["output"]
    assert facts["parity"]["photos"] == 6


def test_scales_of_a_later_release_are_refused(tmp_path, two_scales):
    path = tmp_path / "later.keras"
    with zipfile.ZipFile(two_scales) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            content = source.read(entry).replace(
                b'"scales": ["crop", "photo"]', b'"scales": ["sky"]'
            )
            target.writestr(entry, content)
    with pytest.raises(UserError, match=r"later\.keras: was made by a newer release"):
        read_model_metadata(path)
