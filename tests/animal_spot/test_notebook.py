"""The interface for notebooks gives the numbers of predict.py; the example of its page runs."""

from __future__ import annotations

import csv
import os
import re

import numpy as np
import pytest
import soundfile as sf

from animal_spot.audio.recordings import RecordingError
from animal_spot.detections.annotation_tables import read_table
from animal_spot.detections.calibration import Calibration
from animal_spot.model_files.ensemble_file import Ensemble, save_ensemble
from animal_spot.notebook import CallClassifier
from tests.helpers.places import ROOT
from tests.helpers.prediction import BINARY, MULTI, RATE, predict_here, sound, write_sound

PLAIN = {"cuda": False, "engine": "torch"}


def predicted(folder, model, recording, *flags) -> tuple[list[dict[str, str]], list]:
    """Return what predict.py writes: the table of windows, and the rows of the Raven table."""
    arguments = ("--model_path", model, "--input_file", recording, "--output_dir", folder)
    assert predict_here(*arguments, "--format", "csv", "raven", *flags) == 0
    (table,) = folder.glob("*_predict_output.csv")
    with open(table, encoding="utf-8", newline="") as file:
        windows = list(csv.DictReader(file))
    return windows, read_table(folder / f"{recording.stem}.Table.1.selections.txt")


@pytest.fixture
def recording(tmp_path):
    """Longer than a block that is read at a time, at a rate that is not the network's."""
    return write_sound(tmp_path / "recording.wav", 22.3, seed=5, rate=24_000)


@pytest.fixture
def ensemble(models, tmp_path):
    path = tmp_path / "ensemble.pk"
    members = [models.content("multi"), models.content("multi-2")]
    calibration = Calibration(temperature=1.5, thresholds={"K1": 0.35}, precision=0.9)
    save_ensemble(Ensemble(members, ["one", "two"], calibration), path)
    return path


@pytest.mark.parametrize("kind", ["binary", "multi", "ensemble"])
def test_windows_and_calls_are_those_of_predict(kind, models, ensemble, recording, tmp_path):
    path = ensemble if kind == "ensemble" else models(kind)
    classifier = CallClassifier.load(path, **PLAIN)
    rows, table = predicted(tmp_path / "out", path, recording)
    windows = classifier.windows(recording)
    assert windows.start_s.tolist() == [float(row["start_s"]) for row in rows]
    assert windows.end_s.tolist() == [float(row["end_s"]) for row in rows]
    for name, column in zip(classifier.names, windows.probabilities.T, strict=True):
        assert column.tolist() == [float(np.float32(row[f"p_{name}"])) for row in rows]
    found = classifier.detect(recording)
    assert len(found) > 5
    assert [row._replace(score=round(row.score, 4)) for row in found] == table


def test_hop_threshold_and_channel_are_those_of_the_flags(models, tmp_path):
    samples = np.stack([sound(6, seed=1), sound(6, seed=2)], 1)
    recording = tmp_path / "two.wav"
    sf.write(recording, samples, RATE, subtype="FLOAT")
    flags = ("--hop", "0.05", "--threshold", "0.7", "--channel", "2", "--last_window")
    rows, table = predicted(tmp_path / "out", models("multi"), recording, *flags)
    classifier = CallClassifier.load(models("multi"), channel=2, last_window=True, **PLAIN)
    found = classifier.detect(recording, hop=0.05, threshold=0.7)
    assert [row._replace(score=round(row.score, 4)) for row in found] == table
    assert len(classifier.windows(recording, hop=0.05).start_s) == len(rows)
    assert len(classifier.windows(recording).start_s) < len(rows) / 2


def test_several_models_are_averaged(models, tmp_path):
    recording = write_sound(tmp_path / "recording.wav", 2)
    one, two = (CallClassifier.load(models(name), **PLAIN) for name in ("multi", "multi-2"))
    both = CallClassifier.load(models("multi"), models("multi-2"), **PLAIN)
    expected = (one.windows(recording).probabilities + two.windows(recording).probabilities) / 2
    np.testing.assert_allclose(both.windows(recording).probabilities, expected, atol=1e-6)


@pytest.mark.parametrize("seconds", [0.1, 0.25, 1.0], ids=["shorter", "one-window", "longer"])
def test_a_clip_has_the_mean_of_its_windows(seconds, models, tmp_path):
    clip = write_sound(tmp_path / "clip.wav", seconds)
    rows, _ = predicted(tmp_path / "out", models("multi"), clip)
    assert (len(rows) > 1) == (seconds > 0.25)
    answer = CallClassifier.load(models("multi"), **PLAIN).classify(clip)
    assert list(answer) == sorted(MULTI, key=MULTI.get)
    for name, probability in answer.items():
        mean = np.mean([float(row[f"p_{name}"]) for row in rows])
        assert probability == pytest.approx(mean, abs=1e-7)


@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16", "PCM_32"])
def test_an_array_is_heard_like_the_file_that_holds_it(subtype, models, tmp_path):
    classifier = CallClassifier.load(models("binary"), **PLAIN)
    assert classifier.names == tuple(BINARY)
    clip = write_sound(tmp_path / "clip.wav", 0.6, rate=22_050, subtype=subtype)
    dtype = {"FLOAT": "float64", "PCM_16": "int16", "PCM_32": "int32"}[subtype]
    samples, rate = sf.read(clip, dtype=dtype, always_2d=True)
    assert classifier.classify_array(samples, rate) == classifier.classify(clip)
    assert classifier.classify_array(samples[:, 0], rate) == classifier.classify(clip)


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        pytest.param(np.zeros((2, 3, 4)), RATE, r"shape .* got \(2, 3, 4\)", id="shape"),
        pytest.param(np.zeros(9, np.uint8), RATE, "int16 or int32, got uint8", id="kind"),
        pytest.param(np.zeros(9), 0.5, "whole number of Hz", id="rate"),
        pytest.param(np.zeros(0), RATE, "empty", id="empty"),
        pytest.param(np.full(9999, np.nan), RATE, "finite|NaN", id="nan"),
    ],
)
def test_an_array_that_is_no_sound_is_refused(samples, rate, message, models):
    with pytest.raises(ValueError, match=message):
        CallClassifier.load(models("binary"), **PLAIN).classify_array(samples, rate)


def test_what_cannot_be_used_is_said_in_one_error(models, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(FileNotFoundError, match=r"none\.pk"):
        CallClassifier.load(tmp_path / "none.pk")
    with pytest.raises(ValueError, match=r"text\.wav"):
        CallClassifier.load(tmp_path / "text.wav")
    classifier = CallClassifier.load(models("binary"), **PLAIN)
    with pytest.raises(RecordingError, match=r"text\.wav: "):
        classifier.detect(tmp_path / "text.wav")
    write_sound(tmp_path / "clip.wav", 1)
    with pytest.raises(ValueError, match="threshold"):
        classifier.detect(tmp_path / "clip.wav", threshold=2)
    with pytest.raises(ValueError, match="hop"):
        classifier.windows(tmp_path / "clip.wav", hop=0)


def test_the_example_of_the_page_runs(models, tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    text = text.partition("\n## Sounds\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    os.symlink(models("multi"), "ANIMAL-SPOT.pk")
    write_sound(tmp_path / "clip.wav", 0.5)
    write_sound(tmp_path / "recording.wav", 20, seed=1)
    names = {}
    for block in blocks:
        exec(block, names)  # in one notebook, one after the other
    assert read_table("recording.Table.1.selections.txt") == names["rows"]
    assert names["rows"]
    assert "K1" in capsys.readouterr().out
