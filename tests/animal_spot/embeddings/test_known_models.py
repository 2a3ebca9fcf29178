"""Perch 2.0, AVES and BirdAVES as ONNX files: recognised, fed as their authors say, remembered."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile as sf
import torch

from animal_spot.embeddings.embedding_model import (
    EmbeddingModel,
    EmbeddingModelError,
    find_embedding_model,
    options_of,
    to_peak,
)
from animal_spot.embeddings.embedding_pipeline import EmbeddingPipeline
from animal_spot.training.config import parse_config
from tests.helpers.clips import make_corpus
from tests.helpers.embeddings import write_model
from tests.helpers.known_embeddings import (
    PERCH_SAMPLES,
    expected_aves,
    expected_perch,
    write_aves,
    write_perch,
)
from tests.helpers.prediction import only_error, predict_here
from tests.helpers.training import TAPES, folders, main_here, run_main

OPEN_S = 0.5


def noise(length: int, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (0.02 * rng.standard_normal(length) + offset).astype(np.float32)


def by_the_book(window: np.ndarray) -> np.ndarray:
    """Scale as perch-hoplite's ``normalize_audio`` with ``target_peak`` 0.25, in float64."""
    centred = window.astype(np.float64)
    centred -= centred.mean()
    return centred / np.abs(centred).max() * 0.25


# -- how they are fed ------------------------------------------------------------------------------


def test_perch_is_recognised_and_its_windows_are_scaled(tmp_path):
    model = EmbeddingModel(write_perch(tmp_path / "any_name.onnx"))
    info = model.info
    assert (info.name, info.preset, info.output) == ("Perch 2.0", "perch2", "embedding")
    assert (info.dim, info.n_samples, info.sample_rate) == (1536, 160_000, 32_000)
    assert (info.peak, info.band) == (0.25, (0, 16_000))
    assert info.licence == "Perch 2.0 is licensed Apache-2.0"
    window = noise(PERCH_SAMPLES, offset=0.1)
    (found,) = model.embed([window])
    np.testing.assert_allclose(found, expected_perch(by_the_book(window)[None])[0], rtol=1e-3)
    (louder,) = model.embed([8 * window])
    np.testing.assert_allclose(louder, found, rtol=1e-4)


def test_other_outputs_of_a_file_are_chosen_by_name(tmp_path):
    """The mean over the 16 x 4 places of the spatial embedding is the embedding."""
    path = write_perch(tmp_path / "p.onnx")
    window = noise(PERCH_SAMPLES)
    spatial = EmbeddingModel(path, output="spatial_embedding")
    assert (spatial.info.output, spatial.info.dim) == ("spatial_embedding", 1536)
    np.testing.assert_allclose(
        spatial.embed([window]), EmbeddingModel(path).embed([window]), rtol=1e-4
    )
    assert EmbeddingModel(path, output="label").info.dim == 5


def test_no_preset_leaves_windows_as_they_are(tmp_path):
    path = write_perch(tmp_path / "p.onnx")
    with pytest.raises(EmbeddingModelError, match=r"several outputs \(embedding, spatial"):
        EmbeddingModel(path, preset="none", sample_rate=32_000)
    plain = EmbeddingModel(path, preset="none", sample_rate=32_000, output="embedding")
    assert (plain.info.name, plain.info.peak, plain.info.licence) == ("p", None, None)
    window = noise(PERCH_SAMPLES)
    np.testing.assert_allclose(
        plain.embed([window]), expected_perch(window[None].astype(np.float64)), rtol=1e-3
    )
    other = EmbeddingModel(path, peak=0.5)
    assert (other.info.preset, other.info.peak) == ("perch2", 0.5)


@pytest.mark.parametrize(
    ("name", "dim", "preset", "called"),
    [
        ("aves-base-bio.onnx", 768, "aves", "AVES"),
        ("BirdAVES-biox-base.onnx", 768, "birdaves", "BirdAVES"),
        ("birdaves-bioxn-large.onnx", 1024, "birdaves", "BirdAVES"),
    ],
)
def test_aves_is_recognised_and_its_frames_are_averaged(tmp_path, name, dim, preset, called):
    model = EmbeddingModel(write_aves(tmp_path / name, dim=dim), open_s=OPEN_S)
    info = model.info
    assert (info.name, info.preset, info.dim, info.peak) == (called, preset, dim, None)
    assert (info.sample_rate, info.n_samples, info.is_open) == (16_000, 8000, True)
    assert "MIT" in info.licence
    window = noise(8000)
    np.testing.assert_allclose(model.embed([window])[0], expected_aves(window, dim), rtol=1e-4)


