import importlib.util
import sys
import threading
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from animal_spot.models.classifier import Classifier
from animal_spot.models.precision import Precision, has_native_bf16
from animal_spot.prediction.engines import (
    CorrectedEngine,
    EngineError,
    TorchEngine,
    build_engine,
    choose_engine,
    corrected,
    fit_correction,
    infer_all,
    probabilities_of,
)
from tests.helpers.programs import run_python

CPU = torch.device("cpu")
SHAPE = (24, 32)
# Two programs that compute the same layers in float32, in other orders of summing.
LOGIT_TOLERANCE = 1e-4

needs_bf16 = pytest.mark.skipif(
    not has_native_bf16(CPU), reason="this CPU does not compute in bf16: it would be emulated"
)


@pytest.fixture(scope="module")
def network():
    """Two layers: what an engine does with a network does not need a deep one.

    Whole ResNets are computed by all engines in ``test_predict_run``.
    """
    torch.manual_seed(3)
    encoder = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
    )
    model = nn.Sequential(OrderedDict(encoder=encoder, classifier=Classifier(16, "avg", 3)))
    with torch.no_grad():
        model.train()(torch.rand(8, 1, *SHAPE))  # gives BatchNorm something to remember
        model.classifier.linear.weight *= 5
    return model.eval()


@pytest.fixture(scope="module")
def inputs():
    """Stripes of different widths."""
    rows = torch.arange(24.0)[:, None] * torch.linspace(0.1, 2.0, 11)[:, None, None]
    return (0.5 + 0.5 * torch.sin(rows + torch.arange(32.0) / 5))[:, None].contiguous()


@pytest.fixture(scope="module")
def wanted(network, inputs):
    """Logits and pooled features by the layers themselves."""
    with torch.no_grad():
        embedding = network.encoder(inputs).mean((2, 3))
        return network(inputs).numpy(), embedding.numpy()


ENGINES = ["torch", "openvino", "onnxruntime"]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request, network):
    if request.param != "torch":
        pytest.importorskip(request.param)
    return build_engine(request.param, network, SHAPE, "fp32", CPU, batch_size=4)


def test_engines_compute_the_network(engine, inputs, wanted):
    logits, embedding = infer_all(engine, inputs)  # 4 + 4 + 3: the last batch is not full
    assert logits.dtype == embedding.dtype == np.float32
    np.testing.assert_allclose(logits, wanted[0], rtol=0, atol=LOGIT_TOLERANCE)
    scale = np.abs(wanted[1]).max()
    np.testing.assert_allclose(embedding, wanted[1], rtol=0, atol=1e-4 * scale)


def test_a_single_window(engine, inputs, wanted):
    logits, embedding = engine.infer(inputs[:1])
    assert logits.shape == (1, 3)
    assert embedding.shape == (1, 16)
    np.testing.assert_allclose(logits, wanted[0][:1], rtol=0, atol=LOGIT_TOLERANCE)


def test_windows_of_another_length(engine, network):
    other = torch.rand(2, 1, 15, 32, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        expected = network(other).numpy()
    logits, _ = engine.infer(other)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=LOGIT_TOLERANCE)


def test_results_stay_when_the_engine_goes_on(engine, inputs):
    first, embedding = engine.infer(inputs[:4])
    before = first.copy(), embedding.copy()
    engine.infer(inputs[4:8])
    np.testing.assert_array_equal(first, before[0])
    np.testing.assert_array_equal(embedding, before[1])


