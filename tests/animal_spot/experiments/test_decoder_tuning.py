"""A training that ends with recordings: how windows become events is found and kept."""

import csv
import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from animal_spot.detections.annotations import Annotation
from animal_spot.detections.decoding import EventDecoder
from animal_spot.detections.event_settings import EventSettings
from animal_spot.evaluation.decoder_fit import Heard, fit_decoder, original_rows_of
from animal_spot.evaluation.event_scores import count_events
from tests.helpers.clips import make_corpus
from tests.helpers.prediction import predict_here
from tests.helpers.programs import run_here
from tests.helpers.training import SMALL, folders, main_here

NAMES = ("A", "B", "noise")
WINDOW_S, HOP_S = 3.0, 0.5


def heard_of(calls, needs_s, seed=0, duration_s=400.0):
    """Windows of a network that hears a call from ``needs_s`` on, and names edges at random."""
    rng = np.random.default_rng(seed)
    starts = np.arange(0, duration_s - WINDOW_S, HOP_S)
    evidence = np.full(len(starts), 0.03)
    label = rng.integers(0, 2, len(starts))
    for begin, end, name in calls:
        inside = np.minimum(starts + WINDOW_S, end) - np.maximum(starts, begin)
        evidence = np.maximum(evidence, 0.98 * np.clip(inside / (2 * needs_s), 0, 1))
        label[inside >= 0.8 * (end - begin)] = NAMES.index(name)
    probabilities = np.full((len(starts), 3), 0.0)
    rows = np.arange(len(starts))
    probabilities[rows, label] = 0.9 * evidence
    probabilities[rows, 1 - label] = 0.1 * evidence
    probabilities[:, 2] = 1 - evidence
    truth = [Annotation(*call, float("nan")) for call in calls]
    return Heard(starts, starts + WINDOW_S, probabilities.astype(np.float32), truth)


def clear_of(calls, duration_s=400.0):
    """Windows of a network that names each call by itself, be there another one or not."""
    starts = np.arange(0, duration_s - WINDOW_S, HOP_S)
    heard = np.full((len(starts), 3), 0.01)
    for begin, end, name in calls:
        inside = np.minimum(starts + WINDOW_S, end) - np.maximum(starts, begin)
        column = heard[:, NAMES.index(name)]
        np.maximum(column, 0.97 * np.clip(inside / 0.6, 0, 1), out=column)
    heard[:, 2] = np.maximum(1 - heard[:, :2].sum(1), 0.01)
    heard /= heard.sum(1, keepdims=True)
    truth = [Annotation(*call, float("nan")) for call in calls]
    return Heard(starts, starts + WINDOW_S, heard.astype(np.float32), truth)


def test_edges_are_found_that_windows_do_not_know():
    rng = np.random.default_rng(1)
    calls = [(10.0 * k, 10.0 * k + rng.uniform(0.8, 2), "AB"[k % 2]) for k in range(1, 38)]
    recording = heard_of(calls, needs_s=0.6)
    found = fit_decoder([recording, heard_of([], 0.6)], NAMES, "noise")
    assert found.begin_s == pytest.approx(0.6, abs=0.1)
    assert found.end_s == pytest.approx(0.6, abs=0.1)
    assert found.found["f1"] > 0.95
    assert max(found.found["begin_error_s"], found.found["end_error_s"]) < 0.1
    (before,) = original_rows_of([recording], NAMES, "noise")
    counts = count_events(recording.truth, before, NAMES[:2])
    assert sum(c.fp for c in counts.values()) > 10  # what the windows at the edges made of it
    rows = EventDecoder(NAMES, "noise", found).annotations(
        [(recording.start_s, recording.end_s, recording.probabilities)]
    )
    after = count_events(recording.truth, rows, NAMES[:2])
    assert sum(c.tp for c in after.values()) >= 33
    assert sum(c.fp for c in after.values()) <= 2


def with_moments(recording, times_s):
    """The same windows, where three around each time are sure of A."""
    probabilities = recording.probabilities.copy()
    for time_s in times_s:
        near = np.abs((recording.start_s + recording.end_s) / 2 - time_s) < 0.7
        probabilities[near] = [0.97, 0.01, 0.02]
    return probabilities


