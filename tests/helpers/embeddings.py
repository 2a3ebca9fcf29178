"""A small embedding model in ONNX, and what the real one is compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RATE = 16_000
N_SAMPLES = 8000  # 0.5 s
FREQUENCIES = np.linspace(500, 7500, 12)
DIM = len(FREQUENCIES)


def bank() -> tuple[np.ndarray, np.ndarray]:
    """Return cosines and sines, each ``(samples, frequencies)``."""
    phase = 2 * np.pi * np.outer(np.arange(N_SAMPLES), FREQUENCIES) / RATE
    return np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)


def expected_embedding(windows: np.ndarray) -> np.ndarray:
    """Compute what the model computes, ``(windows, samples)`` to ``(windows, 12)``."""
    cosines, sines = (part.astype(np.float64) for part in bank())
    return np.sqrt((windows @ cosines) ** 2 + (windows @ sines) ** 2)


def write_model(
    path: Path,
    *,
    outputs: tuple[str, ...] = ("embedding",),
    rate: int | None = RATE,
    factor: float = 1.0,
    samples: int | str = N_SAMPLES,
) -> Path:
    """Write a model whose embedding is the amplitude at 12 frequencies.

    Args:
        path: File to write.
        outputs: Of ``embedding`` ``(batch, 12)``, ``scores`` ``(batch, 3)``, computed from it, and
            ``cube`` ``(batch, 12, 1)``.
        rate: What the file says of its sampling rate, or None.
        factor: On everything, so that files differ.
        samples: Length of a window; a name leaves it open.
    """
    cosines, sines = bank()
    constants = {
        "cosines": factor * cosines,
        "sines": factor * sines,
        "weights": np.ones((DIM, 3), np.float32),
        "axis": np.array([2], np.int64),
    }
    nodes = [
        helper.make_node("MatMul", ["waveform", "cosines"], ["c"]),
        helper.make_node("MatMul", ["waveform", "sines"], ["s"]),
        helper.make_node("Mul", ["c", "c"], ["cc"]),
        helper.make_node("Mul", ["s", "s"], ["ss"]),
        helper.make_node("Add", ["cc", "ss"], ["power"]),
        helper.make_node("Sqrt", ["power"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "weights"], ["scores"]),
        helper.make_node("Unsqueeze", ["embedding", "axis"], ["cube"]),
    ]
    shapes = {"embedding": ["n", DIM], "scores": ["n", 3], "cube": ["n", DIM, 1]}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["n", samples])],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, shapes[o]) for o in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    if rate is not None:
        helper.set_model_props(model, {"sample_rate": str(rate)})
    onnx.save(model, path)
    return path
