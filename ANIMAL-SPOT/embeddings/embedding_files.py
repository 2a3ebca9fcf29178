"""Files of embedding models: which tensor is the embedding, how long a window is, how to compute.

TFLite runs in ai-edge-litert: TensorFlow and PyTorch crash in one process.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from animal_spot.embeddings.known_models import (
    AUTO,
    KNOWN,
    NONE,
    FileShape,
    KnownModel,
    misfit,
    recognise,
    shown,
)
from animal_spot.utils.environment import pip_install

if TYPE_CHECKING:
    import onnx

_BIRDNET_OUTPUT = "model/GLOBAL_AVG_POOL/Mean"  # 1024 numbers, before the layer of the species
_BIRDNET_SAMPLES, _BIRDNET_RATE = 144_000, 48_000


class EmbeddingModelError(ValueError):
    """An embedding model that cannot be had or used; one line says why and what to do."""


@dataclass(frozen=True)
class EmbeddingUse:
    """What is said of a file beyond what it says itself.

    Attributes:
        output: Name or index of the tensor that is the embedding, ``(batch, numbers)``, or with
            frames between these; None: that of BirdNET or a known model, or the only output.
        sample_rate: Of the input, Hz; None: what the file says (ONNX metadata ``sample_rate``), or
            that of BirdNET or a known model.
        open_s: Length of a window of a file that leaves it open, s; None: such files are refused.
        peak: See ``EmbeddingInfo``; None: that of a known model.
        preset: One of ``known_models.PRESETS``.
    """

    output: str | None = None
    sample_rate: int | None = None
    open_s: float | None = None
    peak: float | None = None
    preset: str = AUTO


class Runner(Protocol):
    """One copy of a model, for one thread at a time: ``(1, samples)`` to its output."""

    def __call__(self, window: np.ndarray) -> np.ndarray:
        """Compute a window."""


class TfliteFile:
    """A TFLite model whose output is set to the tensor that is wanted.

    The list of outputs is changed in the copy that is in memory. So the interpreter neither keeps
    all intermediate results (slow, large, and refused for batches) nor computes what follows.
    """

    preset = NONE
    is_open = False

    def __init__(self, content: bytes, path: Path, use: EmbeddingUse) -> None:
        if use.preset not in (AUTO, NONE):
            raise EmbeddingModelError(
                f"--embedding_preset {use.preset} is of ONNX files, and {path} is TFLite; leave it "
                "out and say --embedding_output and --embedding_rate"
            )
        if importlib.util.find_spec("ai_edge_litert") is None:
            raise EmbeddingModelError(
                "TFLite models need the package ai-edge-litert: "
                f"{pip_install('ai-edge-litert')}, or name an .onnx file with --embedding_model"
            )
        from ai_edge_litert import schema_py_generated as schema
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter
        try:
            plain = Interpreter(model_content=content, num_threads=1)
            plain.allocate_tensors()
            (source,) = plain.get_input_details()
            tensors = {d["index"]: d for d in plain.get_tensor_details()}
            outputs = [d["index"] for d in plain.get_output_details()]
        except (RuntimeError, ValueError) as error:
            raise EmbeddingModelError(
                f"--embedding_model {path} is no TFLite model with one input that can be run: "
                f"{str(error).splitlines()[0]}"
            ) from error
        self._input = source["index"]
        shape = list(source["shape"])
        name, is_float = str(source["name"]), source["dtype"] == np.float32
        self.n_samples = _n_samples(name, shape, is_float, path)
        by_name = {d["name"]: i for i, d in tensors.items()}
        birdnet = by_name.get(_BIRDNET_OUTPUT)
        self.is_birdnet = birdnet is not None and self.n_samples == _BIRDNET_SAMPLES
        if use.output is None and self.is_birdnet:
            chosen = birdnet
        else:
            chosen = _choose(use.output, {d["name"]: i for i, d in tensors.items()}, outputs, path)
        details = tensors[chosen]
        self.output = str(details["name"])
        self.dim = _dim(list(details["shape"]), details["dtype"] == np.float32, self.output, path)
        if chosen not in outputs:
            patched = bytearray(content)
            graph = schema.Model.GetRootAs(patched, 0).Subgraphs(0)
            graph.OutputsAsNumpy()[0] = chosen
            content = bytes(patched)
        self._content = content
        self._chosen = chosen
        # TFLite has no place for it.
        self.sample_rate = _BIRDNET_RATE if self.is_birdnet else _rate(use, path, {})
        if self.is_birdnet and use.sample_rate not in (None, _BIRDNET_RATE):
            raise EmbeddingModelError(
                f"--embedding_rate {use.sample_rate}: BirdNET 2.4 listens at {_BIRDNET_RATE} Hz"
            )

    def runner(self) -> Runner:
        """Return a further copy."""
        interpreter = self._interpreter(model_content=self._content, num_threads=1)
        interpreter.allocate_tensors()

        def run(window: np.ndarray) -> np.ndarray:
            interpreter.set_tensor(self._input, window)
            interpreter.invoke()
            return interpreter.get_tensor(self._chosen)

        return run


class OnnxFile:
    """An ONNX model, one of whose tensors is the embedding; the others are not computed."""

    is_birdnet = False

    def __init__(self, content: bytes, path: Path, use: EmbeddingUse) -> None:
        for package in ("onnx", "onnxruntime"):
            if importlib.util.find_spec(package) is None:
                raise EmbeddingModelError(
                    f"ONNX models need the package {package}: {pip_install(package)}"
                )
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnx

        try:
            model = onnx.load_from_string(content)
            file = _file_shape(model)
        except Exception as error:  # each kind of damage has its own
            raise _unreadable(path, error) from error
        self.preset = _preset(file, path, use)
        known = KNOWN.get(self.preset)
        said = {entry.key: entry.value for entry in model.metadata_props}.get("sample_rate", "")
        rates = {str(path): int(said)} if said.isdecimal() and int(said) > 0 else {}
        if known is not None:
            rates = {known.name: known.sample_rate} | rates
        self._input = file.input
        self._choose_output(model, path, use.output or (known.output if known else None))
        try:
            self._open(model)
        except Exception as error:
            raise _unreadable(path, error) from error
        shape = list(file.input_shape)
        is_float = self._session.get_inputs()[0].type == "tensor(float)"
        self.is_open = len(shape) == 2 and not isinstance(shape[1], int) and is_float
        if self.is_open and use.open_s is not None:
            self.sample_rate = _rate(use, path, rates)
            self.n_samples = max(1, round(use.open_s * self.sample_rate))
        else:
            self.n_samples = _n_samples(file.input, shape, is_float, path)
            self.sample_rate = _rate(use, path, rates)
        self.dim = self._probed(path)
        if known is not None and use.output in (None, known.output) and self.dim not in known.dims:
            raise EmbeddingModelError(
                f"--embedding_preset {self.preset} does not fit {path}: {known.name} gives "
                f"embeddings of {' or '.join(map(str, known.dims))} numbers, and {self.output} of "
                f"this file has {self.dim}"
            )

    def _choose_output(self, model: onnx.ModelProto, path: Path, wanted: str | None) -> None:
        """Make one tensor the only output, so that what only others need is left out."""
        import onnx

        outputs = list(model.graph.output)
        names = [output.name for output in outputs]
        inner = [name for node in model.graph.node for name in node.output if name]
        self.output = _choose(wanted, {name: name for name in (*names, *inner)}, names, path, inner)
        if names != [self.output]:
            kept = [output for output in outputs if output.name == self.output]
            del model.graph.output[:]
            model.graph.output.extend(kept or [onnx.ValueInfoProto(name=self.output)])

    def _open(self, model: onnx.ModelProto) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a window a thread
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def _probed(self, path: Path) -> int:
        """Compute a window of silence; return the numbers of an embedding."""
        try:
            found = self.runner()(np.zeros((1, self.n_samples), np.float32))
        except Exception as error:
            raise EmbeddingModelError(
                f"--embedding_model {path} cannot compute a window of {self.n_samples} samples "
                f"({self.n_samples / self.sample_rate:g} s at {self.sample_rate} Hz): "
                f"{str(error).splitlines()[0]}"
            ) from error
        return _dim(list(found.shape), found.dtype == np.float32, self.output, path)

    def runner(self) -> Runner:
        """Return the session, which all threads share."""
        return lambda window: self._session.run([self.output], {self._input: window})[0]


def _unreadable(path: Path, error: Exception) -> EmbeddingModelError:
    return EmbeddingModelError(
        f"--embedding_model {path} is no ONNX model with one input that can be run: "
        f"{str(error).splitlines()[0]}"
    )


def _file_shape(model: onnx.ModelProto) -> FileShape:
    """Read names and shapes of the only input and of the outputs.

    Raises:
        ValueError: If there are several inputs, or none.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in weights]
    if len(inputs) != 1:
        raise ValueError(f"it has {len(inputs)} inputs")
    outputs = {entry.name: _axes(entry) for entry in model.graph.output}
    return FileShape(inputs[0].name, _axes(inputs[0]), outputs)