def test_what_hardly_any_call_needs_is_left_out():
    calls = [(10.0 * k, 10.0 * k + 1.2, "AB"[k % 2]) for k in range(1, 19)]
    recording = heard_of(calls, needs_s=0.4, duration_s=200.0)
    moments = [55.0, 105.0, 155.0]
    false = dataclasses.replace(recording, probabilities=with_moments(recording, moments))
    found = fit_decoder([false], NAMES, "noise")
    assert found.apart_s == pytest.approx(0.5 * WINDOW_S)
    assert found.slack_s == pytest.approx(0.15 * WINDOW_S)
    assert found.found["false_per_hour"] == 0
    moments = [10.0 * k + 5 for k in range(1, 19, 3)]
    calls += [(at - 0.2, at + 0.2, "A") for at in moments]
    truth = [Annotation(*call, float("nan")) for call in sorted(calls)]
    probabilities = with_moments(recording, moments)
    true = dataclasses.replace(recording, probabilities=probabilities, truth=truth)
    assert fit_decoder([true], NAMES, "noise").slack_s == math.inf


def test_calls_close_to_others_are_not_given_up():
    calls = [
        call
        for k in range(1, 19)
        for call in [(10.0 * k, 10.0 * k + 1, "A"), (10.0 * k + 1.8, 10.0 * k + 2.8, "B")]
    ]
    recording = clear_of(calls, duration_s=200.0)
    found = fit_decoder([recording], NAMES, "noise")
    assert found.apart_s == 0
    assert found.found["recall_whatever_class"] > 0.9


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    tapes = [f"T{i}" for i in range(40)]
    classes = {"A": tapes, "B": tapes, "noise": [f"N{i}" for i in range(40)]}
    return make_corpus(tmp_path_factory.mktemp("clips"), classes, rate=16000)


def test_a_training_keeps_how_events_are_found_and_prediction_uses_it(corpus, tmp_path):
    flags = (*SMALL, "--max_train_epochs", "1", "--tune_decoder", "--data_dir", str(corpus))
    result = main_here(*flags, *folders(tmp_path / "run"))
    assert result.returncode == 0, result.stderr
    assert "validation calls are mixed into" in result.stderr
    model = tmp_path / "run" / "model" / "ANIMAL-SPOT.pk"
    kept = torch.load(model, weights_only=True)["decoder"]
    said = json.loads((model.parent / "results.json").read_text())["decoder"]
    assert kept == said
    assert said["found"]["mixed_calls"] == 80
    assert said["found"]["original"]["false_per_hour"] >= 0
    assert EventSettings.from_entries(kept).begin_s <= 0.32
    sound = next((corpus / "A").glob("*.wav"))
    arguments = ("--model_path", model, "--input_file", sound, "--output_dir", tmp_path / "out")
    assert predict_here(*arguments, "--precision", "fp32", "--format", "csv") == 0
    (table,) = (tmp_path / "out").glob("*_output.csv")
    assert json.loads(_cell(table, "decoder"))["begin_s"] == kept["begin_s"]
    result = run_here(
        *("calibrate", model, "--data_dir", corpus, "--output", tmp_path / "calibrated.pk")
    )
    assert result.returncode == 0, result.stderr
    again = torch.load(tmp_path / "calibrated.pk", weights_only=True)
    assert again["decoder"]["found"]["mixed_calls"] == 80
    assert again["temperature"] is not None


def _cell(path, column):
    with open(path, newline="") as file:
        return next(csv.DictReader(file))[column]


def test_too_few_clips_are_no_reason_to_stop(tmp_path):
    tapes = [f"T{i}" for i in range(6)]
    few = make_corpus(tmp_path / "clips", {"target": tapes, "noise": [f"N{i}" for i in range(6)]})
    flags = (*SMALL, "--max_train_epochs", "1", "--tune_decoder", "--data_dir", str(few))
    result = main_here(*flags, *folders(tmp_path / "run"))
    assert result.returncode == 0, result.stderr
    assert "from under 10 nothing is learned about recordings" in result.stderr
    assert "decoder" not in torch.load(
        tmp_path / "run" / "model" / "ANIMAL-SPOT.pk", weights_only=True
    )
