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
from animal_spot.models.precision import device_of
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.engines import (
    MARGIN,
    CorrectedEngine,
    Engine,
    HeadEngine,
    OpenVinoNetwork,
    build_engine,
    choose_engine,
    corrected,
    fit_correction,
    probabilities_of,
)

log = logging.getLogger(__name__)

_N_CHECKED = 48  # windows that the faster arithmetic is compared with fp32 on
_SAFE_SHARE = 0.65  # of the margin, on the sample: the worst of all windows will be worse


@dataclass(frozen=True)
class Detector:
    """A network, and how recordings become its input.

    Attributes:
        engine: Computes the network.
        features: Computes its input.
        grid: Windows at its sampling rate.
        f_min: Lowest frequency that its input depends on, Hz.
        exact: Computes it in fp32, for windows that ``engine`` cannot decide; None: nothing does.
    """

    engine: Engine
    features: WindowFeatures | EmbeddingFeatures
    grid: WindowGrid
    f_min: float
    exact: Engine | None = None


def build_detectors(
    config: PredictConfig,
    models: Sequence[ModelFile],
    grids: Sequence[WindowGrid],
    paths: Sequence[Path],
) -> list[Detector]:
    """Make the networks ready, in the arithmetic that is wanted or that agrees with fp32.

    Args:
        config: Which engine, precision and device.
        models: Networks.
        grids: Windows at the rate of each.
        paths: Recordings, on some windows of which a faster arithmetic is compared with fp32.

    Raises:
        ValueError: If an engine or precision cannot be had.
    """
    by_signal: dict[object, WindowFeatures | EmbeddingFeatures] = {}
    detectors = []
    for model, grid in zip(models, grids, strict=True):
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
            by_signal[signal] = WindowFeatures(pipeline, grid, device_of(config.cuda))
        features = by_signal[signal]
        engine, exact = _engines(config, model, features, grid, paths)
        log.info("network: %s, %s", model.backbone, engine.name)
        detectors.append(Detector(engine, features, grid, float(signal.fmin), exact))
    return detectors


def _engines(
    config: PredictConfig,
    model: ModelFile,
    features: WindowFeatures,
    grid: WindowGrid,
    paths: Sequence[Path],
) -> tuple[Engine, Engine | None]:
    """Return what computes a network, and what decides windows that it leaves open."""
    device = device_of(config.cuda)
    engine_name, precision = choose_engine(config.engine, device, config.precision)
    signal = model.signal
    shape = dsp.n_frames(grid.length, signal.n_fft, signal.hop_length), features.n_features

    @functools.cache
    def converted() -> OpenVinoNetwork:
        return OpenVinoNetwork(calibrated_network(model), shape)

    def build(precision: str, batch_size: int | None = config.batch_size) -> Engine:
        # A copy, since an engine may lay out the weights as its arithmetic likes them.
        network = converted() if engine_name == "openvino" else calibrated_network(model)
        return build_engine(engine_name, network, shape, precision, device, batch_size=batch_size)

    if precision == "fp32" or config.precision != "auto":
        return build(precision), None
    with ThreadPoolExecutor(1) as beside:  # reading waits for the disk
        drawn = beside.submit(sample_windows, paths, features, grid, _N_CHECKED, signal.channel)
        # OpenVINO fills batches up, and there are seldom several open windows in one.
        exact = build("fp32", 1) if engine_name == "openvino" else build("fp32")
        fast = build(precision)
        sample = drawn.result()
    correction = _correction_if_close(fast, exact, sample)
    if correction is None:
        return build("fp32"), None
    return CorrectedEngine(fast, correction, shape), exact


def sample_windows(
    paths: Sequence[Path],
    features: WindowFeatures,
    grid: WindowGrid,
    n: int,
    channel: str = MIX,
) -> torch.Tensor | None:
    """Return ``n`` windows spread over all recordings; fewer if some cannot be read, or None."""
    windows = []
    for i in range(n):
        position = i * 0.618034 % 1.0  # golden ratio: evenly spread for any number of files
        try:
            samples = excerpt(
                paths[i * len(paths) // n],
                position,
                grid.length / grid.sample_rate,
                grid.sample_rate,
                channel,
            )
        except (RecordingError, OSError):
            continue  # reported when its turn comes
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
