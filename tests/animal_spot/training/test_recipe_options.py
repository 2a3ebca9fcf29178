"""The options for small data sets: schedule, optimiser, smoothing, further augmentation."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchvision.ops import StochasticDepth

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import PowerBand, SpectrogramPipeline
from animal_spot.data.augment import augment, random_filter_db
from animal_spot.data.augmentation_limits import Augmentation
from animal_spot.models.convnext_encoder import ConvNextEncoder
from tests.helpers.clips import make_corpus
from tests.helpers.training import (
    SMALL,
    TAPES,
    assert_same,
    folders,
    outcome,
    run_main,
    start,
    wait_for,
)

STILL = {"gain_db": (0, 0), "pitch": (1.0, 1.0), "stretch": (1.0, 1.0)}
RECIPE = (
    *(*SMALL, "--max_train_epochs", "3", "--epochs_per_eval", "1", "--augmentation"),
    *("--scheduler", "onecycle", "--optimizer", "adamw", "--weight_decay", "0.05"),
    *("--label_smoothing", "0.1", "--time_shift", "--random_filter", "3"),
    *("--pitch_range", "0.8", "1.25", "--stretch_range", "0.8", "1.25"),
    *("--noise_from_class", "noise", "--noise_probability", "0.75", "--val_metric", "loss"),
)
# Everything for rare classes and small sets at once.
BALANCED = (
    *(*SMALL, "--max_train_epochs", "4", "--epochs_per_eval", "1", "--augmentation"),
    *("--scheduler", "cosine", "--warmup_epochs", "1", "--ema_decay", "0.9"),
    *("--freeze_epochs", "1", "--backbone_lr_factor", "0.25", "--optimizer", "adamw"),
    *("--weighted_sampling", "--sampling_strategy", "inverse_freq", "--balance_tapes"),
    *("--loss", "focal", "--focal_gamma", "1", "--class_weighting", "sqrt_inverse"),
    *("--logit_adjustment", "0.5", "--label_smoothing", "0.05", "--mixup_alpha", "0.2"),
    *("--spec_augment", "--per_channel_normalization", "--gain", "-3", "3", "--time_shift"),
    *("--noise_from_class", "noise", "--noise_snr", "5", "15", "--random_filter", "2"),
    *("--val_metric", "loss"),
)
# Runs main.py and stops, as by Ctrl-C, after a number of looks at whether it should.
STOP_AFTER = """
import signal, sys
from animal_spot.utils.interrupt import Interrupted, StopRequest
left = int(sys.argv[1])
def check(_):
    global left
    left -= 1
    if left < 0:
        raise Interrupted(signal.SIGINT)
