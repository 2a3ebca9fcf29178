"""What a complete training leaves behind: tables, TensorBoard's last figures, files."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from data.corpus import Corpus
from data.labels import names_by_index
from data.signal_config import SignalConfig
from utils.calibration import Calibration
from utils.clip_scores import fit_calibration, split_fingerprint
from utils.config import FREE_TO_CHANGE, TrainConfig, as_dict
from utils.model_file import FILE_NAME, ModelFile, save_model, save_torchscript
from utils.noise_class import no_noise_warning, noise_class_of
from utils.phase_result import PhaseResult
from utils.results import class_table, result_entry, write_results
from utils.summary import Summary

log = logging.getLogger(__name__)

Scored = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Trained:
    """A network that was trained, and what its file says of it.

    Attributes:
        model: ``encoder`` and ``classifier``.
        encoder_opts: ``encoderOpts`` of the file.
        classifier_opts: ``classifierOpts`` of the file.
        signal: Signal path.
        normalization: See ``ModelFile``.
        precision: Arithmetic of the training.
        chosen: What the training itself chose, for ``results.json``.
    """

    model: nn.Sequential
    encoder_opts: dict[str, Any]
    classifier_opts: dict[str, Any]
    signal: SignalConfig
    normalization: str
    precision: str
    chosen: Mapping[str, Any] = field(default_factory=dict)


def recipe_of(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that make a run the run it is."""
    return {k: v for k, v in as_dict(config).items() if k not in FREE_TO_CHANGE}


def finish_training(
    config: TrainConfig,
    corpus: Corpus,
    trained: Trained,
    results: Mapping[str, PhaseResult],
    scored: Scored,
    summary: Summary,
    model_dir: Path,
) -> None:
    """Say how good a network is, calibrate it if wanted, and write model file and results.

    Args:
        config: Settings.
        corpus: What it was trained and judged on.
        trained: The network.
        results: Of ``val`` and, if there are such clips, ``test``.
        scored: Logits ``(clip, class)`` and labels of the same; needed with ``config.calibrate``.
        summary: TensorBoard's folder.
        model_dir: Where the files go.

    Raises:
        OSError: If one cannot be written.
    """
    names = names_by_index(corpus.classes)
    noise_class = noise_class_of(config.noise_class, names)
    for result in results.values():
        for line in class_table(result, names):
            log.info("%s", line)
    metrics = {
        f"{phase}_{metric}": result.value_of(metric)
        for phase, result in results.items()
        for metric in ("loss", "accuracy", "macro_accuracy")
    }
    summary.add_hyper_parameters(recipe_of(config), metrics)
    calibration, report = Calibration(), {}
    if config.calibrate:
        calibration, report = fit_calibration(
            scored, names, config.calibration_precision, noise_class
        )
        summary.add_calibration(report["partitions"])
    path = model_dir / FILE_NAME
    content = ModelFile(
        model=trained.model.cpu(),
        encoder_opts=trained.encoder_opts,
        classifier_opts=trained.classifier_opts,
        signal=trained.signal,
        classes=corpus.classes,
        backbone=config.backbone,
        sequence_len_ms=config.sequence_len,
        normalization=trained.normalization,
        extra={
            "seed": config.seed,
            "metrics": {k: v for k, v in metrics.items() if k.startswith("val_")},
            "split": split_fingerprint(corpus.samples),
        },
        calibration=calibration,
        noise_class=noise_class,
    )
    (save_torchscript if config.jit_save else save_model)(content, path)
    write_results(
        {
            "model": FILE_NAME,
            "settings": as_dict(config),
            "precision": trained.precision,
            **trained.chosen,
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "classes": corpus.classes,
            "noise_class": noise_class,
            "warnings": [] if noise_class else [no_noise_warning(names)],
            "clips": {name: len(samples) for name, samples in corpus.samples.items()},
            "excluded_files": len(corpus.excluded),
            "partitions": {
                phase: result_entry(result, names, [s.name for s in corpus.samples[phase]])
                for phase, result in results.items()
            },
            **({"calibration": report} if config.calibrate else {}),
        },
        model_dir / "results.json",
    )
    log.info("model: %s", path)
    log.info("accuracy per class: %s", model_dir / "results.json")
    log.info("TensorBoard: tensorboard --logdir %s", summary.folder.parent)
