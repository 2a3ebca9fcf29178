"""Training and prediction on a CUDA device, against the CPU; skipped where there is none.

On a machine that has one: pytest -m gpu
"""

import json
import os
import signal

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.helpers.prediction import Models, run_predict, write_sound
from tests.helpers.training import SMALL, assert_same, folders, run_main, start, wait_for

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
SMALL = tuple(word for word in SMALL if word not in ("--precision", "fp32"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return Models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write_sound(tmp_path_factory.mktemp("sound") / "long.wav", 60.0)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("backbone", ["resnet", "convnext"])
def test_training_learns_in_each_arithmetic(corpus, tmp_path, backbone, precision):
    result = run_main(
        *("--data_dir", str(corpus), *folders(tmp_path), *SMALL, "--precision", precision),
        *("--backbone", backbone, "--max_train_epochs", "12", "--augmentation"),
    )
    assert result.returncode == 0, result.stderr
    assert f"device cuda, precision {precision}" in result.stderr
    validation = json.loads((tmp_path / "model" / "results.json").read_text())["partitions"]["val"]
    assert validation["accuracy"] > 0.8  # tones that a chance of a third cannot tell apart


def test_automatic_precision_is_bf16(corpus, tmp_path):
    result = run_main(
        *("--data_dir", str(corpus), *folders(tmp_path), *SMALL, "--max_train_epochs", "1")
    )
    assert result.returncode == 0, result.stderr
    assert "device cuda, precision bf16" in result.stderr


def test_killed_run_ends_with_the_same_bits(corpus, tmp_path):
    arguments = (
        *("--data_dir", str(corpus), *SMALL, "--precision", "fp32", "--max_train_epochs", "4"),
        *("--epochs_per_eval", "1", "--augmentation"),
    )
    result = run_main(*arguments, *folders(tmp_path / "unbroken"))
    assert result.returncode == 0, result.stderr
    process = start(*arguments, *folders(tmp_path / "killed"))
    wait_for(process, "|val|1|")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    result = run_main(*arguments, *folders(tmp_path / "killed"))
    assert result.returncode == 0, result.stderr
    assert "resumed from" in result.stderr
    assert_same(tmp_path / "killed", tmp_path / "unbroken")


def predicted(model, recording, folder, *options):
    """Return the probabilities of all windows, and what the run wrote."""
    result = run_predict(
        *("--model_path", *model, "--input_file", recording, "--output_dir", folder),
        *("--sequence_len", "0.25", "--hop", "0.125", "--format", "parquet", *options),
    )
    assert result.returncode == 0, result.stderr
    (path,) = folder.rglob("long*.parquet")
    table = pq.read_table(path)
    probabilities = [table[name].to_numpy() for name in table.column_names[8:]]
    return np.stack(probabilities, 1), result.stderr


# fp32 without TF32 differs by the order of sums only; the 16 bits by their rounding: the
# probabilities of these networks, of 1.5 logits deviation, move by some hundredths at most.
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 0.02), ("bf16", 0.1), ("auto", 0.1)]
)
@pytest.mark.parametrize("name", ["multi", "convnext"])
def test_prediction_agrees_with_the_cpu(models, recording, tmp_path, name, precision, tolerance):
    model = (models(name),)
    exact, _ = predicted(
        model, recording, tmp_path / "cpu", "--no_cuda", "--engine", "torch", "--precision", "fp32"
    )
    found, said = predicted(model, recording, tmp_path / "gpu", "--precision", precision)
    assert "on cuda" in said
    assert np.abs(found - exact).max() < tolerance


@pytest.mark.parametrize("name", ["multi", "convnext"])
def test_recordings_read_side_by_side_are_those_of_the_cpu(models, tmp_path, name):
    """Each reading thread has a stream of its own, and the network another one."""
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    for i in range(8):
        write_sound(sounds / f"{i}.wav", 20.0 + i)

    def of(folder, *options):
        result = run_predict(
            *("--model_path", models(name), "--input_file", sounds, "--output_dir", folder),
            *("--sequence_len", "0.25", "--hop", "0.125", "--format", "parquet", *options),
            *("--precision", "fp32", "--no_report"),
        )
        assert result.returncode == 0, result.stderr
        tables = [pq.read_table(path) for path in sorted(folder.rglob("*.parquet"))]
        assert len(tables) == 8
        return [np.stack([t[n].to_numpy() for n in t.column_names[8:]], 1) for t in tables]

    exact = of(tmp_path / "cpu", "--device", "cpu", "--engine", "torch")
    for found, wanted in zip(of(tmp_path / "gpu", "--device", "cuda"), exact, strict=True):
        assert np.abs(found - wanted).max() < 1e-4


def test_ensemble_of_both_backbones(models, recording, tmp_path):
    paths = (models("resnet-500"), models("convnext"))
    window = ("--precision", "fp32", "--sequence_len", "0.5", "--hop", "0.25")
    both, _ = predicted(paths, recording, tmp_path / "both", *window)
    single = [predicted((p,), recording, tmp_path / p.stem, *window)[0] for p in paths]
    np.testing.assert_allclose(both, np.mean(single, 0), atol=1e-5)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_engines_of_the_cpu_are_refused_in_one_line(models, recording, tmp_path, engine):
    result = run_predict(
        *("--model_path", models("multi"), "--input_file", recording, "--output_dir", tmp_path),
        *("--engine", engine),
    )
    assert result.returncode == 1
    assert "--no_cuda" in result.stderr
    assert "Traceback" not in result.stderr
