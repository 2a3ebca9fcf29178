"""TFLite and ONNX files: the same answers, the facts inside, and what happens when they differ."""

from __future__ import annotations

import json
import re
import shlex
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from footprints import export
from footprints.network.classifier import Classifier, read_model_metadata
from footprints.system.errors import UserError
from tests.helpers.keras_models import CLASSES, SIDE, TEMPERATURE, THRESHOLD, pictures, save
from tests.helpers.programs import call, run_python

ALL = list(export.FORMATS)
CALIBRATED = 2e-5  # float32 networks whose sums are taken in another order


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for i, rgb in enumerate(pictures(12, seed=5)):
        save(folder / "sub" / f"{i:02}.png", rgb)
    return folder


@pytest.fixture(scope="module")
def exported(model_file, photos, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    given = ("--model", model_file, "--output_dir", folder, "--photos", photos)
    done = call(export.main, *given)
    assert done.returncode == 0, done.stderr
    assert "12 photos" in done.stdout
    assert all(file_of(folder, name).name in done.stdout for name in ALL)
    return folder


@pytest.fixture
def no_conversion(exported, monkeypatch):
    """Take the files that were made once; converting takes long."""
    monkeypatch.setattr(export, "load_model", lambda path: SimpleNamespace(model=None))
    monkeypatch.setattr(
        export, "convert", lambda model, name, *_: file_of(exported, name).read_bytes()
    )


def run_main(*arguments: object) -> int:
    return export.main([str(argument) for argument in arguments])


def file_of(folder: Path, name: str) -> Path:
    return folder / f"mobilenet_real{export.FORMATS[name].ending}"


@pytest.fixture(scope="module")
def raw(keras, model_file) -> np.ndarray:
    """What Keras says of the pictures, not calibrated."""
    net = keras.models.load_model(model_file, safe_mode=True)
    return net.predict(np.stack(pictures(12, seed=5)).astype("float32"), verbose=0)


@pytest.mark.slow
def test_files_and_nothing_else(exported):
    names = {file_of(exported, name).name for name in ALL}
    assert {path.name for path in exported.iterdir()} == names | {f"{n}.json" for n in names}


@pytest.mark.slow
def test_onnx_runtime_itself_agrees_with_keras(exported, raw):
    import onnxruntime

    session = onnxruntime.InferenceSession(file_of(exported, "onnx"))
    [source], [target] = session.get_inputs(), session.get_outputs()
    assert (source.name, source.shape[1:], target.name) == (
        "image",
        [SIDE, SIDE, 3],
        "probabilities",
    )
    batch = np.stack(pictures(12, seed=5)).astype("float32")
    np.testing.assert_allclose(session.run(None, {"image": batch})[0], raw, atol=CALIBRATED)


@pytest.mark.slow
def test_tflite_itself_agrees_with_keras(exported, raw, keras):
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(str(file_of(exported, "tflite")))
    interpreter.allocate_tensors()
    index = interpreter.get_input_details()[0]["index"]
    for picture, expected in zip(pictures(12, seed=5), raw, strict=True):
        interpreter.set_tensor(index, picture[None].astype("float32"))
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        np.testing.assert_allclose(found, expected, atol=CALIBRATED)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_classifier_reads_every_format(name, exported, model_file):
    original, other = Classifier(model_file), Classifier(file_of(exported, name))
    assert (other.classes, other.temperature, other.threshold, other.image_size) == (
        CLASSES,
        TEMPERATURE,
        THRESHOLD,
        SIDE,
    )
    assert other.scales == ("crop",)
    many = pictures(12, seed=5)
    difference = np.abs(original.predict(many) - other.predict(many))
    allowed = export.FORMATS[name]
    assert difference.mean() <= allowed.mean
    assert difference.max() <= allowed.largest


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_facts_are_beside_and_inside(name, exported):
    path = file_of(exported, name)
    beside = json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))
    inside = read_model_metadata(path)
    assert beside["parity"]["photos"] == 12
    assert beside["bytes"] == path.stat().st_size
    for facts in (beside, inside):
        assert facts["classes"] == CLASSES
        assert facts["temperature"] == TEMPERATURE
        assert facts["threshold"] == THRESHOLD
        assert facts["settings"]["margin"] == 0.0
        assert "/" not in facts["source"], "paths of this machine do not belong in the file"


@pytest.mark.slow
def test_labels_lie_where_tflite_tools_look(exported):
    with zipfile.ZipFile(file_of(exported, "tflite")) as archive:
        assert archive.read("labels.txt").decode().split() == CLASSES


@pytest.mark.slow
def test_onnx_has_no_augmentation_and_only_standard_operations(exported):
    import onnx

    content = onnx.load(file_of(exported, "onnx"))
    assert {node.domain for node in content.graph.node} <= {"", "ai.onnx"}
    kinds = [node.op_type for node in content.graph.node]
    assert not [kind for kind in kinds if "Random" in kind]
    assert kinds.count("Transpose") < 10, "the network was not tidied up"


