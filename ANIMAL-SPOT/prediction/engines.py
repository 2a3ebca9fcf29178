"""What computes a trained network on many windows: PyTorch, OpenVINO or ONNX Runtime."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import warnings
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from animal_spot.models.precision import Precision, choose_precision
from animal_spot.utils.environment import pip_install
from animal_spot.utils.hardware import cores_wanted, n_cores

MARGIN = 0.02  # most that a probability of a faster arithmetic may be off
_RIDGE = 0.03  # penalty for each window; networks trained here hardly cared between 0.03 and 0.3


class EngineError(ValueError):
    """An engine that cannot be had; the message says why and what to do."""


class Engine(Protocol):
    """A network that is ready to compute.

    Attributes:
        name: Of the program and the arithmetic, for the log.
        batch_size: Windows it computes best at once.
        n_parallel: Threads that may call ``infer`` at the same time.
    """

    name: str
    batch_size: int
    n_parallel: int

    def infer(self, features: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Compute network inputs ``(windows, 1, time, features)``.

        Returns:
            Logits ``(windows, classes)`` and what the linear layer sees ``(windows, channels)``,
            float32.
        """
        ...


class LogitsAndEmbedding(nn.Module):
    """A network that also returns the features that its linear layer sees."""

    def __init__(self, model: nn.Sequential) -> None:
        super().__init__()
        self.encoder, self.classifier = model.encoder, model.classifier

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the layers."""
        embedding = self.classifier.embed(self.encoder(features))
        return self.classifier.linear(embedding), embedding


class TorchEngine:
    """PyTorch on any device.

    Args:
        model: ``encoder`` and ``classifier``.
        precision: Arithmetic and device.
        batch_size: Windows at once; None: 16 on a CPU, 256 elsewhere.
    """

    n_parallel = 1

    def __init__(
        self, model: nn.Sequential, precision: Precision, batch_size: int | None = None
    ) -> None:
        self._precision = precision
        torch.backends.cudnn.allow_tf32 = False  # fp32 shall mean it; 16 bits do not use it
        self._network = LogitsAndEmbedding(model).eval().to(precision.device)
        self._network.to(memory_format=precision.memory_format)
        self.batch_size = batch_size or (16 if precision.device.type == "cpu" else 256)
        self.name = f"torch {precision.name} on {precision.device.type}"

    def infer(self, features: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Compute network inputs; see ``Engine``."""
        precision = self._precision
        with torch.inference_mode(), precision.autocast():
            features = features.to(precision.device, memory_format=precision.memory_format)
            logits, embedding = self._network(features)
            return logits.float().cpu().numpy(), embedding.float().cpu().numpy()


class HeadEngine(TorchEngine):
    """PyTorch in fp32 for the few layers on top of embeddings, which no other engine is faster for.

    Args:
        model: ``encoder`` and ``classifier``.
        batch_size: Windows at once; None: 16.
    """

    n_parallel = n_cores()  # so that no other network of an ensemble waits

    def __init__(self, model: nn.Sequential, batch_size: int | None = None) -> None:
        super().__init__(model, Precision("fp32", torch.device("cpu")), batch_size)


class OpenVinoNetwork:
    """A network as OpenVINO has it, from which engines are made in a moment.

    This is what ``openvino.convert_model`` does, but in a tenth of its time and without its reports
    to the makers of OpenVINO.

    Args:
        model: ``encoder`` and ``classifier``; nobody may change it any more, and it cannot learn.
        shape: ``(time, features)`` of a window.

    Raises:
        EngineError: If OpenVINO is not installed.
    """

    def __init__(self, model: nn.Sequential, shape: tuple[int, int]) -> None:
        openvino = _module("openvino")
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        self.model, self.shape = model, tuple(shape)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of TorchScript, which is deprecated
            network = LogitsAndEmbedding(model).eval().requires_grad_(False)
            # A function of constant weights: of a module each layer would become one of TorchScript
            # first, which takes twice as long as all the rest.
            traced = torch.jit.trace(
                lambda features: network(features), torch.zeros(1, 1, *shape), check_trace=False
            )
            front_end = FrontEndManager().load_by_framework("pytorch")
            decoder = TorchScriptPythonDecoder(traced)  # named: the front end does not keep it
            self._converted = front_end.convert(front_end.load(decoder))
        parameter = self._converted.inputs[0].get_node()
        parameter.set_element_type(openvino.Type.f32)
        parameter.set_partial_shape(openvino.PartialShape([1, 1, *shape]))
        self._converted.validate_nodes_and_infer_types()

    def for_batches_of(self, n: int) -> Any:
        """Return it for inputs ``(n, 1, time, features)``, to be compiled."""
        network = self._converted.clone()
        network.reshape([n, 1, *self.shape])
        return network


