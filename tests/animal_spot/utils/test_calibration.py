"""Temperatures, thresholds and calibration errors, and what becomes of them in a prediction."""

import ast
import copy
import csv
import dataclasses
import json
import math
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import log_loss, precision_recall_curve

from animal_spot.detections.calibration import (
    TEMPERATURES,
    Calibration,
    calibrate,
    class_thresholds,
    expected_calibration_error,
    fit_temperature,
    known_threshold,
    log_mean,
    log_softmax,
    negative_log_likelihood,
    precision_threshold,
    reliability,
    report_lines,
    tempered,
)
from animal_spot.model_files.model_file import (
    bytes_of,
    calibrated_network,
    dictionary_of,
    load_model,
    load_torchscript,
    save_model,
)
from animal_spot.utils.tensor_files import UnreadableFileError, save_tensors
from tests.helpers.clips import make_corpus
from tests.helpers.events import read_events
from tests.helpers.places import ROOT
from tests.helpers.prediction import (
    HOP_S,
    LENGTH_S,
    MULTI,
    make_content,
    messages,
    only_error,
    predict_here,
    read_log,
    reference,
    run_predict,
    write_sound,
)
from tests.helpers.programs import run_here, run_program
from tests.helpers.training import SMALL, TAPES, train

CALIBRATE = ROOT / "ANIMAL-SPOT" / "calibrate.py"
TOLERANCE = 2e-4  # float32 sums in another order, through 20 layers and a softmax
WINDOWS = ("--sequence_len", LENGTH_S, "--hop", HOP_S)