@pytest.mark.slow
def test_quantised_files_are_smaller(exported):
    sizes = {name: file_of(exported, name).stat().st_size for name in ALL}
    assert sizes["tflite_dynamic"] < 0.6 * sizes["tflite_fp16"] + 100_000
    assert sizes["tflite_fp16"] < 0.6 * sizes["tflite"]
    assert sizes["tflite"] < 5.5e6


@pytest.mark.slow
def test_onnx_needs_no_tensorflow(exported, photos):
    code = (
        "import sys; from footprints import predict\n"
        "assert predict.main(sys.argv[1:]) == 0\n"
        "assert not {'torch', 'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    flags = ("--model", file_of(exported, "onnx"), "--detector", "none", "--processes", 1)
    done = run_python("-c", code, photos, *flags)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_drawn_prints_serve_where_no_photos_are_given(no_conversion, model_file, tmp_path, capsys):
    flags = ("--model", model_file, "--output_dir", tmp_path, "--formats", "tflite", "tflite")
    assert run_main(*flags) == 0
    assert "drawn prints" in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
def test_a_file_that_differs_is_not_kept(
    no_conversion, exported, model_file, photos, tmp_path, monkeypatch
):
    for ending in ("", ".json"):
        (tmp_path / f"mobilenet_real_fp16.tflite{ending}").write_text("of an older model")
    monkeypatch.setattr(
        Classifier, "look", lambda self, many: (wrong_if_exported(self, many), None)
    )
    flags = ("--model", model_file, "--output_dir", tmp_path, "--photos", photos)
    with pytest.raises(UserError, match="tflite_fp16: differs too much"):
        run_main(*flags, "--formats", "tflite_fp16")
    assert list(tmp_path.iterdir()) == [], "the older file would pass for the new one"


def wrong_if_exported(self, many):
    exported = self.path.suffix != ".keras"
    return np.eye(len(CLASSES))[[int(exported)] * len(many)]


@pytest.mark.slow
def test_photos_that_cannot_be_used_are_listed(no_conversion, model_file, tmp_path, capsys):
    save(tmp_path / "photos" / "good.png", pictures(1, 50)[0])
    (tmp_path / "photos" / "bad.png").write_bytes(b"no photo")
    flags = ("--model", model_file, "--photos", tmp_path / "photos", "--formats", "onnx")
    assert run_main(*flags, "--output_dir", tmp_path / "out") == 3
    assert "bad.png" in capsys.readouterr().err
    assert (tmp_path / "out" / "mobilenet_real.onnx").is_file()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        pytest.param({"--model": "nowhere.keras"}, "no such model", id="no-model"),
        pytest.param({"--model": "other.onnx"}, "needs the .keras file", id="exported-model"),
        pytest.param({"--photos": "nowhere"}, "no such folder", id="no-photos"),
        pytest.param({"--photos": "."}, "no photo that can be read", id="no-photo-in-it"),
    ],
)
def test_mistakes_are_one_line(flags, message, model_file, tmp_path):
    (tmp_path / "other.onnx").touch()
    known = {"--model": model_file, "--output_dir": tmp_path / "out"}
    known |= {name: tmp_path / value for name, value in flags.items()}
    with pytest.raises(UserError, match=message) as raised:
        run_main(*[part for flag in known.items() for part in flag])
    assert "\n" not in str(raised.value)


def test_missing_package_is_named(model_file, photos, tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else find(name)
    )
    flags = ("--model", model_file, "--output_dir", tmp_path / "out", "--photos", photos)
    hint = re.escape(f"{shlex.quote(sys.executable)} -m pip install tf2onnx,")
    with pytest.raises(UserError, match=hint):
        run_main(*flags)


# --- parity ------------------------------------------------------------------------------------


def test_parity_by_hand():
    original = np.array([[0.6, 0.4], [0.1, 0.9]])
    other = np.array([[0.4, 0.6], [0.1, 0.9]])
    found = export.parity(original, other)
    assert (found.photos, found.same_answer) == (2, 0.5)
    assert (found.largest, found.mean) == (pytest.approx(0.2), pytest.approx(0.1))


def test_parity_of_what_is_no_number_is_refused():
    found = export.parity(np.array([[0.5, 0.5]]), np.array([[np.nan, 0.5]]))
    assert not export.FORMATS["tflite"].allows(found)


@pytest.mark.parametrize("other", [np.zeros((1, 3)), np.zeros((0, 2))])
def test_parity_needs_the_same_pictures(other):
    with pytest.raises(ValueError, match="cannot compare"):
        export.parity(np.zeros((0, 2)), other)
