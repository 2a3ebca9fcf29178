"""The options for small data sets: schedule, optimiser, smoothing, further augmentation."""

import json
import math
import shutil
import signal

import pytest
import torch

from animal_spot.model_files.model_file import load_model
from animal_spot.utils.interrupt import Interrupted, StopRequest
from tests.helpers.clips import make_corpus
from tests.helpers.events import read_events
from tests.helpers.training import (
    SMALL,
    TAPES,
    assert_same,
    folders,
    main_here,
    outcome,
    train,
    train_until_killed,
)

pytestmark = pytest.mark.slow

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


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    run = tmp_path_factory.mktemp("recipe")
    train(corpus, run, *RECIPE)
    return run


@pytest.fixture(scope="module")
def balanced(corpus, tmp_path_factory):
    run = tmp_path_factory.mktemp("balanced")
    train(corpus, run, *BALANCED)
    return run


def test_one_cycle_rises_to_ten_times_the_rate_and_falls(finished):
    rates = [e.value for e in read_events(finished / "summary").Scalars("lr")]
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
    train_until_killed("|I|val|1|loss", corpus, tmp_path, *RECIPE)
    assert "resumed from" in train(corpus, tmp_path, *RECIPE)
    assert_same(tmp_path, finished)


def test_one_cycle_cannot_be_lengthened(corpus, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    result = main_here("--data_dir", str(corpus), *folders(run), *RECIPE, "--max_train_epochs", "9")
    assert result.returncode == 1
    assert "--max_train_epochs" in result.stderr.splitlines()[-1]


def checkpoints_of(run):
    return [torch.load(path, weights_only=True) for path in sorted((run / "checkpoint").iterdir())]


def part_of(state, part):
    return {name: value for name, value in state.items() if name.startswith(f"{part}.")}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def test_killed_run_with_every_option_ends_with_the_same_bits(corpus, balanced, tmp_path):
    train_until_killed("|I|train|2|loss", corpus, tmp_path, *BALANCED)
    assert "resumed from" in train(corpus, tmp_path, *BALANCED)
    assert_same(tmp_path, balanced)


@pytest.mark.parametrize("n_looks", [3, 20], ids=["while-frozen", "later"])
def test_run_with_every_option_goes_on_in_the_middle_of_an_epoch(
    corpus, balanced, tmp_path, n_looks, monkeypatch
):
    """Stopped as by Ctrl-C, after a number of looks at whether it should stop."""
    looks = iter(range(n_looks))

    def check(_):
        if next(looks, None) is None:
            raise Interrupted(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(StopRequest, "check", check)
        stopped = main_here("--data_dir", str(corpus), *folders(tmp_path), *BALANCED)
    assert stopped.returncode == 130, stopped.stderr
    assert checkpoints_of(tmp_path)[-1]["trainState"]["partial"]["batches"] > 0
    said = train(corpus, tmp_path, *BALANCED)
    assert ", batch " in said, "not in the middle of an epoch"
    assert_same(tmp_path, balanced)


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


def test_average_cannot_come_and_go_within_a_run(corpus, balanced, finished, tmp_path):
    for run, options in (
        (balanced, [o for o in BALANCED if o not in ("--ema_decay", "0.9")]),
        (finished, [*RECIPE, "--ema_decay", "0.9"]),
    ):
        copied = shutil.copytree(run, tmp_path / run.name)
        result = main_here("--data_dir", str(corpus), *folders(copied), *options)
        assert result.returncode == 1
        assert "--ema_decay" in result.stderr.splitlines()[-1]


def test_cosine_cannot_be_lengthened(corpus, balanced, tmp_path):
    run = shutil.copytree(balanced, tmp_path / "run")
    result = main_here(
        "--data_dir", str(corpus), *folders(run), *BALANCED, "--max_train_epochs", "9"
    )
    assert result.returncode == 1
    assert "--max_train_epochs" in result.stderr.splitlines()[-1]


def test_log_says_how_classes_are_drawn(balanced):
    """With inverse_freq the three classes are drawn equally often, whatever their clips."""
    log = (balanced / "log" / "TRAIN.log").read_text()
    (line,) = (line for line in log.splitlines() if "classes are drawn" in line)
    assert "by inverse_freq, tapes of a class equally often: " in line
    assert line.count(" 33.3 % (of the clips ") == 3


def test_encoder_has_its_share_of_the_rate_in_the_optimiser(balanced):
    content = checkpoints_of(balanced)[-1]
    groups = content["trainState"]["optState"]["param_groups"]
    head = part_of(content["modelState"], "classifier")
    assert [group["initial_lr"] for group in groups] == [4e-4, 4e-4, 1e-4, 1e-4]
    assert len(groups[0]["params"]) + len(groups[1]["params"]) == len(head) == 2
    assert groups[2]["lr"] == pytest.approx(groups[0]["lr"] / 4)


def test_frozen_encoder_is_that_of_the_start(corpus, tmp_path):
    options = (*SMALL, "--epochs_per_eval", "1", "--freeze_epochs", "2")
    for name, n_epochs in (("start", "0"), ("run", "3")):
        said = train(corpus, tmp_path / name, *options, "--max_train_epochs", n_epochs)
    assert "keeps a random network" in said
    state = outcome(tmp_path / "start")[0]["encoderState"]
    start_encoder = {f"encoder.{name}": value for name, value in state.items()}
    states = [content["modelState"] for content in checkpoints_of(tmp_path / "run")]
    encoders = [part_of(state, "encoder") for state in states]
    assert [equal(encoder, start_encoder) for encoder in encoders] == [True, True, False]
    heads = [part_of(state, "classifier") for state in states]
    assert not equal(heads[0], heads[1])


def test_unknown_noise_class_is_named(corpus, tmp_path):
    result = main_here(
        "--data_dir", str(corpus), *folders(tmp_path), *SMALL, "--noise_from_class", "sea"
    )
    assert result.returncode == 1
    assert "A, B, noise" in result.stderr.splitlines()[-1]


def test_new_convnext_models_keep_their_input_statistics(tmp_path):
    data = make_corpus(tmp_path / "data", {"A": TAPES[:6], "B": TAPES[:6], "C": TAPES[:6]})
    train(data, tmp_path, *SMALL, "--max_train_epochs", "0", "--backbone", "convnext")
    encoder = load_model(tmp_path / "model" / "ANIMAL-SPOT.pk").model.encoder
    assert (encoder.input_mean, encoder.input_std) == (0.449, 0.226)