def test_a_window_of_an_open_file_is_as_long_as_said(tmp_path):
    path = write_aves(tmp_path / "model.onnx")
    for seconds in (0.5, 0.72):
        model = EmbeddingModel(path, open_s=seconds, preset="aves")
        assert model.info.n_samples == seconds * 16_000
        window = noise(model.info.n_samples)
        np.testing.assert_allclose(model.embed([window])[0], expected_aves(window, 768), rtol=1e-4)


def test_peak_of_silence_stays_silence():
    assert not to_peak(np.zeros(99, np.float32), 0.25).any()
    offset = np.full(48_001, 0.1, np.float32)
    assert not to_peak(offset, 0.25).any()
    faint = offset.copy()
    faint[7] += 1e-3
    assert np.abs(to_peak(faint, 0.25)).max() == pytest.approx(0.25)


def test_embeddings_that_are_kept_are_of_one_peak_and_window(tmp_path):
    perch, aves = write_perch(tmp_path / "p.onnx"), write_aves(tmp_path / "aves-x.onnx")
    models = [
        EmbeddingModel(perch),
        EmbeddingModel(perch, peak=0.5),
        EmbeddingModel(perch, preset="none", output="embedding", sample_rate=32_000),
        EmbeddingModel(aves, open_s=0.5),
        EmbeddingModel(aves, open_s=1.0),
    ]
    settings = [EmbeddingPipeline(model).settings(3000) for model in models]
    assert all(settings.count(one) == 1 for one in settings)
    before = EmbeddingPipeline(EmbeddingModel(write_model(tmp_path / "t.onnx"))).settings(3000)
    assert set(before) == {"model", "output", "sr", "n_samples"}, "as kept before there were more"


