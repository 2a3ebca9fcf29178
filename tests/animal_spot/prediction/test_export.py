from __future__ import annotations

import errno
import json
import logging
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from animal_spot.audio.signal_config import SignalConfig
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.demo.corpus import make_clip
from animal_spot.model_files.model_file import ModelFile
from animal_spot.models.classifier import Classifier
from animal_spot.models.factory import build_encoder, build_model
from animal_spot.prediction.export import ExportKind, MissingPackageError, export_model
from animal_spot.prediction.waveform_model import WaveformModel
from tests.golden.fill_weights import fill_module
from tests.helpers.places import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")

RATE = 44100
LENGTHS_S = (0.3, 0.5, 1.1)
SHORTER_THAN_A_FRAME_S = 0.01
CLASSES = {"N01": 0, "Ñ02": 1, "noise": 2}
SHORT = {"n_fft": 512, "hop_length": 256}


def windows(seconds: float) -> Tensor:
    """Return five windows as 16-bit files hold them: ``(5, samples)``."""
    n = int(seconds * RATE)
    rng = np.random.default_rng(1)
    call, quiet, holes = (make_clip(name, 3, rng)[-n:] for name in ("N09", "noise", "N01"))
    quiet *= 0.003  # some 16-bit steps
    holes[n // 10 + 1 : n // 3] = 0  # longer than a frame
    holes[n // 2 : n // 2 + 99] = 0
    silence = np.zeros(n)
    loud = np.clip(30 * call, -1, 1)
    steps = np.rint(np.stack([call, holes, silence, quiet, loud]) * 32767) / 32768
    return torch.from_numpy(steps.astype(np.float32))


def small_network() -> nn.Sequential:
    encoder = nn.Sequential(
        OrderedDict(conv=nn.Conv2d(1, 8, 5, stride=2, padding=2), relu=nn.ReLU(inplace=True))
    )
    return build_model(encoder, Classifier(8, num_classes=len(CLASSES)))


def resnet() -> nn.Sequential:
    options = {"input_channels": 1, "conv_kernel_size": 7, "max_pool": 2, "resnet_size": 18}
    return build_model(build_encoder("resnet", options), Classifier(512, num_classes=len(CLASSES)))


def convnext() -> nn.Sequential:
    encoder = build_encoder("convnext", {"input_channels": 1, "input_mean": 0.4, "input_std": 0.2})
    return build_model(encoder, Classifier(768, num_classes=len(CLASSES)))


def make_content(network: nn.Sequential, **signal) -> ModelFile:
    fill_module(network)
    return ModelFile(
        model=network.eval(),
        encoder_opts={},
        classifier_opts={"num_classes": len(CLASSES)},
        signal=SignalConfig(**signal),
        classes=dict(CLASSES),
        sequence_len_ms=500,
    )


@torch.no_grad()
def pytorch_probabilities(content: ModelFile, inputs: list[Tensor]) -> list[np.ndarray]:
    """Compute window by window, after the last layer was set so that all classes get a share."""
    encoder, classifier = content.model
    pipeline = SpectrogramPipeline(content.signal)
    embeddings = []
    for waveforms in inputs:
        features = torch.stack([pipeline.features(waveform[None]) for waveform in waveforms])
        embeddings.append(classifier.embed(encoder(features)))
    linear = classifier.linear
    logits = linear(torch.cat(embeddings))
    linear.weight /= logits.std(0)[:, None]
    linear.bias.copy_((linear.bias - logits.mean(0)) / logits.std(0))
    return [linear(embedding).softmax(-1).numpy() for embedding in embeddings]


def run_onnx(path: Path) -> Callable[[Tensor], np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda waveforms: session.run(["probabilities"], {"waveform": waveforms.numpy()})[0]


def run_torchscript(path: Path) -> Callable[[Tensor], np.ndarray]:
    module = torch.jit.load(path)

    def run(waveforms: Tensor) -> np.ndarray:
        with torch.no_grad():
            return module(waveforms).numpy()

    return run


RUNNERS = {"onnx": run_onnx, "torchscript": run_torchscript}
KINDS = tuple(RUNNERS)


def read_metadata(path: Path, kind: ExportKind) -> dict:
    if kind == "onnx":
        texts = {p.key: p.value for p in onnx.load(path).metadata_props}
    else:
        texts = dict.fromkeys(("classes", "sr", "sequence_len_ms", "dataOpts", "normalization"), "")
        torch.jit.load(path, _extra_files=texts)
    return {key: json.loads(text) for key, text in texts.items()}


# -- signal path --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected_sum"),
    [
        pytest.param({"n_freq_bins": 256}, 2230.0145, id="linear"),
        pytest.param({"n_freq_bins": 256, "min_max_norm": True}, 3572.4611, id="linear-min-max"),
        pytest.param({"freq_compression": "mel"}, 648.8789, id="mel"),
        pytest.param({"freq_compression": "mel", "min_max_norm": True}, 963.5134, id="mel-min-max"),
    ],
)
def test_features_have_the_sums_of_the_original_program(options, expected_sum):
    # Not mfcc: its logarithm has no floor, and the chirp leaves bands to the rounding errors.
    t = np.arange(22050) / RATE
    chirp = 0.5 * np.sin(2 * np.pi * (1000 * t + 8000 * t**2))
    waveform = torch.from_numpy((chirp + 0.01 * np.cos(2 * np.pi * 15000 * t)).astype(np.float32))
    signal = SignalConfig(**({"n_fft": 1024, "hop_length": 172, "n_freq_bins": 64} | options))
    model = WaveformModel(nn.Identity(), signal)
    features = model.features(waveform[None])
    assert features.shape == (1, 123, SpectrogramPipeline(signal).n_features)
    # As close as the original's own numbers for one window lie in two of its programs.
    assert float(features.double().sum()) == pytest.approx(expected_sum, rel=1e-6, abs=0.005)


def test_windows_do_not_affect_each_other():
    signal = SignalConfig(**SHORT, min_max_norm=True)
    model = WaveformModel(nn.Identity(), signal)
    together = model.features(windows(0.3))
    alone = torch.cat([model.features(window[None]) for window in windows(0.3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    assert not together[2].any(), "digital silence is constant, so all zero"


# -- parity -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "signal"),
    [
        pytest.param(
            small_network, SHORT | {"freq_compression": "mel", "n_freq_bins": 64}, id="mel"
        ),
        pytest.param(
            small_network, SHORT | {"freq_compression": "mfcc", "n_freq_bins": 64}, id="mfcc"
        ),
        pytest.param(
            resnet,
            {"n_fft": 1024, "hop_length": 344},
            id="resnet18-range-bins-repeated",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            convnext,
            {"n_fft": 1024, "hop_length": 344, "n_freq_bins": 64, "min_max_norm": True},
            id="convnext-min-max-bins-left-out",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_probabilities_are_those_of_the_pytorch_path(tmp_path, network, signal):
    content = make_content(network(), **signal)
    lengths = LENGTHS_S if network is not small_network else (*LENGTHS_S, SHORTER_THAN_A_FRAME_S)
    inputs = [windows(seconds) for seconds in lengths]
    expected = pytorch_probabilities(content, inputs)
    for kind in KINDS:
        path = tmp_path / kind
        export_model(content, kind, path)
        run = RUNNERS[kind](path)
        for waveforms, probabilities in zip(inputs, expected, strict=True):
            found = run(waveforms)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, probabilities, rtol=0, atol=1e-4, err_msg=kind)
            np.testing.assert_allclose(run(waveforms[1:2]), probabilities[1:2], rtol=0, atol=1e-4)
        path.unlink()


# -- the file -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def content() -> ModelFile:
    return make_content(small_network(), **SHORT)


@pytest.mark.parametrize("kind", KINDS)
def test_file_is_alone_complete_and_made_in_silence(
    tmp_path, content, kind, capfd, recwarn, caplog
):
    caplog.set_level(logging.INFO)
    content.model.train()
    before = {key: value.clone() for key, value in content.model.state_dict().items()}
    export_model(content, kind, tmp_path / "model.out")
    assert capfd.readouterr() == ("", "")
    assert [str(warning.message) for warning in recwarn] == []
    assert caplog.records == []
    assert [path.name for path in tmp_path.iterdir()] == ["model.out"]
    assert content.model.training, "the model was changed"
    assert all(torch.equal(before[k], v) for k, v in content.model.state_dict().items())
    content.model.eval()
    assert str(ROOT).encode() not in (tmp_path / "model.out").read_bytes()
    assert read_metadata(tmp_path / "model.out", kind) == {
        "classes": CLASSES,
        "sr": RATE,
        "sequence_len_ms": 500,
        "dataOpts": content.signal.data_opts(),
        "normalization": "db_range",
    }
    if kind == "onnx":
        model = onnx.load(tmp_path / "model.out")
        onnx.checker.check_model(model, full_check=True)
        axes = [
            [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
            for value in (*model.graph.input, *model.graph.output)
        ]
        assert axes == [["batch", "samples"], ["batch", 3]]


def test_metadata_of_an_original_file_says_what_is_inside(tmp_path):
    content = make_content(small_network(), **SHORT, min_max_norm=True)
    content.sequence_len_ms = None
    export_model(content, "torchscript", tmp_path / "model.pt")
    metadata = read_metadata(tmp_path / "model.pt", "torchscript")
    assert metadata["normalization"] == "min_max"
    assert metadata["sequence_len_ms"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_folder_that_cannot_be_written_is_named(tmp_path, content, kind):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"export .*file.below cannot be written"):
        export_model(content, kind, tmp_path / "file" / "below" / "model.out")


def test_failed_export_leaves_the_file_that_was_there(tmp_path, content, monkeypatch):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")

    def fail(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space left.*model\.pt|model\.pt.*No space left"):
        export_model(content, "torchscript", path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_missing_package_is_named(tmp_path, content, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=rf"{package}.*pip install onnx onnxscript"):
        export_model(content, "onnx", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_unknown_kind_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match="'onnx' or 'torchscript', got 'tflite'"):
        export_model(content, "tflite", tmp_path / "model")
