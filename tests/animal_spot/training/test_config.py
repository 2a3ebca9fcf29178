from __future__ import annotations

import pytest

from animal_spot.models.names import BACKBONES, backbone
from animal_spot.training.config import TrainConfig, as_dict, parse_config

# Flags, destination and default of the original program. Three defaults were "none" there and
# stand for the value that it then used; the fourth is deliberately another (see below).
ORIGINAL = {
    ("-d", "--debug"): ("debug", False),
    ("--data_dir",): ("data_dir", None),
    ("--cache_dir",): ("cache_dir", None),
    ("--model_dir",): ("model_dir", None),
    ("--checkpoint_dir",): ("checkpoint_dir", None),
    ("--log_dir",): ("log_dir", None),
    ("--summary_dir",): ("summary_dir", None),
    ("--noise_dir",): ("noise_dir", None),
    ("--start_from_scratch",): ("start_scratch", False),
    ("--max_train_epochs",): ("max_train_epochs", 500),
    ("--jit_save",): ("jit_save", False),
    ("--epochs_per_eval",): ("epochs_per_eval", 2),
    ("--batch_size",): ("batch_size", 1),
    ("--num_workers",): ("num_workers", 4),
    ("--no_cuda",): ("cuda", True),
    ("--lr", "--learning_rate"): ("lr", 1e-5),
    ("--beta1",): ("beta1", 0.5),
    ("--lr_patience_epochs",): ("lr_patience_epochs", 8),
    ("--lr_decay_factor",): ("lr_decay_factor", 0.5),
    ("--early_stopping_patience_epochs",): ("early_stopping_patience_epochs", 20),
    ("--filter_broken_audio",): ("filter_broken_audio", False),
    ("--sequence_len",): ("sequence_len", 1280),
    ("--freq_compression",): ("freq_compression", "linear"),
    ("--sr",): ("sr", 44100),
    ("--fmin",): ("fmin", 500),
    ("--fmax",): ("fmax", 10000),
    ("--n_freq_bins",): ("n_freq_bins", 256),
    ("--n_fft",): ("n_fft", 4096),
    ("--hop_length",): ("hop_length", 441),
    ("--augmentation",): ("augmentation", False),
    ("--resnet",): ("resnet_size", 18),
    ("--conv_kernel_size",): ("conv_kernel_size", 7),  # none there, then 7
    ("--num_classes",): ("num_classes", None),  # 2 there; here the classes found decide
    ("--min_max_norm",): ("min_max_norm", False),
    ("--max_pool",): ("max_pool", 1),  # none there, then 1
}
# A value other than the default for each flag that takes one.
VALUES = {
    "max_train_epochs": 3,
    "epochs_per_eval": 1,
    "batch_size": 16,
    "num_workers": 0,
    "lr": 1e-4,
    "beta1": 0.9,
    "lr_patience_epochs": 4,
    "lr_decay_factor": 0.25,
    "early_stopping_patience_epochs": 7,
    "sequence_len": 500,
    "freq_compression": "mel",
    "sr": 48000,
    "fmin": 100,
    "fmax": 8000,
    "n_freq_bins": 64,
    "n_fft": 1024,
    "hop_length": 172,
    "resnet_size": 34,
    "conv_kernel_size": 5,
    "num_classes": 3,
    "max_pool": 2,
}
ALL_FLAGS = {flag: dest for flags, (dest, _) in ORIGINAL.items() for flag in flags}


def arguments(flag: str, dest: str) -> tuple[list[str], object]:
    """Return a command line that sets ``dest`` to something else, and that value."""
    if dest.endswith("_dir"):
        return [flag, "/some/where"], "/some/where"
    if dest in VALUES:
        return [flag, str(VALUES[dest])], VALUES[dest]
    default = next(d for name, d in ORIGINAL.values() if name == dest)
    return [flag], not default


def changed(argv: list[str]) -> dict[str, object]:
    """Return the settings that differ from their defaults."""
    defaults = as_dict(TrainConfig())
    return {k: v for k, v in as_dict(parse_config(argv)).items() if v != defaults[k]}


def unambiguous_abbreviations() -> list[tuple[str, str]]:
    long_flags = {flag: dest for flag, dest in ALL_FLAGS.items() if flag.startswith("--")}
    found = []
    for flag, dest in long_flags.items():
        for end in range(3, len(flag)):
            short = flag[:end]
            matching = [other for other in [*long_flags, "--help"] if other.startswith(short)]
            if short not in long_flags and matching == [flag]:
                found.append((short, dest))
    return found


@pytest.mark.parametrize(("flag", "dest"), ALL_FLAGS.items(), ids=ALL_FLAGS)
def test_original_flag_sets_its_value_and_nothing_else(flag, dest):
    argv, value = arguments(flag, dest)
    assert changed(argv) == {dest: value}
    if len(argv) == 2 and flag.startswith("--"):
        assert changed([f"{flag}={argv[1]}"]) == {dest: value}


