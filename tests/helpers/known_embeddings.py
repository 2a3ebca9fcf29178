"""Small ONNX files with the names and shapes of known embedding models, and what they compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PERCH_SAMPLES, PERCH_DIM = 160_000, 1536
FRAME = 320  # samples of a frame of HuBERT


def perch_bank() -> np.ndarray:
    """Return frequencies, cycles a window, of the 12 cosines that the file listens for."""
    return 160_000 * np.linspace(500, 7500, 12).round(-1) / 32_000


def expected_perch(windows: np.ndarray) -> np.ndarray:
    """Compute what ``write_perch`` does of windows as the network gets them, ``(n, 1536)``."""
    phase = 2 * np.pi * np.outer(np.arange(PERCH_SAMPLES), perch_bank()) / PERCH_SAMPLES
    heard = np.hypot(windows @ np.cos(phase), windows @ np.sin(phase)) / 1000
    return np.tile(heard, PERCH_DIM // 12)


def write_perch(
    path: Path, *, samples: int | str = PERCH_SAMPLES, dim: int = PERCH_DIM, name: str = "inputs"
) -> Path:
    """Write a file with the outputs of Perch 2.0; ``label`` has 14,795 classes there, here 5.

    The embedding is the amplitude at 12 frequencies, again and again; ``spatial_embedding`` holds
    in its 16 x 4 places numbers whose mean it is.
    """
    phase = 2 * np.pi * np.outer(np.arange(PERCH_SAMPLES), perch_bank()) / PERCH_SAMPLES
    places = np.linspace(0, 2, 64).reshape(1, 16, 4, 1).astype(np.float32)
    constants = {
        "cosines": np.cos(phase).astype(np.float32) / 1000,
        "sines": np.sin(phase).astype(np.float32) / 1000,
        "times": np.array([1, dim // 12], np.int64),
        "axes": np.array([1, 2], np.int64),
        "places": places,
        "classes": np.ones((dim, 5), np.float32),
    }
    nodes = [
        helper.make_node("MatMul", [name, "cosines"], ["c"]),
        helper.make_node("MatMul", [name, "sines"], ["s"]),
        helper.make_node("Mul", ["c", "c"], ["cc"]),
        helper.make_node("Mul", ["s", "s"], ["ss"]),
        helper.make_node("Add", ["cc", "ss"], ["power"]),
        helper.make_node("Sqrt", ["power"], ["heard"]),
        helper.make_node("Tile", ["heard", "times"], ["embedding"]),
        helper.make_node("Unsqueeze", ["embedding", "axes"], ["one_place"]),
        helper.make_node("Mul", ["one_place", "places"], ["spatial_embedding"]),
        helper.make_node("MatMul", ["embedding", "classes"], ["label"]),
    ]
    outputs = {
        "embedding": ["batch", dim],
        "spatial_embedding": ["batch", 16, 4, dim],
        "label": ["batch", 5],
    }
    return _save(path, name, samples, nodes, outputs, constants)


def expected_aves(window: np.ndarray, dim: int) -> np.ndarray:
    """Compute the mean over the frames of what ``write_aves`` gives for a window, ``(dim,)``."""
    n_frames = len(window) // FRAME
    frames = window[: n_frames * FRAME].reshape(n_frames, FRAME).astype(np.float64)
    return np.abs(frames @ aves_weights(dim)).mean(0)


def aves_weights(dim: int) -> np.ndarray:
    """Return fixed numbers ``(320, dim)``."""
    return np.random.default_rng(5).standard_normal((FRAME, dim)).astype(np.float32)


def write_aves(path: Path, *, dim: int = 768) -> Path:
    """Write a file of the shapes of AVES: any length in, ``(batch, frames, dim)`` out."""
    constants = {"kernel": aves_weights(dim).T[:, None], "axis": np.array([1], np.int64)}
    nodes = [
        helper.make_node("Unsqueeze", ["x", "axis"], ["channel"]),
        helper.make_node("Conv", ["channel", "kernel"], ["conv"], strides=[FRAME]),
        helper.make_node("Abs", ["conv"], ["features"]),
        helper.make_node("Transpose", ["features"], ["y"], perm=[0, 2, 1]),
    ]
    return _save(path, "x", "samples", nodes, {"y": ["batch", "frames", dim]}, constants)


def _save(path, name, samples, nodes, outputs, constants) -> Path:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", samples])],
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in outputs.items()],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path