def _axes(entry: onnx.ValueInfoProto) -> list[int | str | None]:
    return [
        axis.dim_value if axis.HasField("dim_value") else axis.dim_param or None
        for axis in entry.type.tensor_type.shape.dim
    ]


def _preset(file: FileShape, path: Path, use: EmbeddingUse) -> str:
    """Return the preset that is used of a file.

    Raises:
        EmbeddingModelError: If one is wanted that does not fit.
    """
    if use.preset == NONE:
        return NONE
    if use.preset == AUTO:
        return recognise(file, path)
    known: KnownModel = KNOWN[use.preset]
    if why := misfit(file, known):
        raise EmbeddingModelError(f"--embedding_preset {use.preset} does not fit {path}: {why}")
    return use.preset


def _rate(use: EmbeddingUse, path: Path, said: Mapping[str, int]) -> int:
    """Return the sampling rate, Hz.

    Args:
        use: With what the user says.
        path: The file.
        said: What a known model, and what the file itself says, by who says it.

    Raises:
        EmbeddingModelError: If nobody says it, or two say different things.
    """
    rates = list(said.items())
    if not rates:
        if use.sample_rate is None:
            raise EmbeddingModelError(
                f"--embedding_model {path} does not say its sampling rate: give it with "
                "--embedding_rate"
            )
        return use.sample_rate
    (who, rate), *others = rates
    for other, value in others:
        if value != rate:
            raise EmbeddingModelError(
                f"--embedding_model {other} says {value} Hz of itself, and {who} listens at {rate} "
                f"Hz: say --embedding_preset {NONE} if it is another model"
            )
    if use.sample_rate not in (None, rate):
        itself = f"{who} itself says" if who == str(path) else f"{who} listens at"
        raise EmbeddingModelError(
            f"--embedding_rate {use.sample_rate}: {itself} {rate} Hz; leave the flag out"
        )
    return rate