def drawn(temperature: float, n: int = 20_000, n_classes: int = 4, seed: int = 0):
    """Return logits that are too large by a factor, and labels drawn from the true ones."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 1.5, (n, n_classes))
    p = softmax(true, axis=1)
    labels = (p.cumsum(1) > rng.random((n, 1))).argmax(1)
    return true * temperature, labels


# -- temperature ----------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5, 6.0])
def test_a_known_temperature_is_found(temperature):
    logits, labels = drawn(temperature)
    # The standard error is about 1.5 % with so many clips.
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_temperature_of_two_clips_by_hand():
    """One sure answer of four is wrong: p = 3/4 is best, where z / T = log 3."""
    logits = np.array([[0.0, 4.0]] * 4)
    assert fit_temperature(logits, np.array([1, 1, 1, 0])) == pytest.approx(4 / math.log(3), 1e-4)


def test_likelihood_is_that_of_scikit_learn():
    logits, labels = drawn(2.0, n=200)
    for temperature in (1.0, 3.0):
        wanted = log_loss(labels, softmax(logits / temperature, axis=1), labels=range(4))
        assert negative_log_likelihood(logits, labels, temperature) == pytest.approx(wanted, 1e-9)


def test_no_temperature_makes_the_validation_loss_worse():
    rng = np.random.default_rng(3)
    for n in range(1, 30):
        logits, labels = rng.normal(0, 3, (n, 3)), rng.integers(0, 3, n)
        t = fit_temperature(logits, labels)
        assert TEMPERATURES[0] <= t <= TEMPERATURES[1]
        assert negative_log_likelihood(logits, labels, t) <= negative_log_likelihood(logits, labels)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_clips_that_are_all_right_leave_it_at_one(n):
    assert fit_temperature(np.array([[3.0, 0.0, 1.0]] * n), np.zeros(n, int)) == 1.0


def test_clips_that_are_all_wrong_go_no_further_than_the_limit():
    found = fit_temperature(np.array([[9.0, 0.0]] * 5), np.ones(5, int))
    assert found == pytest.approx(TEMPERATURES[1], rel=1e-3)


def test_nothing_to_fit_on():
    with pytest.raises(ValueError, match="at least one clip"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, int))
    with pytest.raises(ValueError, match="finite"):
        fit_temperature(np.array([[math.nan, 1.0]]), np.array([0]))


def test_tempered_is_the_softmax_of_divided_logits():
    logits, _ = drawn(1.0, n=50)
    for t in (0.3, 1.0, 4.0):
        p = softmax(logits, axis=1)
        np.testing.assert_allclose(tempered(p, t), softmax(logits / t, axis=1), rtol=1e-9)
    some = np.float32([[0.0, 1.0, 0.0], [1e-30, 0.5, 0.5]])
    found = tempered(some, 0.2)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0, 1, 0], [0, 0.5, 0.5]], atol=1e-7)


def test_mean_of_probabilities_from_their_logs():
    one, other = (log_softmax(drawn(1.0, n=30, seed=s)[0]) for s in (1, 2))
    mean = (np.exp(one) + np.exp(other)) / 2
    np.testing.assert_allclose(np.exp(log_mean([one, other])), mean, rtol=1e-12)


# -- calibration error ----------------------------------------------------------------------------


def test_calibration_error_by_hand():
    """Three answers at 0.7 of which one is right, one at 0.98 that is right.

    |1/3 - 0.7| * 3/4 + |1 - 0.98| * 1/4 = 0.28.
    """
    p = np.array([[0.7, 0.3], [0.7, 0.3], [0.3, 0.7], [0.02, 0.98]])
    labels = np.array([0, 1, 0, 1])
    bins = reliability(p, labels)
    assert len(bins) == 15
    assert [(i, b["clips"]) for i, b in enumerate(bins) if b["clips"]] == [(10, 3), (14, 1)]
    assert bins[10]["accuracy"] == pytest.approx(1 / 3)
    assert bins[10]["confidence"] == pytest.approx(0.7)
    assert (bins[0]["accuracy"], bins[0]["confidence"]) == (None, None)
    assert expected_calibration_error(bins) == pytest.approx(0.28)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    p = np.array([[9 / 15, 6 / 15], [1.0, 0.0]])
    bins = reliability(p, np.array([0, 0]))
    assert [i for i, b in enumerate(bins) if b["clips"]] == [8, 14]
    assert sum(b["clips"] for b in bins) == 2


def test_calibration_lowers_the_error_of_sure_answers():
    logits, labels = drawn(5.0)
    before = expected_calibration_error(reliability(softmax(logits, axis=1), labels))
    t = fit_temperature(logits, labels)
    after = expected_calibration_error(reliability(softmax(logits / t, axis=1), labels))
    assert before > 0.15
    assert after < 0.02


# -- thresholds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", [0.3, 0.5, 0.8, 0.9, 0.97, 1.0])
@pytest.mark.parametrize("decimals", [1, 9], ids=["ties", "no-ties"])
def test_threshold_is_the_lowest_of_scikit_learn(precision, decimals):
    rng = np.random.default_rng(1)
    for n in (1, 5, 40, 400):
        scores = rng.random(n).round(decimals)
        right = rng.random(n) < scores
        if not right.any():
            continue
        shares, _, thresholds = precision_recall_curve(right, scores)
        reached = thresholds[shares[:-1] >= precision]
        wanted = reached.min() if len(reached) else None
        assert precision_threshold(scores, right, precision) == wanted


def test_precision_that_cannot_be_reached():
    assert precision_threshold(np.array([0.9, 0.8]), np.array([False, True]), 0.9) is None
    assert precision_threshold(np.array([]), np.array([], bool), 0.9) is None


def test_class_thresholds_by_hand():
    """Of the clips taken for A two are right and one is not; B has no right one; noise none."""
    p = np.array(
        [
            [0.8, 0.1, 0.1],
            [0.7, 0.2, 0.1],
            [0.5, 0.4, 0.1],
            [0.3, 0.6, 0.1],
            [0.1, 0.2, 0.7],
        ]
    ).repeat(10, 0)
    labels = np.array([0, 0, 1, 2, 2]).repeat(10)
    found = class_thresholds(p, labels, ["A", "B", "noise"], 0.9, "noise")
    assert found == {
        "A": {
            **{"threshold": 0.7, "precision": 1.0, "recall": 1.0, "detections": 20, "clips": 20},
            "reason": None,
        },
        "B": {
            **{"threshold": None, "precision": None, "recall": None, "detections": 10},
            **{"clips": 10, "reason": "precision not reached"},
        },
    }
    assert class_thresholds(p, labels, ["A", "B", "noise"], 0.6, "noise")["A"]["threshold"] == 0.5


@pytest.mark.parametrize(
    ("scores", "right", "expected"),
    [
        pytest.param([0.99996] * 4, [1] * 4, (None, "too few detections"), id="issue-four-clips"),
        pytest.param([0.9] * 19, [1] * 19, (None, "too few detections"), id="nineteen"),
        pytest.param([0.9] * 20, [1] * 20, (0.9, None), id="twenty"),
        pytest.param([0.9999] * 20, [1] * 20, (0.95, None), id="never-above-what-20-clips-tell"),
        pytest.param([0.9999] * 50 + [0.6], [1] * 50 + [0], (0.6, None), id="one-in-51-is-no-more"),
        pytest.param(
            [0.9999] * 20 + [0.96] * 9 + [0.5],
            [1] * 20 + [0] * 10,
            (None, "precision not reached"),
            id="wrong-ones-above-what-20-clips-tell",
        ),
    ],
)
def test_no_threshold_is_beyond_what_validation_can_tell(scores, right, expected):
    found = known_threshold(np.array(scores), np.array(right, bool), 0.9)
    assert found == (pytest.approx(expected[0]), expected[1])


def test_wrong_clips_do_not_make_up_for_clips_of_the_class():
    """12 of 20 are right: enough for a precision of 0.6, too few to know the scores of calls."""
    for n, expected in ((12, (None, "too few detections")), (20, (0.9, None))):
        right = np.array([True] * n + [False] * 8)
        assert known_threshold(np.full(n + 8, 0.9), right, 0.6) == expected


def test_the_report_says_why_a_class_has_no_threshold():
    logits = np.array([[9.0, 0, 0]] * 4 + [[0, 0, 9.0]] * 4)
    labels = np.array([0] * 4 + [2] * 3 + [0])
    calibration, report = calibrate(logits, labels, ["A", "B", "noise"], 0.9, "noise")
    assert calibration.thresholds == {}
    lines, warnings = report_lines(report | {"partitions": {}})
    assert any(
        "under 20 validation clips of the class would reach a threshold for A" in w
        for w in warnings
    )
    assert any(re.match(r"A +none .*too few detections", line) for line in lines)


def test_of_two_classes_the_target_gets_a_threshold():
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.6, 0.4], [0.2, 0.8]]).repeat(10, 0)
    labels = np.array([0, 1, 0, 1]).repeat(10)
    found = class_thresholds(p, labels, ["other", "target"], 0.6, None)
    assert list(found) == ["target"]
    assert found["target"]["threshold"] == 0.3
    assert found["target"]["precision"] == pytest.approx(2 / 3)
    assert found["target"]["recall"] == 1.0


def test_report_says_what_cannot_be_found():
    logits = np.array([[3.0, 0, 0], [2.0, 0, 0], [0, 0, 4.0]]).repeat(10, 0)
    labels = np.array([0, 0, 2]).repeat(10)
    calibration, report = calibrate(logits, labels, ["A", "B", "noise"], 0.9, "noise")
    report["partitions"] = {}
    lines, warnings = report_lines(report)
    assert calibration.temperature == 1.0
    assert list(calibration.thresholds) == ["A"]
    assert calibration.clips == {"A": 20}
    assert any("stays 1" in line for line in warnings)
    assert any("no threshold reaches a precision of 0.9 for B" in line for line in warnings)
    assert any(re.match(r"B +none", line) for line in lines)


# -- model files ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def content():
    """A calibrated network of four classes."""
    plain = make_content(MULTI, seed=1)
    return dataclasses.replace(
        plain, calibration=Calibration(2.5, {"K1": 0.3, "x,y": 0.99}, 0.8, {"K1": 34})
    )


def test_calibration_is_kept_in_both_kinds_of_file(content, tmp_path):
    save_model(content, tmp_path / "a.pk")
    (tmp_path / "a.pt").write_bytes(bytes_of(content, torchscript=True))
    assert load_model(tmp_path / "a.pk").calibration == content.calibration
    assert load_torchscript(tmp_path / "a.pt").calibration == content.calibration
    raw = torch.load(tmp_path / "a.pk", weights_only=True)
    assert raw["temperature"] == 2.5
    assert raw["thresholds"] == {"K1": 0.3, "x,y": 0.99}


def test_file_without_calibration_has_none_of_its_keys(content, tmp_path):
    plain = dataclasses.replace(content, calibration=Calibration())
    keys = {"temperature", "thresholds", "calibration_precision", "threshold_clips"}
    assert not keys & set(dictionary_of(plain))
    assert keys <= set(dictionary_of(content))
    network = calibrated_network(plain)
    for one, other in zip(network.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_network_divides_its_logits(content):
    inputs = torch.rand(3, 1, 24, 32, dtype=torch.float64)  # else sums differ in the last digits
    network = calibrated_network(content).double()
    with torch.no_grad():
        logits = copy.deepcopy(content.model).double()(inputs)
        torch.testing.assert_close(network(inputs), logits / 2.5, rtol=1e-6, atol=1e-7)
    assert not torch.equal(network.classifier.linear.weight, content.model.classifier.linear.weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"temperature": 0.0}, "temperature must be a number above 0", id="zero"),
        pytest.param({"temperature": "hot"}, "temperature must be a number", id="text"),
        pytest.param({"temperature": math.nan}, "temperature must be a number", id="nan"),
        pytest.param({"thresholds": {"K9": 0.5}}, "threshold 'K9'=0.5", id="unknown-class"),
        pytest.param({"thresholds": {"K1": 1.5}}, "threshold 'K1'=1.5", id="above-one"),
        pytest.param({"thresholds": [0.5]}, "thresholds must be a dictionary", id="list"),
    ],
)
def test_calibration_that_cannot_be_meant(content, tmp_path, changes, message):
    save_tensors(dictionary_of(content) | changes, tmp_path / "bad.pk")
    with pytest.raises(UnreadableFileError, match=re.escape(message)):
        load_model(tmp_path / "bad.pk")


# -- prediction -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def predicted(content, tmp_path_factory):
    """A recording, and what the calibrated network says of it in all forms."""
    base = tmp_path_factory.mktemp("predicted")
    wav = write_sound(base / "a.wav", 6)
    save_model(content, base / "calibrated.pk")
    result = run_predict(
        *("--model_path", base / "calibrated.pk", "--input_file", wav, *WINDOWS),
        *("--output_dir", base / "out", "--format", "log", "csv", "parquet", "raven"),
        *("--no_cuda", "--engine", "torch", "--precision", "fp32", "--log_dir", base),
    )
    assert result.returncode == 0, result.stderr
    return base, wav, result


def scaled_reference(wav, content):
    """Probabilities of each window with logits divided by the temperature."""
    _, p = reference(wav, dataclasses.replace(content, calibration=Calibration()))
    return softmax(np.log(p.astype(np.float64)) / content.calibration.temperature, axis=1)


def test_prediction_follows_temperature_and_thresholds(predicted, content):
    base, wav, _ = predicted
    wanted = scaled_reference(wav, content)
    log = read_log(base / "out" / "a_predict_output.log")
    np.testing.assert_allclose(log.probabilities, wanted, rtol=0, atol=TOLERANCE)
    limits = np.array([content.calibration.thresholds.get(n, 0.5) for n in MULTI])
    winner = log.probabilities.argmax(1)
    found = (log.probabilities.max(1) >= limits[winner]).tolist()
    assert [bool(w.pred) for w in log.windows] == found
    default = (log.probabilities.max(1) >= 0.5).tolist()
    assert found != default, "the thresholds make no difference for this sound"
    with open(base / "out" / "a_predict_output.csv", newline="") as file:
        assert [row["pred"] == "1" for row in csv.DictReader(file)] == found
    table = pq.read_table(base / "out" / "a_predict_output.parquet")
    assert [value == 1 for value in table["pred"].to_pylist()] == found
    stored = json.loads(table.schema.metadata[b"class_thresholds"])
    assert stored == content.calibration.thresholds


def test_prediction_says_which_thresholds_it_used(predicted):
    base, _, result = predicted
    said = (
        "thresholds of the model file: K1 0.3 (found on 34 clips), x,y 0.99 (found on an unknown "
        "number of clips); all others 0.5"
    )
    assert said in messages(result.stderr, "I")
    assert said in (base / "PREDICT.log").read_text()
    (warned,) = [m for m in messages(result.stderr, "W") if "took thresholds from few clips" in m]
    assert "should x,y be found nowhere" in warned


def test_evaluation_decides_alike_with_the_options_that_prediction_names(predicted):
    base, _, result = predicted
    (line,) = [m for m in messages(result.stderr, "I") if m.startswith("evaluate.py decides")]
    import shlex

    options = shlex.split(line.partition("with: ")[2])
    evaluated = run_program(
        *("evaluate", "--prediction_dir", base / "out", "--output_dir", base / "tables"), *options
    )
    assert evaluated.returncode == 0, evaluated.stderr
    (table,) = (base / "tables").glob("*.Table.1.selections.txt")
    rows = [line.split("\t")[3:5] for line in table.read_text().splitlines()[1:]]
    of_prediction = (base / "out" / "a.Table.1.selections.txt").read_text().splitlines()[1:]
    assert rows == [line.split("\t")[3:5] for line in of_prediction]
    assert rows


def test_a_threshold_that_is_given_wins(predicted, capsys):
    base, wav, _ = predicted
    arguments = ("--model_path", base / "calibrated.pk", "--input_file", wav, *WINDOWS)
    assert predict_here(*arguments, "--output_dir", base / "given", "--threshold", "0.5") == 0
    log = read_log(base / "given" / "a_predict_output.log")
    assert [w.pred for w in log.windows] == [int(w.prob >= 0.5) for w in log.windows]
    assert "--threshold 0.5 is used, not the thresholds" in capsys.readouterr().err


@pytest.mark.parametrize(
    "engine", ["openvino", pytest.param("onnxruntime", marks=pytest.mark.slow)]
)
def test_other_engines_follow_the_temperature(engine, predicted, content):
    pytest.importorskip(engine)
    base, wav, _ = predicted
    arguments = ("--model_path", base / "calibrated.pk", "--input_file", wav, *WINDOWS)
    options = ("--engine", engine, "--precision", "fp32", "--output_dir", base / engine)
    assert predict_here(*arguments, *options, plain=False) == 0
    log = read_log(base / engine / "a_predict_output.log")
    np.testing.assert_allclose(
        log.probabilities, scaled_reference(wav, content), rtol=0, atol=TOLERANCE
    )


def test_fast_arithmetic_decides_as_fp32_does(predicted, content):
    base, wav, _ = predicted
    arguments = ("--model_path", base / "calibrated.pk", "--input_file", wav, *WINDOWS)
    assert predict_here(*arguments, "--output_dir", base / "auto", plain=False) == 0
    fast = read_log(base / "auto" / "a_predict_output.log").windows
    exact = read_log(base / "out" / "a_predict_output.log").windows
    assert [w.pred for w in fast] == [w.pred for w in exact]


def test_exports_hold_the_temperature(predicted, content):
    base, wav, _ = predicted
    path = base / "exported.pt"
    assert (
        predict_here("--model_path", base / "calibrated.pk", "--export", "torchscript", path) == 0
    )
    import soundfile as sf

    samples = torch.from_numpy(sf.read(wav, dtype="float32")[0][None, :4000])
    with torch.no_grad():
        found = torch.jit.load(path)(samples).numpy()
    np.testing.assert_allclose(found, scaled_reference(wav, content)[:1], atol=TOLERANCE)


def test_checkpoint_weights_are_not_calibrated(predicted, content, capsys):
    base, wav, _ = predicted
    save_tensors({"modelState": content.model.state_dict()}, base / "c.checkpoint")
    arguments = ("--model_path", base / "calibrated.pk", "--input_file", wav, *WINDOWS)
    options = ("--checkpoint_path", base / "c.checkpoint", "--output_dir", base / "checkpoint")
    assert predict_here(*arguments, *options) == 0
    assert "calibration is not used" in capsys.readouterr().err
    _, wanted = reference(wav, content)
    log = read_log(base / "checkpoint" / "a_predict_output.log")
    np.testing.assert_allclose(log.probabilities, wanted, rtol=0, atol=TOLERANCE)


# -- training, and calibrate.py -------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with ``--calibrate`` and the same without."""
    base = tmp_path_factory.mktemp("trained")
    data = make_corpus(base / "data", {"A": TAPES, "B": TAPES, "noise": TAPES})
    options = (*SMALL, "--max_train_epochs", "2", "--no_cuda")
    train(data, base / "plain", *options)
    wanted = ("--calibrate", "--calibration_precision", "0.6")
    return base, train(data, base / "run", *options, *wanted)