# -- what does not fit -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "options", "message"),
    [
        pytest.param(
            lambda path: write_aves(path),
            {"preset": "perch2"},
            r"takes inputs \(batch, 160000\), and this file x \(batch, samples\)",
            id="perch2-of-aves",
        ),
        pytest.param(
            lambda path: write_perch(path, name="waveform"),
            {"preset": "perch2"},
            r"takes inputs \(batch, 160000\), and this file waveform \(batch, 160000\)",
            id="other-input",
        ),
        pytest.param(
            lambda path: write_perch(path, dim=1200),
            {"preset": "perch2"},
            r"gives embedding \(batch, 1536\), and this file embedding \(batch, 1200\), spatial_",
            id="other-embedding",
        ),
        pytest.param(
            lambda path: write_perch(path),
            {"preset": "aves", "open_s": 1.0},
            r"takes an input of any name \(batch, samples\), and this file inputs \(batch, 160000",
            id="aves-of-perch",
        ),
        pytest.param(
            lambda path: write_aves(path, dim=1024),
            {"preset": "aves", "open_s": 1.0},
            r"gives one output \(batch, frames, 768\), and this file y \(batch, frames, 1024\)",
            id="aves-of-birdaves",
        ),
        pytest.param(
            lambda path: write_perch(path),
            {"sample_rate": 48_000},
            r"--embedding_rate 48000: Perch 2\.0 listens at 32000 Hz; leave the flag out",
            id="rate",
        ),
        pytest.param(
            lambda path: write_aves(path),
            {"preset": "aves", "open_s": 0.01},
            r"cannot compute a window of 160 samples \(0\.01 s at 16000 Hz\): ",
            id="too-short",
        ),
        pytest.param(
            lambda path: write_aves(path),
            {"open_s": 1.0},
            "does not say its sampling rate: give it with --embedding_rate",
            id="aves-by-another-name",
        ),
        pytest.param(
            lambda path: write_aves(path),
            {"preset": "aves"},
            r"fixed number of samples, and is x \(batch, samples\)",
            id="open-and-no-length",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(tmp_path, write, options, message):
    path = write(tmp_path / "m.onnx")
    with pytest.raises(EmbeddingModelError, match=message) as error:
        EmbeddingModel(path, **options)
    assert "\n" not in str(error.value)


def test_preset_of_a_tflite_file_is_refused(tmp_path):
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "perch.tflite").write_bytes(b"x")
    with pytest.raises(EmbeddingModelError, match=r"is of ONNX files, and .*perch\.tflite"):
        EmbeddingModel(tmp_path / "perch.tflite", preset="perch2")


def test_peak_must_be_above_zero(capsys):
    with pytest.raises(SystemExit):
        parse_config(["--backbone", "birdnet", "--embedding_peak", "0"])
    assert "must be above 0" in capsys.readouterr().err.splitlines()[-1]
    with pytest.raises(SystemExit):
        parse_config(["--embedding_preset", "aves"])
    assert "needs --backbone birdnet" in capsys.readouterr().err.splitlines()[-1]


# -- what a network remembers ----------------------------------------------------------------------


def test_a_network_finds_its_model_fed_as_in_training(tmp_path):
    perch = EmbeddingModel(write_perch(tmp_path / "p.onnx"), peak=0.5)
    aves = EmbeddingModel(write_aves(tmp_path / "birdaves-x.onnx", dim=1024), open_s=0.72)
    renamed = (tmp_path / "birdaves-x.onnx").rename(tmp_path / "other.onnx")
    found = find_embedding_model(options_of(perch.info), [tmp_path / "p.onnx"])
    assert found.info == perch.info
    assert find_embedding_model(options_of(aves.info), [renamed]).info == aves.info
    # A network of a program that knew no presets was trained on windows as they are.
    old = {k: v for k, v in options_of(perch.info).items() if k not in ("peak", "preset")}
    assert find_embedding_model(old, [tmp_path / "p.onnx"]).info.peak is None


@pytest.mark.slow
def test_few_clips_are_trained_on_perch_and_found_again(tmp_path, capsys):
    """Through the commands; the window in prediction is scaled as in training."""
    data = make_corpus(tmp_path / "data", dict.fromkeys(("A", "B", "noise"), TAPES[:6]), rate=16000)
    perch = write_perch(tmp_path / "perch_v2.onnx")
    result = main_here(
        *("--preset", "few_clips", "--noise_from_class", "noise", "--embedding_views", "1"),
        *("--embedding_model", str(perch), "--embedding_l2", "0.1"),
        *("--data_dir", str(data), *folders(tmp_path / "run")),
    )
    assert result.returncode == 0, result.stderr
    assert "embeddings: Perch 2.0, 1536 numbers of 5 s at 32000 Hz" in result.stderr
    assert "--embedding_preset perch2, tensor embedding, each window scaled to a peak of 0.25" in (
        result.stderr
    )
    assert "Perch 2.0 is licensed Apache-2.0" in result.stderr
    model = tmp_path / "run" / "model" / "ANIMAL-SPOT.pk"
    options = torch.load(model, weights_only=True)["encoderOpts"]
    assert (options["preset"], options["peak"], options["n_samples"]) == ("perch2", 0.25, 160_000)

    found = {}
    for name, level in (("A", 1), ("A", 0.05), ("B", 1)):
        samples, rate = sf.read(next((data / name).glob("*.wav")), dtype="float32")
        wav = tmp_path / f"{name}{level}.wav"
        sf.write(wav, level * samples, rate, subtype="FLOAT")
        common = ("--model_path", model, "--input_file", wav, "--threshold", "0.5")
        folder = tmp_path / f"out_{name}{level}"
        status = predict_here(
            *(*common, "--embedding_model", perch, "--output_dir", folder, "--format", "csv"),
            plain=False,
        )
        assert status == 0
        (path,) = folder.glob("*_predict_output.csv")
        with open(path, newline="") as file:
            found[name, level] = float(next(csv.DictReader(file))["p_A"])
    assert found["A", 1] > 0.5 > found["B", 1]
    assert found["A", 0.05] == pytest.approx(found["A", 1], abs=1e-4)
    capsys.readouterr()
    other = write_perch(tmp_path / "other.onnx", name="waveform")
    assert predict_here(*common, "--embedding_model", other, plain=False) == 1
    assert "other.onnx is another file" in only_error(capsys.readouterr().err)


@pytest.mark.slow
def test_few_clips_are_trained_on_aves_and_a_misfit_is_one_line(tmp_path):
    data = make_corpus(tmp_path / "data", dict.fromkeys(("A", "B", "noise"), TAPES[:6]), rate=16000)
    aves = write_aves(tmp_path / "encoder.onnx")
    common = ("--preset", "few_clips", "--embedding_views", "0", "--embedding_model", str(aves))
    common += ("--data_dir", str(data), "--sequence_len", "500", "--embedding_l2", "0.1")
    wrong = main_here(
        *(*common, "--embedding_preset", "perch2", "--model_dir", str(tmp_path / "wrong"))
    )
    assert wrong.returncode == 1
    said = only_error(wrong.stderr)
    assert "--embedding_preset perch2 does not fit" in said
    assert "takes inputs (batch, 160000), and this file x (batch, samples)" in said
    use = ("--embedding_preset", "aves", "--embedding_peak", "0.5")
    right = run_main(*common, *use, *folders(tmp_path / "run"))
    assert right.returncode == 0, right.stderr
    assert "embeddings: AVES, 768 numbers of 0.5 s at 16000 Hz" in right.stderr
    model = tmp_path / "run" / "model" / "ANIMAL-SPOT.pk"
    options = torch.load(model, weights_only=True)["encoderOpts"]
    assert (options["preset"], options["n_samples"]) == ("aves", 8000)
    assert options["peak"] == 0.5
    wav = next((data / "A").glob("*.wav"))
    arguments = ("--model_path", model, "--input_file", wav, "--embedding_model", aves)
    assert predict_here(*arguments, "--output_dir", tmp_path / "out", plain=False) == 0
    assert "each window scaled to a peak of 0.5" in right.stderr