@pytest.mark.parametrize(
    ("dest", "default"), ORIGINAL.values(), ids=[d for d, _ in ORIGINAL.values()]
)
def test_default_is_that_of_the_original(dest, default):
    value = getattr(parse_config([]), dest)
    assert value == default
    assert type(value) is type(default)


def test_every_unambiguous_abbreviation_of_an_original_flag_still_means_it():
    abbreviations = unambiguous_abbreviations()
    assert ("--min_max", "min_max_norm") in abbreviations
    assert ("--se", "sequence_len") in abbreviations, "not the newer --seed"
    assert len(abbreviations) > 150
    wrong = {}
    for short, dest in abbreviations:
        argv, value = arguments(short, dest)
        try:
            outcome = changed(argv)
        except SystemExit:
            outcome = "refused"
        if outcome != {dest: value}:
            wrong[short] = outcome
    assert wrong == {}


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["--unknown"], id="unknown-flag"),
        pytest.param(["--data_dir"], id="value-missing"),
        pytest.param(["extra"], id="positional"),
        pytest.param(["--batch_size", "x"], id="not-a-number"),
        pytest.param(["--batch_size", "1.5"], id="not-whole"),
        pytest.param(["--batch_size", "0"], id="batch-0"),
        pytest.param(["--max_train_epochs", "-1"], id="epochs-negative"),
        pytest.param(["--epochs_per_eval", "0"], id="eval-0"),
        pytest.param(["--num_workers", "-1"], id="workers-negative"),
        pytest.param(["--lr", "0"], id="lr-0"),
        pytest.param(["--lr", "-1e-3"], id="lr-negative"),
        pytest.param(["--lr", "nan"], id="lr-nan"),
        pytest.param(["--lr", "inf"], id="lr-infinite"),
        pytest.param(["--beta1", "1"], id="beta1-1"),
        pytest.param(["--lr_patience_epochs", "-1"], id="patience-negative"),
        pytest.param(["--lr_decay_factor", "1"], id="decay-1"),
        pytest.param(["--early_stopping_patience_epochs", "-1"], id="stopping-negative"),
        pytest.param(["--sequence_len", "0"], id="length-0"),
        pytest.param(["--sequence_len", "5"], id="length-under-a-hop"),
        pytest.param(["--freq_compression", "cqt"], id="compression"),
        pytest.param(["--sr", "0"], id="rate-0"),
        pytest.param(["--fmin", "10000"], id="fmin-at-fmax"),
        pytest.param(["--fmin", "-1"], id="fmin-negative"),
        pytest.param(["--fmax", "30000", "--freq_compression", "mel"], id="mel-above-nyquist"),
        pytest.param(["--n_freq_bins", "0"], id="bins-0"),
        pytest.param(["--n_fft", "0"], id="n_fft-0"),
        pytest.param(["--hop_length", "0"], id="hop-0"),
        pytest.param(["--resnet", "20"], id="resnet"),
        pytest.param(["--conv_kernel_size"], id="kernel-none"),
        pytest.param(["--conv_kernel_size", "0"], id="kernel-0"),
        pytest.param(["--num_classes", "1"], id="one-class"),
        pytest.param(["--max_pool", "3"], id="max_pool"),
        pytest.param(["--backbone", "vgg"], id="backbone"),
        pytest.param(["--convnext", "huge"], id="convnext"),
        pytest.param(["--precision", "fp8"], id="precision"),
        pytest.param(["--val_metric", "f2"], id="metric"),
        pytest.param(["--seed", "-1"], id="seed-negative"),
        pytest.param(["--seed", str(2**64)], id="seed-too-large-for-torch"),
        pytest.param(["--gradient_clip_norm", "0"], id="clip-0"),
        pytest.param(["--gradient_clip_norm", "nan"], id="clip-nan"),
        pytest.param(["--pretrained_weights", "x"], id="weights-without-pretrained"),
        pytest.param(["--scheduler", "step"], id="scheduler"),
        pytest.param(["--weight_decay", "0.1"], id="decay-without-adamw"),
        pytest.param(["--optimizer", "adamw", "--weight_decay", "-1"], id="decay-negative"),
        pytest.param(["--optimizer", "adamw", "--weight_decay", "nan"], id="decay-nan"),
        pytest.param(["--label_smoothing", "1"], id="smoothing-1"),
        pytest.param(["--pitch_range", "0.4", "1"], id="pitch"),
        pytest.param(["--pitch_range", "1"], id="pitch-one-number"),
        pytest.param(["--stretch_range", "2", "1"], id="stretch"),
        pytest.param(["--stretch_range", "0.5", "inf"], id="stretch-infinite"),
        pytest.param(["--noise_probability", "2"], id="probability"),
        pytest.param(["--warmup_epochs", "-1", "--scheduler", "cosine"], id="warmup-negative"),
        pytest.param(["--ema_decay", "0"], id="ema-0"),
        pytest.param(["--ema_decay", "1"], id="ema-1"),
        pytest.param(["--ema_decay", "nan"], id="ema-nan"),
        pytest.param(["--freeze_epochs", "-1"], id="freeze-negative"),
        pytest.param(["--backbone_lr_factor", "0"], id="factor-0"),
        pytest.param(["--backbone", "convnext", "--stochastic_depth", "1"], id="depth-1"),
        pytest.param(["--loss", "hinge"], id="loss"),
        pytest.param(["--loss", "focal", "--focal_gamma", "-1"], id="gamma-negative"),
        pytest.param(["--class_weighting", "equal"], id="weighting"),
        pytest.param(["--logit_adjustment", "-1"], id="adjustment-negative"),
        pytest.param(["--weighted_sampling", "--sampling_strategy", "all"], id="strategy"),
        pytest.param(["--weighted_sampling", "--rare_class_boost", "0.5"], id="boost-below-1"),
        pytest.param(["--s", "1"], id="ambiguous"),
    ],
)
def test_bad_command_line_ends_with_status_2(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        parse_config(argv)
    assert stop.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["--focal_gamma", "1"], "--focal_gamma needs --loss focal", id="gamma"),
        pytest.param(
            ["--warmup_epochs", "2"], "--warmup_epochs needs --scheduler cosine", id="warmup"
        ),
        pytest.param(
            ["--scheduler", "cosine", "--warmup_epochs", "5", "--max_train_epochs", "5"],
            "--warmup_epochs must be fewer than --max_train_epochs 5, got 5",
            id="nothing-but-warmup",
        ),
        pytest.param(
            ["--sampling_strategy", "inverse_freq"],
            "--sampling_strategy needs --weighted_sampling",
            id="strategy",
        ),
        pytest.param(
            ["--rare_class_boost", "2"],
            "--rare_class_boost needs --weighted_sampling",
            id="boost",
        ),
        pytest.param(["--balance_tapes"], "--balance_tapes needs --weighted_sampling", id="tapes"),
        pytest.param(
            ["--stochastic_depth", "0.2"],
            "--stochastic_depth needs --backbone convnext",
            id="depth",
        ),
    ],
)
def test_option_that_would_do_nothing_is_refused_in_one_line(argv, message, capsys):
    with pytest.raises(SystemExit) as stop:
        parse_config(argv)
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"main.py: error: {message}"


