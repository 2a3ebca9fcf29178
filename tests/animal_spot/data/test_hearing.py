"""What of the clips the network does not hear is said before it is trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.data.clip_dataset import Sample
from animal_spot.data.corpus import load_corpus
from animal_spot.data.hearing import hearing_warnings, length_warning, standing_out
from tests.helpers.clips import clip_name, make_corpus
from tests.helpers.training import main_here

RNG = np.random.default_rng(0)


def call(rate: int, hz: float, *, length_s: float = 0.3, level: float = 0.1) -> np.ndarray:
    """Return a second of noise with a call in its middle."""
    samples = 0.01 * RNG.standard_normal(rate)
    n = int(length_s * rate)
    start = (rate - n) // 2
    shape = np.hanning(n) if length_s < 1 else 1
    samples[start : start + n] += level * shape * np.sin(2 * np.pi * hz * np.arange(n) / rate)
    return samples


def rumble(rate: int) -> np.ndarray:
    """Return noise with almost all of its energy below 100 Hz, as the sea and the wind have it."""
    return 1e-3 * np.cumsum(RNG.standard_normal(rate))


@pytest.mark.parametrize(
    ("waveform", "rate", "outside"),
    [
        pytest.param(call(192_000, 45_000), 192_000, True, id="bat"),
        pytest.param(call(192_000, 45_000, length_s=1), 192_000, True, id="tone-above"),
        pytest.param(call(44_100, 100), 44_100, True, id="below"),
        pytest.param(call(44_100, 2000), 44_100, False, id="inside"),
        pytest.param(call(192_000, 2000), 192_000, False, id="inside-and-much-noise-above"),
        pytest.param(call(44_100, 2000, length_s=1), 44_100, False, id="tone-inside"),
        pytest.param(call(44_100, 2000) + rumble(44_100), 44_100, False, id="inside-and-rumble"),
        pytest.param(call(192_000, 2000) + call(192_000, 45_000), 192_000, False, id="both"),
        pytest.param(rumble(44_100), 44_100, False, id="rumble"),
    ],
)
def test_calls_outside_of_the_band(waveform, rate, outside):
    found = standing_out(waveform, rate, 500, 10_000)
    assert (found is not None and found.is_outside) == outside
    if outside and rate == 192_000:
        assert found.peak_hz == pytest.approx(45_000, rel=0.01)


@pytest.mark.parametrize(
    "waveform", [np.zeros(44_100), np.zeros(10), 0.1 * RNG.standard_normal(44_100)]
)
def test_nothing_stands_out_of_noise_and_silence(waveform):
    assert standing_out(waveform, 44_100, 500, 10_000) is None


def samples_of(*durations_s: float) -> list[Sample]:
    return [Sample(Path("x"), f"{i}", "", 0, duration_s=d) for i, d in enumerate(durations_s)]


def test_longer_clips_are_counted():
    said = length_warning(samples_of(1, 3, 3.1, 4, 8, 0), 3000)
    assert said.startswith("2 of 6 clips are longer than the 3 s that the network hears")
    assert "half of these clips last 6.0 s or more" in said
    assert "--sequence_len" in said
    assert length_warning(samples_of(0.5, 3.1), 3000) is None


@pytest.fixture
def bats(tmp_path) -> Path:
    """Return a corpus of two kinds of bats and noise, at 192 kHz."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, hz in (("pip", 45_000), ("nathusii", 38_000), ("noise", None)):
        for number in range(6):
            waveform = 0.01 * RNG.standard_normal(192_000) if hz is None else call(192_000, hz)
            path = folder / clip_name(name, number, f"T{number}")
            sf.write(path, waveform[50_000:140_000], 192_000)
    return folder


@pytest.mark.slow
def test_main_says_that_it_cannot_hear_bats(bats, tmp_path):
    model = tmp_path / "model"
    options = ("--max_train_epochs", "1", "--n_fft", "256", "--hop_length", "200", "--no_cuda")
    small = ("--n_freq_bins", "16", "--sequence_len", "200", "--batch_size", "4")
    run = main_here(
        *("--data_dir", str(bats), "--model_dir", str(model)),
        *("--summary_dir", str(tmp_path / "runs"), *options, *small),
    )
    assert run.returncode == 0, run.stderr
    for name, hz in (("pip", 45), ("nathusii", 38)):
        assert f"does not hear the calls of class {name}" in run.stderr
        assert f"mostly near {hz}" in run.stderr
    assert "calls of class noise" not in run.stderr
    assert "18 of 18 clips are longer than the 0.2 s" in run.stderr
    kept = json.loads((model / "results.json").read_text())["warnings"]
    assert sum("does not hear" in line for line in kept) == 2
    assert sum("are longer" in line for line in kept) == 1


def test_a_band_that_fits_is_not_warned_about(bats, tmp_path):
    corpus = load_corpus(bats)
    assert corpus.samples["train"][0].duration_s == pytest.approx(90_000 / 192_000)
    fits = SignalConfig(sr=192_000, fmin=20_000, fmax=90_000)
    assert hearing_warnings(corpus.samples, corpus.classes, fits, 1000) == []
    tones = load_corpus(make_corpus(tmp_path / "tones", {n: ["A", "B", "C"] for n in "XYZ"}))
    assert hearing_warnings(tones.samples, tones.classes, SignalConfig(), 1000) == []
