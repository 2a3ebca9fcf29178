"""Networks made ready for recordings: which engine, which arithmetic, and whether it is exact."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from animal_spot.audio import dsp
from animal_spot.audio.channel_choice import MIX
from animal_spot.audio.recordings import RecordingError, excerpt
from animal_spot.audio.spectrograms import SpectrogramPipeline
from animal_spot.audio.window_features import WindowFeatures
from animal_spot.audio.windows import WindowGrid
from animal_spot.detections.result_writers import decide_windows
from animal_spot.embeddings.embedding_pipeline import EmbeddingFeatures
from animal_spot.model_files.model_file import ModelFile, calibrated_network
from animal_spot.model_files.signal_path import pipeline_of_model
from animal_spot.prediction.config import PredictConfig
from animal_spot.prediction.engines import (
    CorrectedEngine,
    Engine,
    HeadEngine,
    build_engine,
    choose_engine,
    corrected,
    fit_correction,
    probabilities_of,
)
from animal_spot.prediction.predictor import MARGIN, Detector

log = logging.getLogger(__name__)

_N_CHECKED = 48  # windows that the faster arithmetic is compared with fp32 on
_N_CALIBRATION = 128  # windows that 8-bit ranges are found on
_SAFE_SHARE = 0.65  # of the margin, on the sample: the worst of all windows will be worse
_LEAST_AGREEMENT = 0.98  # of 8 bits with fp32, in decisions


def build_detectors(
    config: PredictConfig,
    models: Sequence[ModelFile],
    grids: Sequence[WindowGrid],
    paths: Sequence[Path],
    threshold: float | np.ndarray,
) -> list[Detector]:
    """Make the networks ready, in the arithmetic that is wanted or that agrees with fp32.

    Args:
        config: Which engine, precision and device.
        models: Networks.
        grids: Windows at the rate of each.
        paths: Recordings, on some windows of which a faster arithmetic is compared with fp32.
        threshold: Of a detection, or that of each class ``(classes,)``.

    Raises:
        ValueError: If an engine or precision cannot be had.
    """
    by_signal: dict[object, WindowFeatures | EmbeddingFeatures] = {}
    detectors = []
    for model, grid in zip(models, grids, strict=True):
        signal = model.signal
        if model.backbone == "birdnet":
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
            by_signal[signal] = WindowFeatures(pipeline, grid, _device(config))
        features = by_signal[signal]
        engine, exact = _engines(config, model, features, grid, paths, threshold)
        log.info("network: %s, %s", model.backbone, engine.name)
        detectors.append(Detector(engine, features, grid, float(signal.fmin), exact))
    return detectors


def _device(config: PredictConfig) -> torch.device:
    return torch.device("cuda" if config.cuda and torch.cuda.is_available() else "cpu")


def _engines(
    config: PredictConfig,
    model: ModelFile,
    features: WindowFeatures,
    grid: WindowGrid,
    paths: Sequence[Path],
    threshold: float | np.ndarray,
) -> tuple[Engine, Engine | None]:
    """Return what computes a network, and what decides windows that it leaves open."""
    device = _device(config)
    engine_name, precision = choose_engine(config.engine, device, config.precision)
    signal = model.signal
    shape = dsp.n_frames(grid.length, signal.n_fft, signal.hop_length), features.n_features

    def build(precision: str, **options: object) -> Engine:
        options = {"batch_size": config.batch_size} | options
        # A copy, since an engine may lay out the weights as its arithmetic likes them.
        network = calibrated_network(model)
        return build_engine(engine_name, network, shape, precision, device, **options)

    if precision == "int8":
        n = max(_N_CALIBRATION, 2 * (config.batch_size or 0))
        sample = sample_windows(paths, features, grid, 2 * n, signal.channel)
        calibration, others = (None, None) if sample is None else (sample[::2], sample[1::2])
        engine = build(precision, calibration=calibration)
        _report_agreement(engine, build("fp32"), others, threshold)
        return engine, None
    if precision == "fp32" or config.precision != "auto":
        return build(precision), None
    sample = sample_windows(paths, features, grid, _N_CHECKED, signal.channel)
    # OpenVINO fills batches up, and there are seldom several open windows in one.
    single = {"batch_size": 1} if engine_name == "openvino" else {}
    fast, exact = build(precision), build("fp32", **single)
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


def _report_agreement(
    engine: Engine, reference: Engine, sample: torch.Tensor | None, threshold: float | np.ndarray
) -> None:
    """Say how often an arithmetic decides as fp32 does, on windows it was not calibrated on."""
    if sample is None or len(sample) == 0:
        return
    exact = _logits(reference, sample)
    usable = np.isfinite(exact).all(1)  # others fail with their recording
    if not usable.any():
        return
    decided = []
    for logits in (exact, _logits(engine, sample)):
        found, winner, _ = decide_windows(probabilities_of(logits[usable]), threshold)
        decided.append(np.where(found, winner, -1))
    same = float(np.mean(decided[0] == decided[1]))
    enough = same >= _LEAST_AGREEMENT
    (log.info if enough else log.warning)(
        "%s decides %.1f %% of %d sampled windows as fp32 does%s",
        engine.name,
        100 * same,
        len(decided[0]),
        "" if enough else f": fewer than {100 * _LEAST_AGREEMENT:g} %, --precision auto is safer",
    )