def test_recipe_options_are_off_unless_asked_for():
    config = parse_config([])
    assert (config.loss, config.class_weighting, config.scheduler) == (
        "cross_entropy",
        "none",
        "plateau",
    )
    assert (config.focal_gamma, config.sampling_strategy, config.rare_class_boost) == (
        2.0,
        "sqrt_inverse_freq",
        1.5,
    )
    assert (config.ema_decay, config.stochastic_depth, config.backbone_lr_factor) == (
        None,
        None,
        1.0,
    )
    assert not any(
        (
            *(config.logit_adjustment, config.weighted_sampling, config.balance_tapes),
            *(config.warmup_epochs, config.freeze_epochs, config.label_smoothing),
        )
    )


def test_message_names_the_flag_and_the_value(capsys):
    with pytest.raises(SystemExit):
        parse_config(["--batch_size", "0"])
    assert "--batch_size must be at least 1, got 0" in capsys.readouterr().err


def test_first_of_several_kernel_sizes_counts():
    assert parse_config(["--conv_kernel_size", "5", "3"]).conv_kernel_size == 5


def test_help_lists_every_setting(capsys):
    with pytest.raises(SystemExit) as stop:
        parse_config(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(flag in text for flag in ALL_FLAGS)


def test_encoder_options_have_the_original_keys_in_order():
    assert list(parse_config([]).encoder_opts.items()) == [
        ("input_channels", 1),
        ("conv_kernel_size", 7),
        ("max_pool", 1),
        ("resnet_size", 18),
    ]
    convnext = parse_config(["--backbone", "convnext"]).encoder_opts
    assert list(convnext)[:2] == ["input_channels", "pretrained"]


@pytest.mark.parametrize("name", [*BACKBONES, "timm:vit"])
def test_what_is_known_of_a_backbone_is_said_of_settings_that_there_are(name):
    known, settings = backbone(name), as_dict(TrainConfig())
    assert {*known.options, *known.refused, *known.defaults} <= settings.keys()
    assert known.label.format_map(settings)


def test_signal_path_follows_the_flags():
    signal = parse_config(["--sr", "22050", "--n_fft", "512", "--min_max_norm"]).signal
    assert (signal.sr, signal.n_fft, signal.min_max_norm, signal.preemphases) == (
        22050,
        512,
        True,
        0.98,
    )


def test_settings_cannot_be_changed_and_unknown_ones_are_refused():
    with pytest.raises(AttributeError):
        parse_config([]).lr = 1.0
    with pytest.raises(TypeError, match="unknown"):
        TrainConfig(unknown=1)