@pytest.mark.slow
def test_training_calibrates_and_changes_nothing_else(trained):
    base, said = trained
    plain, found = (
        torch.load(base / name / "model" / "ANIMAL-SPOT.pk", weights_only=True)
        for name in ("plain", "run")
    )
    new = {"temperature", "thresholds", "calibration_precision"}
    assert set(found) - set(plain) == new
    for part in ("encoderState", "classifierState"):
        for key, value in plain[part].items():
            assert torch.equal(found[part][key], value), key
    assert found["split"] == plain["split"]
    assert found["calibration_precision"] == 0.6
    report = json.loads((base / "run" / "model" / "results.json").read_text())["calibration"]
    assert report["temperature"] == found["temperature"]
    reached = {n: r["threshold"] for n, r in report["thresholds"].items() if r["threshold"]}
    assert reached == found["thresholds"]
    assert set(report["partitions"]) == {"val", "test"}
    results = json.loads((base / "run" / "model" / "results.json").read_text())
    for name, entry in report["partitions"].items():
        clips = results["clips"][name]
        assert sum(b["clips"] for b in entry["before"]["bins"]) == clips
        assert entry["before"]["loss"] == pytest.approx(results["partitions"][name]["loss"], 1e-4)
    assert "calibration" not in json.loads((base / "plain" / "model" / "results.json").read_text())
    assert any(line.startswith("temperature ") for line in messages(said, "I"))