def _choose(
    wanted: str | None,
    by_name: Mapping[str, Any],
    outputs: Sequence[Any],
    path: Path,
    by_index: Sequence[Any] | None = None,
) -> Any:
    """Find a tensor by name or index; of a model with one output it is that one.

    Args:
        wanted: What ``--embedding_output`` says.
        by_name: All tensors.
        outputs: Those that the model gives out.
        path: Of the model.
        by_index: Tensors in the order that an index means; None: an index is a tensor itself.
    """
    names = {tensor: name for name, tensor in by_name.items()}
    if wanted is None:
        if len(outputs) == 1:
            return outputs[0]
        listed = ", ".join(str(names[o]) for o in outputs)
        raise EmbeddingModelError(
            f"--embedding_model {path} has several outputs ({listed}): say which one is the "
            "embedding with --embedding_output"
        )
    if wanted in by_name:
        return by_name[wanted]
    if wanted.isdecimal():
        index = int(wanted)
        if by_index is None and index in names:
            return index
        if by_index is not None and index < len(by_index):
            return by_index[index]
    listed = ", ".join(list(by_name)[-5:])
    raise EmbeddingModelError(
        f"--embedding_output {wanted}: {path} has no such tensor; its last ones are {listed}"
    )


def _n_samples(name: str, shape: Sequence[Any], is_float: bool, path: Path) -> int:
    if len(shape) == 2 and is_float and isinstance(shape[1], (int, np.integer)) and shape[1] > 0:
        return int(shape[1])
    kind = "" if is_float else ", and not float32"
    raise EmbeddingModelError(
        f"--embedding_model {path}: its input must be (batch, samples) float32 with a fixed number "
        f"of samples, and is {shown(name, shape)}{kind}"
    )


def _dim(shape: Sequence[int], is_float: bool, output: str, path: Path) -> int:
    """Return the numbers of an embedding: the last axis; those between are frames."""
    one = len(shape) == 2 and shape[0] == 1 and shape[1] > 0
    frames = len(shape) in (3, 4) and shape[0] == 1 and min(shape[1:]) > 0 and shape[-1] > 1
    if is_float and (one or frames):
        return int(shape[-1])
    raise EmbeddingModelError(
        f"--embedding_output {output} of {path} must be (batch, numbers) or (batch, frames, "
        f"numbers) float32, and is {tuple(map(int, shape))} for one window; name another tensor"
    )