StopRequest.check = check
from animal_spot import main
sys.exit(main.main(sys.argv[2:]))
"""


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


@pytest.fixture(scope="module")
def balanced(corpus, tmp_path_factory):
    run = tmp_path_factory.mktemp("balanced")
    result = run_main("--data_dir", str(corpus), *folders(run), *BALANCED)
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_norms_and_biases_do_not_decay(finished):
    newest = sorted((finished / "checkpoint").iterdir())[-1]
    content = torch.load(newest, weights_only=True)
    groups = content["trainState"]["optState"]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    n_matrices = sum(
        value.ndim > 1 for name, value in content["modelState"].items() if name.endswith("weight")
    )
    assert len(groups[0]["params"]) == n_matrices


@pytest.mark.slow
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


@pytest.mark.slow
def test_one_cycle_cannot_be_lengthened(corpus, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    result = run_main("--data_dir", str(corpus), *folders(run), *RECIPE, "--max_train_epochs", "9")
    assert result.returncode == 1
    assert "--max_train_epochs" in result.stderr.splitlines()[-1]


def checkpoints_of(run):
    return [torch.load(path, weights_only=True) for path in sorted((run / "checkpoint").iterdir())]


def part_of(state, part):
    return {name: value for name, value in state.items() if name.startswith(f"{part}.")}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


@pytest.mark.slow
def test_killed_run_with_every_option_ends_with_the_same_bits(corpus, balanced, tmp_path):
    arguments = ("--data_dir", str(corpus), *folders(tmp_path), *BALANCED)
    process = start(*arguments)
    wait_for(process, "|I|train|2|loss")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    result = run_main(*arguments)
    assert result.returncode == 0, result.stderr
    assert "resumed from" in result.stderr
    assert_same(tmp_path, balanced)


@pytest.mark.slow
@pytest.mark.parametrize("n_looks", [3, 20], ids=["while-frozen", "later"])
def test_run_with_every_option_goes_on_in_the_middle_of_an_epoch(
    corpus, balanced, tmp_path, n_looks
):
    arguments = ["--data_dir", str(corpus), *folders(tmp_path), *BALANCED]
    stopped = subprocess.run(
        [sys.executable, "-c", STOP_AFTER, str(n_looks), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert stopped.returncode == 130, stopped.stderr
    content = checkpoints_of(tmp_path)[-1]
    assert content["trainState"]["partial"]["batches"] > 0
    workers = arguments.index("--num_workers") + 1
    result = run_main(*arguments[:workers], "0", *arguments[workers + 1 :])
    assert result.returncode == 0, result.stderr
    assert ", batch " in result.stderr, "not in the middle of an epoch"
    assert_same(tmp_path, balanced)


@pytest.mark.slow
def test_averaged_weights_are_what_is_saved(balanced):
    contents = checkpoints_of(balanced)
    steps = [content["trainState"]["averaged"]["n_updates"] for content in contents]
    assert steps == [steps[0] * (epoch + 1) for epoch in range(4)]
    last = contents[-1]
    assert not equal(last["modelState"], last["trainState"]["averaged"]["model"])
    saved, _ = outcome(balanced)
    saved = {f"encoder.{name}": value for name, value in saved["encoderState"].items()}
    best = part_of(last["trainState"]["best_model"], "encoder")
    assert equal(saved, best)
    assert any(equal(part_of(content["modelState"], "encoder"), best) for content in contents)


@pytest.mark.slow
def test_average_cannot_come_and_go_within_a_run(corpus, balanced, finished, tmp_path):
    for run, options in (
        (balanced, [o for o in BALANCED if o not in ("--ema_decay", "0.9")]),
        (finished, [*RECIPE, "--ema_decay", "0.9"]),
    ):
        copied = shutil.copytree(run, tmp_path / run.name)
        result = run_main("--data_dir", str(corpus), *folders(copied), *options)
        assert result.returncode == 1
        assert "--ema_decay" in result.stderr.splitlines()[-1]


@pytest.mark.slow
def test_cosine_cannot_be_lengthened(corpus, balanced, tmp_path):
    run = shutil.copytree(balanced, tmp_path / "run")
    result = run_main(
        "--data_dir", str(corpus), *folders(run), *BALANCED, "--max_train_epochs", "9"
    )
    assert result.returncode == 1
    assert "--max_train_epochs" in result.stderr.splitlines()[-1]


@pytest.mark.slow
def test_log_says_how_classes_are_drawn(balanced):
    """With inverse_freq the three classes are drawn equally often, whatever their clips."""
    log = (balanced / "log" / "TRAIN.log").read_text()
    (line,) = (line for line in log.splitlines() if "classes are drawn" in line)
    assert "by inverse_freq, tapes of a class equally often: " in line
    assert line.count(" 33.3 % (of the clips ") == 3


@pytest.mark.slow
def test_encoder_has_its_share_of_the_rate_in_the_optimiser(balanced):
    content = checkpoints_of(balanced)[-1]
    groups = content["trainState"]["optState"]["param_groups"]
    head = part_of(content["modelState"], "classifier")
    assert [group["initial_lr"] for group in groups] == [4e-4, 4e-4, 1e-4, 1e-4]
    assert len(groups[0]["params"]) + len(groups[1]["params"]) == len(head) == 2
    assert groups[2]["lr"] == pytest.approx(groups[0]["lr"] / 4)


@pytest.mark.slow
def test_frozen_encoder_is_that_of_the_start(corpus, tmp_path):
    options = (*SMALL, "--epochs_per_eval", "1", "--freeze_epochs", "2")
    for name, n_epochs in (("start", "0"), ("run", "3")):
        result = run_main(
            *("--data_dir", str(corpus), *folders(tmp_path / name), *options),
            *("--max_train_epochs", n_epochs),
        )
        assert result.returncode == 0, result.stderr
    assert "keeps a random network" in result.stderr
    state = outcome(tmp_path / "start")[0]["encoderState"]
    start_encoder = {f"encoder.{name}": value for name, value in state.items()}
    states = [content["modelState"] for content in checkpoints_of(tmp_path / "run")]
    encoders = [part_of(state, "encoder") for state in states]
    assert [equal(encoder, start_encoder) for encoder in encoders] == [True, True, False]
    heads = [part_of(state, "classifier") for state in states]
    assert not equal(heads[0], heads[1])


@pytest.mark.parametrize(
    ("size", "given", "deepest"),
    [
        pytest.param("tiny", None, 0.1, id="tiny"),
        pytest.param("tiny", 0.3, 0.3, id="tiny-0.3"),
        pytest.param("tiny", 0.0, 0.0, id="tiny-none"),
        pytest.param("small", None, 0.4, id="small"),
    ],
)
def test_blocks_are_left_out_more_often_the_deeper_they_are(size, given, deepest):
    torch.manual_seed(0)
    encoder = ConvNextEncoder(pretrained=False, convnext=size, stochastic_depth=given)
    rates = [m.p for m in encoder.modules() if isinstance(m, StochasticDepth)]
    assert rates == pytest.approx(np.linspace(0, deepest, len(rates)))
    assert len(rates) == {"tiny": 18, "small": 36}[size]


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


@pytest.mark.slow
def test_new_convnext_models_keep_their_input_statistics(tmp_path):
    data = make_corpus(tmp_path / "data", {"A": TAPES[:6], "B": TAPES[:6], "C": TAPES[:6]})
    result = run_main(
        *("--data_dir", str(data), *folders(tmp_path), *SMALL, "--max_train_epochs", "0"),
        *("--backbone", "convnext"),
    )
    assert result.returncode == 0, result.stderr
    from animal_spot.model_files.model_file import load_model

    encoder = load_model(tmp_path / "model" / "ANIMAL-SPOT.pk").model.encoder
    assert (encoder.input_mean, encoder.input_std) == (0.449, 0.226)