def test_as_many_threads_as_allowed_may_call_at_once(engine, inputs, wanted):
    results = {}

    def work(number):
        results[number] = [infer_all(engine, inputs)[0] for _ in range(3)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(engine.n_parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == engine.n_parallel >= 1
    for rounds in results.values():
        for logits in rounds:
            np.testing.assert_allclose(logits, wanted[0], rtol=0, atol=LOGIT_TOLERANCE)


def test_names_say_program_arithmetic_and_device(engine):
    assert engine.name.endswith("fp32 on cpu")
    assert engine.name.split()[0] in ENGINES


def test_batch_size_is_chosen_if_none_is_given(network):
    assert build_engine("torch", network, SHAPE, "fp32", CPU).batch_size >= 1
    assert build_engine("torch", network, SHAPE, "fp32", CPU, batch_size=3).batch_size == 3


@needs_bf16
@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_bf16_is_within_2_hundredths(name, network, inputs, wanted):
    if name != "torch":
        pytest.importorskip(name)
    engine = build_engine(name, network, SHAPE, "bf16", CPU)
    assert "bf16" in engine.name
    logits, _ = infer_all(engine, inputs)
    assert logits.dtype == np.float32
    exact = probabilities_of(wanted[0])
    assert np.abs(probabilities_of(logits) - exact).max() <= 0.02  # issue 3 section 3
    assert np.abs(logits - wanted[0]).max() > 0, "this is not bf16"


def test_the_network_given_is_not_changed(network, inputs, wanted):
    TorchEngine(network, Precision("fp32", CPU)).infer(inputs[:2])
    with torch.no_grad():
        np.testing.assert_array_equal(network.eval()(inputs).numpy(), wanted[0])


# -- choice ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "precision", "expected"),
    [
        pytest.param("torch", "fp32", ("torch", "fp32"), id="as-said"),
        pytest.param("openvino", "bf16", ("openvino", "bf16"), id="openvino-bf16"),
        pytest.param("onnxruntime", "auto", ("onnxruntime", "fp32"), id="onnxruntime-auto"),
    ],
)
def test_what_is_asked_for_is_taken(engine, precision, expected):
    assert choose_engine(engine, CPU, precision) == expected


@pytest.mark.parametrize("native", [True, False], ids=["bf16-cpu", "older-cpu"])
@pytest.mark.parametrize("installed", [True, False], ids=["openvino", "no-openvino"])
def test_auto_takes_the_fastest_that_is_there(native, installed, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: (
            (object() if installed else None) if name == "openvino" else find(name, *rest)
        ),
    )
    monkeypatch.setattr("animal_spot.models.precision.has_native_bf16", lambda device: native)
    engine, precision = choose_engine("auto", CPU, "auto")
    assert engine == ("openvino" if installed else "torch")
    assert precision == ("bf16" if native else "fp32")


def test_cuda_stays_with_torch(monkeypatch):
    monkeypatch.setattr("animal_spot.models.precision.has_native_bf16", lambda device: True)
    cuda = torch.device("cuda")
    assert choose_engine("auto", cuda, "auto") == ("torch", "bf16")
    assert choose_engine("torch", cuda, "fp16") == ("torch", "fp16")
    with pytest.raises(EngineError, match="--no_cuda"):
        choose_engine("openvino", cuda, "auto")


def test_fp16_needs_a_gpu():
    with pytest.raises(ValueError, match="CUDA"):
        choose_engine("auto", CPU, "fp16")


@pytest.mark.parametrize(
    ("engine", "precision"),
    [
        pytest.param("onnxruntime", "bf16", id="onnxruntime-bf16"),
        pytest.param("openvino", "fp16", id="openvino-fp16"),
    ],
)
def test_arithmetic_that_an_engine_lacks(engine, precision, network):
    with pytest.raises(EngineError) as error:
        build_engine(engine, network, SHAPE, precision, CPU)
    assert engine in str(error.value) or precision in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("engine", "missing"),
    [("openvino", "openvino"), ("onnxruntime", "onnxruntime"), ("onnxruntime", "onnxscript")],
)
def test_an_engine_that_is_not_installed(engine, missing, network, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises((EngineError, ImportError)) as error:
        build_engine(engine, network, SHAPE, "fp32", CPU)
    assert missing in str(error.value)
    assert "pip install" in str(error.value)
    assert "\n" not in str(error.value)


# -- shifts ---------------------------------------------------------------------------------------


def test_correction_undoes_a_known_distortion():
    rng = np.random.default_rng(0)
    exact = rng.normal(0, 3, (48, 5))
    exact -= exact.mean(1, keepdims=True)  # else part of the scaling is lost with the common level
    scale, shift = np.array([0.97, 1.02, 1.0, 0.95, 1.03]), np.array([0.1, -0.1, 0.0, 0.05, -0.05])
    common = rng.normal(0, 1, (48, 1))  # what all classes share changes no probability
    other = exact * scale + shift + common
    correction = fit_correction(exact[:24], other[:24])
    before = np.abs(probabilities_of(other[24:]) - probabilities_of(exact[24:])).max()
    after = np.abs(
        probabilities_of(corrected(other[24:], correction)) - probabilities_of(exact[24:])
    )
    assert after.max() < before / 4


def test_correction_of_equal_logits_changes_nothing():
    logits = np.random.default_rng(1).normal(0, 3, (20, 2)).astype(np.float32)
    found = corrected(logits, fit_correction(logits, logits))
    np.testing.assert_allclose(probabilities_of(found), probabilities_of(logits), atol=1e-6)


def test_corrected_engine_leaves_other_shapes_alone(network, inputs, wanted):
    plain = TorchEngine(network, Precision("fp32", CPU), batch_size=4)
    exact = wanted[0] + np.linspace(-1, 1, wanted[0].shape[1], dtype=np.float32)
    correction = fit_correction(exact, wanted[0])
    engine = CorrectedEngine(plain, correction, SHAPE)
    logits, embedding = infer_all(engine, inputs)
    np.testing.assert_allclose(logits, corrected(wanted[0], correction), atol=LOGIT_TOLERANCE)
    np.testing.assert_allclose(embedding, wanted[1], rtol=0, atol=1e-3)
    assert engine.batch_size == 4
    other = inputs[:2, :, :15]
    np.testing.assert_array_equal(engine.infer(other)[0], plain.infer(other)[0])


def test_softmax():
    found = probabilities_of(np.log(np.array([[1, 3], [2, 2]], np.float32)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.25, 0.75], [0.5, 0.5]], atol=1e-7)


DROPPED_ELSEWHERE = """
import signal, sys, threading
import torch
from animal_spot.models.classifier import Classifier
from animal_spot.prediction.engines import build_engine

model = torch.nn.Sequential()
model.encoder = torch.nn.Conv2d(1, 4, 3)
model.classifier = Classifier(4, "avg", 2)
engines = [build_engine("openvino", model, (24, 32), "fp32", torch.device("cpu"))]
engines[0].infer(torch.rand(1, 1, 24, 32))
thread = threading.Thread(target=engines.clear)
thread.start()
thread.join()
came = []
signal.signal(signal.SIGTERM, lambda *_: came.append(True))
signal.raise_signal(signal.SIGTERM)
print("alive", came)
"""


def test_signals_still_arrive_when_another_thread_dropped_the_engine():
    pytest.importorskip("openvino")
    result = run_python("-c", DROPPED_ELSEWHERE)
    assert (result.returncode, result.stdout) == (0, "alive [True]\n"), result.stderr
