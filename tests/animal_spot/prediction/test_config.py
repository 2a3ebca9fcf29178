import re

import pytest

from animal_spot.prediction.config import FORMATS, PredictConfig, build_parser, parse_config

NEEDED = ["--model_path", "m.pk", "--input_file", "a.wav"]

# Reference 01 section 3, in the order of its table: flag, field, a value on the command line, what
# it means.
ORIGINAL_FLAGS = [
    pytest.param(["-d"], "debug", True, id="-d"),
    pytest.param(["--debug"], "debug", True, id="debug"),
    pytest.param(["--model_path", "x.pk"], "model_path", ("x.pk",), id="model_path"),
    pytest.param(["--checkpoint_path", "c"], "checkpoint_path", "c", id="checkpoint_path"),
    pytest.param(["--log_dir", "l"], "log_dir", "l", id="log_dir"),
    pytest.param(["--output_dir", "o"], "output_dir", "o", id="output_dir"),
    pytest.param(["--sequence_len", "0.5"], "sequence_len", 0.5, id="sequence_len"),
    pytest.param(["--hop", "0.25"], "hop", 0.25, id="hop"),
    pytest.param(["--threshold", "0.9"], "threshold", 0.9, id="threshold"),
    pytest.param(["--batch_size", "7"], "batch_size", 7, id="batch_size"),
    pytest.param(["--num_workers", "0"], "num_workers", 0, id="num_workers"),
    pytest.param(["--no_cuda"], "cuda", False, id="no_cuda"),
    pytest.param(["--jit_load"], "jit_load", True, id="jit_load"),
    pytest.param(["--min_max_norm"], "min_max_norm", True, id="min_max_norm"),
    pytest.param(["--input_file", "a.wav"], "input_file", ("a.wav",), id="input_file"),
    pytest.param(["--visualize", "--output_dir", "o"], "visualize", "all", id="visualize"),
    pytest.param(
        ["--latent_extract", "--output_dir", "o"], "latent_extract", True, id="latent_extract"
    ),
]


@pytest.mark.parametrize(("arguments", "name", "value"), ORIGINAL_FLAGS)
def test_flags_of_the_original(arguments, name, value):
    assert getattr(parse_config(arguments), name) == value


def test_defaults_of_the_original():
    config = parse_config([])
    assert (config.threshold, config.num_workers, config.cuda) == (0.5, 4, True)
    for name in ("debug", "jit_load", "min_max_norm", "latent_extract"):
        assert getattr(config, name) is False
    assert not config.visualize
    assert config.checkpoint_path is config.log_dir is config.output_dir is None


def test_defaults_of_what_is_new():
    config = parse_config([])
    assert config.formats == ("log",)
    assert config.resume is True
    assert config.last_window is False
    assert (config.engine, config.precision) == ("auto", "auto")
    assert config.batch_size is None
    assert config.latent_format in ("parquet", "npz")


@pytest.mark.parametrize(
    ("short", "name", "value"),
    [
        pytest.param(["--seq", "0.5"], "sequence_len", 0.5, id="sequence_len"),
        pytest.param(["--model", "m"], "model_path", ("m",), id="model_path"),
        pytest.param(["--out", "o"], "output_dir", "o", id="output_dir"),
        pytest.param(["--log", "l"], "log_dir", "l", id="log_dir"),
        pytest.param(["--lat", "--out", "o"], "latent_extract", True, id="latent_extract"),
        pytest.param(["--la", "--out", "o"], "latent_extract", True, id="latent_extract-shorter"),
        pytest.param(["--l", "l"], None, None, id="ambiguous-then-and-now"),
        pytest.param(["--in", "a"], "input_file", ("a",), id="input_file"),
        pytest.param(["--ho", "0.5"], "hop", 0.5, id="hop"),
    ],
)
def test_shortened_flags_mean_what_they_meant(short, name, value):
    """Reference 07, 91: flags of ours must not make the original's abbreviations ambiguous."""
    if name is None:
        with pytest.raises(SystemExit) as error:
            parse_config(short)
        assert error.value.code == 2
    else:
        assert getattr(parse_config(short), name) == value


def test_flags_that_take_several_values():
    config = parse_config(
        [
            *("--model_path", "a", "b", "--model_path", "c", "--input_file", "x", "y"),
            *("--output_dir", "o", "--format", "raven", "csv", "raven"),
        ]
    )
    assert config.model_path == ("a", "b", "c")
    assert config.input_file == ("x", "y")
    assert sorted(config.formats) == ["csv", "raven"]


def test_all_formats_are_known():
    assert set(FORMATS) == {"log", "csv", "raven", "audacity", "parquet"}


def test_resume_can_be_said_and_unsaid():
    assert parse_config(["--resume"]).resume is True
    assert parse_config(["--no_resume"]).resume is False


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        pytest.param(["--batch_size", "0"], "--batch_size", id="no-batch"),
        pytest.param(["--num_workers", "-1"], "--num_workers", id="negative-workers"),
        pytest.param(["--sequence_len", "0"], "--sequence_len", id="no-window"),
        pytest.param(["--sequence_len", "nan"], "--sequence_len", id="nan-window"),
        pytest.param(["--hop", "-1"], "--hop", id="negative-hop"),
        pytest.param(["--hop", "inf"], "--hop", id="infinite-hop"),
        pytest.param(["--threshold", "nan"], "--threshold", id="nan-threshold"),
        pytest.param(["--threshold", "-0.1"], "--threshold", id="negative-threshold"),
        pytest.param(["--format", "xls"], "--format", id="unknown-format"),
        pytest.param(["--engine", "tpu"], "--engine", id="unknown-engine"),
        pytest.param(["--precision", "fp8"], "--precision", id="unknown-precision"),
        pytest.param(["--visualize"], "--output_dir", id="pictures-without-a-folder"),
        pytest.param(["--latent_extract"], "--output_dir", id="vectors-without-a-folder"),
        pytest.param(["--format", "csv"], "--output_dir", id="table-without-a-folder"),
        pytest.param(
            ["--checkpoint_path", "c", "--model_path", "a", "b"], "--checkpoint_path", id="two"
        ),
        pytest.param(["--precision", "int8"], "int8 is gone: .*; use auto", id="int8"),
        pytest.param(["--export", "tflite", "f"], "--export", id="unknown-export"),
        pytest.param(["--nonsense"], "--nonsense", id="unknown-flag"),
    ],
)
def test_bad_settings_are_usage_errors(arguments, match, capsys):
    with pytest.raises(SystemExit) as error:
        parse_config(["--model_path", "m", *arguments])
    assert error.value.code == 2
    assert re.search(match, capsys.readouterr().err.splitlines()[-1])


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        PredictConfig().threshold = 0.1


def test_every_flag_is_explained():
    for action in build_parser().actions:
        assert action.help, action.dest