class OpenVinoEngine:
    """OpenVINO on the CPU, for windows of one shape; others are left to PyTorch.

    Args:
        network: What it computes.
        precision: ``fp32`` or ``bf16``.
        batch_size: Windows at once; None: chosen.
    """

    def __init__(
        self, network: OpenVinoNetwork, precision: str, batch_size: int | None = None
    ) -> None:
        core = _openvino_core(_module("openvino"))
        self.batch_size = batch_size or 8
        self._shape = network.shape
        self.n_parallel = n_cores()
        self._compiled = core.compile_model(
            network.for_batches_of(self.batch_size),
            "CPU",
            {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "NUM_STREAMS": str(self.n_parallel),
                "INFERENCE_NUM_THREADS": str(self.n_parallel),
                "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
                # Processes that share a machine would be bound to the same cores.
                **({"ENABLE_CPU_PINNING": False} if cores_wanted() else {}),
            },
        )
        self._requests = [self._compiled.create_infer_request() for _ in range(self.n_parallel)]
        self._other_shapes = TorchEngine(network.model, Precision("fp32", torch.device("cpu")))
        self.name = f"openvino {precision} on cpu"

    def infer(self, features: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Compute network inputs; see ``Engine``."""
        if tuple(features.shape[2:]) != self._shape:
            return self._other_shapes.infer(features)
        n = len(features)
        batch = features.numpy()
        if n < self.batch_size:
            batch = np.concatenate([batch, np.zeros_like(batch[:1]).repeat(self.batch_size - n, 0)])
        request = self._requests.pop()
        try:
            request.infer([batch], share_inputs=True)
            logits, embedding = (request.get_output_tensor(i).data[:n].copy() for i in range(2))
        finally:
            self._requests.append(request)
        return logits, embedding


class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU, fp32.

    Args:
        model: ``encoder`` and ``classifier``.
        shape: ``(time, features)`` of a window, for the export; any other works too.
        batch_size: Windows at once; None: chosen.

    Raises:
        EngineError: If ONNX Runtime, or the packages that write ONNX, are not installed.
    """

    n_parallel = 1

    def __init__(
        self, model: nn.Sequential, shape: tuple[int, int], batch_size: int | None = None
    ) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        runtime = _module("onnxruntime")
        from animal_spot.prediction.export import import_onnx, onnx_of

        import_onnx()
        self.batch_size = batch_size or 16
        options = runtime.SessionOptions()
        options.intra_op_num_threads = n_cores()
        network = LogitsAndEmbedding(model).eval()
        dynamic = torch.export.Dim.DYNAMIC
        example = torch.zeros(2, 1, *shape)
        proto = onnx_of(network, example, {0: dynamic, 2: dynamic}, ["logits", "embedding"])
        self._session = runtime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self.name = "onnxruntime fp32 on cpu"

    def infer(self, features: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Compute network inputs; see ``Engine``."""
        logits, embedding = self._session.run(None, {self._input: features.numpy()})
        return logits, embedding


class CorrectedEngine:
    """An engine whose logits are put right for what its arithmetic does to them on average.

    Args:
        engine: The engine.
        correction: What ``fit_correction`` found.
        shape: ``(time, features)`` of the windows that it was found on; others are left alone.
    """

    def __init__(self, engine: Engine, correction: np.ndarray, shape: tuple[int, int]) -> None:
        self._engine, self._correction = engine, correction
        self._shape = tuple(shape)
        self.name, self.batch_size = engine.name, engine.batch_size
        self.n_parallel = engine.n_parallel

    def infer(self, features: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Compute network inputs; see ``Engine``."""
        logits, embedding = self._engine.infer(features)
        if tuple(features.shape[2:]) == self._shape:
            logits = corrected(logits, self._correction)
        return logits, embedding


def fit_correction(exact: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Find the linear map that takes logits of one arithmetic closest to those of another.

    Rounding a network's weights to 16 bits shifts and scales its outputs, besides adding noise. The
    shift is known from 8 bits (Nagel et al., Data-free quantization through weight equalization
    and bias correction, ICCV 2019); here a ridge regression of the difference finds both.

    Args:
        exact: Logits ``(windows, classes)``.
        other: The same windows in the other arithmetic.

    Returns:
        Shape ``(classes + 1, classes)``, for ``corrected``.
    """
    target, inputs = _centred(exact), _with_one(_centred(other))
    penalty = _RIDGE * len(inputs) * np.eye(inputs.shape[1])
    penalty[-1, -1] *= 1e-6  # the shift is free
    difference = target - inputs[:, :-1]
    return np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ difference)


def corrected(logits: np.ndarray, correction: np.ndarray) -> np.ndarray:
    """Apply what ``fit_correction`` found; float32 of the same shape, with mean 0 in each row."""
    centred = _centred(logits)
    return (centred + _with_one(centred) @ correction).astype(np.float32)


def _centred(logits: np.ndarray) -> np.ndarray:
    # What all logits of a window have in common does not change its probabilities.
    logits = logits.astype(np.float64)
    return logits - logits.mean(1, keepdims=True)


def _with_one(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, np.ones((len(values), 1))], 1)


def infer_all(engine: Engine, features: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Compute any number of network inputs, in batches of the engine's size."""
    results = [engine.infer(batch) for batch in features.split(engine.batch_size)]
    if len(results) == 1:
        return results[0]
    logits, embeddings = zip(*results, strict=True)
    return np.concatenate(logits), np.concatenate(embeddings)


def probabilities_of(logits: np.ndarray) -> np.ndarray:
    """Softmax of ``(windows, classes)``, float32."""
    return torch.softmax(torch.from_numpy(logits), 1).numpy()


@functools.cache
def _openvino_core(openvino: Any) -> Any:
    """Return the one core of this process, which is never let go.

    With its last user OpenVINO's CPU plugin unmaps the alternate signal stack that it gave to the
    thread that loaded it; if another thread is that user, the next signal ends the program.
    """
    return openvino.Core()


def choose_engine(engine: str, device: torch.device, precision: str) -> tuple[str, str]:
    """Resolve ``auto`` of engine and precision to the fastest that is installed.

    Raises:
        ValueError: If the engine does not compute on the device, or the precision needs another.
    """
    if device.type != "cpu":
        if engine not in ("auto", "torch"):
            raise EngineError(f"--engine {engine} computes on the CPU only: add --no_cuda")
        engine = "torch"
    elif engine == "auto":
        can_do = precision != "fp16" and importlib.util.find_spec("openvino") is not None
        engine = "openvino" if can_do else "torch"
    if precision == "auto" and engine == "onnxruntime":
        return engine, "fp32"
    return engine, choose_precision(precision, device).name


def build_engine(
    engine: str,
    model: nn.Sequential | OpenVinoNetwork,
    shape: tuple[int, int],
    precision: str,
    device: torch.device,
    *,
    batch_size: int | None = None,
) -> Engine:
    """Make a network ready to compute windows of ``(time, features)``.

    Args:
        engine: ``torch``, ``openvino`` or ``onnxruntime``.
        model: ``encoder`` and ``classifier``; for ``openvino`` also what was made of them, so that
            several engines of one network are quick to make.
        shape: Of most windows; others are computed too.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        device: Where to compute.
        batch_size: Windows at once; None: chosen.

    Raises:
        EngineError: If the engine is not installed or lacks that precision.
    """
    if engine == "openvino":
        if precision == "fp16":
            raise EngineError("--engine openvino computes in fp32 or bf16, not fp16")
        if not isinstance(model, OpenVinoNetwork):
            model = OpenVinoNetwork(model, shape)
        return OpenVinoEngine(model, precision, batch_size)
    if engine == "onnxruntime":
        if precision != "fp32":
            raise EngineError("--engine onnxruntime computes in fp32 only")
        return OnnxRuntimeEngine(model, shape, batch_size)
    return TorchEngine(model, Precision(precision, device), batch_size)


def _module(name: str) -> Any:
    if importlib.util.find_spec(name) is None:
        raise EngineError(f"{name} is not installed: {pip_install(name)}, or use --engine torch")
    return importlib.import_module(name)
