"""The options for small data sets: schedule, optimiser, smoothing, further augmentation."""

import json
import math
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from helpers import make_corpus
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_main_resume import assert_same, start, wait_for
from test_main_run import SMALL, TAPES, folders, run_main

from data.augment import Augmentation, augment, random_filter_db
from data.pipeline import PowerBand, SpectrogramPipeline
from data.signal_config import SignalConfig
from models.convnext_encoder import ConvNextEncoder

STILL = {"gain_db": (0, 0), "pitch": (1.0, 1.0), "stretch": (1.0, 1.0)}
RECIPE = (
    *(*SMALL, "--max_train_epochs", "3", "--epochs_per_eval", "1", "--augmentation"),
    *("--scheduler", "onecycle", "--optimizer", "adamw", "--weight_decay", "0.05"),
    *("--label_smoothing", "0.1", "--time_shift", "--random_filter", "3"),
    *("--pitch_range", "0.8", "1.25", "--stretch_range", "0.8", "1.25"),
    *("--noise_from_class", "noise", "--noise_probability", "0.75", "--val_metric", "loss"),
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    base = tmp_path_factory.mktemp("corpus")
    return make_corpus(base / "data", {"A": TAPES * 2, "B": TAPES * 2, "noise": TAPES})


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    run = tmp_path_factory.mktemp("recipe")
    result = run_main("--data_dir", str(corpus), *folders(run), *RECIPE)
    assert result.returncode == 0, result.stderr
    return run


@pytest.fixture
def pipeline():
    return SpectrogramPipeline(
        SignalConfig(sr=16000, n_fft=256, hop_length=128, n_freq_bins=40, fmax=7000)
    )


def ramp(pipeline: SpectrogramPipeline, n_rows: int = 30) -> PowerBand:
    """Return a band whose level rises by 1 dB a frame and does not depend on frequency."""
    low, high = pipeline.band_limits(for_pitch_shift=True)
    level_db = np.repeat(np.arange(n_rows)[:, None] - 60.0, high - low, axis=1)
    return PowerBand((10 ** (level_db / 10)).astype(np.float32), low, 129, 1e-6)


def test_random_filter_has_the_spread_of_its_four_cosines():
    """Each amplitude is normal with A / k and the phase even: variance A^2 / 2 * sum 1 / k^2."""
    rng = np.random.default_rng(0)
    responses = torch.stack([random_filter_db(64, 3.0, rng) for _ in range(4000)])
    expected = 3.0 * math.sqrt(sum(1 / k**2 for k in range(1, 5)) / 2)
    assert responses.std(0).mean() == pytest.approx(expected, rel=0.05)  # 4000 draws
    assert responses.mean(0).abs().max() < 0.25


def test_random_filter_adds_one_response_to_every_frame(pipeline):
    rng = np.random.default_rng(3)
    augmentation = Augmentation(**STILL, filter_db=3.0)
    features = augment(ramp(pipeline), pipeline, 30, augmentation, rng)[0]
    plain = augment(ramp(pipeline), pipeline, 30, Augmentation(**STILL), rng)[0]
    response_db = (features - plain) * 100  # the fixed range is 100 dB
    assert torch.allclose(response_db, response_db[0].expand_as(response_db), atol=1e-3)
    assert response_db[0].std() > 0.3


def test_time_shift_rotates(pipeline):
    augmentation = Augmentation(**STILL, time_shift=True)
    plain = augment(ramp(pipeline), pipeline, 30, Augmentation(**STILL), np.random.default_rng(0))
    shifts = set()
    for seed in range(20):
        shifted = augment(ramp(pipeline), pipeline, 30, augmentation, np.random.default_rng(seed))
        start_row = int((shifted[0, 0] == plain[0]).all(1).nonzero()[0])
        assert torch.equal(shifted, plain.roll(-start_row, 1))
        shifts.add(start_row)
    assert len(shifts) > 5


def test_no_noise_is_mixed_in_at_probability_zero(pipeline):
    def never():
        raise AssertionError("a noise clip was drawn")

    augmentation = Augmentation(**STILL, noise_probability=0.0)
    augment(ramp(pipeline), pipeline, 30, augmentation, np.random.default_rng(0), never)


def test_one_cycle_rises_to_ten_times_the_rate_and_falls(finished):
    (run,) = (finished / "summary").iterdir()
    rates = [e.value for e in EventAccumulator(str(run)).Reload().Scalars("lr")]
    results = json.loads((finished / "model" / "results.json").read_text())
    n_steps = 3 * (results["clips"]["train"] // 4)
    assert rates[-1] == pytest.approx(one_cycle(1e-4, n_steps - 1, n_steps), rel=1e-3)
    assert rates[0] == pytest.approx(one_cycle(1e-4, n_steps // 3, n_steps), rel=1e-3)


def one_cycle(base: float, step: int, n_steps: int) -> float:
    """Rate of cosine one-cycle: base to 10 x base in 30 % of the steps, then to base / 100."""
    rise_end = 0.3 * n_steps - 1
    if step <= rise_end:
        low, high, part = base, 10 * base, step / rise_end
    else:
        low, high = 10 * base, base / 100
        part = (step - rise_end) / (n_steps - 1 - rise_end)
    return high + (low - high) * (1 + math.cos(math.pi * part)) / 2


def test_norms_and_biases_do_not_decay(finished):
    newest = sorted((finished / "checkpoint").iterdir())[-1]
    content = torch.load(newest, weights_only=True)
    groups = content["trainState"]["optState"]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    n_matrices = sum(
        value.ndim > 1 for name, value in content["modelState"].items() if name.endswith("weight")
    )
    assert len(groups[0]["params"]) == n_matrices


def test_killed_one_cycle_run_ends_with_the_same_bits(corpus, finished, tmp_path):
    arguments = ("--data_dir", str(corpus), *folders(tmp_path), *RECIPE)
    process = start(*arguments)
    wait_for(process, "|I|val|1|loss")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    result = run_main(*arguments)
    assert result.returncode == 0, result.stderr
    assert "resumed from" in result.stderr
    assert_same(tmp_path, finished)


def test_one_cycle_cannot_be_lengthened(corpus, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    result = run_main("--data_dir", str(corpus), *folders(run), *RECIPE, "--max_train_epochs", "9")
    assert result.returncode == 1
    assert "--max_train_epochs" in result.stderr.splitlines()[-1]


def test_unknown_noise_class_is_named(corpus, tmp_path):
    result = run_main(
        "--data_dir", str(corpus), *folders(tmp_path), *SMALL, "--noise_from_class", "sea"
    )
    assert result.returncode == 1
    assert "A, B, noise" in result.stderr.splitlines()[-1]


def test_convnext_standardises_its_input():
    """(x - mean) / std before the first layer: the same as handing in such an input."""
    torch.manual_seed(0)
    plain = ConvNextEncoder(pretrained=False).eval()
    standardised = ConvNextEncoder(pretrained=False, input_mean=0.4, input_std=0.2).eval()
    standardised.load_state_dict(plain.state_dict())
    x = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(standardised(x), plain((x - 0.4) / 0.2), atol=1e-5)


def test_new_convnext_models_keep_their_input_statistics(tmp_path):
    data = make_corpus(tmp_path / "data", {"A": TAPES[:6], "B": TAPES[:6], "C": TAPES[:6]})
    result = run_main(
        *("--data_dir", str(data), *folders(tmp_path), *SMALL, "--max_train_epochs", "0"),
        *("--backbone", "convnext"),
    )
    assert result.returncode == 0, result.stderr
    from utils.model_file import load_model

    encoder = load_model(tmp_path / "model" / "ANIMAL-SPOT.pk").model.encoder
    assert (encoder.input_mean, encoder.input_std) == (0.449, 0.226)
