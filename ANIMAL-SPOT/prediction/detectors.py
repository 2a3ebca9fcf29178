"""Networks made ready for recordings: which engine, which arithmetic, and whether it is exact."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from animal_spot.audio import dsp
from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.recordings import RecordingError, excerpt
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.audio.window_features import WindowFeatures
from animal_spot.audio.windows import WindowGrid
from animal_spot.embeddings.embedding_pipeline import EmbeddingFeatures
from animal_spot.model_files.model_file import ModelFile, calibrated_network
from animal_spot.model_files.signal_path import pipeline_of_model
from animal_spot.models.precision import device_of, has_native_bf16
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.engines import (
    MARGIN,
    CorrectedEngine,
    Engine,
    EngineError,
    HeadEngine,
    OpenVinoNetwork,
    build_engine,
    choose_engine,
    corrected,
    fit_correction,
    probabilities_of,
)
from animal_spot.remote.side_by_side import each

log = logging.getLogger(__name__)

_N_CHECKED = 48  # windows that the faster arithmetic is compared with fp32 on
_SAFE_SHARE = 0.65  # of the margin, on the sample: the worst of all windows will be worse


@dataclass(frozen=True)
class Arithmetic:
    """What computes a network; handed to other processes so that all compute it alike.

    Attributes:
        engine: ``torch``, ``openvino`` or ``onnxruntime``.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        correction: What ``fit_correction`` found for an arithmetic that was compared with fp32,
            which then decides what it leaves open; None: it was not.
    """

    engine: str
    precision: str
    correction: np.ndarray | None = None


@dataclass(frozen=True)
class Detector:
    """A network, and how recordings become its input.

    Attributes:
        engine: Computes the network.
        features: Computes its input.
        grid: Windows at its sampling rate.
        f_min: Lowest frequency that its input depends on, Hz.
        exact: Computes it in fp32, for windows that ``engine`` cannot decide; None: nothing does.
        arithmetic: Of both; None where there is no choice.
    """

    engine: Engine
    features: WindowFeatures | EmbeddingFeatures
    grid: WindowGrid
    f_min: float
    exact: Engine | None = None
    arithmetic: Arithmetic | None = None


def build_detectors(
    config: PredictConfig,
    models: Sequence[ModelFile],
    grids: Sequence[WindowGrid],
    paths: Sequence[Path],
    decided: Sequence[Arithmetic | None] | None = None,
) -> list[Detector]:
    """Make the networks ready, in the arithmetic that is wanted or that agrees with fp32.

    Args:
        config: Which engine, precision and device.
        models: Networks.
        grids: Windows at the rate of each.
        paths: Recordings, on some windows of which a faster arithmetic is compared with fp32.
        decided: What another process decided on for each network; None: it is decided here.

    Raises:
        ValueError: If an engine or precision cannot be had.
    """
    by_signal: dict[object, WindowFeatures | EmbeddingFeatures] = {}
    detectors = []
    known = decided or [None] * len(models)
    for model, grid, arithmetic in zip(models, grids, known, strict=True):
        signal = model.signal
        if model.kind.hears == "embeddings":
            pipeline = pipeline_of_model(model, [Path(path) for path in config.embedding_model])
            features = by_signal.setdefault(pipeline.model.info, EmbeddingFeatures(pipeline, grid))
            engine = HeadEngine(calibrated_network(model), config.batch_size)
            log.info("network: on %s, %s", pipeline.model.info.name, engine.name)
            detectors.append(Detector(engine, features, grid, float(signal.fmin)))
            continue
        if signal not in by_signal:
            pipeline = SpectrogramPipeline(signal)
            for warning in pipeline.warnings():
                log.warning("%s", warning)
            by_signal[signal] = WindowFeatures(pipeline, grid, device_of(config.wanted_device))
        features = by_signal[signal]
        builder = _Builder(config, model, features, grid)
        made = builder.as_agrees(paths) if arithmetic is None else builder.as_decided(arithmetic)
        log.info("network: %s, %s", model.backbone, made.engine.name)
        detectors.append(made)
    return detectors


class _Builder:
    """Makes one network ready.

    Args:
        config: Which engine, precision and device.
        model: The network.
        features: Its input.
        grid: Windows at its rate.
    """

    def __init__(
        self, config: PredictConfig, model: ModelFile, features: WindowFeatures, grid: WindowGrid
    ) -> None:
        self._config, self._model, self._features, self._grid = config, model, features, grid
        self._device = device_of(config.wanted_device)
        signal = model.signal
        self._shape = (
            dsp.n_frames(grid.length, signal.n_fft, signal.hop_length),
            features.n_features,
        )

    def as_agrees(self, paths: Sequence[Path]) -> Detector:
        """Take the wanted arithmetic, or a fast one that agrees with fp32 on these recordings."""
        config = self._config
        name, precision = choose_engine(config.engine, self._device, config.precision)
        if precision == "fp32" or config.precision != "auto":
            return self._plain(Arithmetic(name, precision))
        channel = self._model.signal.channel
        with ThreadPoolExecutor(1) as beside:  # reading waits for the disk
            drawn = beside.submit(
                sample_windows, paths, self._features, self._grid, _N_CHECKED, channel
            )
            fast, exact = self._engine(name, precision), self._exact(name)
            sample = drawn.result()
        correction = _correction_if_close(fast, exact, sample)
        if correction is None:
            return self._plain(Arithmetic(name, "fp32"))
        return self._corrected(Arithmetic(name, precision, correction), fast, exact)

    def as_decided(self, arithmetic: Arithmetic) -> Detector:
        """Take the arithmetic that another process decided on.

        Raises:
            EngineError: If this machine would compute something else.
        """
        name, precision = arithmetic.engine, arithmetic.precision
        if precision == "bf16" and not has_native_bf16(self._device):
            raise EngineError(
                "the processors of the workers differ, and not all have bf16: use --precision fp32"
            )
        if arithmetic.correction is None:
            return self._plain(arithmetic)
        return self._corrected(arithmetic, self._engine(name, precision), self._exact(name))

    @functools.cached_property
    def _converted(self) -> OpenVinoNetwork:
        return OpenVinoNetwork(calibrated_network(self._model), self._shape)

    def _engine(self, name: str, precision: str, **options: object) -> Engine:
        options = {"batch_size": self._config.batch_size} | options
        # A copy, since an engine may lay out the weights as its arithmetic likes them.
        network = self._converted if name == "openvino" else calibrated_network(self._model)
        return build_engine(name, network, self._shape, precision, self._device, **options)

    def _exact(self, name: str) -> Engine:
        # OpenVINO fills batches up, and there are seldom several open windows in one.
        return self._engine(name, "fp32", **({"batch_size": 1} if name == "openvino" else {}))

    def _plain(self, arithmetic: Arithmetic) -> Detector:
        return self._detector(self._engine(arithmetic.engine, arithmetic.precision), arithmetic)

    def _corrected(self, arithmetic: Arithmetic, fast: Engine, exact: Engine) -> Detector:
        engine = CorrectedEngine(fast, arithmetic.correction, self._shape)
        return self._detector(engine, arithmetic, exact)

    def _detector(
        self, engine: Engine, arithmetic: Arithmetic, exact: Engine | None = None
    ) -> Detector:
        f_min = float(self._model.signal.fmin)
        return Detector(engine, self._features, self._grid, f_min, exact, arithmetic)


def looked_at(paths: Sequence[Path]) -> list[Path]:
    """Return those of many recordings that windows to compare arithmetic on are taken from."""
    n = _N_CHECKED
    return list(paths) if len(paths) <= n else [paths[i * len(paths) // n] for i in range(n)]


def sample_windows(
    paths: Sequence[Path],
    features: WindowFeatures,
    grid: WindowGrid,
    n: int,
    channel: str = MIX,
) -> torch.Tensor | None:
    """Return ``n`` windows spread over all recordings; fewer if some cannot be read, or None."""

    def heard(i: int) -> np.ndarray:
        position = i * 0.618034 % 1.0  # golden ratio: evenly spread for any number of files
        path, seconds = paths[i * len(paths) // n], grid.length / grid.sample_rate
        try:
            return excerpt(path, position, seconds, grid.sample_rate, channel)
        except (RecordingError, OSError):
            return np.empty(0, np.float32)  # reported when its turn comes

    windows = []
    for samples in each(heard, range(n), about=paths):
        if len(samples) >= grid.length:
            window = features.of_stretch(samples[: grid.length], 1)
            if torch.isfinite(window).all():
                windows.append(window)
    return torch.cat(windows) if windows else None


def _correction_if_close(
    engine: Engine, reference: Engine, sample: torch.Tensor | None
) -> np.ndarray | None:
    """Compare an arithmetic with fp32 on windows of the recordings.

    Returns:
        How to correct its logits; None if the two are too far apart even so, or there are too few
        windows to compare them on.
    """
    if sample is None or len(sample) < 4:
        log.info("too few windows to compare %s with fp32 on: fp32 is used", engine.name)
        return None
    exact, other = _logits(reference, sample), _logits(engine, sample)
    # A window that fp32 has no answer to says nothing; its recording fails when its turn comes.
    usable = np.isfinite(exact).all(1)
    exact, other = exact[usable], other[usable]
    if len(exact) < 4:
        log.info("too few windows to compare %s with fp32 on: fp32 is used", engine.name)
        return None
    if not np.isfinite(other).all():
        log.warning("%s gives numbers that are not finite: fp32 is used instead", engine.name)
        return None
    difference = 0.0
    for half in (0, 1):  # each half is corrected by what the other one says
        correction = fit_correction(exact[half::2], other[half::2])
        found = probabilities_of(corrected(other[1 - half :: 2], correction))
        wanted = probabilities_of(exact[1 - half :: 2])
        difference = float(np.maximum(difference, np.abs(found - wanted).max()))  # keeps a NaN
    if not difference <= _SAFE_SHARE * MARGIN:
        log.warning(
            "%s is up to %.3f off in a probability on %d sampled windows: fp32 is used instead",
            engine.name,
            difference,
            len(exact),
        )
        return None
    log.info(
        "%s agrees with fp32 on %d sampled windows within %.4f; close decisions are made in fp32",
        engine.name,
        len(exact),
        difference,
    )
    return fit_correction(exact, other)


def _logits(engine: Engine, features: torch.Tensor) -> np.ndarray:
    with ThreadPoolExecutor(engine.n_parallel) as pool:
        results = pool.map(engine.infer, features.split(engine.batch_size))
        return np.concatenate([logits for logits, _ in results])
