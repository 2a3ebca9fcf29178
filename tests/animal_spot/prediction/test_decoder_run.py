"""Both decoders through the commands: what predict finds, evaluate finds in its results."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import soundfile as sf
import torch

from animal_spot.detections.annotation_tables import read_table
from animal_spot.detections.event_settings import EventSettings
from tests.helpers.prediction import predict_here, write_sound
from tests.helpers.programs import run_here

SETTINGS = dataclasses.replace(
    EventSettings.for_windows(0.25), start=0.3, stay=0.2, valley=0.02, threshold=0.11
)


@pytest.fixture(scope="module")
def model(models, tmp_path_factory):
    """A model file that says how to find events."""
    path = tmp_path_factory.mktemp("model") / "events.pk"
    content = torch.load(models("multi"), weights_only=False)
    torch.save(content | {"decoder": SETTINGS.entries()}, path)
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write_sound(tmp_path_factory.mktemp("sound") / "rec.wav", 30, seed=3)


def predict(model, sound, out, *options):
    arguments = ("--model_path", model, "--input_file", sound, "--output_dir", out)
    return predict_here(*arguments, "--precision", "fp32", *options)


def evaluated(folder, out, *options):
    result = run_here("evaluate", "--prediction_dir", folder, "--output_dir", out, *options)
    assert result.returncode == 0, result.stderr
    return read_table(out / "rec.Table.1.selections.txt")


def test_events_are_the_default_of_a_model_that_knows_how(model, sound, tmp_path):
    assert predict(model, sound, tmp_path / "out", "--format", "raven", "csv") == 0
    assert (
        predict(model, sound, tmp_path / "old", "--format", "raven", "--decoder", "original") == 0
    )
    events = read_table(tmp_path / "out" / "rec.Table.1.selections.txt")
    assert events
    assert events != read_table(tmp_path / "old" / "rec.Table.1.selections.txt")
    assert all(a.end_s <= b.begin_s for a, b in itertools.pairwise(events))
    assert min(row.score for row in events) >= SETTINGS.threshold - 1e-3
    original = predict(model, sound, tmp_path / "same", "--format", "raven", "--min_duration", "0")
    assert original == 0


@pytest.mark.parametrize("kind", ["log", "csv", "parquet"])
def test_evaluation_makes_the_same_rows_of_every_kind_of_result(kind, model, sound, tmp_path):
    assert predict(model, sound, tmp_path / "out", "--format", kind, "raven") == 0
    rows = read_table(tmp_path / "out" / "rec.Table.1.selections.txt")
    again = evaluated(tmp_path / "out", tmp_path / "again")
    assert [row[:3] for row in again] == [row[:3] for row in rows]
    np.testing.assert_allclose([r.score for r in again], [r.score for r in rows], atol=2e-4)
    higher = evaluated(tmp_path / "out", tmp_path / "higher", "--threshold", "0.5")
    assert [row[:3] for row in higher] == [row[:3] for row in rows if row.score >= 0.5]
    joined = evaluated(tmp_path / "out", tmp_path / "joined", "--decoder", "original")
    assert joined != again


def test_a_threshold_of_prediction_is_that_of_evaluation(model, sound, tmp_path):
    assert (
        predict(model, sound, tmp_path / "out", "--format", "csv", "raven", "--threshold", "0.4")
        == 0
    )
    rows = read_table(tmp_path / "out" / "rec.Table.1.selections.txt")
    again = evaluated(tmp_path / "out", tmp_path / "again")
    assert [row[:3] for row in again] == [row[:3] for row in rows]
    assert min(row.score for row in rows) >= 0.4 - 1e-4


def test_what_cannot_be_decoded_is_refused(models, model, sound, tmp_path, caplog):
    two = ("--decoder", "events", "--co_occurring", "nobody")
    assert predict(model, sound, tmp_path / "a", *two) == 1
    assert "no class nobody" in caplog.text
    assert (
        predict(model, sound, tmp_path / "b", "--decoder", "original", "--min_duration", "1") == 1
    )
    assert "--min_duration is for --decoder events" in caplog.text
    content = torch.load(model, weights_only=False)
    content["decoder"]["start"] = "high"
    torch.save(content, tmp_path / "bad.pk")
    assert predict(tmp_path / "bad.pk", sound, tmp_path / "c") == 1
    assert "decoder has start 'high'" in caplog.text


def test_bands_are_measured_in_the_sound(model, tmp_path):
    rate, seconds = 44100, 12
    rng = np.random.default_rng(0)
    waveform = 0.01 * rng.standard_normal(rate * seconds)
    t = np.arange(rate * seconds) / rate
    waveform += np.where((t % 4 > 1) & (t % 4 < 2), 0.3 * np.sin(2 * np.pi * 3000 * t), 0)
    sf.write(tmp_path / "rec.wav", waveform, rate)
    loose = ("--threshold", "0", "--format", "raven", "--measure_band")
    assert predict(model, tmp_path / "rec.wav", tmp_path / "out", *loose) == 0
    table = (tmp_path / "out" / "rec.Table.1.selections.txt").read_text().splitlines()
    boxes = [tuple(map(float, line.split("\t")[3:7])) for line in table[1:]]
    heard = [box for box in boxes if any(box[0] < k + 2 and box[1] > k + 1 for k in (0, 4, 8))]
    found = [box for box in heard if box[3] - box[2] < 1000]
    assert found
    assert all(2800 < low < 3000 < high < 3200 for *_, low, high in found)
    combined = (tmp_path / "out" / "all_recordings.Table.1.selections.txt").read_text()
    assert f"\t{found[0][2]}\t{found[0][3]}\t" in combined
    lines = (tmp_path / "out" / ".completed.jsonl").read_text().splitlines()
    entry = next(e for e in map(json.loads, reversed(lines)) if "annotations" in e)
    assert len(entry["bands"]) == len(entry["annotations"])
