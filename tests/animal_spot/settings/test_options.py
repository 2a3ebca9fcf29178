"""What every command line refuses: empty values, numbers out of all bounds."""

from __future__ import annotations

import pytest

from animal_spot import (
    calibrate,
    ensemble,
    evaluate,
    main,
    predict,
    synthesise_corpus,
    synthesise_recording,
    tune,
)
from animal_spot.evaluation.config import EvaluateConfig
from animal_spot.prediction.config import PredictConfig
from animal_spot.training.config import TrainConfig

DATA = ("--data_dir", "data")


@pytest.mark.parametrize(
    ("program", "arguments", "flag"),
    [
        pytest.param(main, ("--data_dir", "", "--model_dir", "m"), "--data_dir", id="data"),
        pytest.param(main, (*DATA, "--model_dir", ""), "--model_dir", id="model"),
        pytest.param(main, (*DATA, "--model_dir="), "--model_dir", id="joined"),
        pytest.param(main, (*DATA, "--noise_dir", "  "), "--noise_dir", id="blanks"),
        pytest.param(main, (*DATA, "--preset", ""), "--preset", id="preset"),
        pytest.param(main, (*DATA, "--noise_class", ""), "--noise_class", id="class"),
        pytest.param(predict, ("--model_path", ""), "--model_path", id="predict-model"),
        pytest.param(predict, ("--input_file", "a", ""), "a", id="predict-second-input"),
        pytest.param(predict, ("--output_dir", ""), "--output_dir", id="predict-output"),
        pytest.param(evaluate, ("--prediction_dir", ""), "--prediction_dir", id="evaluate"),
        pytest.param(calibrate, ("", *DATA), "an argument", id="calibrate-model"),
        pytest.param(ensemble, ("m.pk", *DATA, "--output", ""), "--output", id="ensemble"),
        pytest.param(tune, (*DATA, "--output_dir", ""), "--output_dir", id="tune"),
        pytest.param(
            tune, (*DATA, "--output_dir", "o", "--noise_dir", ""), "--noise_dir", id="tune-further"
        ),
        pytest.param(synthesise_corpus, ("--output_dir", ""), "--output_dir", id="corpus"),
        pytest.param(synthesise_recording, ("--output_dir", ""), "--output_dir", id="recording"),
    ],
)
def test_an_empty_value_is_refused_at_once(program, arguments, flag, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        program.main(list(arguments))
    assert ended.value.code == 2
    assert f"error: {flag}: its value is empty" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["a\0b", "--model_dir=a\0b"])
def test_a_nul_character_is_refused(text, capsys):
    with pytest.raises(SystemExit) as ended:
        main.main(["--model_dir", text])
    assert ended.value.code == 2
    assert "NUL character" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "name", "value", "message"),
    [
        pytest.param(TrainConfig, "lr", -1.0, "above 0", id="lr-negative"),
        pytest.param(TrainConfig, "lr", 1e20, "at most 1000", id="lr-huge"),
        pytest.param(TrainConfig, "lr", float("nan"), "finite", id="lr-nan"),
        pytest.param(TrainConfig, "lr", float("inf"), "finite", id="lr-inf"),
        pytest.param(TrainConfig, "gain", (-(10**20), 2), "at least -200", id="gain-low"),
        pytest.param(TrainConfig, "gain", (0, 10**6), "at most 200", id="gain-high"),
        pytest.param(TrainConfig, "noise_snr", (-3, 999), "at most 200", id="snr"),
        pytest.param(TrainConfig, "seed", -1, "at least 0", id="seed-negative"),
        pytest.param(TrainConfig, "seed", 2**70, "below 2", id="seed-huge"),
        pytest.param(TrainConfig, "batch_size", 10**12, "at most", id="batch"),
        pytest.param(TrainConfig, "sequence_len", 10**12, "at most", id="length"),
        pytest.param(TrainConfig, "n_fft", 10**12, "n_fft must be a number of at most", id="fft"),
        pytest.param(TrainConfig, "sr", 10**12, "sr must be a number of at most", id="rate"),
        pytest.param(TrainConfig, "num_classes", 1, "at least 2", id="one-class"),
        pytest.param(PredictConfig, "hop", float("inf"), "finite", id="hop-inf"),
        pytest.param(PredictConfig, "sequence_len", 1e20, "at most", id="window-huge"),
        pytest.param(PredictConfig, "batch_size", 0, "at least 1", id="predict-batch"),
        pytest.param(EvaluateConfig, "merge_gap", float("nan"), "finite", id="gap-nan"),
        pytest.param(EvaluateConfig, "merge_gap", -0.1, "at least 0", id="gap-negative"),
    ],
)
def test_numbers_out_of_all_bounds_are_refused_by_name(settings, name, value, message):
    with pytest.raises(ValueError, match=message) as caught:
        settings(**{name: value})
    assert name in str(caught.value)