@pytest.mark.slow
def test_tensorboard_shows_the_calibration(trained):
    base, _ = trained
    events = read_events(base / "run" / "summary")
    report = json.loads((base / "run" / "model" / "results.json").read_text())["calibration"]
    for name, entry in report["partitions"].items():
        assert f"{name}_calibration/reliability" in events.Tags()["images"]
        for when in ("before", "after"):
            tag = f"{name}_calibration/expected_calibration_error_{when}"
            (event,) = events.Scalars(tag)
            assert event.value == pytest.approx(entry[when]["expected_calibration_error"], 1e-5)


@pytest.mark.slow
def test_calibrating_later_gives_what_training_gives(trained):
    base, _ = trained
    model = base / "plain" / "model" / "ANIMAL-SPOT.pk"
    before = model.read_bytes()
    options = ("--calibration_precision", "0.6", "--num_workers", "0")
    arguments = ("calibrate", model, "--data_dir", base / "data", *options)
    result = run_here(*arguments)
    assert result.returncode == 0, result.stderr
    assert model.read_bytes() == before
    assert not messages(result.stderr, "W") or "split" not in messages(result.stderr, "W")[0]
    written = load_model(model.with_name("ANIMAL-SPOT_calibrated.pk"))
    wanted = load_model(base / "run" / "model" / "ANIMAL-SPOT.pk").calibration
    # Training reads spectrograms that are kept in 16 bits.
    assert written.calibration.temperature == pytest.approx(wanted.temperature, rel=0.01)
    assert set(written.calibration.thresholds) == set(wanted.thresholds)
    for kind in ("png", "svg"):
        assert model.with_name(f"ANIMAL-SPOT_calibrated.{kind}").stat().st_size > 1000
    report = json.loads(model.with_name("ANIMAL-SPOT_calibrated.json").read_text())
    assert report["temperature"] == written.calibration.temperature
    again = run_here(*arguments)
    assert again.returncode == 1
    assert "ANIMAL-SPOT_calibrated.pk is there already" in only_error(again.stderr)


