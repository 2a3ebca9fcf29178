"""Calibration, the threshold, and the class that loads a model and names pictures."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

import footprints
from footprints.network.classifier import Classifier, read_model_metadata
from footprints.scores.calibration import calibrated
from footprints.system.errors import UserError
from tests.helpers.keras_models import CLASSES, SIDE, TEMPERATURE, THRESHOLD, pictures
from tests.helpers.programs import run_python


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def classifier(model_file) -> Classifier:
    return Classifier(model_file)


@pytest.fixture(scope="module")
def keras_net(keras, model_file):
    """The network as Keras itself loads it."""
    return keras.models.load_model(model_file, safe_mode=True)


# --- calibration -------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_calibration_is_softmax_of_divided_logits(temperature):
    logits = np.random.default_rng(0).normal(0, 3, (50, 7))
    expected = softmax(logits / temperature)
    np.testing.assert_allclose(calibrated(softmax(logits), temperature), expected, atol=1e-12)


def test_calibration_keeps_order_and_input():
    raw = softmax(np.random.default_rng(1).normal(0, 3, (50, 7)))
    before = raw.copy()
    assert (calibrated(raw, 3.0).argsort(axis=1) == raw.argsort(axis=1)).all()
    assert (raw == before).all(), "the input was modified"


def test_calibration_of_certainty_and_of_nothing():
    np.testing.assert_array_equal(calibrated(np.array([[1.0, 0.0]]), 2.0), [[1.0, 0.0]])
    assert calibrated(np.zeros((0, 3)), 2.0).shape == (0, 3)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_calibration_refuses_impossible_temperatures(temperature):
    with pytest.raises(ValueError, match="above 0"):
        calibrated(np.array([[0.5, 0.5]]), temperature)


def test_calibration_refuses_what_is_no_number():
    with pytest.raises(ValueError, match="not a number"):
        calibrated(np.array([[np.nan, 0.5]]), 1.0)


# --- the class ---------------------------------------------------------------------------------


def test_answers_are_those_of_keras_calibrated(classifier, keras_net):
    found = classifier.predict(pictures(40))
    raw = keras_net.predict(np.stack(pictures(40)).astype("float32"), verbose=0)
    expected = softmax(np.log(raw.astype(float)) / TEMPERATURE)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 0.2, "the test model should tell pictures apart"
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)


def test_facts_of_the_file(classifier):
    assert classifier.classes == CLASSES
    assert (classifier.temperature, classifier.threshold) == (TEMPERATURE, THRESHOLD)
    assert classifier.image_size == SIDE


def test_answers_do_not_depend_on_company(classifier):
    many = pictures(45)
    together = classifier.predict(many)
    alone = np.concatenate([classifier.predict([picture]) for picture in many])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_repeated_calls_agree(classifier):
    """Augmentation is off; Keras turns it on for a model that is called without being told."""
    np.testing.assert_array_equal(
        classifier.predict(pictures(5)), classifier.predict(np.stack(pictures(5)))
    )


def test_a_model_of_crops_does_not_look_at_photos(classifier):
    assert classifier.scales == ("crop",)
    found = classifier.predict(pictures(2), pictures(2, seed=5))
    np.testing.assert_array_equal(found, classifier.predict(pictures(2)))


def test_no_pictures(classifier):
    assert classifier.predict([]).shape == (0, len(CLASSES))


def test_other_sizes_are_shrunk_not_stretched(classifier):
    flat = np.full((2 * SIDE, 3 * SIDE, 3), (200, 90, 40), np.uint8)
    expected = classifier.predict([flat[:SIDE, :SIDE]])
    np.testing.assert_allclose(classifier.predict([flat]), expected, atol=1e-6)


def test_colours_are_rgb(classifier, keras_net):
    red = np.zeros((SIDE, SIDE, 3), np.uint8)
    red[..., 0] = 220
    expected = keras_net.predict(red[None].astype("float32"), verbose=0).argmax()
    assert classifier.predict([red]).argmax() == expected
    swapped = classifier.predict([red[..., ::-1]])
    assert np.abs(swapped - classifier.predict([red])).max() > 1e-3


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(np.zeros((40, 40, 3), np.float32), id="floats"),
        pytest.param(np.zeros((40, 40), np.uint8), id="grey"),
        pytest.param(np.zeros((40, 40, 4), np.uint8), id="alpha"),
        pytest.param("photo.jpg", id="path"),
    ],
)
def test_wrong_arrays_are_refused(classifier, picture):
    with pytest.raises((ValueError, TypeError)):
        classifier.predict([picture])


def test_imported_from_the_package():
    assert footprints.Classifier is Classifier


# --- model files -------------------------------------------------------------------------------


def _no_metadata(path):
    import onnx
    from onnx import TensorProto, helper

    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, SIDE, SIDE, 3])
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([node], "g", [info], [helper.make_tensor_value_info("y", 1, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        pytest.param("absent.keras", lambda p: None, id="absent"),
        pytest.param("folder.keras", lambda p: p.mkdir(), id="folder"),
        pytest.param("text.keras", lambda p: p.write_text("hello"), id="text"),
        pytest.param("empty.keras", lambda p: p.touch(), id="empty"),
        pytest.param("text.onnx", lambda p: p.write_text("hello"), id="text-onnx"),
        pytest.param("text.tflite", lambda p: p.write_text("hello"), id="text-tflite"),
        pytest.param("strange.onnx", _no_metadata, id="onnx-of-others"),
        pytest.param("model.pt", lambda p: p.write_bytes(b"PK"), id="kind"),
    ],
)
def test_what_is_no_model_is_one_line(name, write, tmp_path):
    path = tmp_path / name
    write(path)
    with pytest.raises(UserError) as raised:
        Classifier(path)
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_truncated_model_is_one_line(model_file, tmp_path):
    broken = tmp_path / "half.keras"
    broken.write_bytes(model_file.read_bytes()[: model_file.stat().st_size // 2])
    with pytest.raises(UserError, match=r"half\.keras"):
        Classifier(broken)


def test_classes_that_do_not_fit_the_network(model_file, tmp_path):
    path = tmp_path / "odd.keras"
    with zipfile.ZipFile(model_file) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == "metadata.json":
                facts = json.loads(content)
                facts["footprints"]["classes"].append("fifth")
                content = json.dumps(facts).encode()
            target.writestr(entry, content)
    with pytest.raises(UserError, match=r"odd\.keras"):
        Classifier(path)


def test_a_network_of_nans_is_not_believed(classifier, monkeypatch):
    monkeypatch.setattr(classifier, "_run", lambda x: np.full((len(x), len(CLASSES)), np.nan))
    with pytest.raises(UserError, match="no numbers"):
        classifier.predict(pictures(1))


def test_metadata_needs_no_tensorflow(model_file):
    code = (
        "import sys; from footprints.network.classifier import read_model_metadata\n"
        "print(read_model_metadata(sys.argv[1])['classes'])\n"
        "assert not {'tensorflow', 'keras', 'torch'} & set(sys.modules)\n"
    )
    done = run_python("-c", code, model_file)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(CLASSES)
    assert read_model_metadata(model_file)["threshold"] == THRESHOLD