@pytest.mark.slow
def test_calibrating_never_overwrites_its_input(trained):
    base, _ = trained
    model = base / "plain" / "model" / "ANIMAL-SPOT.pk"
    before = model.read_bytes()
    result = run_here("calibrate", model, "--data_dir", base / "data", "--output", model)
    assert result.returncode == 1
    assert "is there already" in only_error(result.stderr)
    assert model.read_bytes() == before


@pytest.mark.slow
def test_calibrate_says_what_is_wrong(trained, content, tmp_path):
    base, _ = trained
    model = base / "plain" / "model" / "ANIMAL-SPOT.pk"
    save_model(content, tmp_path / "other.pk")
    save_tensors({"encoderOpts": {}}, tmp_path / "part.pk")
    (tmp_path / "text.pk").write_text("no model")
    (tmp_path / "empty").mkdir()
    data = ("--data_dir", base / "data")
    for arguments, words in (
        ((tmp_path / "gone.pk", *data), "gone.pk"),
        ((tmp_path / "text.pk", *data), "text.pk cannot be read"),
        ((tmp_path / "part.pk", *data), "part.pk is not a model file"),
        ((tmp_path / "other.pk", *data), "are not those of the model"),
        (
            (model, "--data_dir", tmp_path / "empty", "--output", tmp_path / "x.pk"),
            "no stored split",
        ),
        ((model, "--data_dir", tmp_path / "none", "--output", tmp_path / "x.pk"), "does not exist"),
    ):
        result = run_here("calibrate", *arguments)
        assert result.returncode == 1, arguments
        assert words in only_error(result.stderr)
    assert not (tmp_path / "x.pk").exists()


def test_precision_outside_its_range_is_refused(tmp_path):
    for value in ("0", "1.01", "nan"):
        result = run_here(
            "calibrate", "m.pk", "--data_dir", tmp_path, "--calibration_precision", value
        )
        assert result.returncode == 2
        assert "--calibration_precision must be above 0" in result.stderr


@pytest.mark.slow
def test_thresholds_are_written_as_plain_numbers(trained):
    """Other programs read a dictionary of numbers, no arrays."""
    base, _ = trained
    stored = torch.load(base / "run" / "model" / "ANIMAL-SPOT.pk", weights_only=True)
    assert ast.literal_eval(repr(stored["thresholds"])) == stored["thresholds"]
    assert all(type(v) is float for v in [stored["temperature"], *stored["thresholds"].values()])
